"""How long to wait before the next try of what has failed."""

from __future__ import annotations

_MOST_DOUBLINGS = 64  # beyond any limit, and no overflow


def seconds(failures: int, first: float, longest: float) -> float:
    """Seconds to wait: `first` after one failure, twice as long after each more.

    Args:
      failures: in a row, at least 1.
      first: seconds after the first.
      longest: seconds at most.
    """
    return min(first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), longest)
