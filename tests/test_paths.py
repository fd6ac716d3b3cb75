"""Paths: against enumeration of all paths, closed forms, and the numbers of the paper."""

from decimal import Decimal
from fractions import Fraction
from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unravelnet.errors import EvaluationError, RouteError
from unravelnet.paths import (
    effective_lengths,
    length_distribution,
    path_count,
    path_counts,
    share_within,
    surviving_gradient_share,
    surviving_share,
)

SURVIVING = {  # Fig. 7 of Veit et al.: number deleted -> share left at each length, of 54 modules
    1: ".981 .944 .907 .852 .796 .741 .685 .630 .500 .370",
    10: ".815 .534 .343 .170 .0801 .0354 .0146 .0055 3.5e-4 7.7e-6",
    20: ".630 .241 .088 .0175 .0030 4.3e-4 4.9e-5 4.3e-6 2.8e-9 3e-15",
}
LENGTHS = (1, 3, 5, 8, 11, 14, 17, 20, 27, 34)


def paths(n_modules):
    """Every path of a network, as a code of modules entered (1) and passed by (0)."""
    return list(product((0, 1), repeat=n_modules))


@pytest.mark.parametrize("n_modules", range(7))
def test_counts_are_those_of_all_paths_enumerated(n_modules):
    lengths = [sum(code) for code in paths(n_modules)]
    expected = [lengths.count(length) for length in range(n_modules + 1)]
    assert path_counts(n_modules) == expected
    assert [path_count(n_modules, length) for length in range(n_modules + 1)] == expected


@given(st.integers(0, 300))
def test_counts_are_exact_and_sum_to_all_paths(n_modules):
    counts = path_counts(n_modules)
    assert sum(counts) == 2**n_modules
    assert counts == counts[::-1]
    assert all(isinstance(count, int) for count in counts)


def test_no_path_is_longer_than_the_network():
    assert path_count(3, 4) == 0


def test_the_middle_length_of_54_modules():
    assert path_count(54, 27) == 1_946_939_425_648_112


def test_distribution_is_binomial():
    distribution = length_distribution(54)
    lengths = np.arange(55)
    mean = (distribution * lengths).sum()
    deviation = np.sqrt((distribution * (lengths - mean) ** 2).sum())
    assert distribution.sum() == pytest.approx(1, abs=1e-15)
    assert mean == pytest.approx(27)
    assert deviation == pytest.approx(3.674, abs=5e-4)


def test_distribution_of_a_network_beyond_the_range_of_floats():
    distribution = length_distribution(1202)
    assert np.isfinite(distribution).all()
    assert distribution.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("n_modules", "shortest", "longest", "share"),
    [
        (54, 5, 17, 0.004536670150778743),
        (54, 19, 35, 0.9801656732719317),
        (54, 20, 34, 0.9597764359042833),
        (23, 5, 17, 0.9933892488479614),
        (54, 0, 54, 1.0),
        (54, 30, 20, 0.0),
    ],
)
def test_share_within_lengths(n_modules, shortest, longest, share):
    assert share_within(n_modules, shortest, longest) == share


@pytest.mark.parametrize("n_deleted", SURVIVING)
def test_survival_is_that_of_figure_7(n_deleted):
    for length, printed in zip(LENGTHS, SURVIVING[n_deleted].split(), strict=True):
        half_a_digit = float(Decimal(1).scaleb(int(Decimal(printed).as_tuple().exponent))) / 2
        assert surviving_share(54, n_deleted, length) == pytest.approx(float(printed), abs=half_a_digit)


@pytest.mark.parametrize("n_deleted", range(6))
def test_survival_is_that_of_all_paths_enumerated(n_deleted):
    for length in range(6):
        of_length = [code for code in paths(5) if sum(code) == length]
        left = [code for code in of_length if not any(code[:n_deleted])]
        assert surviving_share(5, n_deleted, length) == len(left) / len(of_length)


@given(st.integers(1, 60), st.integers(0, 60), st.fractions(0, 3))
def test_gradient_share_is_the_sum_over_surviving_paths(n_modules, n_deleted, decay):
    n_deleted = min(n_deleted, n_modules)
    before = sum(comb(n_modules, x) * decay**x for x in range(n_modules + 1))
    after = sum(comb(n_modules - n_deleted, x) * decay**x for x in range(n_modules + 1))
    expected = float(Fraction(after, before))
    assert surviving_gradient_share(float(decay), n_deleted) == pytest.approx(expected, rel=1e-9)


