"""Measures of the latent space: principal components and the use of each dimension.

Pure functions. Shape letters: N samples, Z latent, C components.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

ACTIVE_VARIANCE = 0.01  # least variance of means in a used dimension (Burda, 2016)


@dataclasses.dataclass(frozen=True)
class Samples:
    """Drawn latents of states, with their distributions.

    Attributes:
      latents, means, stddevs: [N, Z].
      skills: int [N]; None for a model that has none.
      phases: int [N], -1 where unknown; None where nothing is labelled.
      phase_names: names of the phases, in the order of their numbers.
    """

    latents: np.ndarray
    means: np.ndarray
    stddevs: np.ndarray
    skills: np.ndarray | None = None
    phases: np.ndarray | None = None
    phase_names: tuple[str, ...] = ()


class Components(NamedTuple):
    """Components of a principal component analysis."""

    mean: np.ndarray  # [Z]
    axes: np.ndarray  # [C, Z], orthonormal; the largest entry of each is positive
    explained: np.ndarray  # [C] share of the variance

    def project(self, values: np.ndarray) -> np.ndarray:
        """Projects [N, Z] to [N, C]."""
        return (values - self.mean) @ self.axes.T


def principal_components(values: np.ndarray, count: int = 2) -> Components:
    """Finds the `count` directions in which [N, Z] varies most (all, if fewer)."""
    mean = values.mean(axis=0)
    _, scales, axes = np.linalg.svd(values - mean, full_matrices=False)
    total = max(float(np.square(scales).sum()), 1e-12)
    largest = np.abs(axes).argmax(axis=1)
    signs = np.sign(axes[np.arange(len(axes)), largest])
    axes = axes * np.where(signs == 0, 1.0, signs)[:, None]
    return Components(mean, axes[:count], np.square(scales[:count]) / total)


def kl_to_standard(means: np.ndarray, stddevs: np.ndarray) -> np.ndarray:
    """Returns the mean [Z] over [N, Z] of KL(N(mean, stddev^2) || N(0, 1)), in nats."""
    variances = np.square(stddevs)
    kl = 0.5 * (variances + np.square(means) - 1.0 - np.log(variances))
    return kl.mean(axis=0)


def kl_to_autoregressive(
    means: np.ndarray, stddevs: np.ndarray, coefficient: float, prior_stddev: float
) -> np.ndarray:
    """Returns the KL to N(c z_{t-1}, prior_stddev^2) along a sequence [N, Z], in nats.

    z_{t-1} is the mean of the previous step, as it is for the encoder that gave the
    means; the first step's prior is N(0, 1). The mean over steps, as `kl_to_standard`.
    """
    first = kl_to_standard(means[:1], stddevs[:1])
    # Shifting and scaling both distributions alike leaves the KL unchanged.
    off = (means[1:] - coefficient * means[:-1]) / prior_stddev
    rest = kl_to_standard(off, stddevs[1:] / prior_stddev) if len(off) else 0.0
    return (first + (len(means) - 1) * rest) / len(means)


def mean_variance(means: np.ndarray) -> np.ndarray:
    """Returns the variance [Z] of posterior means [N, Z]: what z tells of the state."""
    return means.var(axis=0)


def explained_by(labels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the share [Z] of the variance of [N, Z] between the labels' means."""
    total = np.square(values - values.mean(axis=0)).sum(axis=0)
    within = np.zeros(values.shape[1])
    for label in np.unique(labels):
        group = values[labels == label]
        within += np.square(group - group.mean(axis=0)).sum(axis=0)
    return np.divide(
        total - within, total, out=np.zeros_like(total, np.float64), where=total > 0
    )
