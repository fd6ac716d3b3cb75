"""The mean of something costly, from a few exact values and many cheap predictions of it.

The predictions may be wrong in any way: what they miss is measured where both are known, and corrected. So the interval
holds whatever they are, and the better they are the narrower it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from unravelnet.mathematics.intervals import Interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class PoweredMean:
    """A mean with its interval. `weight`: how far the predictions are trusted, 0 where they say nothing."""

    value: float
    interval: Interval
    weight: float


def powered_mean(
    exact: ArrayLike,
    predicted: ArrayLike,
    others: ArrayLike,
    confidence: float = 0.95,
    *,
    is_rate: bool = False,
) -> PoweredMean:
    """Bound the mean of all cases from exact values of some of them and predictions of all.

    >>> exact, predicted = [1.0, 2.0, 3.0, 5.0], [1.1, 2.0, 2.9, 5.2]
    >>> found = powered_mean(exact, predicted, others=[1.0, 2.0, 3.0, 4.0] * 50)
    >>> round(found.value, 2), round(found.interval.half_width, 2)
    (2.47, 0.45)
    >>> round(powered_mean(exact, predicted, others=[]).interval.half_width, 2)
    2.72

    `exact`, `predicted`: of the same cases, drawn at random. `others`: predictions of cases without exact value.
    `is_rate`: values are differences of two rates, -1, 0 or 1; then half a case is added to each cell, as in
    `paired_rate_interval`, which this is without others. The weight is the one with the smallest variance (power
    tuning); the variance is that of the corrected mean, with Student's t. Without three exact values nothing is
    known: the ends are infinite. Source: Angelopoulos, Duchi and Zrnic (2023), PPI++.
    """
    y, f, g = (np.asarray(values, dtype=np.float64) for values in (exact, predicted, others))
    n, weight = len(y), _weight(y, f, g)
    if n < 3:
        value = float(y.mean()) if n else math.nan
        return PoweredMean(value, Interval(-math.inf, math.inf), 0.0)
    known = weight != 0
    shift = weight * (float(g.mean()) - float(f.mean())) if known else 0.0
    # Of this mean: with the predictions centred on themselves, its values add up to those of y.
    rest = y - weight * (f - f.mean())
    of_others = weight**2 * float(g.var(ddof=1)) / len(g) if known else 0.0
    value = float(y.mean()) + shift
    if is_rate:
        centre = float(y.sum()) / (n + 2) + shift
        squares = max(0.0, float(np.square(rest).sum()) + 1 - float(y.sum()) ** 2 / (n + 2))
        of_rest, quantile = squares / (n + 2) ** 2, float(stats.norm.ppf((1 + confidence) / 2))
    else:
        freedom = n - 2 if known else n - 1
        centre, of_rest = value, float(np.square(rest - rest.mean()).sum()) / freedom / n
        quantile = float(stats.t.ppf((1 + confidence) / 2, freedom))
    margin = quantile * math.sqrt(of_rest + of_others)
    return PoweredMean(value, Interval(centre - margin, centre + margin), weight)


def _weight(y: np.ndarray[Any, Any], f: np.ndarray[Any, Any], g: np.ndarray[Any, Any]) -> float:
    """Give the weight of the predictions that makes the variance of the corrected mean smallest."""
    n, n_others = len(y), len(g)
    if n < 3 or n_others < 2:
        return 0.0
    centred = f - f.mean()
    squares = float(np.square(centred).sum())
    if not squares > 0:
        return 0.0
    return float((y * centred).sum()) / squares / (1 + n / n_others)
