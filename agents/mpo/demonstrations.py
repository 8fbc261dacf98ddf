"""Demonstrations in the batches of replay (RLPD, https://arxiv.org/abs/2302.02948).

Episodes of a data set become sequences as `sequences.BlockSequenceAdder` writes them,
with the same rows, final observation and padding. In place of the environment's action
they hold the agent action, which the agent's builder reads from the frozen model. Where
decisions last several control steps, rows are decisions as
`batched_acting.BatchedActor` stores them.

Shape letters: B batch, T time (of a sequence), F rows of all episodes, S sequences,
L look-ahead, n control steps of an episode (or decisions, where they last).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import reverb
import tensorflow as tf
from acme import specs
from acme.adders.reverb import base

from agents.mpo import sequences
from agents.mpo.batched_acting import NO_SKILL, Outcome

_EPISODES_A_CALL = 16  # per call of the frozen model: 200 MB of look-ahead input


class Episode(NamedTuple):
    """Demonstrated episode of n control steps, which becomes sequences of replay."""

    observation: Mapping[str, np.ndarray]  # name -> [n+1, ...]
    action: np.ndarray  # [n, D], the environment's
    reward: np.ndarray  # [n], after the action
    discount: np.ndarray  # [n]


def decisions(episode: Episode, skill_steps: int, gamma: float) -> Episode:
    """Merges an episode's steps into decisions, the first from its first step on.

    Args:
      episode: n control steps.
      skill_steps: control steps that a decision lasts; the last one may be shorter.
      gamma: the agent's discount, of the rewards within a decision.

    Returns:
      Observation and action of each decision's first step, the final observation, and
      rewards and discounts as actors store them.
    """
    reward, discount = [], []
    for first in range(0, len(episode.reward), skill_steps):
        lasts, outcome = slice(first, first + skill_steps), Outcome(gamma)
        for step in zip(episode.reward[lasts], episode.discount[lasts], strict=True):
            outcome.add(*map(float, step))
        reward.append(outcome.reward)
        discount.append(outcome.discount)
    return Episode(
        {
            key: np.concatenate([value[:-1:skill_steps], value[-1:]])
            for key, value in episode.observation.items()
        },
        episode.action[::skill_steps],
        np.array(reward, episode.reward.dtype),
        np.array(discount, episode.discount.dtype),
    )


def check_fits(environment_spec: specs.EnvironmentSpec, episode: Episode) -> None:
    """Raises ValueError unless an environment has a demonstration's observations."""

    def shapes(observation: Mapping[str, Any], leading: int) -> dict[str, list[int]]:
        return {k: [*v.shape[leading:]] for k, v in sorted(observation.items())}

    mine = shapes(episode.observation, 1) | {"action": [*episode.action.shape[1:]]}
    theirs = shapes(environment_spec.observations, 0)
    theirs |= {"action": [*environment_spec.actions.shape]}
    if mine != theirs:
        raise ValueError(
            f"the demonstrations have the shapes {mine}, the environment {theirs}"
        )


