"""Input representation of MPO's policies and critics: named vectors and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sonnet as snt
import tensorflow as tf
from acme.tf import networks as acme_networks

from agents import networks as shared

Statistics = Mapping[str, tuple[np.ndarray, np.ndarray]]  # name -> mean, stddev [size]

_IMAGE_FEATURES = 256  # ours


class InputRepresentation(snt.Module):
    """Input layer that joins named observations: linear, layer norm, tanh (Table 5).

    Vectors are normalised; an image first goes through a ResNet of its own. Different
    keys for policy and critic make an asymmetric actor-critic.
    """

    def __init__(
        self,
        shapes: Mapping[str, Sequence[int]],
        keys: Sequence[str],
        statistics: Statistics,
        size: int,
        name: str = "input",
    ):
        """Makes a normaliser or ResNet per observation, and the layer.

        Args:
          shapes: shapes of the environment's observations: vectors [n], images
            [H, W, C].
          keys: names of the observations to read.
          statistics: mean and standard deviation [n] by name of a vector; a vector
            without statistics is not normalised.
          size: units of the layer.
          name: name of the module.

        Raises:
          ValueError: an observation does not exist, or is neither a vector nor an
            image.
        """
        super().__init__(name=name)
        self._keys = tuple(keys)
        self._parts: dict[str, _Image | shared.Normalizer] = {}
        for key in self._keys:
            if key not in shapes:
                raise ValueError(
                    f"the environment has no observation {key!r}; it has "
                    f"{', '.join(sorted(shapes))}"
                )
            shape = tuple(shapes[key])
            if len(shape) == 3:
                self._parts[key] = _Image(name="image")
            elif len(shape) == 1:
                unit = np.zeros(shape), np.ones(shape)
                self._parts[key] = shared.Normalizer(
                    *statistics.get(key, unit), name=f"normalizer_{key}"
                )
            else:
                raise ValueError(
                    f"observation {key!r} of shape {shape} is neither a vector nor an "
                    "image"
                )
        self._layer = shared.make_input_representation(size)

    def __call__(self, observation: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Maps name -> [..., n] or [..., H, W, C] to [..., size]."""
        parts = [self._parts[key](observation[key]) for key in self._keys]
        return self._layer(tf.concat(parts, axis=-1))

    def fold(
        self, wider: InputRepresentation, constants: Mapping[str, np.ndarray]
    ) -> None:
        """Assigns the weights of a layer that also reads constants.

        Args:
          wider: layer that reads the observations of this one, all of them vectors, and
            `constants`.
          constants: name -> [n].

        Raises:
          ValueError: `wider` has other observations or sizes.
        """
        if {*self._keys, *constants} != set(wider._keys):
            raise ValueError(f"{wider._keys} are not {self._keys} and {[*constants]}")
        linear = wider._linear
        sizes = [len(wider._parts[key].statistics()[0]) for key in wider._keys]
        rows = dict(zip(wider._keys, tf.split(linear.w, sizes), strict=True))
        # The bias comes before the layer norm, as the constants do.
        bias = linear.b + sum(
            tf.linalg.matvec(rows[key], wider._parts[key](value), transpose_a=True)
            for key, value in constants.items()
        )
        weights = tf.concat([rows[key] for key in self._keys], axis=0)
        values = {linear.w.ref(): weights, linear.b.ref(): bias}
        assign(wider._layer, self._layer, values)
        for key in self._keys:
            assign(wider._parts[key], self._parts[key])

    @property
    def _linear(self) -> snt.Linear:
        [linear] = (m for m in self._layer.submodules if isinstance(m, snt.Linear))
        return linear


class _Image(snt.Module):
    """ResNet on uint8 images: blocks {2, 2, 2}, channels {32, 64, 128} (Table 5)."""

    def __init__(self, name: str):
        super().__init__(name=name)
        self._resnet = acme_networks.ResNetTorso(
            num_channels=(32, 64, 128),
            num_blocks=(2, 2, 2),
            num_output_hidden=(_IMAGE_FEATURES,),
            activation=tf.nn.elu,
        )

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Maps [..., H, W, C] to features [..., 256]."""
        num_dims = images.shape.rank - 3
        features = self._resnet(snt.merge_leading_dims(images, num_dims))
        return snt.split_leading_dim(features, images, num_dims)


def assign(
    source: snt.Module,
    destination: snt.Module,
    values: Mapping[Any, tf.Tensor] | None = None,
) -> None:
    """Copies variables, with other `values` for some variables of `source`.

    Raises:
      ValueError: the number or shapes of variables differ.
    """
    for src, dst in zip(source.variables, destination.variables, strict=True):
        dst.assign((values or {}).get(src.ref(), src))
