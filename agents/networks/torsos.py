"""Torsos: multilayer perceptrons and the input layer of the paper's Table 5."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sonnet as snt
import tensorflow as tf


class LeadingDims(snt.Module):
    """Wrapper that applies a module of matrices [N, in] -> [N, out] to [..., in].

    On a CPU one large matrix product is several times faster than the batch of small
    products that `tf.matmul` makes of an input of rank three or more.
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


class _Linear(snt.Linear):
    """Linear layer whose bias TensorFlow fuses with its product and activation.

    TensorFlow fuses the op BiasAdd, but not the sum in Sonnet's layer, which takes two
    more passes over the result: a tenth of a training step on a CPU.
    """

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        self._initialize(inputs)
        return tf.nn.bias_add(tf.matmul(inputs, self.w), self.b)


class _Mlp(snt.Module):
    """Multilayer perceptron: linear layers, each followed by the activation."""

    def __init__(
        self,
        hidden_sizes: Sequence[int],
        activation: Callable[[tf.Tensor], tf.Tensor],
        w_init: snt.initializers.Initializer | None,
        name: str,
    ):
        super().__init__(name=name)
        self._activation = activation
        self._layers = [
            _Linear(size, w_init=w_init, name=f"linear_{i}")
            for i, size in enumerate(hidden_sizes)
        ]

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        for layer in self._layers:
            inputs = self._activation(layer(inputs))
        return inputs


def make_mlp(
    hidden_sizes: Sequence[int],
    activation: Callable[[tf.Tensor], tf.Tensor] = tf.nn.elu,
    w_init: snt.initializers.Initializer | None = None,
    name: str = "mlp",
) -> snt.Module:
    """Makes an MLP [..., in] -> [..., hidden_sizes[-1]], activated after every layer.

    Args:
      hidden_sizes: units of each layer, at least one, each positive.
      activation: function applied after every layer (Table 5: elu).
      w_init: initial weights; Sonnet's default (global generator) if None.
      name: name scope of the variables.

    Raises:
      ValueError: there is no layer, or a size is not positive.
    """
    if not hidden_sizes or any(size < 1 for size in hidden_sizes):
        raise ValueError(f"hidden sizes must be positive, got {list(hidden_sizes)}")
    return LeadingDims(_Mlp(hidden_sizes, activation, w_init, name))


def make_input_representation(
    size: int = 256, name: str = "input_representation"
) -> snt.Module:
    """Makes the input layer of networks that RL trains: linear, layer norm, tanh.

    It maps [..., in] to [..., size] within [-1, 1] (Table 5).
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
