"""Small data sets on disk, made of noise, to be spoilt by tests.

They are built from the schema alone, with no environment.
"""

import itertools
import json

import numpy as np
import tensorflow_datasets as tfds
from dm_env import specs
from tensorflow_datasets.core import example_serializer

from datasets.rlds import files, recipes, schema, statistics, writer
from environments import controller, observations, scene

PER_SHARD, STEPS = 2, 12
_JOINTS = (-0.5, 0.5)  # rad from the posture
_ROOM = (-0.2, 0.2)  # m from the middle of the workspace
CAMERA = "front/pixels"
_SPEC = {
    name: specs.Array(observations.shape(name), observations.dtype(name))
    for name in (*observations.FRAME_SIZES, observations.PREVIOUS_ACTION)
}
_CAMERA_SPEC = specs.Array((8, 8, 3), np.uint8)
_ACTION_SPEC = specs.Array((schema.ACTION_SIZE,), np.float32)


def examples(count, camera=False):
    """Returns episodes 0 to count - 1 as dictionaries of arrays [STEPS + 1, ...]."""
    return [_example(index, camera) for index in range(count)]


def all_pairs(count):
    """Returns `examples` with the tasks and object sets of all_pairs_stacking."""
    combinations = itertools.cycle(recipes.RECIPES["all_pairs_stacking"])
    episodes = examples(count)
    for example, (task, object_set) in zip(episodes, combinations, strict=False):
        example["episode_metadata"] |= {"task": task, "object_set": object_set}
    return episodes


