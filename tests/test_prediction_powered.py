"""Intervals of a mean with cheap predictions, against simulation, and what they are at both ends."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from unravelnet.mathematics.intervals import Interval, mean_interval, paired_rate_interval
from unravelnet.mathematics.log_odds import carried_on, errors_carried_on
from unravelnet.mathematics.looks import Looks, decide
from unravelnet.mathematics.prediction_powered import powered_mean
from unravelnet.mathematics.ranks import kendall, means_of_draws, quantile_interval, spearman
from unravelnet.mathematics.strata import StratifiedOrder

REPEATS = 1000


def of_losses(rng, n):
    """Skewed rises of a loss, foreseen well but for a half of the large ones."""
    truth = rng.gamma(0.5, 1.0, n) - 0.2
    return truth, np.minimum(truth, 0.5) + rng.normal(0, 0.1, n) + 3


def of_nothing(rng, n):
    return rng.normal(0.3, 1, n), rng.exponential(1, n)


def of_errors(rng, n):
    """Of 100 images 3 become wrong and 1 right; most of these are foreseen."""
    truth = rng.choice([1.0, -1.0, 0.0], n, p=[0.03, 0.01, 0.96])
    return truth, np.where(rng.random(n) < 0.7, truth, 0) + 0.05 * rng.random(n)


@pytest.mark.parametrize(
    ("draw", "mean", "is_rate"), [(of_losses, 0.3, False), (of_nothing, 0.3, False), (of_errors, 0.02, True)]
)
def test_intervals_hold_in_95_of_100_draws(draw, mean, is_rate):
    rng, held, ratios = np.random.default_rng(1), 0, []
    for _ in range(REPEATS):
        truth, predicted = draw(rng, 2000)
        found = powered_mean(truth[:400], predicted, is_rate=is_rate)
        alone = powered_mean(truth[:400], np.zeros(2000), is_rate=is_rate)
        held += found.interval.low <= mean <= found.interval.high
        ratios.append(found.interval.half_width / alone.interval.half_width)
    assert 0.93 <= held / REPEATS <= 0.97
    # Predictions make the interval narrower where they are good, and hardly wider where they are not.
    assert np.mean(ratios) < (1.001 if draw is of_nothing else 0.85)


def of_strata(rng, n):
    """Many cases that hardly change, and few that change much: what is foreseen of each is its spread."""
    spread = rng.exponential(1, n) ** 3 / 6
    truth = spread * rng.normal(0.3, 1, n)
    return truth, 0.3 * spread + 0.1 * rng.normal(0, 1, n), spread


def of_errors_in_strata(rng, n):
    """An image in 30 is near the boundary, and one in 300 of the others changes all the same."""
    near = rng.random(n) < 0.03
    chance = np.where(near, 0.5, 0.003)
    truth = np.where(rng.random(n) < chance, rng.choice([1.0, 1.0, -1.0], n), 0.0)
    return truth, chance / 3, np.sqrt(np.where(near, 0.25, 0.0))


@pytest.mark.parametrize(("draw", "is_rate"), [(of_strata, False), (of_errors_in_strata, True)])
def test_intervals_of_strata_hold_and_are_narrower(draw, is_rate):
    rng, held, of_rest, ratios = np.random.default_rng(3), 0, 0, []
    mean = np.mean([draw(rng, 100_000)[0].mean() for _ in range(20)])
    for seed in range(REPEATS):
        truth, predicted, spread = draw(rng, 2000)
        order = StratifiedOrder.of(spread, seed=seed)
        first = order.places[:400]
        found = powered_mean(truth[first], predicted[order.places], strata=order.strata, is_rate=is_rate)
        alone = powered_mean(truth[:400], predicted, is_rate=is_rate)
        held += found.interval.low <= mean <= found.interval.high
        of_rest += abs(found.value - truth.mean()) <= found.margin_of_rest
        ratios.append(found.interval.half_width / alone.interval.half_width)
    assert 0.93 <= held / REPEATS <= (0.98 if is_rate else 0.97)
    assert 0.92 <= of_rest / REPEATS <= 0.99
    assert np.mean(ratios) < 0.9


def test_with_all_cases_known_strata_do_not_matter():
    rng = np.random.default_rng(0)
    values, strata = rng.normal(size=60), rng.integers(0, 4, 60)
    found = powered_mean(values, values + 1, strata=strata)
    assert found.interval == pytest.approx(powered_mean(values, values).interval)
    assert (found.margin_of_rest, found.weight) == (0, 0)


def test_the_mean_of_strata_weighs_them_by_their_cases():
    exact, strata = [1.0, 3.0, 2.0, 11.0, 9.0, 10.0], [0, 0, 0, 1, 1, 1] + [0] * 27 + [1] * 7
    assert powered_mean(exact, np.zeros(40), strata=strata).value == pytest.approx(0.75 * 2 + 0.25 * 10)
    # Cochran (1977): each stratum's own variance, and what of it is not known yet.
    between = 0.75 * (2 - 4) ** 2 + 0.25 * (10 - 4) ** 2 + 2 / 3
    rest = 0.75**2 * (1 / 3 - 1 / 30) + 0.25**2 * (1 / 3 - 1 / 10)
    found = powered_mean(exact, np.zeros(40), strata=strata)
    assert (found.margin_of_rest / found.margin_of_all) ** 2 == pytest.approx(rest / (between / 39))


# -- strata --


def test_an_order_of_strata_takes_each_case_once_and_the_spread_in_proportion():
    spread = np.random.default_rng(0).exponential(1, 1000) ** 2
    order = StratifiedOrder.of(spread, seed=1)
    assert sorted(order.places) == list(range(1000))
    size = spread + spread.mean()
    for n in (60, 150):
        counts = np.bincount(order.strata[:n], minlength=5)
        shares = [size[order.places][order.strata == stratum].sum() / size.sum() for stratum in range(5)]
        assert counts == pytest.approx(n * np.array(shares), abs=1)
    # Strata are ranges of the spread.
    ranges = [spread[order.places][order.strata == stratum] for stratum in range(5)]
    assert all(low.max() <= high.min() for low, high in itertools.pairwise(ranges))


@pytest.mark.parametrize("spread", [np.zeros(7), np.full(7, np.nan), np.ones(1), [0, 0, 0, 0, 0, 0, 1e9]])
def test_an_order_of_strata_is_one_of_any_spread(spread):
    order = StratifiedOrder.of(spread, seed=0)
    assert sorted(order.places) == list(range(len(spread)))
    assert set(order.strata) == set(range(order.strata.max() + 1))


def test_decisions_at_planned_looks_are_seldom_wrong():
    rng, wrong = np.random.default_rng(2), 0
    looks = Looks.planned(4000, first=256)
    level = looks.confidence(0.95)
    for _ in range(300):
        truth, predicted = of_losses(rng, 4000)
        for n in looks.sizes:
            interval = powered_mean(truth[:n], predicted, level).interval
            # The threshold is the truth itself, so each decision is wrong.
            if decide(interval, 0.3) != "open":
                wrong += 1
                break
    assert wrong / 300 < 0.05


def test_without_predictions_intervals_are_the_usual_ones():
    rng = np.random.default_rng(0)
    values, changes = rng.normal(size=50), rng.choice([-1.0, 0.0, 1.0], 50)
    usual = mean_interval(values.sum(), np.square(values).sum(), 50, 0.9)
    assert powered_mean(values, values, 0.9).interval == pytest.approx(usual)
    paired = paired_rate_interval(changes.sum(), np.abs(changes).sum(), 50, 0.9)
    assert powered_mean(changes, changes, 0.9, is_rate=True).interval == pytest.approx(paired)


def test_predictions_that_are_the_truth_give_the_mean_of_all():
    values = np.random.default_rng(0).normal(size=1000)
    found = powered_mean(values[:500], values)
    assert found.value == pytest.approx(values.mean())
    everything = mean_interval(values.sum(), np.square(values).sum(), 1000)
    assert found.interval.half_width == pytest.approx(everything.half_width, rel=0.01)


def test_the_scale_and_the_origin_of_predictions_do_not_matter():
    truth, predicted = of_losses(np.random.default_rng(0), 300)
    found, other = (powered_mean(truth[:90], f) for f in (predicted, 5 - 7 * predicted))
    assert other.interval == pytest.approx(found.interval)
    assert other.weight == pytest.approx(-found.weight / 7)


@pytest.mark.parametrize("exact", [[], [1.0], [1.0, 2.0]])
def test_few_exact_values_say_nothing(exact):
    found = powered_mean(exact, [*exact, *[1.0] * 9])
    assert found.interval == Interval(-math.inf, math.inf)


# -- log odds --


def test_log_odds_of_two_classes_are_exact_where_the_logits_are_linear():
    before, change = np.array([-9.0, -1.0, 0.0, 4.0]), np.array([7.0, 0.5, -2.0, -1.0])
    loss = np.logaddexp(0, before)
    slope = 1 / (1 + np.exp(-before))
    assert carried_on(loss, slope * change) == pytest.approx(np.logaddexp(0, before + change) - loss)


def test_a_small_change_is_what_the_gradient_says():
    loss, rise = np.array([0.01, 0.5, 2.0]), np.array([1e-7, -1e-7, 1e-7])
    assert carried_on(loss, rise) == pytest.approx(rise, rel=1e-3)


def test_no_loss_and_no_gradient_give_no_rise():
    assert carried_on(np.zeros(2), np.zeros(2)).tolist() == [0, 0]
    assert errors_carried_on(np.zeros(2), np.zeros(2)) == pytest.approx(0, abs=1e-9)


def test_rounding_of_a_loss_near_0_is_not_blown_up():
    assert carried_on(np.array([1e-9]), np.array([1e-3])).max() < 1e-3


# -- ranks --


def test_ranks_are_those_of_scipy():
    from scipy import stats

    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 9, 20), rng.integers(0, 9, 20)
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)
    assert kendall(first, second) == pytest.approx(stats.kendalltau(first, second).statistic)
    assert math.isnan(kendall([1, 1, 1], [1, 2, 3]))


def test_draws_of_cases_are_means_of_the_same_cases():
    values = np.array([[1.0, 2.0, 3.0, 2.0, np.nan], [2.0, 4.0, 6.0, 8.0, 5.0]])
    means = means_of_draws(values, 4000, seed=0)
    assert np.nanmean(means, axis=0) == pytest.approx([2, 5], abs=0.1)
    assert means[:, 1].std() == pytest.approx(np.std(values[1]) / math.sqrt(5), rel=0.05)
    assert quantile_interval(means[:, 1], 0.95).half_width == pytest.approx(1.75, rel=0.15)
    assert quantile_interval([], 0.95) == Interval(-math.inf, math.inf)
