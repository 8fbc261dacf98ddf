"""The input representation reads named observations, and normalises vectors."""

import numpy as np
import pytest
import tensorflow as tf

from agents.mpo import networks, representation


class _Trained:
    """The trainable variables of a module, as `copy_variables` takes them."""

    def __init__(self, module):
        self.variables = module.trainable_variables


def test_what_is_not_there_or_no_vector_is_refused():
    shapes = {"proprio": (3,), "grid": (4, 4)}
    with pytest.raises(ValueError, match="no observation 'objects'; it has grid, prop"):
        representation.InputRepresentation(shapes, ("objects",), {}, size=5)
    with pytest.raises(ValueError, match="neither a vector nor an image"):
        representation.InputRepresentation(shapes, ("grid",), {}, size=5)


def test_vectors_are_normalised():
    shapes = {"proprio": (3,)}
    raw = representation.InputRepresentation(shapes, ("proprio",), {}, size=5)
    statistics = {"proprio": (np.full(3, 2.0), np.full(3, 4.0))}
    scaled = representation.InputRepresentation(
        shapes, ("proprio",), statistics, size=5
    )
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 2, 3)), tf.float32)
    raw({"proprio": x})
    scaled({"proprio": x})
    networks.copy_variables(_Trained(raw), _Trained(scaled))
    np.testing.assert_allclose(
        scaled({"proprio": 4.0 * x + 2.0}), raw({"proprio": x}), atol=1e-5
    )
