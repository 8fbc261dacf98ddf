"""HeLMS-mix's policy: a new high level over components that know the skills' latents.

Shape letters: K skills, Z latent, H features; [...] any leading dimensions.
"""

from __future__ import annotations

import numpy as np
import sonnet as snt
import tensorflow as tf

from agents.builder import Observation
from agents.distributions import Mixture
from agents.helms.networks import HelmsNetworks, MidLevel
from agents.helms.skills import Skills
from agents.mpo import networks as mpo_networks


class MixturePolicy(snt.Module):
    """pi(z|x) = sum_y pi(y|x) pi(z|y, x)."""

    def __init__(
        self, high_level: mpo_networks.CategoricalPolicy, components: snt.Module
    ):
        """Joins them; components map an observation to mean, stddev [..., K, Z]."""
        super().__init__(name="policy")
        self._high_level = high_level
        self._components = components

    def __call__(self, observation: Observation) -> Mixture:
        """Maps name -> [..., n] to the mixture."""
        mean, stddev = self._components(observation)
        return Mixture(self._high_level(observation), mean, stddev)


class SkillComponents(snt.Module):
    """A copy of the skills' mid level that can be trained, with its normalisation."""

    def __init__(self, networks: HelmsNetworks):
        """Takes what it needs of a trainable copy."""
        super().__init__(name="components")
        self._normalizers = networks.normalize_proprio, networks.normalize_objects
        self._mid_level = networks.mid_level

    def __call__(self, observation: Observation) -> tuple[tf.Tensor, tf.Tensor]:
        """Maps raw "proprio" and "objects" to mean and stddev [..., K, Z]."""
        proprio, objects = self._normalizers
        inputs = proprio(observation["proprio"]), objects(observation["objects"])
        return self._mid_level(tf.concat(inputs, axis=-1))


class FrozenComponents(snt.Module):
    """The frozen skills' mid level as it is."""

    def __init__(self, skills: Skills):
        super().__init__(name="components")
        self._skills = skills

    def __call__(self, observation: Observation) -> tuple[tf.Tensor, tf.Tensor]:
        """Maps raw "proprio" and "objects" to mean and stddev [..., K, Z]."""
        return self._skills.mid_level(observation)


class NewComponents(snt.Module):
    """New components, as many and as large, over an input layer of their own."""

    def __init__(
        self,
        representation: mpo_networks.InputRepresentation,
        skills: Skills,
        input_size: int,
        seed: int,
    ):
        """`input_size` is the representation's H; `seed` draws the weights."""
        super().__init__(name="components")
        self._representation = representation
        rng = np.random.default_rng(seed)
        self._mid_level = MidLevel(skills.config, input_size, rng)

    def __call__(self, observation: Observation) -> tuple[tf.Tensor, tf.Tensor]:
        """Maps name -> [..., n] to mean and stddev [..., K, Z]."""
        return self._mid_level(self._representation(observation))
