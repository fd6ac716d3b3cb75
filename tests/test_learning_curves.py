"""A floor plus a power of the epochs: closed forms come back, intervals cover, and a held-out end is judged."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from unravelnet.errors import EvaluationError
from unravelnet.mathematics.learning_curves import (
    fit_learning_curve,
    floor_difference,
    held_out,
)

EPOCHS = np.array([5.0, 10, 20, 40, 80, 160])


def law(epochs, floor=0.06, amplitude=0.5, power=0.8):
    return floor + amplitude * np.asarray(epochs) ** -power


def noisy(seed, scatter=0.002, **options):
    return law(EPOCHS, **options) + np.random.default_rng(seed).normal(0, scatter, len(EPOCHS))


@pytest.mark.parametrize(
    ("floor", "amplitude", "power"), [(0.06, 0.5, 0.8), (0.0, 0.9, 0.3), (0.2, 3.0, 2.0), (0.05, 0.4, 0.1)]
)
def test_a_curve_without_scatter_comes_back(floor, amplitude, power):
    curve = fit_learning_curve(EPOCHS, law(EPOCHS, floor, amplitude, power))
    assert (curve.floor, curve.amplitude, curve.power) == pytest.approx((floor, amplitude, power), abs=1e-4)
    low, high = curve.floor_interval
    assert low - 1e-3 <= floor <= high + 1e-3
    assert curve.at(1000) == pytest.approx(law(1000, floor, amplitude, power), abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_the_fit_is_scipys(seed):
    errors = noisy(seed)
    curve = fit_learning_curve(EPOCHS, errors)
    (floor, amplitude, power), _ = optimize.curve_fit(
        law, EPOCHS, errors, p0=(0.05, 0.4, 0.7), bounds=([0, 0, 0.02], [1, 20, 8])
    )
    assert (curve.floor, curve.amplitude, curve.power) == pytest.approx((floor, amplitude, power), rel=1e-3)


def test_intervals_hold_the_truth_as_often_as_they_say():
    n = 60
    curves = [fit_learning_curve(EPOCHS, noisy(seed)) for seed in range(n)]
    next_errors = law(320.0) + np.random.default_rng(n).normal(0, 0.002, n)
    of_floors = sum(curve.floor_interval.low <= 0.06 <= curve.floor_interval.high for curve in curves)
    predicted = [curve.predict(320.0) for curve in curves]
    of_next = sum(low <= error <= high for (low, high), error in zip(predicted, next_errors, strict=True))
    # One sound interval of 95 % in a thousand covers less often.
    assert min(of_floors, of_next) >= stats.binom.ppf(0.001, n, 0.95)
    # And they are no wider than they need be: a tenth of the error, not all that is possible.
    assert np.median([high - low for low, high in predicted]) < 0.02


def test_where_nothing_falls_the_interval_is_students():
    # A curve that is flat: what is predicted is the mean, up to the freedom that amplitude and power add.
    errors = 0.1 + 0.001 * np.array([1, -1, 1, -1, 1, -1])
    curve = fit_learning_curve(EPOCHS, errors)
    assert curve.at(160) == pytest.approx(0.1, abs=5e-4)
    low, high = curve.floor_interval
    assert 0 <= low < 0.1 < high < 0.11


@pytest.mark.parametrize("n", [0, 1, 3])
def test_as_many_numbers_as_points_are_no_fit(n):
    with pytest.raises(EvaluationError, match=f"4 different numbers of epochs or more; there (is|are) {n}"):
        fit_learning_curve(EPOCHS[:n], law(EPOCHS)[:n])
    # Several seeds of three lengths are three lengths.
    with pytest.raises(EvaluationError, match="there are 3"):
        fit_learning_curve([5, 5, 10, 20], [0.2, 0.21, 0.15, 0.1])


def test_a_held_out_end_is_predicted_from_the_beginning_alone():
    epochs = np.arange(10.0, 101, 10)
    errors = law(epochs) + np.random.default_rng(1).normal(0, 0.001, 10)
    end = held_out(epochs, errors)
    assert [each.epochs for each in end] == [80, 90, 100]
    assert all(each.is_inside for each in end)
    first = fit_learning_curve(epochs[:7], errors[:7])
    assert [each.predicted for each in end] == [first.at(epoch) for epoch in (80, 90, 100)]
    # In another order they are the same, and an end that falls off is found.
    assert held_out(epochs[::-1], errors[::-1]) == end
    fallen = errors.copy()
    fallen[-1] -= 0.03
    assert [each.is_inside for each in held_out(epochs, fallen)] == [True, True, False]


@pytest.mark.parametrize("n", [0, 1, 4])
def test_too_few_leave_no_end_to_predict(n):
    assert held_out(EPOCHS[:n], law(EPOCHS)[:n]) == []


def test_the_difference_of_two_floors_covers_it():
    first = fit_learning_curve(EPOCHS, noisy(1, floor=0.09))
    second = fit_learning_curve(EPOCHS, noisy(2, floor=0.06))
    value, (low, high) = floor_difference(first, second)
    assert value == pytest.approx(first.floor - second.floor)
    assert low < 0.03 < high
    # By hand: distances to the ends add up as squares.
    a, b = first.floor_interval, second.floor_interval
    assert low == pytest.approx(value - np.hypot(first.floor - a.low, b.high - second.floor))
    assert high == pytest.approx(value + np.hypot(a.high - first.floor, second.floor - b.low))
