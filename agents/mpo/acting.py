"""Acting: one compiled call a step; replay gets the latent, not the action."""

from __future__ import annotations

from typing import Any

import dm_env
import numpy as np
import tensorflow as tf
from acme import adders, core
from acme.tf import variable_utils

from agents.builder import Policy


class LatentActor(core.Actor):
    """Runs a policy and stores what it decided, with a flag in rows that are real.

    Acme's sequence adder fills the final observation's row and the padding after it
    with zeros, so the flag `valid` tells transitions from both.
    """

    def __init__(
        self,
        policy: Policy,
        seed: int,
        adder: adders.Adder | None = None,
        variable_client: variable_utils.VariableClient | None = None,
    ):
        """Every decision's randomness comes from (seed, number of the decision)."""
        self._policy = tf.function(policy.__call__, autograph=False)
        self._seed = seed
        self._num_decisions = 0
        self._adder = adder
        self._variable_client = variable_client
        self._latent: np.ndarray | None = None

    def select_action(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """The decoded action [D] for an observation name -> [size]."""
        seed = np.array([self._seed, self._num_decisions], np.int32)
        self._num_decisions += 1
        decision = self._policy(
            {key: tf.constant(value) for key, value in observation.items()},
            tf.constant(seed),
        )
        self._latent = decision.latent.numpy()
        return decision.action.numpy()

    @property
    def latent(self) -> np.ndarray | None:
        """What the last decision stored in replay."""
        return self._latent

    def observe_first(self, timestep: dm_env.TimeStep) -> None:
        """Starts an episode in replay."""
        if self._adder is not None:
            _check_finite(timestep)
            self._adder.add_first(timestep)

    def observe(self, action: Any, next_timestep: dm_env.TimeStep) -> None:
        """Stores the last decision's latent; `action` is what it decoded to."""
        del action
        if self._adder is not None:
            _check_finite(next_timestep)
            self._adder.add(
                self._latent, next_timestep, extras={"valid": np.float32(1.0)}
            )

    def update(self, wait: bool = False) -> None:
        """Fetches variables when their time has come."""
        if self._variable_client is not None:
            self._variable_client.update(wait)


def _check_finite(timestep: dm_env.TimeStep) -> None:
    """Raises FloatingPointError: no value that is not finite goes into replay."""
    for key, value in timestep.observation.items():
        if not np.isfinite(value).all():
            raise FloatingPointError(f"observation {key!r} is not finite")
    if timestep.reward is not None and not np.isfinite(timestep.reward).all():
        raise FloatingPointError(f"reward is not finite: {timestep.reward}")
