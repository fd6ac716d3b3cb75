"""The mean of something costly, from a few exact values and many cheap predictions of it.

The predictions may be wrong in any way: what they miss is measured where both are known, and corrected. So the interval
holds whatever they are, and the better they are the narrower it is. Cases may be sorted into strata, of which some are
measured more often than others: those whose values differ much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from unravelnet.mathematics.intervals import Interval
from unravelnet.mathematics.strata import StratifiedSample, freedom_of_sum

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_Array = np.ndarray[Any, Any]
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class PoweredMean:
    """A mean with its interval.

    `weight`: how far the predictions are trusted, 0 where they say nothing. `margin_of_all`: half the width that the
    interval is expected to have once all cases are known exactly. `margin_of_rest`: how far the mean of these cases may
    be from `value`, at the same confidence.
    """

    value: float
    interval: Interval
    weight: float
    margin_of_all: float = math.inf
    margin_of_rest: float = math.inf


def powered_mean(
    exact: ArrayLike,
    predicted: ArrayLike,
    confidence: float = 0.95,
    *,
    strata: ArrayLike | None = None,
    is_rate: bool = False,
) -> PoweredMean:
    """Bound the mean of what cases are drawn from, by exact values of the first of them and predictions of all.

    >>> exact, predicted = [1.0, 2.0, 3.0, 5.0], [1.1, 2.0, 2.9, 5.2]
    >>> found = powered_mean(exact, [*predicted, *[1.0, 2.0, 3.0, 4.0] * 50])
    >>> round(found.value, 2), round(found.interval.half_width, 2)
    (2.47, 0.26)
    >>> round(powered_mean(exact, predicted).interval.half_width, 2)
    2.72

    `exact`: of the first cases; which of a stratum come first is random. `strata`: the number of each case's stratum,
    from 0; all are in one if None. `is_rate`: values are differences of two rates, -1, 0 or 1; then half a case is
    added to each cell, spread over the strata; where all are known this is `paired_rate_interval`. The variance is that
    of two phases: of drawing the cases, and of measuring some of each stratum. The weight is the one with which it is
    smallest (power tuning). Student's t has the degrees of freedom of Satterthwaite. With fewer than three exact values
    of a stratum, unless it has no more, nothing is known: the ends are infinite. Sources: Angelopoulos, Duchi and Zrnic
    (2023), PPI++; Fisch et al. (2024), strata; Cochran (1977), double sampling.
    """
    y, f = (np.asarray(values, dtype=np.float64) for values in (exact, predicted))
    sample = StratifiedSample.of(
        np.zeros(len(f), dtype=np.int64) if strata is None else np.asarray(strata), len(y)
    )
    if len(y) < _FEWEST or not sample.has(_FEWEST):
        return PoweredMean(float(y.mean()) if len(y) else math.nan, Interval(-math.inf, math.inf), 0.0)
    weight = _weight(sample, y, f[: len(y)])
    expected = weight * (f - f.mean())
    rest = y - expected[: len(y)]
    value = sample.mean(rest)
    # The predictions tell of the spread of all cases, too.
    squares = np.square(value + expected)
    square = sample.mean(np.square(y) - squares[: len(y)]) + float(squares.mean())
    of_all = _variance_of_all(value, square, len(f), is_rate)
    of_rest = sample.variances(rest, n_added=int(is_rate)) * _lost_by_fitting(
        weight, len(y) - len(sample.n_of)
    )
    centre = value * len(f) / (len(f) + 2) if is_rate else value
    quantile = _quantile(confidence, is_rate, [of_all, *of_rest], [len(y) - 1, *sample.freedoms])
    margin_of_all, margin_of_rest = quantile * math.sqrt(of_all), quantile * math.sqrt(of_rest.sum())
    margin = math.hypot(margin_of_all, margin_of_rest)
    return PoweredMean(
        value, Interval(centre - margin, centre + margin), weight, margin_of_all, margin_of_rest
    )


def _weight(sample: StratifiedSample, y: _Array, f: _Array) -> float:
    """Give the weight of the predictions that makes the variance of the corrected mean smallest."""
    off_y, off_f, parts = sample.off(y), sample.off(f), sample.parts[sample.known]
    squares = float(parts @ np.square(off_f))
    return float(parts @ (off_y * off_f)) / squares if squares > 0 else 0.0


def _lost_by_fitting(weight: float, freedom: int) -> float:
    """Say by how much the spread is larger than it seems, because the weight was fitted to the values."""
    return freedom / (freedom - 1) if weight and freedom > 1 else 1.0


def _variance_of_all(mean: float, square: float, n: int, is_rate: bool) -> float:
    """Give the variance that the mean of n cases has, each of them known, by their mean and mean square."""
    if is_rate:
        return max(0.0, n * square + 1 - (n * mean) ** 2 / (n + 2)) / (n + 2) ** 2
    return max(0.0, square - mean**2) / (n - 1)


def _quantile(confidence: float, is_rate: bool, variances: list[float], freedoms: list[int]) -> float:
    """Give the quantile of Student's t with the degrees of freedom of a sum of variances, of a rate the normal one."""
    if is_rate:
        return float(stats.norm.ppf((1 + confidence) / 2))
    return float(stats.t.ppf((1 + confidence) / 2, freedom_of_sum(variances, freedoms)))
