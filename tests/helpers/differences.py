"""Numeric gradients for tests of losses."""

import numpy as np


def central(function, value, step):
    """Central differences of a scalar function at `value`, of the shape of `value`."""
    value = np.array(value)
    numeric = np.zeros(value.shape)
    for index in np.ndindex(value.shape):
        sides = []
        for sign in (1, -1):
            moved = value.copy()
            moved[index] += sign * step
            sides.append(function(moved))
        numeric[index] = (sides[0] - sides[1]) / (2 * step)
    return numeric