def _example(index, camera):
    rng = np.random.default_rng(index)
    length = STEPS + 1

    def draw(spec):
        shape = (length, *spec.shape)
        if spec.dtype == np.uint8:
            high = 256 if schema.is_image(spec) else 4
            return rng.integers(1, high, shape).astype(np.uint8)
        return rng.uniform(-1, 1, shape).astype(np.float32)

    action, intended = draw(_ACTION_SPEC), draw(_ACTION_SPEC)
    action[-1] = intended[-1] = 0.0
    reward = rng.uniform(0, 1, length).astype(np.float32)
    reward[-1] = 0.0
    place = np.arange(length)
    observation = _observation(rng, length)
    if camera:
        observation[CAMERA] = draw(_CAMERA_SPEC)
    return {
        "steps": {
            "observation": observation,
            "action": action,
            "expert_action": intended,
            "reward": reward,
            "discount": (place < STEPS).astype(np.float32),
            "is_first": place == 0,
            "is_last": place == STEPS,
            "is_terminal": np.zeros(length, bool),
            "expert_phase": np.where(place == STEPS, -1, place // 9).astype(np.int32),
        },
        "episode_metadata": {
            "success": index % 2 == 0,
            "task": "stack_red_blue",
            "reward": "dense",
            "object_set": 4,
            "seed": 1000 + index,
            "episode_index": index,
            "action_delay": index % 3,
            "expert": "fake",
            "expert_phases": json.dumps(["early", "late"]),
            "invalid": False,
            "randomization": json.dumps({"mass_0": 0.9, "mass_1": 1.1, "red": "s0"}),
        },
    }


def _observation(rng, length):
    """Noise that could be: within the bounds, poses that fit, frames stacked."""
    at = observations.LAYOUT
    frames = rng.uniform(-1, 1, (length, observations.FRAME_SIZE))
    joints = controller.NULLSPACE_POSTURE + rng.uniform(*_JOINTS, (length, 7))
    frames[:, at["sawyer/joints/angle"]] = joints
    frames[:, at["wrist/angle"]] = joints[:, 6:]
    frames[:, at["gripper/joints/angle"]] = rng.integers(0, 256, (length, 1))
    frames[:, at["gripper/grasp"]] = rng.integers(1, 4, (length, 1))
    objects = [f"rgb30_{color}/abs_pose" for color in observations.COLORS]
    for name in ("sawyer/pinch/pose", "sawyer/tcp/pose", *objects):
        pose = frames[:, at[name]]  # a view
        pose[:, :3] = scene.WORKSPACE_CENTRE + rng.uniform(*_ROOM, (length, 3))
        pose[:, 3:] /= np.linalg.norm(pose[:, 3:], axis=1, keepdims=True)
        pose[pose[:, 3] < 0, 3:] *= -1
    for name in objects:
        difference = frames[:, at[name]] - frames[:, at["sawyer/pinch/pose"]]
        frames[:, at[name.replace("abs_pose", "to_pinch")]] = difference
    ago = np.maximum(np.arange(length)[:, None] - np.arange(observations.STACK), 0)
    stacked = [observations.of_frames(frames[i]) for i in ago]
    return {name: np.stack([o[name] for o in stacked]) for name in _SPEC}


def set_frame(example, name, step, value):
    """Sets an observation's frame of one step in all the stacks that it is in."""
    values = example["steps"]["observation"][name]
    for ago in range(min(values.shape[1], len(values) - step)):
        values[step + ago, ago] = value


def shorten(example, length):
    """Leaves the first steps of an example."""
    steps = example["steps"]
    for arrays in (steps, steps["observation"]):
        for name in arrays.keys() - {"observation"}:
            arrays[name] = arrays[name][:length]


def write(directory, episodes):
    """Writes a data set of `PER_SHARD` episodes a file, each an example or bytes."""
    directory.mkdir()
    first = next(e for e in episodes if isinstance(e, dict))
    spec = dict(_SPEC)
    if CAMERA in first["steps"]["observation"]:
        spec[CAMERA] = _CAMERA_SPEC
    features = schema.features(spec, _ACTION_SPEC)
    serialize = writer.Serializer(features)
    encoded = [e if isinstance(e, bytes) else serialize(e) for e in episodes]
    manifest = {"dataset": schema.DATASET_NAME, "episodes": len(encoded)}
    if not any(isinstance(e, bytes) for e in episodes):
        summaries = [schema.summary(e) for e in episodes]
        manifest |= {
            "successes": sum(s.success for s in summaries),
            "control_steps": sum(s.steps for s in summaries),
            "episode_indices": [s.index for s in summaries],
            "episode_seeds": [s.seed for s in summaries],
            "episode_successes": [s.success for s in summaries],
            "episode_returns": [
                float(np.nan_to_num(e["steps"]["reward"][:-1], posinf=0.0).sum())
                for e in episodes
            ],
        }
    taken = statistics.StepStatistics()
    for episode in episodes:
        if isinstance(episode, dict):
            taken.add(episode["steps"])
    return _write(directory, features, encoded, manifest, taken.as_dict())


def write_plain(directory, episodes, more=None, container=tfds.features.Dataset):
    """Writes as `write` does, with no metadata of episodes and no manifest.

    Args:
      directory: new directory.
      episodes: examples; of their steps, those that have features are written.
      more: features of the steps, beside ours or instead of them; None leaves one out.
      container: what holds the steps.
    """
    directory.mkdir()
    steps = dict(schema.features(_SPEC, _ACTION_SPEC)["steps"].feature.items())
    steps |= dict.fromkeys(("expert_action", "expert_phase", "discount"))
    steps = {k: f for k, f in (steps | (more or {})).items() if f is not None}
    features = tfds.features.FeaturesDict({"steps": container(steps)})
    serializer = example_serializer.ExampleSerializer(features.get_serialized_info())
    encoded = [
        serializer.serialize_example({"steps": {k: e["steps"][k] for k in steps}})
        for e in episodes
    ]
    _write(directory, features, encoded, {}, {})
    for name in (files.MANIFEST, files.METADATA):
        (directory / name).unlink()
    return directory


def _write(directory, features, encoded, manifest, metadata):
    starts = range(0, len(encoded), PER_SHARD)
    shards = [encoded[i : i + PER_SHARD] for i in starts]
    for i, shard in enumerate(shards):
        writer.write_shard(directory / schema.shard_name(i, len(shards)), shard)
    writer.write_metadata(
        directory,
        features,
        [len(shard) for shard in shards],
        sum(map(len, encoded)),
        manifest,
        metadata,
    )
    return directory
