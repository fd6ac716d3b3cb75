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
    sample = _Sample.of(np.zeros(len(f), dtype=np.int64) if strata is None else np.asarray(strata), len(y))
    if not sample.is_enough:
        return PoweredMean(float(y.mean()) if len(y) else math.nan, Interval(-math.inf, math.inf), 0.0)
    weight = sample.weight(y, f)
    expected = weight * (f - f.mean())
    rest = y - expected[: len(y)]
    value = sample.mean(rest)
    # The predictions tell of the spread of all cases, too.
    squares = np.square(value + expected)
    square = sample.mean(np.square(y) - squares[: len(y)]) + float(squares.mean())
    of_all = _variance_of_all(value, square, len(f), is_rate)
    of_rest = sample.variances(rest, n_fitted=int(weight != 0), n_added=int(is_rate))
    centre = value * len(f) / (len(f) + 2) if is_rate else value
    quantile = _quantile(confidence, is_rate, [of_all, *of_rest], [len(y) - 1, *sample.freedoms])
    margin_of_all, margin_of_rest = quantile * math.sqrt(of_all), quantile * math.sqrt(of_rest.sum())
    margin = math.hypot(margin_of_all, margin_of_rest)
    return PoweredMean(
        value, Interval(centre - margin, centre + margin), weight, margin_of_all, margin_of_rest
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    """The first cases of all, by strata. `known`: the stratum of each; `n_known`, `n_of`: known ones, and all."""

    known: _Array
    n_known: _Array
    n_of: _Array

    @classmethod
    def of(cls, strata: _Array, n: int) -> _Sample:
        n_strata = int(strata.max(initial=0)) + 1
        n_known, n_of = (np.bincount(labels, minlength=n_strata) for labels in (strata[:n], strata))
        return cls(strata[:n], n_known, n_of)

    @property
    def is_enough(self) -> bool:
        return len(self.known) >= _FEWEST and bool((self.n_known >= np.minimum(_FEWEST, self.n_of)).all())

    @property
    def freedoms(self) -> _Array:
        freedoms: _Array = np.maximum(1, self.n_known - 1)
        return freedoms

    def mean(self, values: _Array) -> float:
        """Estimate the mean of all cases, by values of the known ones."""
        return float(self.n_of @ self._means(values)) / float(self.n_of.sum())

    def weight(self, y: _Array, f: _Array) -> float:
        """Give the weight of the predictions that makes the variance of the corrected mean smallest."""
        off_y, off_f, parts = self._off(y), self._off(f[: len(y)]), self._parts()[self.known]
        squares = float(parts @ np.square(off_f))
        return float(parts @ (off_y * off_f)) / squares if squares > 0 else 0.0

    def variances(self, values: _Array, *, n_fitted: int, n_added: int) -> _Array:
        """Give what each stratum adds to the variance of the mean, since not all of its cases are known.

        `n_fitted`: numbers that were fitted to the values. `n_added`: cases that are added, spread over the strata.
        """
        n_strata = len(self.n_of)
        squares = np.bincount(self.known, np.square(self._off(values)), n_strata) + n_added / n_strata
        freedom = len(values) - n_strata
        variances: _Array = self._parts() * squares * (freedom / max(1, freedom - n_fitted))
        return variances

    def _parts(self) -> _Array:
        """Say what each square of a stratum adds to the variance of the mean."""
        lack = 1 / np.maximum(1, self.n_known) - 1 / np.maximum(1, self.n_of)
        parts: _Array = np.square(self.n_of / self.n_of.sum()) * lack / self.freedoms
        return parts

    def _means(self, values: _Array) -> _Array:
        means: _Array = np.bincount(self.known, values, len(self.n_of)) / np.maximum(1, self.n_known)
        return means

    def _off(self, values: _Array) -> _Array:
        off: _Array = values - self._means(values)[self.known]
        return off


def _variance_of_all(mean: float, square: float, n: int, is_rate: bool) -> float:
    """Give the variance that the mean of n cases has, each of them known, by their mean and mean square."""
    if is_rate:
        return max(0.0, n * square + 1 - (n * mean) ** 2 / (n + 2)) / (n + 2) ** 2
    return max(0.0, square - mean**2) / (n - 1)


def _quantile(confidence: float, is_rate: bool, variances: list[float], freedoms: list[int]) -> float:
    """Give the quantile of Student's t with the degrees of freedom of a sum of variances, of a rate the normal one."""
    if is_rate:
        return float(stats.norm.ppf((1 + confidence) / 2))
    squares = sum(variance**2 / freedom for variance, freedom in zip(variances, freedoms, strict=True))
    freedom = sum(variances) ** 2 / squares if squares > 0 else max(freedoms)
    return float(stats.t.ppf((1 + confidence) / 2, freedom))
