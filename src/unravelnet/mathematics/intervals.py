"""Confidence intervals from sums: of a rate, of a mean, and of the paired difference of two; and how to join them.

Only sums enter, so that batches, workers and resumed runs give identical intervals. Intervals are two-sided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy import special


class Interval(NamedTuple):
    """The lower and upper end of a confidence interval."""

    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the distance between the ends."""
        return (self.high - self.low) / 2


def rate_interval(count: float, n: int, confidence: float = 0.95) -> Interval:
    """Bound a rate from the number of times it happened (Wilson 1927).

    >>> low, high = rate_interval(10, 100)
    >>> round(low, 4), round(high, 4)
    (0.0552, 0.1744)
    """
    happened, z = round(count), _z(confidence)
    assert 0 <= happened <= n > 0
    rate, squared = happened / n, z * z
    denominator = 2 * (n + squared)
    centre = (2 * n * rate + squared) / denominator
    margin = z / denominator * math.sqrt(4 * n * rate * (1 - rate) + squared)
    low = 0.0 if happened == 0 else centre - margin
    high = 1.0 if happened == n else centre + margin
    return Interval(float(low), float(high))


def paired_rate_interval(difference: float, discordant: float, n: int, confidence: float = 0.95) -> Interval:
    """Bound the difference of two rates that were measured on the same n cases.

    >>> low, high = paired_rate_interval(difference=6, discordant=10, n=100)
    >>> round(low, 4), round(high, 4)
    (-0.0039, 0.1215)

    `difference`: how often only the first happened minus how often only the second did; `discordant`: how
    often exactly one of them did. The adjusted interval of Agresti and Min (2005), half a case added to each
    cell: it keeps its coverage, and does not shrink to nothing, where hardly any pair disagrees.
    """
    total, disagreeing = n + 2, discordant + 1
    centre = difference / total
    error = math.sqrt(max(0.0, disagreeing - difference**2 / total)) / total
    margin = _z(confidence) * error
    return Interval(max(-1.0, centre - margin), min(1.0, centre + margin))


def mean_interval(total: float, total_of_squares: float, n: int, confidence: float = 0.95) -> Interval:
    """Bound a mean from the sum and the sum of squares of n values (Student's t).

    >>> low, high = mean_interval(total=50.0, total_of_squares=30.0, n=100)
    >>> round(low, 3), round(high, 3)
    (0.455, 0.545)

    Without two values nothing is known: the ends are infinite.
    """
    if n < 2:
        return Interval(-math.inf, math.inf)
    mean = total / n
    variance = max(0.0, total_of_squares - n * mean**2) / (n - 1)
    margin = float(special.stdtrit(n - 1, (1 + confidence) / 2)) * math.sqrt(variance / n)
    return Interval(mean - margin, mean + margin)


def exponential(exponent: float) -> float:
    """Raise e to a power; infinite where the result is no number of the machine.

    >>> exponential(0.0), exponential(1e4)
    (1.0, inf)
    """
    try:
        return math.exp(exponent)
    except OverflowError:
        return math.inf


def exponential_difference_interval(
    total: float,
    squares: float,
    difference: float,
    difference_squares: float,
    product: float,
    n: int,
    confidence: float = 0.95,
) -> Interval:
    """Bound exp(a) - exp(b), where a is the mean of n values and b that of others on the same cases.

    >>> low, high = exponential_difference_interval(50.0, 30.0, 10.0, 4.0, 8.0, n=100)
    >>> round(low, 3), round(high, 3)
    (0.1, 0.214)

    `total`, `squares`: sums of the values and of their squares. `difference`, `difference_squares`: the same of value
    minus other value. `product`: the sum of value times difference. By the delta method, exp(a) - exp(b) varies as
    the mean of (exp(a) - exp(b)) · value + exp(b) · difference (Student's t). Where an exponential is infinite nothing
    is known: the ends are infinite.
    """
    own, other = exponential(total / n), exponential((total - difference) / n)
    if not math.isfinite(own + other):
        return Interval(-math.inf, math.inf)
    of_value, of_difference = own - other, other
    around = mean_interval(
        of_value * total + of_difference * difference,
        of_value**2 * squares
        + 2 * of_value * of_difference * product
        + of_difference**2 * difference_squares,
        n,
        confidence,
    )
    margin = around.half_width
    return Interval(own - other - margin, own - other + margin)


def joined_interval(value: float, parts: Sequence[Interval]) -> Interval:
    """Join intervals around a value, each of another source of error, as those of independent errors.

    >>> joined_interval(0.5, [Interval(0.47, 0.53), Interval(0.46, 0.54)])
    Interval(low=0.45, high=0.55)

    Squares of the distances to the ends add up (Newcombe 1998). Without any part nothing is known: the ends are
    infinite.
    """
    if not parts:
        return Interval(-math.inf, math.inf)
    below, above = (math.hypot(*(value - part[end] for part in parts)) for end in (0, 1))
    return Interval(value - below, value + above)


def _z(confidence: float) -> float:
    return float(special.ndtri((1 + confidence) / 2))
