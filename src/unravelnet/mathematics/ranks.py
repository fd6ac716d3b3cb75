"""How far two orders of the same things agree."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from unravelnet.mathematics.intervals import Interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Correlate the ranks of values (Spearman 1904); ties have their mean rank. NaN where all values of one are equal.

    >>> round(spearman([1, 2, 3, 4], [10, 30, 20, 40]), 2)
    0.8
    """
    ranks = [stats.rankdata(values) for values in (first, second)]
    return _cosine(*(own - own.mean() for own in ranks))


def kendall(first: ArrayLike, second: ArrayLike) -> float:
    """Count pairs in the same order minus pairs in the other, as a share (Kendall's tau-b, 1945).

    >>> round(kendall([1, 2, 3, 4], [10, 30, 20, 40]), 2)
    0.67
    """
    signs = [np.sign(np.subtract.outer(values, values)) for values in map(np.asarray, (first, second))]
    return _cosine(*signs)


def means_of_draws(values: np.ndarray[Any, Any], n_draws: int, seed: int) -> np.ndarray[Any, Any]:
    """Average over cases drawn with replacement, the same cases for all rows: shape (draws, rows).

    `values`: shape (rows, cases); NaN where a case has none.
    """
    n = values.shape[1]
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_draws).astype(np.float64)
    is_known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return (counts @ np.where(is_known, values, 0).T) / (counts @ is_known.T)


def quantile_interval(values: ArrayLike, confidence: float) -> Interval:
    """Give the middle part of the values of draws (percentile bootstrap, Efron 1979).

    >>> quantile_interval(range(5), 0.5)
    Interval(low=1.0, high=3.0)
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return Interval(-math.inf, math.inf)
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def _cosine(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> float:
    norms = math.sqrt(float(np.square(first).sum()) * float(np.square(second).sum()))
    return float((first * second).sum()) / norms if norms else math.nan
