"""Record of a training in `run.json`, which bars others from its work directory.

Model, settings and data set identify a training; its options may change. `starts` has
an entry for each start: `launchers.common.provenance`, the step, and what of the
options changed, as NAME: [before, after].
"""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from launchers.common import atomic_files, provenance, workdir_lock

_RUN = "run.json"
_OF_EPISODES = "episode_"  # begins the names of a manifest's lists


def start(
    root: pathlib.Path,
    model: str,
    config: Mapping[str, Any],
    defaults: Mapping[str, Any],
    manifest: Mapping[str, Any],
    options: Mapping[str, Any],
    restart: bool = False,
) -> None:
    """Writes the record of a new training, or checks that the existing one matches.

    Args:
      root: the work directory.
      model: name of the model.
      config: all settings, as JSON gives them back.
      defaults: defaults of all settings.
      manifest: record of the data set, as of `loader.manifest`.
      options: options of this start, as JSON gives them back.
      restart: whether to begin anew, and move a training that the work directory holds
        aside (`workdir_lock.set_aside`).

    Raises:
      ValueError: in one line, which other training the work directory holds.
    """
    run: dict[str, Any] = {"model": model, "config": config}
    run["data"] = fingerprint(manifest)
    if restart and (before := workdir_lock.set_aside(root, _RUN)):
        print(f"--restart moved {root} to {before}", flush=True)
    workdir_lock.hold(root)
    if not (root / _RUN).exists():
        if (root / "checkpoints").exists():
            raise ValueError(
                f"{root} holds checkpoints of another program; take another workdir"
            )
        run |= {"options": options, "starts": [provenance.describe()]}
        atomic_files.write_json(root / _RUN, run)
        return
    earlier = atomic_files.read_json(root / _RUN)
    if not isinstance(earlier.get("config"), dict):
        raise ValueError(f"{root / _RUN} is not the record of a training")
    if earlier.get("model") != model:
        raise ValueError(
            f"{root} holds a checkpoint of model {earlier.get('model')!r}, not "
            f"{model!r}; take another workdir, or --restart"
        )
    # A setting that an old record lacks had its present default.
    recorded = {**defaults, **earlier["config"]}
    for name in sorted(set(recorded) | set(config)):
        mine, theirs = config.get(name), recorded.get(name)
        if mine != theirs:
            raise ValueError(
                f"{root} holds a checkpoint with {name} {theirs}, not {mine}; take "
                "another workdir, or --restart"
            )
    if earlier.get("data") != run["data"]:
        raise ValueError(
            f"{root} holds a checkpoint of another data set; take another workdir, "
            "or --restart"
        )
    # The lock is held: what is unfinished there is of a process that was killed.
    atomic_files.remove_temporaries(root, below=True)


def resume(root: pathlib.Path, options: Mapping[str, Any], step: int) -> None:
    """Adds this start to the record, once the checkpoint has been read.

    Args:
      root: the work directory, which `start` has checked.
      options: options of this start, as JSON gives them back.
      step: step of the checkpoint.
    """
    run = atomic_files.read_json(root / _RUN)
    before = run.get("options", {})
    changed = {
        name: [before.get(name), value]
        for name, value in options.items()
        if before.get(name) != value
    }
    this = {**provenance.describe(), "learner_steps": step, "changed": changed}
    run |= {"options": options, "starts": [*run.get("starts", []), this]}
    atomic_files.write_json(root / _RUN, run)


def facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a bundle tells of its data: no list of episodes, but a fingerprint.

    Args:
      manifest: record of the data set, as of `loader.manifest`.
    """
    told = {k: v for k, v in manifest.items() if not k.startswith(_OF_EPISODES)}
    return {**told, "fingerprint": fingerprint(manifest)}


def fingerprint(manifest: Mapping[str, Any]) -> str:
    """Hashes a data set's record, so that equal data sets have equal fingerprints."""
    text = json.dumps(manifest, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
