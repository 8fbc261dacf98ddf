"""Predictions of a run's critic on new episodes, for `benchmarks.critic`.

Shape letters: T decisions of an episode.
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import dm_env
import numpy as np
import tensorflow as tf
import tqdm
from acme import adders
from typing_extensions import override

from agents import checkpoints
from agents.losses import critic as critic_loss
from agents.mpo import learner_checkpoints
from agents.mpo.builder import MPOBuilder
from agents.mpo.networks import MPONetworks
from agents.mpo.rows import Rows
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
    td = critic_loss.n_step_td(
        value[None],
        state_value[None],
        reward,
        discount,
        valid,
        config.discount,
        config.n_step,
    )
    returns = np.append(np.zeros(length), state_value[-1])
    for t in reversed(range(length)):
        decay = config.discount * episode.discounts[t]
        returns[t] = episode.rewards[t] + decay * returns[t + 1]
    return Prediction(value.numpy()[:-1], returns[:-1], td.error.numpy()[0])


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
    path = learner_checkpoints.newest(experiment.workdir)
    with checkpoints.reading(path):
        restored = tf.train.Checkpoint(critic=networks.critic).restore(path)
        restored.expect_partial()  # or TensorFlow lists all that is not read
        try:
            restored.assert_existing_objects_matched()
        except AssertionError as e:
            raise ValueError("it has no such critic; exported agents have none") from e
    recorder = Recorder()
    actor = builder.make_actor(
        builder.make_policy(networks), derive_seed(seed, "actor"), recorder
    )
    environment = experiment.environment_factory(derive_seed(seed, "environment"))
    predictions = []
    for episode in tqdm.tqdm(range(episodes), "episodes", disable=None):
        timestep = environment.reset()
        actor.observe_first(timestep)
        while not timestep.last():
            action = actor.select_action(timestep.observation)
            timestep = environment.step(action)
            actor.observe(action, timestep)
        predictions.append(predict(builder, networks, recorder, seed + episode))
    environment.close()
    return predictions


def summarize(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Summarises predictions, in all and by quarter of an episode.

    Returns:
      `error` (mean absolute error of the n-step targets), `value`, `return` (means) and
      `correlation` of both, each in all, and `quarters`: the same of each quarter.
    """
    quarters = [
        [np.array_split(part, QUARTERS)[i] for part in dataclasses.astuple(p)]
        for i in range(QUARTERS)
        for p in predictions
    ]
    count = len(predictions)
    parts = [_joined(quarters[i * count : (i + 1) * count]) for i in range(QUARTERS)]
    whole = _joined([dataclasses.astuple(p) for p in predictions])
    return {**whole, "quarters": parts}


def _joined(parts: Sequence[Sequence[np.ndarray]]) -> dict[str, float]:
    value, returns, error = (np.concatenate(p) for p in zip(*parts, strict=True))
    constant = np.ptp(value) == 0 or np.ptp(returns) == 0
    return {
        "error": float(np.abs(error).mean()),
        "value": float(value.mean()),
        "return": float(returns.mean()),
        "correlation": 0.0 if constant else float(np.corrcoef(value, returns)[0, 1]),
    }


def replay_error(workdir: pathlib.Path) -> float | None:
    """Returns the mean `td_error_abs` of the learner's last steps, from its log."""
    path = workdir / "logs" / "learner" / "logs.csv"
    if not path.exists():
        return None
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))[-_LAST_ROWS:]
    errors = [float(row["td_error_abs"]) for row in rows if row["td_error_abs"]]
    return float(np.mean(errors)) if errors else None
