"""Exponential back-off between retries."""

from __future__ import annotations

_MOST_DOUBLINGS = 64  # reaches any limit, without overflow


def seconds(failures: int, first: float, longest: float) -> float:
    """Returns the seconds to wait: `first` after one failure, then doubled each time.

    Args:
      failures: number of failures in a row, at least 1.
      first: seconds to wait after the first failure.
      longest: most seconds to wait.
    """
    return min(first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), longest)
