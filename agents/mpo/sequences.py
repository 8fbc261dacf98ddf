"""Sequences in replay, written in blocks of steps.

Acme's sequence adder hands Reverb each step by itself, in two calls that walk through
the structure of the data and make a tensor of every part of it: a quarter of a
millisecond. Here steps are gathered in arrays, and Reverb gets as many at a time as no
sequence starts or ends within. The table has these blocks as a dimension of their own,
which `joined` takes away.

Shape letters: B batch, T time (of a sequence), N blocks in a sequence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import dm_env
import numpy as np
import reverb
import tensorflow as tf
import tree
from acme import specs, types
from acme.adders import reverb as reverb_adders
from acme.adders.reverb import base

_MAX_IN_FLIGHT = 2  # items on their way to the server; Acme's


def block_length(sequence_length: int, period: int) -> int:
    """Steps that all sequences have together, or not at all."""
    return math.gcd(sequence_length, period)


def sequences_of_episode(steps: int, sequence_length: int, period: int) -> int:
    """How many sequences `BlockSequenceAdder` makes of an episode of so many steps."""
    rows = steps + 1  # the final observation has one
    return 1 + max(0, math.ceil((rows - sequence_length) / period))


def signature(
    environment_spec: specs.EnvironmentSpec,
    extras_spec: types.NestedSpec,
    sequence_length: int,
    period: int,
) -> base.Trajectory:
    """Of the table: every part [N, T / N, ...]."""
    block = block_length(sequence_length, period)

    def in_blocks(spec: tf.TensorSpec) -> tf.TensorSpec:
        shape = (sequence_length // block, block, *spec.shape[1:])
        return tf.TensorSpec(shape, spec.dtype, spec.name)

    of_steps = reverb_adders.SequenceAdder.signature(
        environment_spec, extras_spec, sequence_length
    )
    return tree.map_structure(in_blocks, of_steps)


def joined(sample: reverb.ReplaySample) -> reverb.ReplaySample:
    """A batch of the table's sequences [B, N, T / N, ...] as [B, T, ...]."""

    def join(x: tf.Tensor) -> tf.Tensor:
        batch, blocks, block, *rest = x.shape
        return tf.reshape(x, [-1 if batch is None else batch, blocks * block, *rest])

    return reverb.ReplaySample(sample.info, tree.map_structure(join, sample.data))


class BlockSequenceAdder(base.ReverbAdder):
    """Overlapping sequences of one length, as Acme's `SequenceAdder` makes them.

    One starts every `period` steps. An episode's last observation has a row, in which
    all else is zero; rows of zeros after it make the last sequence whole.
    """

    def __init__(
        self, client: reverb.Client, table: str, sequence_length: int, period: int
    ):
        """`sequence_length` and `period` are in steps."""
        self._length, self._period = sequence_length, period
        self._block_length = block_length(sequence_length, period)
        self._num_blocks = sequence_length // self._block_length
        super().__init__(
            client=client,
            max_sequence_length=self._num_blocks,
            delta_encoded=False,
            priority_fns={table: None},
            max_in_flight_items=_MAX_IN_FLIGHT,
        )
        self._table = table
        self._block: list[np.ndarray] = []  # a part each, [block length, ...]
        self._rows = 0  # of this episode
        self._observation: Any = None
        self._is_first = False

    def reset(self, timeout_ms: int | None = None) -> None:
        """Waits until what was written has arrived, and forgets the episode."""
        super().reset(timeout_ms)
        self._rows = 0

    def add_first(self, timestep: dm_env.TimeStep) -> None:
        """Starts an episode; raises ValueError if this is not its first time step."""
        if not timestep.first():
            raise ValueError("an episode must start with its first time step")
        # Made at its first use: an actor that cannot reach replay learns of it here.
        _ = self._writer
        self._rows = 0
        self._observation, self._is_first = timestep.observation, True
        self._add_first_called = True

    def add(
        self,
        action: types.NestedArray,
        next_timestep: dm_env.TimeStep,
        extras: types.NestedArray = (),
    ) -> None:
        """Stores a step; raises ValueError if the episode has not been started."""
        if not self._add_first_called:
            raise ValueError("add_first must be called before add")
        step = base.Trajectory(
            observation=self._observation,
            action=action,
            reward=next_timestep.reward,
            discount=next_timestep.discount,
            start_of_episode=self._is_first,
            extras=extras,
        )
        self._add_row(tree.flatten(step))
        self._observation, self._is_first = next_timestep.observation, False
        if next_timestep.last():
            self._write_last()
            self.reset()

    def _add_row(self, values: Sequence[Any]) -> None:
        """Adds a row, of a value for each part."""
        if not self._block:
            self._block = [_rows_like(x, self._block_length) for x in values]
        number = self._rows % self._block_length
        for part, value in zip(self._block, values, strict=True):
            part[number] = value
        self._rows += 1
        if number + 1 == self._block_length:
            self._write()

    def _write(self) -> None:
        """Hands over the block, and the sequence that it ends, if it ends one."""
        self._writer.append(self._block)
        if not self._ends_sequence():
            return
        last = slice(-self._num_blocks, None)
        columns = [column[last] for column in self._writer.history]
        self._writer.create_item(self._table, 1.0, columns)
        self._writer.flush(self._max_in_flight_items)

    def _write_last(self) -> None:
        """Adds the last observation's row and those that the last sequence lacks."""
        zeros = [0] * len(self._block)
        observation = tree.flatten(self._observation)
        # The observation comes first among the fields of a `Trajectory`.
        self._add_row(observation + zeros[len(observation) :])
        while not self._ends_sequence():
            self._add_row(zeros)

    def _ends_sequence(self) -> bool:
        beyond = self._rows - self._length
        return beyond >= 0 and beyond % self._period == 0


def _rows_like(value: Any, count: int) -> np.ndarray:
    value = np.asarray(value)
    return np.zeros((count, *value.shape), value.dtype)
