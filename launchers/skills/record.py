"""Record of a training in `run.json`, which bars others from its work directory."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from launchers.common import atomic_files, workdir_lock

_RUN = "run.json"


def start(
    root: pathlib.Path,
    model: str,
    config: Mapping[str, Any],
    defaults: Mapping[str, Any],
    manifest: Mapping[str, Any],
) -> None:
    """Writes the record of a new training, or checks that the existing one matches.

    Args:
      root: the work directory.
      model: name of the model.
      config: all settings, as JSON gives them back.
      defaults: defaults of all settings.
      manifest: record of the data set, as of `loader.manifest`.

    Raises:
      ValueError: in one line, which other training the work directory holds.
    """
    run = {"model": model, "config": config, "data": fingerprint(manifest)}
    workdir_lock.hold(root)
    if not (root / _RUN).exists():
        if (root / "checkpoints").exists():
            raise ValueError(
                f"{root} holds checkpoints of another program; take another workdir"
            )
        atomic_files.write_json(root / _RUN, run)
        return
    earlier = atomic_files.read_json(root / _RUN)
    if not isinstance(earlier.get("config"), dict):
        raise ValueError(f"{root / _RUN} is not the record of a training")
    if earlier.get("model") != model:
        raise ValueError(
            f"{root} holds a checkpoint of model {earlier.get('model')!r}, not "
            f"{model!r}; take another workdir"
        )
    # A setting that an old record lacks had its present default.
    recorded = {**defaults, **earlier["config"]}
    for name in sorted(set(recorded) | set(config)):
        mine, theirs = config.get(name), recorded.get(name)
        if mine != theirs:
            raise ValueError(
                f"{root} holds a checkpoint with {name} {theirs}, not {mine}; take "
                "another workdir"
            )
    if earlier.get("data") != run["data"]:
        raise ValueError(
            f"{root} holds a checkpoint of another data set; take another workdir"
        )


def fingerprint(manifest: Mapping[str, Any]) -> str:
    """Hashes a data set's record, so that equal data sets have equal fingerprints."""
    text = json.dumps(manifest, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
