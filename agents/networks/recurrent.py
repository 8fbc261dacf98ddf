"""LSTM over whole sequences. Shape letters: B batch, T time, F inputs, H units."""

from __future__ import annotations

import sonnet as snt
import tensorflow as tf

_PAGE_FLOATS = 1024  # rows of a multiple of it start in the same cache set
_PADDING = 16


class SequenceLSTM(snt.LSTM):
    """Sonnet's LSTM, with its variables, unrolled from a zero state.

    One matrix product covers the inputs of all steps, and the first step, whose state
    is zero, needs no other. The graph is unrolled: T is small and fixed.
    (`snt.UnrolledLSTM` compiles three variants of itself, which takes many seconds.)
    """

    def unroll(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps inputs [B, T, F], T static, to the outputs of all steps [B, T, H]."""
        num_steps, num_inputs = inputs.shape[1:]
        # Time comes first, so that the rows of a step are contiguous.
        flat = tf.reshape(tf.transpose(inputs, [1, 0, 2]), [-1, num_inputs])
        self._initialize(flat)
        size = self.hidden_to_hidden.shape[0]
        # Columns of zeros keep the gates' rows from starting in the same set of the
        # processor's cache, which would halve the speed of the weights' gradients.
        padding = _PADDING if 4 * size % _PAGE_FLOATS == 0 else 0
        from_input, from_hidden, bias = (
            tf.pad(weights, [[0, 0]] * (weights.shape.rank - 1) + [[0, padding]])
            for weights in (self.input_to_hidden, self.hidden_to_hidden, self.b)
        )
        gates = tf.nn.bias_add(tf.matmul(flat, from_input), bias)
        outputs: list[tf.Tensor] = []
        cell = None
        for step in tf.split(gates, num_steps):  # T of [B, 4H + padding]
            if outputs:
                step += tf.matmul(outputs[-1], from_hidden)
            write, forget, update, read, _ = tf.split(
                step, [size, size, size, size, padding], axis=1
            )
            update = tf.sigmoid(write) * tf.tanh(update)
            cell = update if cell is None else tf.sigmoid(forget) * cell + update
            outputs.append(tf.sigmoid(read) * tf.tanh(cell))
        return tf.stack(outputs, axis=1)
