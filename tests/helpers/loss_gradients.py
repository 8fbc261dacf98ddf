"""Checks of the gradients of losses that return (terms, statistics), named tuples."""

import numpy as np
import tensorflow as tf

from tests.helpers import differences


def gradients(loss, tensors, *terms):
    """Returns gradients by input name of the sum of some terms (none named: of all)."""
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        losses, _ = loss(tensors)
        total = tf.add_n([getattr(losses, term) for term in terms or losses._fields])
    return tape.gradient(total, tensors, unconnected_gradients="zero")


def reached(found):
    """Returns the names of the inputs whose gradient is not zero."""
    return {name for name, gradient in found.items() if np.any(gradient)}


def check_by_differences(loss, inputs, tensors, term, names, atol=1e-7):
    """Compares the gradients of a term by some inputs with finite differences."""
    found = gradients(loss, tensors, term)
    for name in names:

        def moved_loss(moved, name=name):
            losses, _ = loss({**tensors, name: tf.constant(moved)})
            return np.sum(getattr(losses, term))

        numeric = differences.central(moved_loss, inputs[name], step=1e-5)
        np.testing.assert_allclose(found[name], numeric, rtol=1e-6, atol=atol)


def check_statistics_have_none(loss, tensors):
    """Checks that no gradient flows through the statistics."""
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = tf.add_n(list(loss(tensors)[1]))
    assert all(g is None for g in tape.gradient(total, tensors).values())
