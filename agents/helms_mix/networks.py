"""Policy of HeLMS-mix: a new high level over components pi(z|y, x).

Shape letters: K skills, Z latent, H features; [...] any leading dimensions.
"""

from __future__ import annotations

import abc

import numpy as np
import sonnet as snt
import tensorflow as tf
from typing_extensions import override

from agents.builder import Held, Observation, hold
from agents.distributions import categorical
from agents.distributions.policies import Mixture
from agents.helms.frozen import Skills
from agents.helms.networks import HelmsNetworks, MidLevel
from agents.mpo import networks as mpo_networks
from agents.mpo.representation import InputRepresentation


class Components(snt.Module, abc.ABC):
    """Components pi(z|y, x), for all y or for one."""

    @abc.abstractmethod
    def __call__(self, observation: Observation) -> tuple[tf.Tensor, tf.Tensor]:
        """Maps raw observations [..., n] by name to mean and stddev [..., K, Z]."""

    @abc.abstractmethod
    def of_skill(
        self, skill: tf.Tensor, observation: Observation
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mean and stddev [..., Z] of one skill [...] per observation."""


class MixturePolicy(mpo_networks.PolicyNetwork):
    """Policy pi(z|x) = sum_y pi(y|x) pi(z|y, x)."""

    def __init__(
        self,
        high_level: mpo_networks.CategoricalPolicy,
        components: Components,
        min_stddev: float = 0.0,
    ):
        """Joins high level and components, whose stddev is at least `min_stddev`."""
        super().__init__(name="policy")
        self._high_level = high_level
        self._components = components
        self._min_stddev = min_stddev

    @property
    def high_level(self) -> mpo_networks.CategoricalPolicy:
        """High level pi(y|x)."""
        return self._high_level

    def __call__(self, observation: Observation) -> Mixture:
        """Maps observations [..., n] by name to the mixture."""
        mean, stddev = self._components(observation)
        stddev = tf.maximum(stddev, self._min_stddev)
        return Mixture(self._high_level(observation), mean, stddev)

    def draw(
        self, observation: Observation, seed: tf.Tensor, held: Held | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws like `Mixture.sample`, but evaluates only the chosen components.

        Returns:
          The latent [..., Z], drawn from its component anew at every step, and the
          component [...], which is held.
        """
        seeds = tf.random.experimental.stateless_split(seed, 2)
        logits = self._high_level(observation)
        drawn = categorical.sample(logits, 1, seeds[0])[0]
        skill = hold(tf.cast(drawn, tf.int32), held)
        mean, stddev = self._components.of_skill(skill, observation)
        stddev = tf.maximum(stddev, self._min_stddev)
        shape = tf.concat([[1], tf.shape(mean)], axis=0)
        noise = tf.random.stateless_normal(shape, seeds[1], dtype=mean.dtype)[0]
        return mean + stddev * noise, skill

    def mode(
        self, observation: Observation, held: Held | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the likeliest component's mean [..., Z] and the component [...]."""
        likeliest = tf.argmax(self._high_level(observation), axis=-1)
        skill = hold(tf.cast(likeliest, tf.int32), held)
        return self._components.of_skill(skill, observation)[0], skill


class SkillComponents(Components):
    """Trainable copy of the skills' mid level, with its normalisation."""

    def __init__(self, networks: HelmsNetworks):
        """Takes normalisation and mid level of `networks`, a trainable copy."""
        super().__init__(name="components")
        self._normalizers = networks.normalize_proprio, networks.normalize_objects
        self._mid_level = networks.mid_level

    @override
    def __call__(self, observation: Observation) -> tuple[tf.Tensor, tf.Tensor]:
        return self._mid_level(self._features(observation))

    @override
    def of_skill(
        self, skill: tf.Tensor, observation: Observation
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._mid_level.of_skill(self._features(observation), skill)

    def _features(self, observation: Observation) -> tf.Tensor:
        proprio, objects = self._normalizers
        inputs = proprio(observation["proprio"]), objects(observation["objects"])
        return tf.concat(inputs, axis=-1)


class FrozenComponents(Components):
    """Mid level of the frozen skills, unchanged."""

    def __init__(self, skills: Skills):
        super().__init__(name="components")
        self._skills = skills

    @override
    def __call__(self, observation: Observation) -> tuple[tf.Tensor, tf.Tensor]:
        return self._skills.mid_level(observation)

    @override
    def of_skill(
        self, skill: tf.Tensor, observation: Observation
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._skills.mid_level_of(skill, observation)


class NewComponents(Components):
    """New components, as many and as large as the skills', with an input layer."""

    def __init__(
        self,
        representation: InputRepresentation,
        skills: Skills,
        input_size: int,
        seed: int,
    ):
        """Draws the weights from `seed`; `input_size` is H of the representation."""
        super().__init__(name="components")
        self._representation = representation
        rng = np.random.default_rng(seed)
        self._mid_level = MidLevel(skills.config, input_size, rng)

    @override
    def __call__(self, observation: Observation) -> tuple[tf.Tensor, tf.Tensor]:
        return self._mid_level(self._representation(observation))

    @override
    def of_skill(
        self, skill: tf.Tensor, observation: Observation
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._mid_level.of_skill(self._representation(observation), skill)
