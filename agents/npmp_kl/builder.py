"""Builder of NPMP+KL: MPO over the latents of a frozen NPMP with a KL to their prior.

Shape letters: B batch, T time, R rows of a batch, Z latent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from typing_extensions import override

from agents.distributions.policies import Gaussian
from agents.latent_mpo.builder import LatentMPOBuilder
from agents.mpo.config import GaussianMPOConfig, check_not_negative
from agents.mpo.demonstrations import Episode, by_windows
from agents.mpo.gaussian import GaussianMPOBuilder
from agents.mpo.rows import Rows
from agents.npmp.frozen import NpmpSkills


@dataclasses.dataclass(frozen=True)
class NpmpAgentConfig(GaussianMPOConfig):
    """Configuration of NPMP+KL.

    Attributes:
      eta_z: weight of the policy's KL to NPMP's prior.
      skill_steps: control steps that a latent is held, from 1 to 399; replay then holds
        decisions.
    """

    eta_z: float = 0.01  # as HeLMS (Table 5)
    init_stddev: float = 1.0  # the prior's: RL starts by acting as the prior does
    action_penalization: bool = False  # the KL to the prior bounds latents
    # 1: the paper.
    skill_steps: int = 1  # type: ignore[misc]  # the base has it fixed

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(self, "eta_z")


class NpmpBuilder(LatentMPOBuilder, GaussianMPOBuilder):
    """Builder of NPMP+KL over one frozen bundle."""

    _config: NpmpAgentConfig
    _skills: NpmpSkills

    @property
    @override
    def prior_weight(self) -> float:
        return self._config.eta_z

    def demonstrated(self, episodes: Sequence[Episode]) -> list[np.ndarray]:
        """Returns the encoder's mean z; see `MPOBuilder`."""
        return by_windows(
            episodes,
            self._skills.look_ahead,
            lambda *windows: self._skills.encode(*windows)[0],
        )

    def prior(self, data: Any, rows: Rows) -> Gaussian:
        """Returns p(z_t | z_{t-1}) [R, Z], where z_{t-1} is the last agent action.

        In a sequence's first row z_{t-1} is not known, and at an episode's start there
        is none: there the prior is the stationary N(0, I).
        """
        latent = data.action
        mean = tf.zeros_like(latent)
        stddev = tf.ones_like(latent)
        coefficient = self._skills.prior_coefficient
        if coefficient == 0.0:
            return rows.take(Gaussian(mean, stddev))
        mean = tf.concat([mean[:, :1], coefficient * latent[:, :-1]], axis=1)
        later = self._skills.prior_stddev * stddev[:, 1:]
        stddev = tf.concat([stddev[:, :1], later], axis=1)
        return rows.take(Gaussian(mean, stddev))
