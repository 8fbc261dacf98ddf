"""Sequences of replay, written in blocks of steps.

Acme's sequence adder passes each step to Reverb in two calls that walk through the
structure of the data and make a tensor of every part, which takes a quarter of a
millisecond. This module gathers steps in arrays and passes them to Reverb in blocks,
within which no sequence starts or ends. The table holds the blocks as a dimension of
their own, which `joined` removes.

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
    """Returns the steps of a block, within which no sequence starts or ends."""
    return math.gcd(sequence_length, period)


def sequences_of_episode(steps: int, sequence_length: int, period: int) -> int:
    """Returns the number of sequences that `BlockSequenceAdder` makes of an episode."""
    rows = steps + 1  # the final observation has a row
    return 1 + max(0, math.ceil((rows - sequence_length) / period))


def signature(
    environment_spec: specs.EnvironmentSpec,
    extras_spec: types.NestedSpec,
    sequence_length: int,
    period: int,
) -> base.Trajectory:
    """Returns the signature of the table: every part is [N, T / N, ...]."""
    block = block_length(sequence_length, period)

    def in_blocks(spec: tf.TensorSpec) -> tf.TensorSpec:
        shape = (sequence_length // block, block, *spec.shape[1:])
        return tf.TensorSpec(shape, spec.dtype, spec.name)

    of_steps = reverb_adders.SequenceAdder.signature(
        environment_spec, extras_spec, sequence_length
    )
    return tree.map_structure(in_blocks, of_steps)


@tf.autograph.experimental.do_not_convert  # it took 3 s to find nothing to convert
def joined(sample: reverb.ReplaySample) -> reverb.ReplaySample:
    """Reshapes a batch of the table's sequences [B, N, T / N, ...] to [B, T, ...]."""

    def join(x: tf.Tensor) -> tf.Tensor:
        batch, blocks, block, *rest = x.shape
        return tf.reshape(x, [-1 if batch is None else batch, blocks * block, *rest])

    return reverb.ReplaySample(sample.info, tree.map_structure(join, sample.data))


class BlockSequenceAdder(base.ReverbAdder):
    """Adder of overlapping sequences of one length, as Acme's `SequenceAdder` makes.

    A sequence starts every `period` steps. An episode's last observation has a row
    whose other parts are zero; rows of zeros after it complete the last sequence.
    """

    def __init__(
        self, client: reverb.Client, table: str, sequence_length: int, period: int
    ):
        """Takes `sequence_length` and `period` in steps."""
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
        self._block: list[np.ndarray] = []  # one array per part, [block length, ...]
        self._rows = 0  # of this episode
        self._observation: Any = None
        self._is_first = False

    def reset(self, timeout_ms: int | None = None) -> None:
        """Waits until all items have arrived, and forgets the episode."""
        super().reset(timeout_ms)
        self._rows = 0

    def add_first(self, timestep: dm_env.TimeStep) -> None:
        """Starts an episode; raises ValueError if this is not its first time step."""
        if not timestep.first():
            raise ValueError("an episode must start with its first time step")
        # The first use makes the writer: an actor that cannot reach replay fails here.
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
        """Adds a row with one value per part."""
        if not self._block:
            self._block = [_rows_like(x, self._block_length) for x in values]
        number = self._rows % self._block_length
        for part, value in zip(self._block, values, strict=True):
            part[number] = value
        self._rows += 1
        if number + 1 == self._block_length:
            self._write()

    def _write(self) -> None:
        """Writes the block and, if it ends a sequence, the sequence."""
        self._writer.append(self._block)
        if not self._ends_sequence():
            return
        last = slice(-self._num_blocks, None)
        columns = [column[last] for column in self._writer.history]
        self._writer.create_item(self._table, 1.0, columns)
        self._writer.flush(self._max_in_flight_items)

    def _write_last(self) -> None:
        """Adds the last observation's row, and rows that complete the last sequence."""
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