def by_windows(
    episodes: Sequence[Episode],
    look_ahead: int,
    function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> list[np.ndarray]:
    """Applies a frozen model to whole episodes and returns [n, ...] of each.

    Args:
      episodes: episodes with "proprio" and "objects".
      look_ahead: L.
      function: maps "proprio" and "objects" [B, T+L, ...] to [B, T, ...]. Frames after
        an episode's last repeat the last.
    """
    results: list[np.ndarray] = []
    for first in range(0, len(episodes), _EPISODES_A_CALL):
        some = episodes[first : first + _EPISODES_A_CALL]
        reach = np.arange(max(len(e.reward) for e in some) + look_ahead)
        windows = (
            tf.stack([e.observation[k][np.minimum(reach, len(e.reward))] for e in some])
            for k in ("proprio", "objects")
        )
        values = function(*windows).numpy()
        results += [v[: len(e.reward)] for v, e in zip(values, some, strict=True)]
    return results


class Demonstrations:
    """Sequences of all episodes, in memory; rows that they share are stored once."""

    def __init__(
        self,
        episodes: Sequence[Episode],
        latents: Sequence[np.ndarray],
        sequence_length: int,
        period: int,
        skills: Sequence[np.ndarray] | None = None,
    ):
        """Lays out the rows.

        Args:
          episodes: one or more.
          latents: agent actions, [n, ...] of each episode.
          sequence_length: T.
          period: rows between the starts of sequences.
          skills: skills, int32 [n] of each episode, where replay stores the skill and
            the one before.
        """
        self._length = sequence_length
        counts = [
            sequences.sequences_of_episode(len(e.reward), sequence_length, period)
            for e in episodes
        ]
        sizes = [(count - 1) * period + sequence_length for count in counts]
        firsts = np.cumsum([0, *sizes])

        def rows(parts: Sequence[np.ndarray]) -> tf.Tensor:
            """Joins episodes' parts [n or n+1, ...] to [F, ...], zeros after each."""
            shape, dtype = parts[0].shape[1:], parts[0].dtype
            values = np.zeros((firsts[-1], *shape), dtype)
            for first, part in zip(firsts, parts):  # noqa: B905
                values[first : first + len(part)] = part
            with tf.device("CPU:0"):
                return tf.convert_to_tensor(values)

        extras = {"valid": rows([np.ones_like(e.reward) for e in episodes])}
        if skills is not None:
            before = [np.insert(skill[:-1], 0, NO_SKILL) for skill in skills]
            extras |= {"skill": rows(skills), "previous_skill": rows(before)}
        self._rows = base.Trajectory(
            observation={
                key: rows([e.observation[key] for e in episodes])
                for key in episodes[0].observation
            },
            action=rows(latents),
            reward=rows([e.reward for e in episodes]),
            discount=rows([e.discount for e in episodes]),
            start_of_episode=rows([np.ones(1, bool) for _ in episodes]),
            extras=extras,
        )
        starts = [
            first + period * np.arange(count)
            for first, count in zip(firsts, counts)  # noqa: B905
        ]
        self._starts = np.concatenate(starts)

    @property
    def num_sequences(self) -> int:
        """Number of sequences S."""
        return len(self._starts)

    def sequences(self, numbers: tf.Tensor) -> base.Trajectory:
        """Returns the sequences [B, T, ...] of `numbers` [B], each from 0 to S - 1."""
        starts = tf.gather(self._starts, numbers)[:, None]
        index = starts + tf.range(self._length, dtype=starts.dtype)
        return tf.nest.map_structure(lambda x: tf.gather(x, index), self._rows)

    def mixed_into(self, replay: tf.data.Dataset, count: int) -> tf.data.Dataset:
        """Adds `count` sequences to each batch of replay.

        They are drawn uniformly, with replacement; the batch's number is the seed.

        Args:
          replay: data set of `reverb.ReplaySample`s, whose `info` stays as it is.
          count: number of sequences, which follow those of replay.
        """
        data_spec = replay.element_spec.data

        def draw(batch: tf.Tensor) -> base.Trajectory:
            numbers = tf.random.stateless_uniform(
                [count],
                seed=tf.stack([tf.constant(0, tf.int64), batch]),
                maxval=self.num_sequences,
                dtype=tf.int32,
            )
            return tf.nest.map_structure(
                lambda x, spec: tf.cast(x, spec.dtype),
                self.sequences(numbers),
                data_spec,
            )

        def join(
            sample: reverb.ReplaySample, drawn: base.Trajectory
        ) -> reverb.ReplaySample:
            data = tf.nest.map_structure(
                lambda x, y: tf.concat([x, y], axis=0), sample.data, drawn
            )
            return sample._replace(data=data)

        plain = tf.autograph.experimental.do_not_convert  # as in `sequences.joined`
        draws = tf.data.Dataset.range(np.iinfo(np.int64).max).map(plain(draw))
        return tf.data.Dataset.zip((replay, draws)).map(plain(join))
