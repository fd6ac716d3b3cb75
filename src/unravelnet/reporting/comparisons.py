"""Differences between trained networks, with the interval that their numbers allow.

Where both were trained several times, trainings are compared with trainings (Welch). Where one was trained once, it
is compared with a further training of the other. Where neither was trained twice, how much trainings differ is taken
from those networks that were, and joined to what the images leave open; without such networks, only the images are in
the interval. All are two-sided, at 95 %, and depend on the numbers alone. Where there are several trainings, what
other test images would have given is not in the interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from unravelnet.intervals import Interval, joined_interval, mean_interval, rate_interval
from unravelnet.reporting.sentences import counted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

CONFIDENCE = 0.95
RULE = (
    "The 95 % interval of the difference of two errors is Welch's, where both networks were trained several times; "
    "where one of them was, that of a further training, from Student's t with the pooled standard deviation: both hold "
    "for these test images. Where neither was, Newcombe's of two shares of images (1998), joined with how much the "
    "seeds of the other networks differ (their pooled standard deviation, Student's t)."
)
_NOTHING = Interval(-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Difference:
    """The first minus the second, with its interval and what that stands on.

    `how`: a part of a sentence. `is_one_each`: neither was trained twice, so that how much one training differs from
    the next is not known of these networks.
    """

    value: float
    interval: Interval
    how: str
    is_one_each: bool = False

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

    `others`: groups from which to take how much trainings differ where these two are one training each. Only
    `error_rate` is a share of `n_images`; for two single trainings another column has no part of the images.
    """
    values = [part[column].dropna().to_numpy() for part in (first, second)]
    sizes = [len(part) for part in values]
    if not all(sizes):
        return None
    value = float(values[0].mean() - values[1].mean())
    trained = f"{sizes[0]} and {counted(sizes[1], 'training')}"
    if min(sizes) > 1:
        return Difference(value, welch_interval(*values), f"Welch's interval, {trained}")
    if max(sizes) > 1:
        return Difference(value, further_interval(*values), f"interval of a further training, {trained}")
    images = [int(part["n_images"].iloc[0]) for part in (first, second) if part["n_images"].notna().all()]
    parts = {}
    if column == "error_rate" and len(images) == 2:
        parts["the images"] = newcombe_interval(
            float(values[0][0]), images[0], float(values[1][0]), images[1]
        )
    margin = margin_of_one_each([part[column].dropna().to_numpy() for part in others])
    if math.isfinite(margin):
        parts["the seeds of the other networks"] = Interval(value - margin, value + margin)
    how = f"interval of {' and '.join(parts)}" if parts else "no interval"
    interval = joined_interval(value, list(parts.values()))
    return Difference(value, interval, f"{how}, one training each", is_one_each=True)


def margin_of_one_each(groups: Sequence[ArrayLike]) -> float:
    """Bound by how much two single trainings may differ by their seeds alone, from groups that differ in these only.

    >>> round(margin_of_one_each([[0.080, 0.082, 0.081], [0.120, 0.119, 0.121], [0.3]]), 4)
    0.0039

    Half the interval of the difference of two values with the pooled standard deviation; infinite where no group has
    two.
    """
    values = [np.asarray(group, dtype=float) for group in groups]
    freedom = sum(len(group) - 1 for group in values if len(group))
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in values if len(group))
    if freedom < 1 or squares == 0:
        return math.inf
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(2 * squares / freedom)


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


def further_interval(first: ArrayLike, second: ArrayLike) -> Interval:
    """Bound the difference of two means with the pooled standard deviation: one side may be a single value.

    >>> low, high = further_interval([0.080, 0.082, 0.081], [0.090])
    >>> round(low, 4), round(high, 4)
    (-0.014, -0.004)

    For a single value it holds the values that one more of the other side would have had: the prediction interval
    of a further observation. Without two different values on one of the sides the ends are infinite.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    freedom = len(a) + len(b) - 2
    if freedom < 1 or np.ptp(a) == 0 == np.ptp(b):
        return _NOTHING
    squares = float(((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum())
    error = math.sqrt(squares / freedom * (1 / len(a) + 1 / len(b)))
    return _around(float(a.mean() - b.mean()), error, freedom)


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
