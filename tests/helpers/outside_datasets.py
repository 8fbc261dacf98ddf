"""Small data sets in public layouts, of noise: Open X, robomimic, and images only."""

from __future__ import annotations

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer

from datasets.rlds import files, schema, writer

STEPS = 12  # control steps of an episode

f = tfds.features
_FLAGS = {name: f.Scalar(np.bool_) for name in ("is_first", "is_last", "is_terminal")}
_REST = {"reward": f.Scalar(np.float32), "discount": f.Scalar(np.float32), **_FLAGS}


def _tensor(*shape, dtype=np.float32, **more):
    return f.Tensor(shape=shape, dtype=dtype, **more)


# An Open X set: a dictionary with an image, nested states, 7 actions, an instruction.
OPEN_X = {
    "observation": f.FeaturesDict(
        {
            "image": f.Image(shape=(8, 8, 3)),
            "state": f.FeaturesDict(
                {"joints": _tensor(7), "gripper": f.Scalar(np.float32)}
            ),
            "cube": _tensor(2, 3, dtype=np.float64),
        }
    ),
    "action": _tensor(7),
    "language_instruction": f.Text(),
}
OPEN_X_KEYS = ("--proprio=observation/state/joints,state/gripper", "--objects=cube")

# robomimic's low-dimensional observations.
ROBOMIMIC = {
    "observation": f.FeaturesDict(
        {
            "robot0_eef_pos": _tensor(3),
            "robot0_eef_quat": _tensor(4),
            "robot0_gripper_qpos": _tensor(2),
            "object": _tensor(10),
        }
    ),
    "action": _tensor(7),
}
ROBOMIMIC_KEYS = (
    "--proprio=robot0_eef_pos,robot0_eef_quat,robot0_gripper_qpos",
    "--objects=object",
)

IMAGES = {
    "observation": f.FeaturesDict({"camera": f.Image(shape=(8, 8, 3))}),
    "action": _tensor(7),
}


def draw(rng, feature, high=1.0):
    """Draws a value of a feature."""
    if isinstance(feature, f.FeaturesDict):
        return {name: draw(rng, inner, high) for name, inner in feature.items()}
    if isinstance(feature, f.Text):
        return "stack the cubes"
    if isinstance(feature, f.Image):
        return rng.integers(0, 256, feature.shape).astype(np.uint8)
    return rng.uniform(-high, high, feature.shape).astype(feature.np_dtype)


def write(directory, layout, episodes=3, action_high=2.5):
    """Writes a data set of noise.

    Args:
      directory: new directory.
      layout: features of a step beside the reward and flags of RLDS.
      episodes: number of episodes.
      action_high: actions are uniform in [-action_high, action_high].

    Returns:
      The directory.
    """
    directory.mkdir(parents=True)
    features = f.FeaturesDict({"steps": f.Dataset({**layout, **_REST})})
    serializer = example_serializer.ExampleSerializer(features.get_serialized_info())
    rng, records = np.random.default_rng(0), []
    for _ in range(episodes):
        steps = []
        for t in range(STEPS + 1):
            step = {name: draw(rng, feature) for name, feature in layout.items()}
            step["action"] = draw(rng, layout["action"], action_high)
            last = t == STEPS
            step |= {"reward": float(t == STEPS - 1), "discount": 1.0}
            step |= {"is_first": t == 0, "is_last": last, "is_terminal": False}
            steps.append(step)
        example = features.encode_example({"steps": steps})
        records.append(serializer.serialize_example(example))
    writer.write_shard(directory / schema.shard_name(0, 1), records)
    size = sum(map(len, records))
    writer.write_metadata(directory, features, [episodes], size, {}, {})
    for name in (files.MANIFEST, files.METADATA):
        (directory / name).unlink()
    return directory
