"""Learned skills, frozen: a directory that can be moved, and what RL uses of it.

A bundle is a directory of `skills.json` (format, sizes, settings, checksum, where the
data came from) and `weights.npz`; it holds no optimiser.

Shape letters: K skills, Z latent, D action, P proprioception, O objects.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
import uuid
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from agents.helms.config import HelmsConfig
from agents.helms.networks import (
    HelmsDims,
    HelmsNetworks,
    Statistics,
    unit_statistics,
)
from agents.losses import elbo

FORMAT = "helms-skills"
VERSION = 1
_DESCRIPTION = "skills.json"
_WEIGHTS = "weights.npz"

# {"proprio": [..., P], "objects": [..., O]}, raw: the skills normalise.
Observation = Mapping[str, tf.Tensor]


class Skills(tf.Module):
    """The frozen mid level, low level, transition prior and offline high level."""

    def __init__(self, networks: HelmsNetworks, description: Mapping[str, object]):
        """Wraps networks whose variables are not trainable; `load` makes them."""
        super().__init__(name="skills")
        self._networks = networks
        self.description = dict(description)
        self.num_skills = networks.config.num_skills
        self.latent_dim = networks.config.latent_dim
        self.look_ahead = networks.config.look_ahead
        self.action_dim = networks.dims.action
        self.proprio_dim = networks.dims.proprio
        self.object_dim = networks.dims.objects
        self.action_stddev = networks.low_level.stddev

    def mid_level(self, observation: Observation) -> tuple[tf.Tensor, tf.Tensor]:
        """q(z | y, x) of every skill: mean and standard deviation, both [..., K, Z]."""
        features = self._networks.normalize(
            observation["proprio"], observation["objects"]
        )
        return self._networks.latent(*features)

    def low_level(self, latent: tf.Tensor, observation: Observation) -> tf.Tensor:
        """The mean of p(a | z, x) for latent [..., Z]: [..., D] in (-1, 1)."""
        proprio, _ = self._networks.normalize(
            observation["proprio"], observation["objects"]
        )
        return self._networks.low_level(latent, proprio)

    def decode(
        self,
        skill: tf.Tensor,
        observation: Observation,
        seed: tf.Tensor | None = None,
        action_noise: bool = False,
    ) -> tf.Tensor:
        """The actions of skills. Has no state, so it works within `tf.function`.

        Args:
          skill: int32 [...].
          observation: the leading dimensions of `skill`.
          seed: int32 [2] of the draw of z; None takes the mean of z.
          action_noise: add the low level's own Gaussian noise too (needs a seed).

        Returns:
          [..., D] in [-1, 1].

        Raises:
          ValueError: `action_noise` without a seed.
        """
        if action_noise and seed is None:
            raise ValueError("action_noise needs a seed")
        mean, stddev = self.mid_level(observation)
        latent = tf.gather(mean, skill, axis=-2, batch_dims=skill.shape.rank)
        if seed is not None:
            stddev = tf.gather(stddev, skill, axis=-2, batch_dims=skill.shape.rank)
            seeds = tf.random.experimental.stateless_split(seed, 2)
            noise = tf.random.stateless_normal(tf.shape(latent), seeds[0])
            latent += stddev * noise
        action = self.low_level(latent, observation)
        if action_noise:
            noise = tf.random.stateless_normal(tf.shape(action), seeds[1])
            action += self.action_stddev * noise
        return tf.clip_by_value(action, -1.0, 1.0)

    def transition_matrix(self) -> tf.Tensor:
        """p(y_t | y_{t-1}) as [K, K], a row for each y_{t-1}."""
        return tf.nn.softmax(self._networks.prior_logits)

    def observation_statistics(self) -> Statistics:
        """Mean and deviation of the training data's "proprio" [P] and "objects" [O]."""
        return self._networks.statistics()

    def posterior(self, proprio: tf.Tensor, objects: tf.Tensor) -> tf.Tensor:
        """q(y_t | x_{1:t}) of raw windows [B, T+L, P], [B, T+L, O]: [B, T, K]."""
        features = self._networks.normalize(proprio, objects)
        transitions = tf.nn.softmax(self._networks.posterior_logits(*features))
        return elbo.skill_marginals(transitions)[:, 1:]


