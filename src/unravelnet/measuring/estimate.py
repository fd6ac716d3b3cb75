"""From sums over predictions to what a row says of a metric: value, difference to the intact network, intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unravelnet.mathematics.intervals import (
    Interval,
    exponential,
    exponential_difference_interval,
    mean_interval,
    paired_rate_interval,
    rate_interval,
)
from unravelnet.measuring.metrics import Metric
from unravelnet.measuring.sums import Sums

# What is summed over predictions, for each metric; "difference" is to the intact network on the same ones.
_PARTS = ("total", "squares", "difference", "difference_squares")
# How a value and its difference vary together, which the difference of two exponentials of means depends on.
_PRODUCT = "product"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric of a route with its interval, and the same of its difference to the intact network."""

    value: float
    interval: Interval
    difference: float
    difference_interval: Interval

    def columns(self, name: str) -> dict[str, float]:
        """Give the columns of a row, those of the intervals behind their values."""
        return {
            name: self.value,
            f"{name}_low": self.interval.low,
            f"{name}_high": self.interval.high,
            f"{name}_difference": self.difference,
            f"{name}_difference_low": self.difference_interval.low,
            f"{name}_difference_high": self.difference_interval.high,
        }


def names_of_sums(metrics: Sequence[Metric]) -> list[str]:
    """Name the sums that are kept of metrics, in their order."""
    return [f"{metric.name}_{part}" for metric in metrics for part in _parts(metric)]


def sums_of(metrics: Sequence[Metric], own: Tensor, intact: Tensor) -> dict[str, float]:
    """Sum the values of a route, and their differences to those of the intact network.

    `own`, `intact`: shape (metrics, predictions), float64.
    """
    difference = own - intact
    products = [own, own.square(), difference, difference.square(), own * difference]
    sums = torch.stack(products, dim=-1).sum(dim=1).tolist()
    values = (
        value for metric, row in zip(metrics, sums, strict=True) for value in row[: len(_parts(metric))]
    )
    return dict(zip(names_of_sums(metrics), values, strict=True))


def estimate(metric: Metric, sums: Sums, confidence: float) -> Estimate:
    """Estimate a metric from the sums of a route, which are of one prediction or more."""
    n = int(sums.added["n_predictions"])
    parts = {part: float(sums.added[f"{metric.name}_{part}"]) for part in _parts(metric)}
    total, squares, difference, difference_squares = (parts[part] for part in _PARTS)
    paired = (difference, difference_squares, n, confidence)
    if metric.is_rate:
        return Estimate(
            total / n, rate_interval(total, n, confidence), difference / n, paired_rate_interval(*paired)
        )
    own = mean_interval(total, squares, n, confidence)
    if not metric.is_exponential:
        return Estimate(total / n, own, difference / n, mean_interval(*paired))
    return _of_exponential(parts, own, n, confidence)


def _of_exponential(parts: Mapping[str, float], own: Interval, n: int, confidence: float) -> Estimate:
    value, intact = (
        exponential(total / n) for total in (parts["total"], parts["total"] - parts["difference"])
    )
    return Estimate(
        value,
        Interval(exponential(own.low), exponential(own.high)),
        value - intact,
        exponential_difference_interval(**parts, n=n, confidence=confidence),
    )


def _parts(metric: Metric) -> tuple[str, ...]:
    return (*_PARTS, _PRODUCT) if metric.is_exponential else _PARTS
