"""Torsos: the multilayer perceptrons and the input layer of the paper's Table 5."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sonnet as snt
import tensorflow as tf


class LeadingDims(snt.Module):
    """Applies a module of matrices [N, in] -> [N, out] to inputs [..., in].

    One large matrix product is several times quicker on a CPU than the batch of small
    ones that `tf.matmul` makes of an input of rank three or more.
    """

    def __init__(self, module: Callable[[tf.Tensor], tf.Tensor]):
        super().__init__(name="leading_dims")
        self._module = module

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps inputs [..., in] to [..., out]."""
        inputs = tf.convert_to_tensor(inputs)
        if inputs.shape.rank == 2:
            return self._module(inputs)
        flat = self._module(tf.reshape(inputs, [-1, inputs.shape[-1]]))
        leading = tf.shape(inputs)[:-1]
        outputs = tf.reshape(flat, tf.concat([leading, [flat.shape[-1]]], axis=0))
        outputs.set_shape(inputs.shape[:-1] + [flat.shape[-1]])
        return outputs


def make_mlp(
    hidden_sizes: Sequence[int],
    activation: Callable[[tf.Tensor], tf.Tensor] = tf.nn.elu,
    w_init: snt.initializers.Initializer | None = None,
    name: str = "mlp",
) -> snt.Module:
    """An MLP [..., in] -> [..., hidden_sizes[-1]] whose last layer is activated too.

    Args:
      hidden_sizes: units of each layer, at least one, each positive.
      activation: applied after every layer (Table 5: elu).
      w_init: initial weights; Sonnet's default (global generator) if None.
      name: name scope of the variables.

    Raises:
      ValueError: no layer, or a size that is not positive.
    """
    if not hidden_sizes or any(size < 1 for size in hidden_sizes):
        raise ValueError(f"hidden sizes must be positive, got {list(hidden_sizes)}")
    mlp = snt.nets.MLP(
        hidden_sizes,
        w_init=w_init,
        activation=activation,
        activate_final=True,
        name=name,
    )
    return LeadingDims(mlp)


def make_input_representation(
    size: int = 256, name: str = "input_representation"
) -> snt.Module:
    """The input layer of networks that RL trains: linear, layer norm, tanh (Table 5).

    Maps [..., in] to [..., size] within [-1, 1].
    """
    return LeadingDims(
        snt.Sequential(
            [
                snt.Linear(size, name="linear"),
                snt.LayerNorm(axis=-1, create_scale=True, create_offset=True),
                tf.tanh,
            ],
            name=name,
        )
    )