def save(
    directory: str | os.PathLike[str],
    networks: HelmsNetworks,
    observation_names: Mapping[str, Sequence[str]],
    data: Mapping[str, object] | None = None,
    training: Mapping[str, object] | None = None,
) -> None:
    """Writes a bundle beside `directory`, then renames it into place.

    Args:
      directory: of the bundle; an older bundle there is replaced.
      networks: what to freeze.
      observation_names: the names that make up "proprio" and "objects", in order.
      data: what the caller knows of the data set (JSON values).
      training: what the caller knows of the training (JSON values).

    Raises:
      ValueError: a weight is not finite, or `directory` holds something else.
    """
    directory = pathlib.Path(directory)
    if directory.exists() and not (directory / _DESCRIPTION).is_file():
        raise ValueError(f"{directory} exists and is not a skill bundle")
    weights = _named_weights(networks)
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise ValueError(f"weight {name} is not finite, the skills are not saved")
    description = {
        "format": FORMAT,
        "version": VERSION,
        "model": "helms",
        "dims": {
            "proprio": networks.dims.proprio,
            "objects": networks.dims.objects,
            "action": networks.dims.action,
        },
        "config": networks.config.to_dict(),
        "observation_names": {k: list(v) for k, v in observation_names.items()},
        "checksum": _checksum(weights),
        "data": dict(data or {}),
        "training": dict(training or {}),
    }
    directory.parent.mkdir(parents=True, exist_ok=True)
    aside = directory.with_name(f".{directory.name}.{uuid.uuid4().hex}")
    aside.mkdir()
    try:
        np.savez(aside / _WEIGHTS, **weights)
        text = json.dumps(description, indent=2, allow_nan=False)
        (aside / _DESCRIPTION).write_text(text + "\n")
        if directory.exists():
            old = directory.with_name(f"{aside.name}.old")
            directory.rename(old)
            aside.rename(directory)
            shutil.rmtree(old)
        else:
            aside.rename(directory)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def load(
    directory: str | os.PathLike[str],
    proprio_dim: int | None = None,
    object_dim: int | None = None,
    action_dim: int | None = None,
) -> Skills:
    """Reads a bundle.

    Args:
      directory: of the bundle.
      proprio_dim: P of the environment, object_dim: O, action_dim: D. Those given must
        be the bundle's.

    Raises:
      ValueError: in one line, why this is not a bundle that can be used here.
    """
    directory = pathlib.Path(directory)
    description = _read_description(directory)
    try:
        config = HelmsConfig.from_dict(description["config"])
        dims = HelmsDims(**description["dims"])
        checksum = description["checksum"]
    except (KeyError, TypeError, ValueError) as e:
        raise ValueError(f"skills at {directory} have a bad {_DESCRIPTION}: {e}") from e
    expected = {"proprio": proprio_dim, "objects": object_dim, "action": action_dim}
    for name, size in expected.items():
        if size is not None and size != getattr(dims, name):
            raise ValueError(
                f"skills at {directory} have {getattr(dims, name)} {name} values, the "
                f"environment has {size}"
            )
    try:
        with np.load(directory / _WEIGHTS, allow_pickle=False) as archive:
            weights = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, KeyError, EOFError) as e:
        raise ValueError(
            f"skills at {directory} have no readable {_WEIGHTS}: {e}"
        ) from e
    if _checksum(weights) != checksum:
        raise ValueError(
            f"skills at {directory} are damaged: {_WEIGHTS} does not have the checksum "
            f"in {_DESCRIPTION}"
        )
    return Skills(_frozen_networks(config, dims, weights, directory), description)


def _frozen_networks(
    config: HelmsConfig,
    dims: HelmsDims,
    weights: Mapping[str, np.ndarray],
    directory: pathlib.Path,
) -> HelmsNetworks:
    def not_trainable(make_variable, **kwargs):
        return make_variable(**{**kwargs, "trainable": False})

    # Frozen means that an agent that holds the skills cannot train them by accident.
    with tf.variable_creator_scope(not_trainable):
        networks = HelmsNetworks(config, dims, unit_statistics(dims))
    variables = {v.name: v for v in networks.variables}
    shapes = {name: tuple(v.shape) for name, v in variables.items()}
    if shapes != {name: value.shape for name, value in weights.items()}:
        raise ValueError(f"skills at {directory} have weights of another architecture")
    for name, value in weights.items():
        variables[name].assign(value)
    return networks


def _read_description(directory: pathlib.Path) -> dict[str, object]:
    if not directory.is_dir():
        raise ValueError(f"no skills at {directory}: no such directory")
    try:
        description = json.loads((directory / _DESCRIPTION).read_text())
    except FileNotFoundError:
        raise ValueError(
            f"{directory} is not a skill bundle: it has no {_DESCRIPTION} "
            "(launchers.train_skills writes one as WORKDIR/skills)"
        ) from None
    except (OSError, ValueError) as e:
        raise ValueError(f"{directory / _DESCRIPTION} is not readable: {e}") from e
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ValueError(f"{directory} is not a skill bundle of format {FORMAT!r}")
    if description.get("version") != VERSION:
        raise ValueError(
            f"skills at {directory} have version {description.get('version')!r}, this "
            f"program reads version {VERSION}"
        )
    return description


def _named_weights(networks: HelmsNetworks) -> dict[str, np.ndarray]:
    weights = {v.name: v.numpy() for v in networks.variables}
    if len(weights) != len(networks.variables):
        raise ValueError("two variables of the networks have one name")
    return weights


def _checksum(weights: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = np.ascontiguousarray(weights[name])
        digest.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