def test_ten_deletions_leave_a_tenth_of_the_gradient():
    assert surviving_gradient_share(0.25, 10) == pytest.approx(0.107, abs=5e-4)


@pytest.mark.parametrize(
    ("decay", "percent"), [(0.20, 95.7), (0.22, 97.1), (0.25, 97.5), (0.27, 96.7), (0.30, 94.2), (0.35, 86)]
)
def test_geometric_decay_puts_the_gradient_on_the_effective_lengths(decay, percent):
    weights = [count * decay**length for length, count in enumerate(path_counts(54))]
    within = 100 * sum(weights[5:18]) / sum(weights)
    assert within == pytest.approx(percent, abs=0.5)
    shortest, longest = effective_lengths(weights, share=0.95)
    assert longest - shortest <= 12 or within < 95


def shortest_interval_by_force(weights, share):
    """Slow reference: look at every interval."""
    total = sum(map(Fraction, weights))
    candidates = []
    for first, last in combinations(range(len(weights) + 1), 2):
        carried = sum(map(Fraction, weights[first:last]))
        if carried >= Fraction(str(share)) * total:
            candidates.append((last - first, -carried, first))
    n_lengths, _, first = min(candidates)
    return first, first + n_lengths - 1


whole_weights = st.lists(st.integers(0, 20), min_size=1, max_size=12).filter(any)


@given(whole_weights, st.sampled_from([0.01, 0.1, 0.25, 0.5, 0.9, 0.95, 1.0]))
def test_effective_lengths_are_the_shortest_interval_of_all(weights, share):
    assert effective_lengths(weights, share=share) == shortest_interval_by_force(weights, share)
    assert effective_lengths(np.array(weights, dtype=float), share=share) == effective_lengths(
        weights, share=share
    )


def test_effective_lengths_of_all_paths_are_those_of_the_paper_facts():
    assert effective_lengths(path_counts(54)) == (20, 34)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([1, 1, 1, 1], (0, 1)),  # as short and as heavy: the shorter lengths
        ([2, 1, 1, 2, 1], (0, 2)),  # 4 of 7 in three lengths, either way
        ([2, 2, 0, 3, 2], (3, 4)),  # in two lengths 5 of 9, only there
        ([2, 2, 0, 3, 1], (0, 1)),  # in two lengths 4 of 8, either way
    ],
)
def test_ties_between_intervals(weights, expected):
    assert effective_lengths(weights, share=0.5) == expected


def test_a_share_is_meant_as_it_is_written():
    # The double nearest to 0.1 is more than a tenth, and 1 of 10 would not reach it.
    assert effective_lengths([1] * 10, share=0.1) == (0, 0)


@pytest.mark.parametrize(
    ("call", "phrase"),
    [
        (lambda: path_counts(-1), "residual modules must be 0 or more; got -1"),
        (lambda: path_count(3, -1), "modules entered must be 0 or more"),
        (lambda: share_within(-2, 0, 1), "must be 0 or more"),
        (lambda: surviving_share(5, 6, 1), "Of 5 residual modules, 6 cannot be deleted"),
        (lambda: surviving_share(5, 1, 6), "6 cannot be entered by a path"),
        (lambda: surviving_gradient_share(float("nan"), 1), "0 or more; got nan"),
    ],
)
def test_impossible_paths_are_refused(call, phrase):
    with pytest.raises(RouteError, match=phrase):
        call()


@pytest.mark.parametrize(
    ("weights", "share", "phrase"),
    [
        ([1, -2], 0.95, "length 1 is -2"),
        ([1, float("nan")], 0.95, "length 1 is nan"),
        ([float("inf")], 0.95, "length 0 is inf"),
        ([0, 0], 0.95, "No length carries any weight"),
        ([], 0.95, "No length carries any weight"),
        ([1], 0.0, "above 0 and at most 1; got 0.0"),
        ([1], 1.5, "got 1.5"),
    ],
)
def test_weights_without_an_answer_are_refused(weights, share, phrase):
    with pytest.raises(EvaluationError, match=phrase):
        effective_lengths(weights, share=share)
