"""Where an error that falls with the number of epochs would end, if it went on as it does.

error = floor + amplitude · epochs^-power, the usual form of learning curves (Hestness et al. 2017; Rosenfeld et al.
2020), with floor and amplitude of 0 or more. How far each error scatters is known beforehand: by its images, and by
how much trainings differ that differ in their seeds only. So every error has the weight 1 / variance, and the fit has
the least chi-square. An interval holds all values with which chi-square is at most 3.84 larger, the 95 % point with
one degree of freedom (profile likelihood; Cox and Hinkley 1974). It needs no more errors than the curve has numbers,
because the scatter is not taken from how far the errors lie from the curve. How far they lie from it tests the form.

Errors are taken as independent. Networks that are tested on the same images share a part of their scatter: that part
moves a whole curve up or down, and the intervals of differences are wider than they need be. The intervals know
neither that the curve may have another form, nor how well the variances are known.
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
"""Numbers of a curve, and the fewest different numbers of epochs from which it is fitted."""
FEWEST = N_FITTED + 1
"""Different numbers of epochs from which the form of the curve can be tested: it meets any three points."""

_MOST = float(stats.chi2.ppf(0.95, 1))
# A smaller power is a logarithm, and a larger one a step, as far as errors can tell.
_POWERS = np.geomspace(0.02, 8.0, 60)


@dataclass(frozen=True)
class LearningCurve:
    """A floor plus a power of the epochs, fitted to errors.

    `epochs`: after how many epochs each error was measured. `errors`: shares of the images. `variances`: of each error,
    in squares of shares. `floor`: where the error would end, a share. `amplitude`: by how much the error lies above the
    floor after one epoch, a share, and more than 1 where the curve is steep there. `power`: how fast it falls, without
    a unit. `chi_square`: the sum of squared distances to the curve, each over its variance.
    """

    epochs: tuple[float, ...]
    errors: tuple[float, ...]
    variances: tuple[float, ...]
    floor: float
    amplitude: float
    power: float
    chi_square: float

    def at(self, epochs: float) -> float:
        """Give the error of the curve after so many epochs, a share.

        >>> curve = fit_learning_curve([1, 4, 16, 64], [0.45, 0.25, 0.15, 0.1], [1e-6] * 4)
        >>> round(curve.at(256), 4)
        0.075
        """
        return float(self.floor + self.amplitude * epochs**-self.power)

    @property
    def chance(self) -> float | None:
        """The chance that errors scatter as far around a true curve; None where three lengths leave no test.

        >>> curve = fit_learning_curve([1, 4, 16, 64, 256], [0.45, 0.25, 0.15, 0.1, 0.3], [1e-4] * 5)
        >>> curve.chance < 0.001
        True
        """
        freedom = len(self.epochs) - N_FITTED
        if len(set(self.epochs)) < FEWEST:
            return None
        return float(stats.chi2.sf(self.chi_square, freedom))

    @cached_property
    def floor_interval(self) -> Interval:
        """The 95 % interval of the floor, in shares: 0 and 1 at the widest.

        >>> curve = fit_learning_curve([1, 4, 16, 64], [0.45, 0.25, 0.15, 0.1], [1e-6] * 4)
        >>> low, high = curve.floor_interval
        >>> round(low, 3), round(high, 3)
        (0.045, 0.055)
        """

        def excess(floor: float) -> float:
            return _best(self.epochs, self.errors, self.variances, floor=floor)[0] - self.chi_square - _MOST

        return Interval(_crossing(excess, self.floor, 0.0), _crossing(excess, self.floor, 1.0))

    def predict(self, epochs: float, variance: float) -> Interval:
        """Give the 95 % interval of one more error after so many epochs, in shares: 0 and 1 at the widest.

        >>> curve = fit_learning_curve([1, 4, 16, 64], [0.45, 0.25, 0.15, 0.1], [1e-6] * 4)
        >>> low, high = curve.predict(256, variance=1e-6)
        >>> round(low, 3), round(high, 3)
        (0.072, 0.078)

        `variance`: of that error, in squares of shares. Raises EvaluationError for epochs or a variance that are not
        above 0.
        """
        _check((epochs,), (0.0,), (variance,))

        def excess(error: float) -> float:
            best = _best((*self.epochs, epochs), (*self.errors, error), (*self.variances, variance))
            return best[0] - self.chi_square - _MOST

        middle = min(1.0, self.at(epochs))
        if excess(middle) > 0:
            return Interval(1.0, 1.0)  # the curve lies above all shares
        return Interval(_crossing(excess, middle, 0.0), _crossing(excess, middle, 1.0))


@dataclass(frozen=True, slots=True)
class Predicted:
    """An error that was held out, beside what the errors of shorter trainings predict.

    `epochs`: the length of its training. `error`: measured, a share. `predicted`: by the curve, a share. `interval`:
    the 95 % interval of the prediction, in shares.
    """

    epochs: float
    error: float
    predicted: float
    interval: Interval

    @property
    def is_inside(self) -> bool:
        """Whether the error lies in the interval.

        >>> Predicted(100, error=0.07, predicted=0.06, interval=Interval(0.05, 0.08)).is_inside
        True
        """
        return self.interval.low <= self.error <= self.interval.high


def fit_learning_curve(
    epochs: Sequence[float], errors: Sequence[float], variances: Sequence[float]
) -> LearningCurve:
    """Fit a floor plus a power of the epochs to errors whose scatter is known.

    >>> curve = fit_learning_curve([1, 4, 16, 64], [0.45, 0.25, 0.15, 0.1], [1e-6] * 4)
    >>> round(curve.floor, 4), round(curve.amplitude, 4), round(curve.power, 4)
    (0.05, 0.4, 0.5)

    `epochs`, `errors` (shares) and `variances` (squares of shares) are equally long, in any order; one length may stand
    several times. Raises EvaluationError for epochs or variances that are not above 0, for errors that are no shares,
    and with fewer than three different numbers of epochs.
    """
    _check(epochs, errors, variances)
    n_different = len(set(epochs))
    if n_different < N_FITTED:
        raise EvaluationError(
            f"A curve of {N_FITTED} numbers is fitted to errors after {N_FITTED} different numbers of epochs or more; "
            f"there {'is' if n_different == 1 else 'are'} {n_different}. Give the errors of more lengths."
        )
    chi_square, floor, amplitude, power = _best(epochs, errors, variances)
    return LearningCurve(tuple(epochs), tuple(errors), tuple(variances), floor, amplitude, power, chi_square)


def held_out(epochs: Sequence[float], errors: Sequence[float], variances: Sequence[float]) -> list[Predicted]:
    """Predict the errors of the longest third of the lengths from those of the shorter ones.

    >>> [end] = held_out([1, 4, 16, 64], [0.45, 0.25, 0.15, 0.3], [1e-6] * 4)
    >>> round(end.predicted, 4), end.is_inside
    (0.1, False)

    All trainings of a length are held out, or none. In the order of the epochs; an empty list where fewer than three
    lengths would be left to fit. Raises EvaluationError as fit_learning_curve does.
    """
    _check(epochs, errors, variances)
    lengths = sorted(set(epochs))
    n_first = len(lengths) - len(lengths) // 3
    if n_first == len(lengths) or n_first < N_FITTED:
        return []
    rows = sorted(zip(epochs, errors, variances, strict=True), key=lambda row: row[0])
    before = [row for row in rows if row[0] < lengths[n_first]]
    first = fit_learning_curve(*zip(*before, strict=True))
    return [
        Predicted(length, error, first.at(length), first.predict(length, variance))
        for length, error, variance in rows[len(before) :]
    ]


def floor_difference(first: LearningCurve, second: LearningCurve) -> tuple[float, Interval]:
    """Give by how much the first curve would end above the second, with its 95 % interval, in shares.

    >>> low = fit_learning_curve([1, 4, 16, 64], [0.45, 0.25, 0.15, 0.1], [1e-6] * 4)
    >>> high = fit_learning_curve([1, 4, 16, 64], [0.55, 0.35, 0.25, 0.2], [1e-6] * 4)
    >>> value, interval = floor_difference(high, low)
    >>> round(value, 4), round(interval.low, 3), round(interval.high, 3)
    (0.1, 0.093, 0.107)

    The two intervals are joined as those of independent errors (Newcombe 1998).
    """
    value = first.floor - second.floor
    a, b = first.floor_interval, second.floor_interval
    parts = [
        Interval(a.low - second.floor, a.high - second.floor),
        Interval(first.floor - b.high, first.floor - b.low),
    ]
    return value, joined_interval(value, parts)


def _check(epochs: Sequence[float], errors: Sequence[float], variances: Sequence[float]) -> None:
    sizes = {len(epochs), len(errors), len(variances)}
    if len(sizes) > 1:
        raise EvaluationError(
            f"There are {len(epochs)} numbers of epochs, {len(errors)} errors and {len(variances)} variances. "
            "Give one of each for every training."
        )
    _check_each("number of epochs", epochs, "a number above 0", lambda value: value > 0)
    _check_each("error", errors, "a share from 0 to 1", lambda value: 0 <= value <= 1)
    _check_each("variance", variances, "a number above 0", lambda value: value > 0)


def _check_each(what: str, values: Sequence[float], expected: str, is_right: Callable[[float], bool]) -> None:
    wrong = [value for value in values if not (np.isfinite(value) and is_right(value))]
    if wrong:
        raise EvaluationError(
            f"One {what} is {wrong[0]:g}; {expected} is expected. Leave out trainings where it is not known."
        )


def _best(
    epochs: Sequence[float],
    errors: Sequence[float],
    variances: Sequence[float],
    *,
    floor: float | None = None,
) -> tuple[float, float, float, float]:
    """Find the least chi-square, with floor, amplitude and power; with a floor that is given, for that one."""
    x, y, variance = (np.asarray(values, dtype=float) for values in (epochs, errors, variances))
    # In units of the last epoch, so that no power overflows.
    relative, weights = x / x.max(), 1 / variance

    def chi_squares(powers: NDArray[np.float64]) -> NDArray[np.float64]:
        return _linear_part(relative, y, weights, powers, floor)[0]

    at_grid = chi_squares(_POWERS)
    place = int(at_grid.argmin())
    ends = np.log(_POWERS[[max(0, place - 1), min(len(_POWERS) - 1, place + 1)]])
    found = optimize.minimize_scalar(
        lambda logarithm: chi_squares(np.exp([logarithm]))[0], bounds=tuple(ends), method="bounded",
        options={"xatol": 1e-9},
    )  # fmt: skip
    power = float(np.exp(found.x)) if found.fun < at_grid[place] else float(_POWERS[place])
    parts = [float(part[0]) for part in _linear_part(relative, y, weights, np.array([power]), floor)]
    return parts[0], parts[1], parts[2] * float(x.max()) ** power, power


def _linear_part(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    weights: NDArray[np.float64],
    powers: NDArray[np.float64],
    floor: float | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Give, for each power, the least chi-square with floor and amplitude: neither below 0."""
    z = x[None, :] ** -powers[:, None]
    if floor is None:
        shares = weights / weights.sum()
        mean, means = y @ shares, z @ shares
        centred = z - means[:, None]
        slope = (centred @ (weights * y)) / (centred**2 @ weights)
        floors = np.maximum(np.where(slope < 0, mean, mean - slope * means), 0.0)
    else:
        floors = np.full(len(powers), floor)
    above = y[None, :] - floors[:, None]
    amplitudes = np.maximum(((above * z) @ weights) / (z**2 @ weights), 0.0)
    return (above - amplitudes[:, None] * z) ** 2 @ weights, floors, amplitudes


def _crossing(excess: Callable[[float], float], inside: float, end: float) -> float:
    """Find where an excess begins between a value without and the end of what is possible; that end if it does not."""
    return end if excess(end) <= 0 else float(optimize.brentq(excess, inside, end, xtol=1e-9))
