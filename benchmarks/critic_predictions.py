"""Predictions of a run's critic on new episodes, for `benchmarks.critic`.

Shape letters: T decisions of an episode.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import dm_env
import numpy as np
import tensorflow as tf
import tqdm
from acme import EnvironmentLoop, adders
from acme.utils import loggers
from typing_extensions import override

from agents.losses import critic as critic_loss
from agents.mpo import learner_checkpoints
from agents.mpo.builder import MPOBuilder
from agents.mpo.networks import MPONetworks
from agents.mpo.rows import Rows
from launchers.common import loggers as run_loggers
from launchers.experiments.config import Experiment, derive_seed

QUARTERS = 4
_LAST_ROWS = 100  # of the learner's log


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A critic's predictions of an episode of T decisions, and what came.

    Attributes:
      value: Q(x_t, y_t) of the decisions taken [T].
      returns: discounted sum of the rewards that followed, with the critic's value of
        the last state where the episode ended by its time [T].
      error: n-step target less value [T].
    """

    value: np.ndarray
    returns: np.ndarray
    error: np.ndarray


class Recorder(adders.Adder):
    """Adder that keeps one episode's decisions, as replay would get them."""

    @override
    def reset(self) -> None:
        self.observations: list[dict[str, np.ndarray]] = []
        self.actions: list[np.ndarray] = []
        self.rewards: list[float] = []
        self.discounts: list[float] = []

    @override
    def add_first(self, timestep: dm_env.TimeStep) -> None:
        self.reset()
        self.observations.append(timestep.observation)

    @override
    def add(
        self, action: Any, next_timestep: dm_env.TimeStep, extras: Any = ()
    ) -> None:
        del extras
        self.actions.append(np.asarray(action))
        self.rewards.append(float(next_timestep.reward))
        self.discounts.append(float(next_timestep.discount))
        self.observations.append(next_timestep.observation)


def predict(
    builder: MPOBuilder, networks: MPONetworks, episode: Recorder, seed: int
) -> Prediction:
    """Compares the online critic with an episode, as the learner's targets read it."""
    config, loss = builder.config, builder.make_policy_loss(networks)
    length = len(episode.actions)
    observation = {
        key: tf.constant(np.stack([o[key] for o in episode.observations])[None])
        for key in episode.observations[0]
    }  # [1, T+1, ...]
    rows = Rows.where(tf.ones([1, length + 1]))
    output = networks.policy(rows.take(observation))
    features = networks.critic.features(observation, rows)
    candidates = loss.candidates(output, rows, tf.constant([seed, 0]))
    state_value = loss.state_value(
        loss.values(networks.critic, features, candidates), output
    )
    # The final state has no decision: its value is not read.
    actions = np.stack([*episode.actions, episode.actions[-1]])
    value = loss.action_value(networks.critic, features, tf.constant(actions))
    reward, discount, valid = (
        np.asarray([[*values, 0.0]], np.float32)
        for values in (episode.rewards, episode.discounts, np.ones(length))
    )
    known = value[None], state_value[None], reward, discount, valid, config.discount
    td = critic_loss.n_step_td(*known, n_step=config.n_step)
    whole = critic_loss.n_step_td(*known, n_step=length)
    return Prediction(value.numpy()[:-1], whole.target.numpy()[0], td.error.numpy()[0])


def run(experiment: Experiment, episodes: int, seed: int) -> list[Prediction]:
    """Runs new episodes of the newest checkpoint of a run and predicts each.

    Raises:
      ValueError: in one line, if there is no checkpoint that fits.
    """
    builder = experiment.builder_factory()
    if not isinstance(builder, MPOBuilder):
        raise ValueError(f"{experiment.workdir} is of an agent without such a critic")
    networks = builder.make_networks(experiment.environment_spec, experiment.seed)
    builder.restore_policy(networks, experiment.workdir)
    learner_checkpoints.restore_critic(networks.critic, experiment.workdir)
    recorder = Recorder()
    actor = builder.make_actor(
        builder.make_policy(networks), derive_seed(seed, "actor"), recorder
    )
    environment = experiment.environment_factory(derive_seed(seed, "environment"))
    loop = EnvironmentLoop(environment, actor, logger=loggers.NoOpLogger())
    predictions = []
    for episode in tqdm.tqdm(range(episodes), "episodes", disable=None):
        loop.run_episode()
        predictions.append(predict(builder, networks, recorder, seed + episode))
    environment.close()
    return predictions


def summarize(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Summarises predictions, in all and by quarter of an episode.

    Returns:
      `error` (mean absolute error of the n-step targets), `value`, `return` (means) and
      `correlation` of both, each in all, and `quarters`: the same of each quarter.
    """
    whole = [dataclasses.astuple(prediction) for prediction in predictions]
    quarters = [
        [[np.array_split(part, QUARTERS)[i] for part in parts] for parts in whole]
        for i in range(QUARTERS)
    ]
    return {**_joined(whole), "quarters": [_joined(parts) for parts in quarters]}


def _joined(parts: Sequence[Sequence[np.ndarray]]) -> dict[str, float]:
    value, returns, error = (np.concatenate(p) for p in zip(*parts, strict=True))
    constant = np.ptp(value) == 0 or np.ptp(returns) == 0
    return {
        "error": float(np.abs(error).mean()),
        "value": float(value.mean()),
        "return": float(returns.mean()),
        "correlation": 0.0 if constant else float(np.corrcoef(value, returns)[0, 1]),
    }


def replay_error(workdir: str) -> float | None:
    """Returns the mean `td_error_abs` of the learner's last steps, from its log."""
    rows = run_loggers.read_rows(workdir, "learner")[-_LAST_ROWS:]
    return float(np.mean([row["td_error_abs"] for row in rows])) if rows else None
