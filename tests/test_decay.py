"""Decays known by construction, and the numbers of Littwin and Wolf."""

import math

import numpy as np
import pytest

from unravelnet.errors import EvaluationError
from unravelnet.mathematics.decay import fit_decay, predicted_length, theory_weights
from unravelnet.paths import path_counts


@pytest.mark.parametrize("rate", [0.01, 0.26, 1.0, 1.7])
def test_a_geometric_series_is_recovered(rate):
    decay = fit_decay(range(20), [3.0 * rate**k for k in range(20)])
    assert decay.rate == pytest.approx(rate)
    assert decay.norm_at_0 == pytest.approx(3.0)
    assert decay.r_squared == pytest.approx(1)
    assert decay.low == pytest.approx(rate) == decay.high


def test_the_interval_covers_the_rate_of_noisy_norms_as_often_as_it_says():
    generator = np.random.default_rng(0)
    lengths = np.arange(30)
    covered = 0
    for _ in range(400):
        norms = np.exp(lengths * math.log(0.3) + generator.normal(scale=0.5, size=30))
        decay = fit_decay(lengths, norms, confidence=0.9)
        covered += decay.low <= 0.3 <= decay.high
    # 90 % of 400, give or take three standard deviations of a binomial.
    assert abs(covered - 360) < 3 * math.sqrt(400 * 0.9 * 0.1)


def test_norms_without_a_logarithm_are_left_out():
    assert fit_decay([0, 1, 2, 3], [8.0, 4.0, 0.0, 1.0]).rate == pytest.approx(0.5)
    with pytest.raises(EvaluationError, match="at least two lengths"):
        fit_decay([0, 1], [1.0, 0.0])


@pytest.mark.parametrize(("beta", "dominating"), [(0.1, 10), (0.5, 34), (1.0, 50), (2.0, 67)])
def test_the_dominating_length_of_100_layers(beta, dominating):
    # paper_facts, section 4: Littwin and Wolf, Fig. 1.
    assert int(theory_weights(100, beta).argmax()) + 1 == dominating


def test_the_weights_of_54_layers():
    squares = theory_weights(54, 0.26) ** 2
    assert int(squares.argmax()) + 1 == 12
    assert float((squares * np.arange(1, 55)).sum()) == pytest.approx(11.8, abs=0.05)
    assert squares.sum() == pytest.approx(1)


def test_the_weights_of_very_many_layers_are_finite():
    assert theory_weights(5000, 0.3).max() < 1


@pytest.mark.parametrize(("n", "rate"), [(54, 0.25), (7, 0.9), (3, 0.0)])
def test_the_predicted_length_is_the_mean_of_the_contributions(n, rate):
    weights = np.array([count * rate**k for k, count in enumerate(path_counts(n))], dtype=float)
    assert predicted_length(n, rate) == pytest.approx((weights * np.arange(n + 1)).sum() / weights.sum())


def test_what_cannot_be_is_refused():
    with pytest.raises(EvaluationError, match="0 or more"):
        predicted_length(5, -0.1)
    with pytest.raises(EvaluationError, match="above 0"):
        theory_weights(5, 0.0)
