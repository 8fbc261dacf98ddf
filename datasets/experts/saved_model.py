"""Expert from a trained RGB-stacking agent, saved as a TensorFlow SavedModel.

The agents are those of the public `rgb_stacking` repository, or any of the same
signature: `initial_state()` and `step(timestep, state)`, batched by 1, on stacked
observations in physical units. The agents are stochastic; they return the distribution
of their action, from which this expert draws by a seed. Agents that
`launchers.export --format=saved_model` wrote draw themselves, by the seed in their
state.
"""

from __future__ import annotations

import pathlib
from typing import Any, ClassVar

import dm_env
import numpy as np
import reverb  # noqa: F401  registers an op of the saved graphs
import tensorflow as tf

from environments import observations

# Observations of these agents, which lack the wrist's angle and velocity.
INPUTS = (
    *(
        n
        for n in observations.FRAME_SIZES
        if n not in ("wrist/angle", "wrist/velocity")
    ),
    observations.PREVIOUS_ACTION,
)
# An action of 1 in physical units: m/s, rad/s, tics/s.
ACTION_SCALE = np.array([0.07, 0.07, 0.07, 1.0, 255.0])


def check(path: str | pathlib.Path) -> None:
    """Raises ValueError if `path` holds no SavedModel; loads nothing."""
    if not (pathlib.Path(path) / "saved_model.pb").is_file():
        raise ValueError(f"{path} holds no SavedModel (no saved_model.pb in it)")


class SavedModelExpert:
    """Expert that acts as a saved agent does; see `datasets.experts.base.Expert`."""

    PHASES: ClassVar[tuple[str, ...]] = ()

    def __init__(self, path: str | pathlib.Path) -> None:
        """Loads the agent.

        Raises:
          ValueError: `path` holds no SavedModel, or one of another signature.
        """
        check(path)
        self._agent = tf.saved_model.load(str(path))
        for name in ("initial_state", "step"):
            if not hasattr(self._agent, name):
                raise ValueError(f"the SavedModel {path} has no {name}()")
        self._inputs: tuple[str, ...] = INPUTS
        if hasattr(self._agent.initial_state(), "seed"):
            (timestep, _), _ = self._agent.step.concrete_functions[
                0
            ].structured_input_signature
            self._inputs = tuple(timestep.observation)
        self.phase = -1
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Starts an episode."""
        self._rng = np.random.default_rng(seed)
        state = self._agent.initial_state()
        # The agent is saved with a batched counter, but its initial state has none.
        self._state = state._replace(counter=tf.reshape(state.counter, [1]))
        if hasattr(state, "seed"):
            own = tf.constant([seed % (1 << 31)], tf.int32)
            self._state = self._state._replace(seed=own)

    def step(self, timestep: dm_env.TimeStep) -> np.ndarray:
        """Returns an action, float32 [5] in [-1, 1]."""
        missing = [n for n in self._inputs if n not in timestep.observation]
        if missing:
            raise ValueError(f"the SavedModel observes {', '.join(missing)}")
        observation = {
            n: tf.constant(timestep.observation[n][None]) for n in self._inputs
        }
        (action, extras), self._state = self._agent.step(
            dm_env.TimeStep(None, None, None, observation), self._state
        )
        drawn, mode = self._actions(action, extras)
        self.intended = np.clip(mode, -1.0, 1.0).astype(np.float32)
        return np.clip(drawn, -1.0, 1.0).astype(np.float32)

    def _actions(self, action: tf.Tensor, extras: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns a draw from the agent's distribution and its mode, [5], normalised.

        The distribution has four Gaussian velocities, and fingers that close or open.
        """
        if "normalized_action" in extras:
            own = extras["normalized_action"].numpy()[0]
            return own, own
        try:
            gaussian, fingers = extras["actor"]["dist_params"].dist_params_list
        except (KeyError, TypeError, AttributeError, ValueError):
            own = action.numpy()[0] / ACTION_SCALE  # the agent's own, unseeded draw
            return own, own
        noise = self._rng.standard_normal(4)
        mean = gaussian.loc.numpy()[0]
        velocity = mean + gaussian.scale_diag.numpy()[0] * noise
        open_logit, close_logit = fingers.logits.numpy()[0, 0]
        closing = 1.0 / (1.0 + np.exp(open_logit - close_logit))
        drawn = np.append(velocity, 1.0 if self._rng.random() < closing else -1.0)
        return drawn, np.append(mean, 1.0 if closing > 0.5 else -1.0)
