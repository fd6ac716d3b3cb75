"""Random routes against closed forms and binomial intervals."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from unravelnet.errors import TrainingError, UnknownNameError
from unravelnet.routes.route import Route
from unravelnet.routes.sampler import parse_route_sampler

N_MODULES = 54
N_DRAWS = 2000
# Of all modules together, one in a thousand sound samplers falls outside.
CONFIDENCE = 1 - 0.001 / N_MODULES


def kept_modules(text, *, n_draws=N_DRAWS, seed=0, **options):
    """Draw routes and say which modules each keeps: booleans [draws, modules]."""
    sampler, generator = parse_route_sampler(text), np.random.default_rng(seed)
    routes = [sampler.sample(N_MODULES, generator, **options) for _ in range(n_draws)]
    assert all(route.modules == tuple(range(N_MODULES)) for route in routes), "the order stays"
    return np.array([[step.mode == "both" for step in route.steps] for route in routes])


def assert_frequencies(kept, probabilities):
    low, high = stats.binom.interval(CONFIDENCE, len(kept), probabilities)
    counts = kept.sum(0)
    assert ((low <= counts) & (counts <= high)).all(), np.flatnonzero((counts < low) | (counts > high))


def test_the_check_of_frequencies_finds_a_wrong_sampler():
    kept = kept_modules("stochastic-depth:0.5")
    with pytest.raises(AssertionError):
        assert_frequencies(kept, np.full(N_MODULES, 40.25 / N_MODULES))


def test_stochastic_depth_keeps_40_of_54_modules():
    # p_l = 1 - l/L (1 - p_L), l = 1 … L (Huang et al. 2016): 54 - 0.5 · 27.5 = 40.25 expected.
    survival = parse_route_sampler("stochastic-depth:0.5").survival(N_MODULES)
    assert survival[0] == pytest.approx(1 - 1 / 108)
    assert survival[-1] == 0.5
    assert sum(survival) == pytest.approx(40.25)
    kept = kept_modules("stochastic-depth:0.5")
    assert_frequencies(kept, np.array(survival))
    # Modules are independent: the variance of their number is the sum of p (1 - p).
    variance = sum(p * (1 - p) for p in survival)
    assert kept.sum(1).mean() == pytest.approx(40.25, abs=4 * (variance / N_DRAWS) ** 0.5)
    assert kept.sum(1).var() == pytest.approx(variance, rel=0.15)


def test_exactly_23_is_always_23_and_every_module_as_often():
    kept = kept_modules("exactly:23")
    assert set(kept.sum(1)) == {23}
    assert_frequencies(kept, np.full(N_MODULES, 23 / 54))


def test_uniform_draws_every_number_of_modules_as_often():
    kept = kept_modules("uniform")
    counts = np.bincount(kept.sum(1), minlength=N_MODULES + 1)
    assert stats.chisquare(counts).pvalue > 0.001
    assert_frequencies(kept, np.full(N_MODULES, 0.5))


def test_all_is_the_full_route():
    assert parse_route_sampler("all").sample(5, np.random.default_rng(0)) == Route.full(5)


@pytest.mark.parametrize("text", ["stochastic-depth:0.1", "exactly:2", "uniform"])
def test_modules_that_cannot_be_skipped_are_kept(text):
    kept = kept_modules(text, always=[18, 36], n_draws=200)
    assert kept[:, [18, 36]].all()
    if text == "exactly:2":
        assert set(kept.sum(1)) == {2}


@pytest.mark.parametrize("text", ["stochastic-depth:0.5", "exactly:23", "uniform"])
def test_a_generator_of_the_same_seed_draws_the_same_routes(text):
    first, second, other = (kept_modules(text, n_draws=20, seed=seed) for seed in (1, 1, 2))
    assert (first == second).all()
    assert (first != other).any()


def test_what_is_always_in_part_left_out_is_scaled():
    assert parse_route_sampler("stochastic-depth:0.5").branch_scales(4) == (0.875, 0.75, 0.625, 0.5)
    assert parse_route_sampler("exactly:3").branch_scales(4) == (0.75,) * 4
    for text in ("all", "uniform"):
        assert parse_route_sampler(text).branch_scales(4) == (1.0,) * 4
    # Four of which one is always kept: two more are drawn from the other three.
    assert parse_route_sampler("exactly:3").branch_scales(4, always=[1]) == (2 / 3, 1.0, 2 / 3, 2 / 3)
    assert parse_route_sampler("stochastic-depth:0.5").survival(4, always=[3]) == (0.875, 0.75, 0.625, 1.0)
    assert parse_route_sampler("exactly:2").survival(2, always=[0, 1]) == (1.0, 1.0)
    assert parse_route_sampler("all").survival(4) == (1.0,) * 4
    assert parse_route_sampler("exactly:3").survival(4) == (0.75,) * 4
    assert parse_route_sampler("uniform").survival(4) == (0.5,) * 4


@pytest.mark.parametrize(
    "text", ["all", "stochastic-depth:0.5", "exactly:23", "exactly:23,keep=downsampling", "uniform"]
)
def test_the_text_comes_back(text):
    assert str(parse_route_sampler(text)) == text


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("stochastic-dept:0.5", UnknownNameError, "Did you mean 'stochastic-depth:0.5'"),
        ("", UnknownNameError, "no route sampler ''"),
        ("stochastic-depth", TrainingError, "needs a number behind the colon"),
        ("stochastic-depth:much", TrainingError, "needs a number behind the colon"),
        ("stochastic-depth:0", TrainingError, "above 0 and up to 1"),
        ("stochastic-depth:1.5", TrainingError, "above 0 and up to 1"),
        ("stochastic-depth:nan", TrainingError, "above 0 and up to 1"),
        ("exactly:2.5", TrainingError, "needs a number behind the colon, as in 'exactly:23'"),
        ("exactly:keep=downsampling", TrainingError, "needs a number behind the colon"),
        ("exactly:23,keep=first", TrainingError, "needs a number behind the colon"),
        ("exactly:-1", TrainingError, "0 or more"),
        ("all:3", TrainingError, "write 'all'"),
    ],
)
def test_wrong_texts_are_explained(text, error, message):
    with pytest.raises(error) as caught:
        parse_route_sampler(text)
    assert message in str(caught.value)


def test_a_number_that_does_not_fit_the_network_is_explained():
    sampler = parse_route_sampler("exactly:23")
    with pytest.raises(TrainingError, match="has 9 residual modules"):
        sampler.check(9)
    with pytest.raises(TrainingError, match="24 cannot be skipped"):
        sampler.sample(54, np.random.default_rng(0), always=range(24))
    sampler.check(54, always=[18, 36])


# -- modules that change the shape are kept --


@dataclass(frozen=True)
class Module:
    index: int
    is_deletable: bool = True
    keeps_shape: bool = True


def test_down_sampling_modules_are_kept_and_counted_among_the_number():
    modules = [Module(index, keeps_shape=index not in (18, 36)) for index in range(N_MODULES)]
    sampler = parse_route_sampler("exactly:23,keep=downsampling")
    always = sampler.always_kept(modules)
    assert always == [18, 36]
    kept = kept_modules("exactly:23,keep=downsampling", always=always)
    assert set(kept.sum(1)) == {23}
    # 21 of the other 52 are drawn, each as likely: what is drawn, and what branches are multiplied by.
    probabilities = np.where(np.isin(np.arange(N_MODULES), always), 1.0, 21 / 52)
    assert_frequencies(kept, probabilities)
    assert sampler.branch_scales(N_MODULES, always=always) == pytest.approx(tuple(probabilities))
    # Without the setting any module may be left out.
    assert parse_route_sampler("exactly:23").always_kept(modules) == []


def test_every_choice_of_the_others_is_as_likely():
    # Two of the four that keep their shape, beside module 1: 6 routes.
    modules = [Module(index, keeps_shape=index != 1) for index in range(5)]
    sampler, generator = parse_route_sampler("exactly:3,keep=downsampling"), np.random.default_rng(0)
    always = sampler.always_kept(modules)
    drawn = Counter(sampler.sample(5, generator, always=always) for _ in range(1200))
    assert set(drawn) == {Route.full(5).keep(1, *pair) for pair in combinations([0, 2, 3, 4], 2)}
    assert stats.chisquare(list(drawn.values())).pvalue > 0.001


def test_what_cannot_be_skipped_is_kept_by_every_sampler():
    modules = [Module(0), Module(1, is_deletable=False, keeps_shape=False)]
    for text in ("all", "stochastic-depth:0.5", "exactly:1", "exactly:1,keep=downsampling", "uniform"):
        assert parse_route_sampler(text).always_kept(modules) == [1]


def test_too_few_for_the_down_sampling_modules_are_explained():
    with pytest.raises(TrainingError, match=r"of which 2 are kept each time\. Give a number from 2 to 54"):
        parse_route_sampler("exactly:1,keep=downsampling").check(N_MODULES, always=[18, 36])
