"""Intervals against published examples and against their own promise, by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from unravelnet.mathematics.intervals import (
    Interval,
    joined_interval,
    mean_interval,
    paired_rate_interval,
    rate_interval,
)


def test_wilson_against_the_formula() -> None:
    z, n, p = 1.959963984540054, 100, 0.1
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    margin = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert rate_interval(10, 100) == pytest.approx((centre - margin, centre + margin))


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_wilson_and_student_are_scipys_bit_for_bit(confidence: float) -> None:
    for n in (2, 7, 100, 10_000):
        for k in {0, 1, n // 3, n - 1, n}:
            expected = stats.binomtest(k, n).proportion_ci(confidence, method="wilson")
            assert rate_interval(k, n, confidence) == (expected.low, expected.high)
        # Half of the values are 0 and half of them 1.
        high = mean_interval(n / 2, n / 2, n, confidence).high
        error = math.sqrt((n / 2 - n * 0.5**2) / (n - 1) / n)
        assert high == 0.5 + float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error


def test_paired_interval_against_agresti_and_min() -> None:
    # Agresti and Min (2005), table of Bowker: cells 212, 144, 33, 707 of 1096... here by their formula, by hand.
    b, c, n = 144, 33, 1096
    difference = (c - b) / (n + 2)
    error = np.sqrt((b + c + 1) - (c - b) ** 2 / (n + 2)) / (n + 2)
    expected = (difference - 1.959963984540054 * error, difference + 1.959963984540054 * error)
    assert paired_rate_interval(c - b, b + c, n) == pytest.approx(expected)


def test_mean_interval_against_scipy() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=20)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    found = mean_interval(values.sum(), (values**2).sum(), 20, confidence=0.9)
    assert found == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(("p_only_first", "p_only_second"), [(0.02, 0.02), (0.05, 0.01), (0.001, 0.001)])
def test_paired_interval_covers_the_truth(p_only_first: float, p_only_second: float) -> None:
    generator = np.random.default_rng(1)
    cells = generator.multinomial(
        500, [p_only_first, p_only_second, 1 - p_only_first - p_only_second], size=2000
    )
    truth = p_only_first - p_only_second
    intervals = [paired_rate_interval(b - c, b + c, 500) for b, c, _ in cells]
    assert np.mean([low <= truth <= high for low, high in intervals]) >= 0.94


def test_one_value_says_nothing() -> None:
    assert mean_interval(3.0, 9.0, 1) == (-np.inf, np.inf)


def test_joined_intervals_cover_a_sum_of_independent_errors():
    generator, covered, n = np.random.default_rng(0), 0, 4000
    for _ in range(n):
        errors = generator.normal(scale=(1.0, 2.0, 0.5))
        value = errors.sum()
        parts = [Interval(value - 1.96 * scale, value + 1.96 * scale) for scale in (1.0, 2.0, 0.5)]
        low, high = joined_interval(value, parts)
        covered += low < 0 < high
    assert covered / n == pytest.approx(0.95, abs=4 * np.sqrt(0.05 * 0.95 / n))


def test_nothing_joined_is_nothing_known():
    assert joined_interval(0.3, []) == (-np.inf, np.inf)
