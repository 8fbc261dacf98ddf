"""Base classes of frozen models, which are used and not trained.

Shape letters: D action, P proprioception, O objects; `...` any leading dimensions.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import tensorflow as tf
from acme import specs

from agents.distributions.policies import Gaussian, Hybrid
from agents.offline.config import LatentConfig, OfflineConfig
from agents.offline.networks import OfflineNetworks, Statistics

# {"proprio": [..., P], "objects": [..., O]}, raw: the frozen model normalises them. Low
# levels read only "proprio".
Observation = Mapping[str, tf.Tensor]


class Sizes(Protocol):
    """Sizes of a frozen model."""

    proprio_dim: int
    object_dim: int
    action_dim: int


def check_fits(environment_spec: specs.EnvironmentSpec, frozen: Sizes) -> None:
    """Raises ValueError unless a frozen model can be used in an environment.

    Args:
      environment_spec: spec of an environment that observes "proprio" and "objects".
      frozen: frozen model.
    """
    observations = environment_spec.observations
    expected = {"proprio": frozen.proprio_dim, "objects": frozen.object_dim}
    sizes = {
        key: observations[key].shape[0] if key in observations else None
        for key in expected
    }
    if sizes != expected:
        raise ValueError(
            f"the skills were learned on observations of sizes {expected}, the "
            f"environment gives {sizes}"
        )
    shape = environment_spec.actions.shape
    if shape != (frozen.action_dim,):
        raise ValueError(
            f"the skills act in {frozen.action_dim} dimensions, the environment takes "
            f"actions of shape {shape}"
        )


class FrozenModel(tf.Module):
    """Base of the frozen models that `agents.registry.load_bundle` returns."""

    model: ClassVar[str]  # name of the model in bundles and on the command line
    config_type: ClassVar[type[OfflineConfig]]
    networks_type: ClassVar[type[OfflineNetworks]]
    directory: pathlib.Path | None = None  # of the bundle that the model was read from

    def __init__(self, networks: OfflineNetworks, description: Mapping[str, object]):
        """Wraps networks whose variables are not trainable; `bundle.load` makes them.

        Args:
          networks: networks of `networks_type`.
          description: description of the bundle (`skills.json`).
        """
        super().__init__(name=f"frozen_{self.model}")
        self._networks = networks
        self.description: dict[str, Any] = dict(description)
        self.config = networks.config
        self.look_ahead = networks.config.look_ahead
        self.action_stddev = networks.config.action_stddev
        self.finger = networks.config.finger
        self.proprio_dim = networks.dims.proprio
        self.object_dim = networks.dims.objects
        self.action_dim = networks.dims.action

    def observation_statistics(self) -> Statistics:
        """Returns mean and deviation of the data's "proprio" [P] and "objects" [O]."""
        return self._networks.statistics()

    def trainable_networks(self) -> OfflineNetworks:
        """Returns a trainable copy of the networks, for agents that fine-tune."""
        copy = self.networks_type(
            self.config, self._networks.dims, self.observation_statistics()
        )
        for mine, theirs in zip(copy.variables, self._networks.variables, strict=True):
            mine.assign(theirs)
        return copy

    def _features(self, observation: Observation) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns normalised "proprio" [..., P] and "objects" [..., O]."""
        return self._networks.normalize(observation["proprio"], observation["objects"])


class FrozenPolicy(FrozenModel):
    """Base of the frozen models that act on their own: behaviour clones."""

    def distribution(self, observation: Observation) -> Gaussian | Hybrid:
        """Returns p(a | x) [..., D]."""
        return self._networks.distribution(*self._features(observation))

    def mean(self, observation: Observation) -> tf.Tensor:
        """Returns the mean action [..., D] in (-1, 1)."""
        return self.distribution(observation).mean

    def sample(self, observation: Observation, seed: tf.Tensor) -> tf.Tensor:
        """Draws an action [..., D], clipped to [-1, 1]; seed is int32 [2]."""
        action = self.distribution(observation).sample(1, seed)[0]
        return tf.clip_by_value(action, -1.0, 1.0)


class FrozenLatentModel(FrozenModel):
    """Base of the frozen models that have a latent z and a low level under it."""

    config: LatentConfig

    def __init__(self, networks: OfflineNetworks, description: Mapping[str, object]):
        super().__init__(networks, description)
        self.latent_dim = self.config.latent_dim

    def low_level(self, latent: tf.Tensor, observation: Observation) -> tf.Tensor:
        """Returns the mean of p(a | z, x) for latent [..., Z]: [..., D] in (-1, 1).

        The leading dimensions of latent and "proprio" broadcast.
        """
        proprio = self._networks.normalize_proprio(observation["proprio"])
        return self._networks.low_level(latent, proprio)
