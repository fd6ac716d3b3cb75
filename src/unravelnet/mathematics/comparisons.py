"""Differences between trained networks, with the interval that their numbers allow.

Where both were trained several times, trainings are compared with trainings (Welch); what other test images would have
given is not in that interval. Where one was trained once, how much trainings differ is taken from all networks that
were trained several times, and joined to what the images leave open. All are two-sided, at 95 %, and depend on the
numbers alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from unravelnet.mathematics.intervals import Interval, joined_interval, mean_interval, rate_interval
from unravelnet.wording import counted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

CONFIDENCE = 0.95
RULE = (
    "The 95 % interval of the difference of two errors is Welch's, where both networks were trained several times, and "
    "holds for these test images. Else it is Student's t with the standard deviation over seeds that is pooled from "
    "all networks with several, joined to Newcombe's interval of two shares of images (1998)."
)
_NOTHING = Interval(-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Difference:
    """The first minus the second, with its interval and what that stands on.

    `how`: a part of a sentence. `knows_seeds`: whether the interval knows how much one training differs from the next.
    """

    value: float
    interval: Interval
    how: str
    knows_seeds: bool = True

    @property
    def row(self) -> pd.Series:
        """The same as value, low and high."""
        return pd.Series({"value": self.value, "low": self.interval.low, "high": self.interval.high})


def difference_of_trainings(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    column: str = "error_rate",
    others: Sequence[pd.DataFrame] = (),
) -> Difference | None:
    """Compare two groups of trainings by a column of their rows; None where one has no number there.

    `others`: groups from which to take how much trainings differ where one of these was trained once; none: these two.
    Only `error_rate` is a share of `n_images`; where one was trained once another column has no part of the images.
    """
    values = [part[column].dropna().to_numpy() for part in (first, second)]
    sizes = [len(part) for part in values]
    if not all(sizes):
        return None
    value = float(values[0].mean() - values[1].mean())
    trained = (
        "one training each" if max(sizes) == 1 else f"{counted(sizes[0], 'training')} against {sizes[1]}"
    )
    if min(sizes) > 1:
        return Difference(value, welch_interval(*values), f"Welch's interval, {trained}")
    spread = [part[column].dropna().to_numpy() for part in others] or values
    margin = margin_of_seeds(spread, sizes)
    parts = {}
    if column == "error_rate" and all(part["n_images"].notna().all() for part in (first, second)):
        shares = [(float(part[column].mean()), int(part["n_images"].min())) for part in (first, second)]
        parts["the images"] = newcombe_interval(*shares[0], *shares[1])
    if math.isfinite(margin):
        whose = "the seeds of all networks" if others else "the seeds"
        parts[whose] = Interval(value - margin, value + margin)
    how = f"interval of {' and '.join(parts)}" if parts else "no interval"
    interval = joined_interval(value, list(parts.values()))
    return Difference(value, interval, f"{how}, {trained}", knows_seeds=math.isfinite(margin))


def margin_of_seeds(groups: Sequence[ArrayLike], sizes: Sequence[int]) -> float:
    """Bound by how much the means of two groups of trainings may differ by their seeds alone.

    >>> round(margin_of_seeds([[0.080, 0.082, 0.081], [0.120, 0.119, 0.121], [0.3]], [1, 1]), 4)
    0.0039

    `groups`: trainings that differ in their seeds only, of which the pooled standard deviation is taken. `sizes`: how
    many trainings each of the two means is of. Half of Student's interval; infinite where no group has two trainings.
    """
    known = variance_of_seeds(groups)
    if known is None:
        return math.inf
    variance, freedom = known
    error = math.sqrt(variance * sum(1 / size for size in sizes))
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error


def variance_of_seeds(groups: Sequence[ArrayLike]) -> tuple[float, int] | None:
    """Pool the variance of trainings that differ in their seeds only, with its degrees of freedom.

    >>> variance, freedom = variance_of_seeds([[0.080, 0.082, 0.081], [0.120, 0.119, 0.121], [0.3]])
    >>> round(variance * 1e6, 3), freedom
    (1.0, 4)

    None where no group has two different values.
    """
    values = [np.asarray(group, dtype=float) for group in groups if len(np.asarray(group))]
    freedom = sum(len(group) - 1 for group in values)
    # Not by the sum of squares, which rounding keeps from 0.
    if freedom < 1 or all(np.ptp(group) == 0 for group in values):
        return None
    return sum(float(((group - group.mean()) ** 2).sum()) for group in values) / freedom, freedom


def mean_interval_of(values: pd.Series) -> pd.Series:
    """Give the mean of values, one a training, as value, low and high (Student's t)."""
    interval = mean_interval(float(values.sum()), float((values**2).sum()), len(values), CONFIDENCE)
    return pd.Series({"value": float(values.mean()), "low": interval.low, "high": interval.high})


def welch_interval(first: ArrayLike, second: ArrayLike) -> Interval:
    """Bound the difference of two means, first minus second, whose variances may differ (Welch 1947).

    >>> low, high = welch_interval([0.080, 0.082, 0.081], [0.080, 0.079, 0.081])
    >>> round(low, 4), round(high, 4)
    (-0.0013, 0.0033)

    Without two different values on a side nothing is known: the ends are infinite.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if min(len(a), len(b)) < 2 or np.ptp(a) == 0 == np.ptp(b):
        return _NOTHING
    shares = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    freedom = sum(shares) ** 2 / (shares[0] ** 2 / (len(a) - 1) + shares[1] ** 2 / (len(b) - 1))
    return _around(float(a.mean() - b.mean()), math.sqrt(sum(shares)), freedom)


def newcombe_interval(first: float, n_first: int, second: float, n_second: int) -> Interval:
    """Bound the difference of two shares, first minus second, from their Wilson intervals (Newcombe 1998).

    >>> low, high = newcombe_interval(56 / 70, 70, 48 / 80, 80)
    >>> round(low, 4), round(high, 4)
    (0.0524, 0.3339)

    The shares count as independent. Measured on the same images they are not, and the interval is wider than it
    need be.
    """
    a, b = rate_interval(first * n_first, n_first), rate_interval(second * n_second, n_second)
    return Interval(
        first - second - math.hypot(first - a.low, b.high - second),
        first - second + math.hypot(a.high - first, second - b.low),
    )


def typical_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Give the median of all differences between a value of the first and one of the second.

    >>> typical_difference([1.0, 1.1, 1.2, 1.3], [2.0, 2.1, 2.2, 2.4]).value
    -1.0

    The estimate of Hodges and Lehmann, with the interval of all shifts that the test of Mann and Whitney does not
    reject, by its normal approximation; without end for fewer than four values a side.
    """
    differences = np.sort(np.subtract.outer(np.asarray(first), np.asarray(second)).ravel())
    m, n = len(first), len(second)
    spread = math.sqrt(m * n * (m + n + 1) / 12)
    # A half for continuity: the statistic of the test is a whole number.
    k = math.floor(m * n / 2 + 0.5 - float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * spread)
    interval = Interval(float(differences[k - 1]), float(differences[m * n - k])) if k > 0 else _NOTHING
    return Difference(float(np.median(differences)), interval, "Mann and Whitney")


def _around(centre: float, error: float, freedom: float) -> Interval:
    margin = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return Interval(centre - margin, centre + margin)
