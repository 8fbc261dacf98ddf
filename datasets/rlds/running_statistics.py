"""Statistics of numbers that arrive in batches, in constant memory.

N is a batch's size, D the number of dimensions.
"""

from __future__ import annotations

import numpy as np


class RunningStatistics:
    """Count, mean, standard deviation and range of each of D dimensions.

    Batches are merged as in Chan, Golub and LeVeque, "Updating formulae and a pairwise
    algorithm for computing sample variances", 1979. Non-finite numbers are left out.

    Attributes:
      count, mean, min, max: [D]; mean 0, min inf and max -inf where count is 0.
    """

    def __init__(self, size: int) -> None:
        """Starts without values; `size` is D."""
        self.count = np.zeros(size, np.int64)
        self.mean = np.zeros(size)
        self.min = np.full(size, np.inf)
        self.max = np.full(size, -np.inf)
        self._squares = np.zeros(size)  # sum of squared distances from the mean

    def update(self, values: np.ndarray) -> None:
        """Adds a batch [N, D]."""
        values = np.asarray(values, np.float64)
        good = np.isfinite(values)
        count = good.sum(axis=0)
        mean = np.where(good, values, 0.0).sum(axis=0) / np.maximum(count, 1)
        off = np.where(good, values, mean) - mean
        total = np.maximum(self.count + count, 1)
        apart = mean - self.mean
        self._squares += (off**2).sum(axis=0)
        self._squares += apart**2 * self.count * count / total
        self.mean += apart * count / total
        self.count += count
        self.min = np.minimum(
            self.min, np.min(values, 0, where=good, initial=np.inf), dtype=np.float64
        )
        self.max = np.maximum(
            self.max, np.max(values, 0, where=good, initial=-np.inf), dtype=np.float64
        )

    @property
    def std(self) -> np.ndarray:
        """The population's standard deviation [D]; 0 where count is 0."""
        return np.sqrt(self._squares / np.maximum(self.count, 1))


class Magnitudes:
    """Quantiles of absolute values, within 5 %, by a histogram of their logarithms."""

    _LOW, _HIGH, _BINS_A_DECADE = -9, 12, 48

    def __init__(self) -> None:
        """Starts without values."""
        size = (self._HIGH - self._LOW) * self._BINS_A_DECADE + 1
        self._counts = np.zeros(size, np.int64)

    def update(self, values: np.ndarray) -> None:
        """Adds values of any shape; leaves out non-finite ones."""
        values = np.abs(values[np.isfinite(values)]).astype(np.float64)
        decades = np.log10(np.maximum(values, 10.0**self._LOW)) - self._LOW
        bins = np.ceil(decades * self._BINS_A_DECADE).astype(int)
        bins = np.minimum(bins, len(self._counts) - 1)
        self._counts += np.bincount(bins, minlength=len(self._counts))

    def quantile(self, share: float) -> float:
        """Returns the quantile of this share of the values; 0 if there are none."""
        cumulative = np.cumsum(self._counts)
        if cumulative[-1] == 0:
            return 0.0
        index = int(np.searchsorted(cumulative, share * cumulative[-1]))
        return 10.0 ** (self._LOW + index / self._BINS_A_DECADE) if index else 0.0
