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


class Components(snt.Module, abc.ABC):
    """Components pi(z|y, x), for all y or for one.

    They read raw observations [..., n] by name, or the features [..., H] that the high
    level's input representation makes of them.
    """

    @abc.abstractmethod
    def __call__(
        self, observation: Observation, features: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mean and stddev [..., K, Z]."""

    @abc.abstractmethod
    def of_skill(
        self, skill: tf.Tensor, observation: Observation, features: tf.Tensor
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
        features = self._high_level.represent(observation)
        mean, stddev = self._components(observation, features)
        stddev = tf.maximum(stddev, self._min_stddev)
        return Mixture(self._high_level.of_features(features), mean, stddev)

    def draw(
        self, observation: Observation, seed: tf.Tensor, held: Held | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws like `Mixture.sample`, but evaluates only the chosen components.

        Returns:
          The latent [..., Z], drawn from its component anew at every step, and the
          component [...], which is held.
        """
        seeds = tf.random.experimental.stateless_split(seed, 2)
        features = self._high_level.represent(observation)
        logits = self._high_level.of_features(features)
        drawn = categorical.sample(logits, 1, seeds[0])[0]
        skill = hold(tf.cast(drawn, tf.int32), held)
        mean, stddev = self._components.of_skill(skill, observation, features)
        stddev = tf.maximum(stddev, self._min_stddev)
        shape = tf.concat([[1], tf.shape(mean)], axis=0)
        noise = tf.random.stateless_normal(shape, seeds[1], dtype=mean.dtype)[0]
        return mean + stddev * noise, skill

    def mode(
        self, observation: Observation, held: Held | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the likeliest component's mean [..., Z] and the component [...]."""
        features = self._high_level.represent(observation)
        likeliest = tf.argmax(self._high_level.of_features(features), axis=-1)
        skill = hold(tf.cast(likeliest, tf.int32), held)
        return self._components.of_skill(skill, observation, features)[0], skill


class SkillComponents(Components):
    """Trainable copy of the skills' mid level, with its normalisation."""

    def __init__(self, networks: HelmsNetworks):
        """Takes normalisation and mid level of `networks`, a trainable copy."""
        super().__init__(name="components")
        self._normalizers = networks.normalize_proprio, networks.normalize_objects
        self._mid_level = networks.mid_level

    @override
    def __call__(
        self, observation: Observation, features: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        del features
        return self._mid_level(self._normalized(observation))

    @override
    def of_skill(
        self, skill: tf.Tensor, observation: Observation, features: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        del features
        return self._mid_level.of_skill(self._normalized(observation), skill)

    def _normalized(self, observation: Observation) -> tf.Tensor:
        proprio, objects = self._normalizers
        inputs = proprio(observation["proprio"]), objects(observation["objects"])
        return tf.concat(inputs, axis=-1)


class FrozenComponents(Components):
    """Mid level of the frozen skills, unchanged."""

    def __init__(self, skills: Skills):
        super().__init__(name="components")
        self._skills = skills

    @override
    def __call__(
        self, observation: Observation, features: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        del features
        return self._skills.mid_level(observation)

    @override
    def of_skill(
        self, skill: tf.Tensor, observation: Observation, features: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        del features
        return self._skills.mid_level_of(skill, observation)


class NewComponents(Components):
    """New components, as many and as large as the skills'.

    They read the high level's input representation (appendix of the paper: one encodes
    the inputs of all networks of the policy that are new).
    """

    def __init__(self, skills: Skills, input_size: int, seed: int):
        """Draws the weights from `seed`; `input_size` is H of the representation."""
        super().__init__(name="components")
        rng = np.random.default_rng(seed)
        self._mid_level = MidLevel(skills.config, input_size, rng)

    @override
    def __call__(
        self, observation: Observation, features: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        del observation
        return self._mid_level(features)

    @override
    def of_skill(
        self, skill: tf.Tensor, observation: Observation, features: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        del observation
        return self._mid_level.of_skill(features, skill)
