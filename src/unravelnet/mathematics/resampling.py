"""The bootstrap: how far a number would move with another sample of the same size (Efron 1979).

Whole subjects are drawn again, each with all that was measured of it, so that an interval of any number made from
several means knows how they hang together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_RESAMPLES = 1000


def resampled_means(values_LS: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Give the means over subjects, once for each of 1,000 samples drawn with replacement.

    >>> resampled_means(np.ones((2, 5)), seed=0).shape
    (1000, 2)

    `values_LS`: L numbers of each of S subjects. The same seed and S draw the same samples, whatever the values.
    """
    n_subjects = values_LS.shape[1]
    generator = np.random.default_rng(seed)
    means = np.empty((N_RESAMPLES, len(values_LS)))
    for row in means:
        drawn = generator.integers(n_subjects, size=n_subjects)
        row[:] = values_LS @ np.bincount(drawn, minlength=n_subjects) / n_subjects
    return means


def percentile_interval(
    resampled: NDArray[np.float64], confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bound numbers by the quantiles of their resampled values, the first dimension of which counts resamples.

    >>> low, high = percentile_interval(np.arange(101.0), confidence=0.9)
    >>> round(float(low)), round(float(high))
    (5, 95)

    NaN where a resample has no finite value.
    """
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    is_known = np.isfinite(resampled).all(axis=0)
    low, high = np.quantile(np.where(is_known, resampled, 0.0), ends, axis=0)
    return np.where(is_known, low, np.nan), np.where(is_known, high, np.nan)
