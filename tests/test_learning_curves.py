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

# As networks were trained: four lengths, two seeds of the longest.
EPOCHS = np.array([10.0, 24, 50, 100, 100])
N_IMAGES = 10_000
SEEDS = 0.0025**2


def law(epochs, floor=0.06, amplitude=0.8, power=0.75):
    return floor + amplitude * np.asarray(epochs) ** -power


def variances_of(errors):
    errors = np.asarray(errors)
    return errors * (1 - errors) / N_IMAGES + SEEDS


def drawn(seed, epochs=EPOCHS, **options):
    """Errors around a law, of seeds and of images."""
    generator = np.random.default_rng(seed)
    of_seeds = law(epochs, **options) + generator.normal(0, np.sqrt(SEEDS), len(epochs))
    return generator.binomial(N_IMAGES, of_seeds) / N_IMAGES


def fitted(errors, epochs=EPOCHS):
    return fit_learning_curve(epochs, errors, variances_of(errors))


def least_chi_square(errors, *, epochs=EPOCHS, variances, floor=None):
    """Search for the least chi-square by another way: a general optimiser from several starts."""
    errors = np.asarray(errors)

    def chi_square(numbers):
        amplitude, power, *free = np.exp(numbers)
        of_floor = free[0] if floor is None else floor
        return float(((errors - law(epochs, of_floor, amplitude, power)) ** 2 / variances).sum())

    starts = [np.log([0.8, power, 0.05][: 3 if floor is None else 2]) for power in (0.1, 0.4, 0.8, 1.5)]
    options = {"xatol": 1e-10, "fatol": 1e-10, "maxiter": 20_000, "maxfev": 20_000}
    found = [optimize.minimize(chi_square, at, method="Nelder-Mead", options=options) for at in starts]
    return min(result.fun for result in found)


