"""Bundles: directories that hold a frozen model and can be moved.

A bundle has `skills.json` (format, model, sizes, settings, observation names, checksum,
origin of the data, course of the training) and `weights.npz` (all variables, also those
of the normalisation). It holds no optimiser. Skills may have a distilled high level in
`high_level/`, under a checksum of its own (`agents.high_level.distillation`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from agents.offline.frozen import FrozenModel
from agents.offline.networks import Dims, OfflineNetworks, unit_statistics
from filesystem import locks, regular_files

FORMAT = "helms-skills"
VERSION = 2
DESCRIPTION = "skills.json"
WEIGHTS = "weights.npz"
HIGH_LEVEL = "high_level"  # directory of a distilled high level
# Entries that, besides the weights, decide how the model acts: the checksum covers
# them.
_IDENTITY = ("model", "dims", "config", "observation_names")

_Frozen = TypeVar("_Frozen", bound=FrozenModel)


def save(
    directory: str | os.PathLike[str],
    networks: OfflineNetworks,
    observation_names: Mapping[str, Sequence[str]],
    data: Mapping[str, object] | None = None,
    training: Mapping[str, object] | None = None,
    action: Mapping[str, object] | None = None,
) -> None:
    """Writes a bundle beside `directory`, then renames it into place.

    Args:
      directory: directory of the bundle; an older bundle there is replaced.
      networks: networks of any model, to be frozen.
      observation_names: names that make up "proprio" and "objects", in order.
      data: facts about the data set (JSON values).
      training: facts about the training (JSON values).
      action: `names`, `low` [D] and `high` [D] of the actions that were scaled to
        [-1, 1] (JSON values); None where they were in [-1, 1].

    Raises:
      ValueError: a weight is not finite, or `directory` holds something else.
    """
    directory = pathlib.Path(directory)
    if directory.exists() and not (directory / DESCRIPTION).is_file():
        raise ValueError(f"{directory} exists and is not a skill bundle")
    weights = _named_weights(networks)
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise ValueError(f"weight {name} is not finite, the skills are not saved")
    description = {
        "format": FORMAT,
        "version": VERSION,
        "model": networks.model,
        "dims": {
            "proprio": networks.dims.proprio,
            "objects": networks.dims.objects,
            "action": networks.dims.action,
        },
        "config": networks.config.to_dict(),
        "observation_names": {k: list(v) for k, v in observation_names.items()},
        "data": dict(data or {}),
        "training": dict(training or {}),
    }
    if action is not None:
        description["action"] = dict(action)
    description["checksum"] = _checksum(description, weights)
    with replaced(directory) as aside:
        np.savez(aside / WEIGHTS, **weights)
        text = json.dumps(description, indent=2, allow_nan=False)
        (aside / DESCRIPTION).write_text(text + "\n")


@contextlib.contextmanager
def replaced(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a directory to write, which becomes `directory` if the block succeeds.

    Then also removes what killed processes have left of this kind.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    aside = directory.with_name(f".{directory.name}.{uuid.uuid4().hex}")
    aside.mkdir()
    with locks.held(aside, required=False):
        try:
            yield aside
            if directory.exists():
                old = directory.with_name(f"{aside.name}.old")
                directory.rename(old)
                aside.rename(directory)
                shutil.rmtree(old, ignore_errors=True)
            else:
                aside.rename(directory)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    name = re.compile(rf"\.{re.escape(directory.name)}\.[0-9a-f]{{32}}(\.old)?")
    for other in list(directory.parent.iterdir()):
        if name.fullmatch(other.name):
            with contextlib.suppress(OSError), locks.held(other):
                shutil.rmtree(other, ignore_errors=True)


def read_weights(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads the arrays of an .npz file by name; raises OSError as `open_file` does."""
    with (
        regular_files.open_file(path) as file,
        np.load(file, allow_pickle=False) as archive,
    ):
        return {name: archive[name] for name in archive.files}


def copy(source: str | os.PathLike[str], target: pathlib.Path) -> None:
    """Copies a bundle, and nothing else in its directory; replaces an older copy."""
    with replaced(target) as aside:
        for name in (DESCRIPTION, WEIGHTS):
            shutil.copyfile(pathlib.Path(source) / name, aside / name)
        high_level = pathlib.Path(source) / HIGH_LEVEL
        if high_level.is_dir():
            shutil.copytree(high_level, aside / HIGH_LEVEL)


