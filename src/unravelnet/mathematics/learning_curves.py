"""Where an error that falls with the number of epochs would end, if it went on as it does.

error = floor + amplitude · epochs^-power, the usual form of learning curves, fitted by least squares with floor and
amplitude of 0 or more. Both intervals hold all values with which the sum of squares is not surely larger (F test with
1 and n - 3 degrees of freedom); for a model that is linear in its numbers they are Student's. They know how far the
errors scatter around the curve, and neither that the curve may have another form, nor what other test images would
have given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, stats

from unravelnet.errors import EvaluationError
from unravelnet.mathematics.intervals import Interval, joined_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_FITTED = 3
FEWEST = N_FITTED + 1
"""Different numbers of epochs below which nothing is fitted: a curve of three numbers meets any three points."""

_CONFIDENCE = 0.95
# A smaller power is a logarithm, and a larger one a step, as far as errors can tell.
_POWERS = np.geomspace(0.02, 8.0, 60)
_SQUARES_OF_ROUNDING = 1e-22


@dataclass(frozen=True)
class LearningCurve:
    """A floor plus a power of the epochs, fitted to errors.

    `floor` is where the error would end, a share. `amplitude`: above the floor after one epoch.
    """

    epochs: tuple[float, ...]
    errors: tuple[float, ...]
    floor: float
    amplitude: float
    power: float
    squares: float

    def at(self, epochs: float) -> float:
        """Give the error of the curve after so many epochs."""
        return float(self.floor + self.amplitude * epochs**-self.power)

    @cached_property
    def floor_interval(self) -> Interval:
        """The 95 % interval of the floor: 0 and 1 at the widest."""

        def excess(floor: float) -> float:
            return _best(self.epochs, self.errors, floor=floor)[0] - self._most_squares

        return Interval(_crossing(excess, self.floor, 0.0), _crossing(excess, self.floor, 1.0))

    def predict(self, epochs: float) -> Interval:
        """Give the 95 % interval of one more error, after so many epochs: 0 and 1 at the widest."""

        def excess(error: float) -> float:
            return _best((*self.epochs, epochs), (*self.errors, error))[0] - self._most_squares

        middle = min(1.0, self.at(epochs))
        return Interval(_crossing(excess, middle, 0.0), _crossing(excess, middle, 1.0))

    @property
    def _most_squares(self) -> float:
        freedom = len(self.epochs) - N_FITTED
        largest = float(stats.f.ppf(_CONFIDENCE, 1, freedom))
        return max(self.squares, _SQUARES_OF_ROUNDING) * (1 + largest / freedom)


@dataclass(frozen=True, slots=True)
class Predicted:
    """An error that was held out, beside what the errors before it predict: the curve, and its 95 % interval."""

    epochs: float
    error: float
    predicted: float
    interval: Interval

    @property
    def is_inside(self) -> bool:
        """Whether the error lies in the interval."""
        return self.interval.low <= self.error <= self.interval.high


def fit_learning_curve(epochs: Sequence[float], errors: Sequence[float]) -> LearningCurve:
    """Fit a floor plus a power of the epochs to errors, which are shares.

    >>> curve = fit_learning_curve([1, 4, 16, 64], [0.45, 0.25, 0.15, 0.1])
    >>> round(curve.floor, 4), round(curve.amplitude, 4), round(curve.power, 4)
    (0.05, 0.4, 0.5)

    Raises EvaluationError with fewer than four different numbers of epochs.
    """
    n_different = len(set(epochs))
    if n_different < FEWEST:
        raise EvaluationError(
            f"A curve of {N_FITTED} numbers is fitted to errors after {FEWEST} different numbers of epochs or more; "
            f"there {'is' if n_different == 1 else 'are'} {n_different}."
        )
    squares, floor, amplitude, power = _best(epochs, errors)
    return LearningCurve(tuple(epochs), tuple(errors), floor, amplitude, power, squares)


def held_out(epochs: Sequence[float], errors: Sequence[float]) -> list[Predicted]:
    """Predict the last third of the errors from those before.

    >>> [end] = held_out([1, 4, 16, 64, 256], [0.45, 0.25, 0.15, 0.1, 0.3])
    >>> round(end.predicted, 4), end.is_inside
    (0.075, False)

    In the order of the epochs. None where fewer than four different numbers of epochs would be left to fit.
    """
    order = np.argsort(epochs, kind="stable")
    x, y = np.asarray(epochs, dtype=float)[order].tolist(), np.asarray(errors, dtype=float)[order].tolist()
    n_first = len(x) - len(x) // 3
    if n_first == len(x) or len(set(x[:n_first])) < FEWEST:
        return []
    first = fit_learning_curve(x[:n_first], y[:n_first])
    return [
        Predicted(epoch, error, first.at(epoch), first.predict(epoch))
        for epoch, error in zip(x[n_first:], y[n_first:], strict=True)
    ]


def floor_difference(first: LearningCurve, second: LearningCurve) -> tuple[float, Interval]:
    """Give by how much the first curve would end above the second, with its 95 % interval.

    The two intervals are joined as those of independent errors (Newcombe 1998).
    """
    value = first.floor - second.floor
    a, b = first.floor_interval, second.floor_interval
    parts = [
        Interval(a.low - second.floor, a.high - second.floor),
        Interval(first.floor - b.high, first.floor - b.low),
    ]
    return value, joined_interval(value, parts)


def _best(
    epochs: Sequence[float], errors: Sequence[float], *, floor: float | None = None
) -> tuple[float, float, float, float]:
    """Find the least sum of squares, with floor, amplitude and power; with a floor that is given, for that one."""
    x, y = np.asarray(epochs, dtype=float), np.asarray(errors, dtype=float)
    # In units of the last epoch, so that no power overflows.
    relative = x / x.max()

    def squares(power: NDArray[np.float64]) -> NDArray[np.float64]:
        return _linear_part(relative, y, power, floor)[0]

    at_grid = squares(_POWERS)
    place = int(at_grid.argmin())
    ends = np.log(_POWERS[[max(0, place - 1), min(len(_POWERS) - 1, place + 1)]])
    found = optimize.minimize_scalar(
        lambda logarithm: squares(np.exp([logarithm]))[0], bounds=tuple(ends), method="bounded",
        options={"xatol": 1e-9},
    )  # fmt: skip
    power = float(np.exp(found.x)) if found.fun < at_grid[place] else float(_POWERS[place])
    parts = [float(part[0]) for part in _linear_part(relative, y, np.array([power]), floor)]
    return parts[0], parts[1], parts[2] * float(x.max()) ** power, power


def _linear_part(
    x: NDArray[np.float64], y: NDArray[np.float64], powers: NDArray[np.float64], floor: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Give, for each power, the least sum of squares with floor and amplitude: neither below 0."""
    z = x[None, :] ** -powers[:, None]
    if floor is None:
        centred = z - z.mean(1, keepdims=True)
        slope = (centred @ y) / (centred**2).sum(1)
        free = np.where(slope < 0, y.mean(), y.mean() - slope * z.mean(1))
        floors = np.maximum(free, 0.0)
    else:
        floors = np.full(len(powers), floor)
    amplitudes = np.maximum(((y[None, :] - floors[:, None]) * z).sum(1) / (z**2).sum(1), 0.0)
    misses = y[None, :] - floors[:, None] - amplitudes[:, None] * z
    return (misses**2).sum(1), floors, amplitudes


def _crossing(excess: Callable[[float], float], inside: float, end: float) -> float:
    """Find where an excess begins between a value without and the end of what is possible; that end if it does not."""
    if excess(end) <= 0 or excess(inside) > 0:
        return end if excess(end) <= 0 else inside
    return float(optimize.brentq(excess, inside, end, xtol=1e-9))
