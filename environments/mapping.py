"""Maps any named observations to the vectors that agents see, proprio and objects.

The RGB-stacking cell has its own names (`environments.observations`); these functions
serve data sets and environments from elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

PREFIX = "observation/"  # what stands before the names of a step's observations


def flattened(nested: Any, prefix: str = "") -> dict[str, Any]:
    """Flattens nested values to names joined by slashes; one value is `observation`."""
    if not isinstance(nested, Mapping):
        return {prefix or PREFIX[:-1]: nested}
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        flat |= flattened(value, f"{prefix}/{name}" if prefix else str(name))
    return flat


def resolve(keys: Iterable[str], available: Collection[str]) -> tuple[str, ...]:
    """Finds the names that keys mean: a name, or `observation/` before it.

    Raises:
      ValueError: a key names nothing, or two different things; the message has the
        available names.
    """
    return tuple(_resolve(key, available) for key in keys)


def _resolve(key: str, available: Collection[str]) -> str:
    means = [
        n for n in dict.fromkeys((key, key.removeprefix(PREFIX))) if n in available
    ]
    if len(means) == 1:
        return means[0]
    if means:
        raise ValueError(
            f"{key!r} may be {means[1]} or {PREFIX}{key}; valid: one of these two"
        )
    raise ValueError(f"there is no {key!r}; valid: {', '.join(available) or 'none'}")


def vector(
    values: Mapping[str, Any], names: Sequence[str], lead: int = 0
) -> np.ndarray:
    """Flattens arrays and concatenates them in order.

    Args:
      values: arrays [..., *shape] by name, with `lead` leading dimensions.
      names: names of the arrays to take; from one.
      lead: number of leading dimensions, which all arrays share.

    Returns:
      float32 [..., D].
    """
    parts = []
    for name in names:
        part = np.asarray(values[name], np.float32)
        # Not -1, which NumPy cannot know for an episode without steps.
        size = math.prod(part.shape[lead:])
        parts.append(part.reshape(*part.shape[:lead], size))
    return np.concatenate(parts, axis=-1)