def read_description(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the description of a bundle; "model" is the name of its model.

    Raises:
      ValueError: this is not a bundle of this version; one line says why.
    """
    directory = pathlib.Path(directory)
    if not directory.is_dir():
        bundles = directory.parent.glob(f"*/{DESCRIPTION}")
        beside = ", ".join(sorted(path.parent.name for path in bundles))
        valid = f"; beside it: {beside}" if beside else ""
        raise ValueError(f"no skills at {directory}: no such directory{valid}")
    try:
        description = json.loads(regular_files.read_text(directory / DESCRIPTION))
    except FileNotFoundError:
        raise ValueError(
            f"{directory} is not a skill bundle: it has no {DESCRIPTION} "
            "(launchers.train_skills writes one as WORKDIR/skills)"
        ) from None
    except (OSError, ValueError) as e:
        raise ValueError(f"{directory / DESCRIPTION} is not readable: {e}") from e
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ValueError(f"{directory} is not a skill bundle of format {FORMAT!r}")
    if description.get("version") != VERSION:
        raise ValueError(
            f"skills at {directory} have version {description.get('version')!r}, this "
            f"program reads version {VERSION}: train them again"
        )
    return description


def load(
    frozen_type: type[_Frozen],
    directory: str | os.PathLike[str],
    proprio_dim: int | None = None,
    object_dim: int | None = None,
    action_dim: int | None = None,
) -> _Frozen:
    """Reads a bundle of one model.

    Args:
      frozen_type: frozen form of the model that the bundle must hold.
      directory: directory of the bundle.
      proprio_dim: P of the environment, object_dim: O, action_dim: D. Each that is
        given must equal the bundle's.

    Raises:
      ValueError: the bundle cannot be used here; one line says why.
    """
    directory = pathlib.Path(directory)
    description = read_description(directory)
    if description.get("model") != frozen_type.model:
        raise ValueError(
            f"skills at {directory} are of model {description.get('model')!r}, not "
            f"{frozen_type.model!r}"
        )
    try:
        config = frozen_type.config_type.from_dict(description["config"])
        dims = Dims(**description["dims"])
        said = description["checksum"]
    except (KeyError, TypeError, ValueError) as e:
        raise ValueError(f"skills at {directory} have a bad {DESCRIPTION}: {e}") from e
    expected = {"proprio": proprio_dim, "objects": object_dim, "action": action_dim}
    for name, size in expected.items():
        if size is not None and size != getattr(dims, name):
            raise ValueError(
                f"skills at {directory} have {getattr(dims, name)} {name} values, the "
                f"environment has {size}"
            )
    try:
        weights = read_weights(directory / WEIGHTS)
    except (OSError, ValueError, zipfile.BadZipFile, KeyError, EOFError) as e:
        raise ValueError(
            f"skills at {directory} have no readable {WEIGHTS}: {e}"
        ) from e
    if _checksum(description, weights) != said:
        raise ValueError(
            f"skills at {directory} are damaged: {WEIGHTS} and {DESCRIPTION} do not "
            "have the checksum that was written with them"
        )

    def not_trainable(
        make_variable: Callable[..., tf.Variable], **kwargs: Any
    ) -> tf.Variable:
        return make_variable(**{**kwargs, "trainable": False})

    # Not trainable, so that an agent that holds the skills cannot train them by
    # accident.
    with tf.variable_creator_scope(not_trainable):
        networks = frozen_type.networks_type(config, dims, unit_statistics(dims))
    variables = {v.name: v for v in networks.variables}
    shapes = {name: tuple(v.shape) for name, v in variables.items()}
    if shapes != {name: value.shape for name, value in weights.items()}:
        raise ValueError(f"skills at {directory} have weights of another architecture")
    for name, value in weights.items():
        variables[name].assign(value)
    frozen = frozen_type(networks, description)
    frozen.directory = directory
    return frozen


def _named_weights(networks: OfflineNetworks) -> dict[str, np.ndarray]:
    weights = {v.name: v.numpy() for v in networks.variables}
    if len(weights) != len(networks.variables):
        raise ValueError("two variables of the networks have one name")
    return weights


def _checksum(description: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> str:
    """Returns the checksum of what decides how the model acts, and only of that."""
    identity = {key: description.get(key) for key in _IDENTITY}
    if "action" in description:  # bundles of actions in [-1, 1] have none
        identity["action"] = description["action"]
    return checksum(identity, weights)


def checksum(identity: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> str:
    """Returns the SHA-256 of JSON values and of arrays with their names."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
    for name in sorted(weights):
        value = np.ascontiguousarray(weights[name])
        digest.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