@pytest.mark.parametrize(
    ("floor", "amplitude", "power"), [(0.06, 0.5, 0.8), (0.0, 0.9, 0.3), (0.2, 3.0, 2.0), (0.05, 0.4, 0.1)]
)
def test_a_curve_without_scatter_comes_back(floor, amplitude, power):
    epochs = [5, 10, 20, 40, 80, 160]
    curve = fit_learning_curve(epochs, law(epochs, floor, amplitude, power), [1e-10] * 6)
    assert (curve.floor, curve.amplitude, curve.power) == pytest.approx((floor, amplitude, power), abs=1e-4)
    low, high = curve.floor_interval
    assert low - 1e-3 <= floor <= high + 1e-3
    assert curve.at(1000) == pytest.approx(law(1000, floor, amplitude, power), abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_the_fit_is_scipys_weighted_by_the_known_variances(seed):
    errors = drawn(seed)
    curve = fitted(errors)
    sigma = np.sqrt(variances_of(errors))
    numbers, _ = optimize.curve_fit(
        law, EPOCHS, errors, p0=(0.05, 0.8, 0.7), sigma=sigma, bounds=([0, 0, 0.02], [1, 200, 8]), xtol=1e-12
    )
    assert (curve.floor, curve.amplitude, curve.power) == pytest.approx(numbers, rel=2e-3)
    chi_square = float((((errors - law(EPOCHS, *numbers)) / sigma) ** 2).sum())
    assert curve.chi_square == pytest.approx(chi_square, abs=1e-4)
    # Five errors and three numbers leave two degrees of freedom, for which the chance is exp(-chi² / 2).
    assert curve.chance == pytest.approx(np.exp(-chi_square / 2), abs=1e-4)


@pytest.mark.parametrize("seed", range(2))
def test_at_the_ends_of_an_interval_chi_square_is_larger_by_what_one_degree_of_freedom_allows(seed):
    errors = drawn(seed)
    curve, variances = fitted(errors), variances_of(errors)
    most = curve.chi_square + stats.norm.ppf(0.975) ** 2
    for end in curve.floor_interval:
        if end > 0:
            assert least_chi_square(errors, variances=variances, floor=end) == pytest.approx(most, abs=0.02)
    for end in curve.predict(200, 1e-5):
        found = least_chi_square(
            [*errors, end], epochs=np.array([*EPOCHS, 200]), variances=np.array([*variances, 1e-5])
        )
        assert found == pytest.approx(most, abs=0.02)


def test_intervals_hold_the_truth_as_often_as_they_say():
    n = 100
    truth = {"floor": 0.0639, "amplitude": 0.77, "power": 0.73}
    curves = [fitted(drawn(seed, **truth)) for seed in range(n)]
    later = [drawn(n + seed, np.array([400.0]), **truth)[0] for seed in range(n)]
    of_floors = sum(
        curve.floor_interval.low <= truth["floor"] <= curve.floor_interval.high for curve in curves
    )
    predicted = [curve.predict(400, variances_of(law(400, **truth))) for curve in curves]
    of_later = sum(low <= error <= high for (low, high), error in zip(predicted, later, strict=True))
    # One sound interval of 95 % in a thousand covers less often.
    assert min(of_floors, of_later) >= stats.binom.ppf(0.001, n, 0.95)
    # They are about as wide as those of the curve's slopes in its numbers, taken at the truth (Fisher's information).
    slopes, [at_end] = (
        np.stack([np.ones(len(x)), x**-0.73, -0.77 * np.log(x) * x**-0.73], 1)
        for x in (EPOCHS, np.array([400.0]))
    )
    information = slopes.T @ (slopes / variances_of(law(EPOCHS, **truth))[:, None])
    variance = at_end @ np.linalg.solve(information, at_end) + variances_of(law(400, **truth))
    half_width = np.median([interval.half_width for interval in predicted])
    assert half_width == pytest.approx(1.96 * np.sqrt(variance), rel=0.3)


def test_where_nothing_falls_the_upper_end_is_that_of_a_weighted_mean():
    # Errors that rise: the curve is flat, and floors above it are those of a mean with known variances.
    errors, variances = np.array([0.10, 0.11, 0.12, 0.13]), np.array([1.0, 2.0, 1.0, 4.0]) * 1e-6
    curve = fit_learning_curve([10, 20, 40, 80], errors, variances)
    mean = float((errors / variances).sum() / (1 / variances).sum())
    assert curve.at(80) == pytest.approx(mean)
    assert curve.floor_interval.high == pytest.approx(
        mean + 1.959964 / np.sqrt((1 / variances).sum()), abs=1e-6
    )


def test_three_lengths_are_met_and_leave_no_test():
    errors = law([10, 24, 50])
    curve = fit_learning_curve([10, 24, 50], errors, [1e-6] * 3)
    assert [curve.at(epochs) for epochs in (10, 24, 50)] == pytest.approx(errors, abs=1e-6)
    assert curve.chance is None


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_lengths_than_numbers_are_no_fit(n):
    with pytest.raises(EvaluationError, match=f"3 different numbers of epochs or more; there (is|are) {n}"):
        fit_learning_curve(EPOCHS[:n], law(EPOCHS)[:n], [1e-6] * n)
    # Several seeds of two lengths are two lengths.
    with pytest.raises(EvaluationError, match="there are 2"):
        fit_learning_curve([5, 5, 10, 10], [0.2, 0.21, 0.15, 0.1], [1e-6] * 4)


@pytest.mark.parametrize(
    ("epochs", "error", "variance", "sentence"),
    [
        (0, 0.1, 1e-6, "One number of epochs is 0; a number above 0 is expected."),
        (-5, 0.1, 1e-6, "One number of epochs is -5; a number above 0 is expected."),
        (float("nan"), 0.1, 1e-6, "One number of epochs is nan"),
        (80, float("nan"), 1e-6, "One error is nan; a share from 0 to 1 is expected. Leave out"),
        (80, 7.1, 1e-6, "One error is 7.1; a share from 0 to 1"),
        (80, 0.1, 0, "One variance is 0; a number above 0 is expected."),
        (80, 0.1, float("inf"), "One variance is inf"),
    ],
)
@pytest.mark.parametrize("use", [fit_learning_curve, held_out])
def test_what_is_no_error_of_a_training_is_refused(use, epochs, error, variance, sentence):
    with pytest.raises(EvaluationError, match=sentence):
        use([10, 20, 40, epochs], [0.3, 0.2, 0.15, error], [1e-6, 1e-6, 1e-6, variance])


def test_unequal_numbers_of_things_are_refused():
    with pytest.raises(EvaluationError, match="4 numbers of epochs, 3 errors and 4 variances"):
        fit_learning_curve([1, 2, 3, 4], [0.3, 0.2, 0.1], [1e-6] * 4)


def test_all_seeds_of_a_length_are_held_out_or_none():
    errors = drawn(3)
    end = held_out(EPOCHS, errors, variances_of(errors))
    assert [each.epochs for each in end] == [100, 100]
    assert [each.error for each in end] == errors[3:].tolist()
    first = fit_learning_curve(EPOCHS[:3], errors[:3], variances_of(errors[:3]))
    assert [each.predicted for each in end] == [first.at(100)] * 2
    # What is held out has no part in the prediction, and the order has none.
    others = np.array([*errors[:3], 0.2, 0.3])
    assert [each.predicted for each in held_out(EPOCHS, others, variances_of(errors))] == [first.at(100)] * 2
    assert not any(each.is_inside for each in held_out(EPOCHS, others, variances_of(errors)))
    turned = held_out(EPOCHS[::-1], errors[::-1], variances_of(errors)[::-1])
    assert sorted(each.error for each in turned) == sorted(errors[3:])
    # Of ten lengths three, of which one has two seeds.
    epochs = [*range(10, 101, 10), 80]
    of_ten = held_out(epochs, law(epochs), [1e-8] * 11)
    assert [each.epochs for each in of_ten] == [80, 80, 90, 100]
    assert all(each.is_inside for each in of_ten)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_too_few_lengths_leave_no_end_to_predict(n):
    assert held_out(EPOCHS[:n], law(EPOCHS)[:n], [1e-6] * n) == []
    assert held_out([10, 10, 24, 24, 50, 50], law([10, 10, 24, 24, 50, 50]), [1e-6] * 6) == []


def test_the_difference_of_two_floors_covers_it():
    first, second = fitted(drawn(1, floor=0.12)), fitted(drawn(2, floor=0.06))
    value, (low, high) = floor_difference(first, second)
    assert value == pytest.approx(first.floor - second.floor)
    assert low < 0.06 < high
    # By hand: distances to the ends add up as squares.
    a, b = first.floor_interval, second.floor_interval
    assert low == pytest.approx(value - np.hypot(first.floor - a.low, b.high - second.floor))
    assert high == pytest.approx(value + np.hypot(a.high - first.floor, second.floor - b.low))


def test_a_prediction_stays_among_shares():
    curve = fit_learning_curve([1, 4, 16, 64], [0.45, 0.25, 0.15, 0.1], [1e-6] * 4)
    # 0.05 + 0.4 / sqrt(0.1) is above 1.
    assert curve.at(0.1) > 1
    assert curve.predict(0.1, 1e-6) == (1.0, 1.0)
    with pytest.raises(EvaluationError, match="number of epochs is 0"):
        curve.predict(0, 1e-6)
