"""Opens exported data sets with LeRobot's and robomimic's own loaders.

python scripts/open_exports.py --lerobot=DIR --robomimic=FILE

It runs in an environment of its own, which has these libraries and not this project's
(docs/guides/exchange.md says how to make one), and prints what their loaders give.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys


def open_lerobot(root: pathlib.Path) -> None:
    """Loads the data set, two steps at once, and each feature of a batch."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # Nothing is fetched that is not there.
    import torch
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    info = json.loads((root / "meta/info.json").read_text())
    deltas = {"action": [0.0, 1 / info["fps"]]}
    data = LeRobotDataset("local/exported", root=root, delta_timestamps=deltas)
    assert data.num_episodes == info["total_episodes"]
    assert len(data) == info["total_frames"]
    batch = next(iter(torch.utils.data.DataLoader(data, batch_size=4, shuffle=True)))
    for name, feature in sorted(data.features.items()):
        value = batch[name]
        shape = list(getattr(value, "shape", [len(value)]))
        assert shape[0] == 4, name
        if feature["dtype"] in ("image", "video"):
            assert value.min() >= 0 and value.max() <= 1
    missing = [
        name
        for name, feature in data.features.items()
        if feature["dtype"] not in ("image", "video", "string")
        and name not in ("timestamp", "index", "task_index")
        and not name.endswith("_index")
        and name not in data.meta.stats
    ]
    assert not missing, missing
    print(
        f"LeRobot: {data.num_episodes} episodes, {len(data)} frames at {data.fps} Hz, "
        f"{len(data.features)} features, action {list(batch['action'].shape)}, "
        f"cameras {data.meta.camera_keys}, tasks {sorted(set(batch['task']))}"
    )


def open_robomimic(path: pathlib.Path) -> None:
    """Loads the training episodes in sequences of ten, and a batch of them."""
    import h5py
    import robomimic.utils.file_utils as file_utils
    import robomimic.utils.obs_utils as obs_utils
    import torch
    from robomimic.utils.dataset import SequenceDataset

    with h5py.File(path) as file:
        observed = file["data/demo_0/obs"]
        keys: list[str] = []
        observed.visititems(
            lambda name, item: keys.append(name) if hasattr(item, "dtype") else None
        )
        images = [key for key in keys if len(observed[key].shape) == 4]
    low = [key for key in keys if key not in images]
    obs_utils.initialize_obs_utils_with_obs_specs(
        {"obs": {"low_dim": low, "rgb": images}}
    )
    environment = file_utils.get_env_metadata_from_dataset(str(path))
    shapes = file_utils.get_shape_metadata_from_dataset(str(path), all_obs_keys=keys)
    data = SequenceDataset(
        hdf5_path=str(path),
        obs_keys=keys,
        dataset_keys=("actions", "rewards", "dones"),
        seq_length=10,
        load_next_obs=True,
        filter_by_attribute="train",
    )
    batch = next(iter(torch.utils.data.DataLoader(data, batch_size=4, shuffle=True)))
    assert list(batch["actions"].shape[:2]) == [4, 10]
    odd = set(batch["obs"]) ^ set(keys), set(batch["next_obs"]) ^ set(keys)
    assert odd == (set(), set()), odd
    print(
        f"robomimic: {environment['env_name']}, {data.n_demos} training episodes, "
        f"{len(data)} steps, {len(keys)} observations ({len(images)} of images), "
        f"actions of {shapes['ac_dim']}"
    )


def main() -> None:
    """Opens what is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lerobot", type=pathlib.Path)
    parser.add_argument("--robomimic", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.lerobot is None and arguments.robomimic is None:
        sys.exit("error: give --lerobot=DIR or --robomimic=FILE")
    if arguments.lerobot is not None:
        open_lerobot(arguments.lerobot)
    if arguments.robomimic is not None:
        open_robomimic(arguments.robomimic)


if __name__ == "__main__":
    main()
