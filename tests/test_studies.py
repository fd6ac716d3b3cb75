"""Studies: against what can be counted by hand in a network of 54 modules, and the numbers of the paper."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unravelnet import studies
from unravelnet.costs import LARGEST_SEED
from unravelnet.errors import RouteError, UnknownNameError
from unravelnet.routes.route import Route

# Expected tau after k swaps (Monte Carlo over 400 draws, +-0.005).
EXPECTED_TAU = {
    1: 0.984,
    2: 0.970,
    3: 0.955,
    5: 0.930,
    8: 0.899,
    10: 0.878,
    12: 0.861,
    15: 0.839,
    20: 0.811,
    30: 0.769,
}


@dataclass
class Module:
    index: int
    skip: object
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    @property
    def keeps_shape(self):
        return self.input_shape == self.output_shape

    @property
    def is_deletable(self):
        return self.skip is not None or self.keeps_shape


class Network:
    """What a study sees of a network: modules with shapes, in one chain."""

    def __init__(self, shapes, *, has_skips=True):
        skip = object() if has_skips else None
        self.residual_modules = [Module(i, skip, *ends) for i, ends in enumerate(pairwise(shapes))]

    def compatible_with(self, index):
        ends = {m.index: (m.input_shape, m.output_shape) for m in self.residual_modules}
        return [other for other in ends if other != index and ends[other] == ends[index]]


def three_stages(n_per_stage=18):
    """The 110-layer network for CIFAR-10: modules 18 and 36 halve the resolution."""
    first, second, third = (16, 32, 32), (32, 16, 16), (64, 8, 8)
    shapes = [first] * (n_per_stage + 1) + [second] * n_per_stage + [third] * n_per_stage
    return Network(shapes)


def vgg():
    """Plain layers: the first brings 3 channels to 8, then two keep 8, with a pooling in between."""
    return Network([(3, 4, 4), (8, 4, 4), (8, 4, 4), (8, 2, 2), (8, 2, 2)], has_skips=False)


def drawn(trials, label):
    """The trials of a study whose label starts so."""
    return [trial for trial in trials if trial.label.startswith(label)]


def test_delete_each_deletes_every_module_once():
    trials = studies.delete_each(three_stages())
    assert len(trials) == 55
    assert trials[0] == studies.Trial(Route.full(54), "delete_each", "intact")
    assert [t.route for t in trials[1:]] == [Route.full(54).delete(i) for i in range(54)]
    assert [t.label for t in trials[1:]] == [f"module {i}" for i in range(54)]
    assert all(t.route.path_count == 2**53 for t in trials[1:])


def test_plain_layers_that_change_the_shape_are_not_deleted():
    assert [str(t.route) for t in studies.delete_each(vgg())] == ["0-3", "0,1s,2-3", "0-2,3s"]


def test_remove_skip_each_halves_the_paths_as_delete_each_does():
    trials = studies.remove_skip_each(three_stages())
    assert trials[0].label == "intact"
    assert [str(t.route) for t in trials[1:3]] == ["0b,1-53", "0,1b,2-53"]
    assert [t.route.path_count for t in trials] == [
        t.route.path_count for t in studies.delete_each(three_stages())
    ]


def test_plain_layers_have_no_skip_to_remove():
    assert [t.label for t in studies.remove_skip_each(vgg())] == ["intact"]


def test_delete_many_deletes_so_many():
    trials = studies.delete_many(three_stages(), range(1, 21), repeats=5, seed=0)
    assert len(trials) == 1 + 20 * 5
    for count in range(1, 21):
        draws = drawn(trials, f"{count} deleted")
        assert [t.repeat for t in draws] == [0, 1, 2, 3, 4]
        assert all(t.route.n_deleted == count and t.route.modules == tuple(range(54)) for t in draws)


def test_every_module_is_equally_likely_to_be_deleted():
    trials = studies.delete_many(three_stages(), [10], repeats=2000, seed=0)[1:]
    times = np.zeros(54)
    for trial in trials:
        times[[step.module for step in trial.route.steps if step.mode == "skip"]] += 1
    expected, deviation = 2000 * 10 / 54, np.sqrt(2000 * (10 / 54) * (44 / 54))
    assert abs(times - expected).max() < 5 * deviation


def test_modules_that_change_the_shape_are_spared_on_request():
    trials = studies.delete_many(three_stages(), [52], repeats=1, seed=0, eligible="same-shape")
    assert trials[1].route == Route.full(54).keep(18, 36)
    assert {t.study for t in trials} == {"delete_many_same_shape"}
    everything = studies.delete_many(three_stages(), [54], repeats=1, seed=0)
    assert everything[1].route.path_count == 1


@given(st.sets(st.integers(0, 20)), st.integers(1, 4), st.integers(0, LARGEST_SEED))
@settings(max_examples=30)
def test_a_draw_does_not_depend_on_the_other_counts_or_the_number_of_draws(counts, repeats, seed):
    net = three_stages()
    for plan in (studies.delete_many, studies.reorder):
        everything = set(plan(net, range(21), repeats=4, seed=seed))
        assert set(plan(net, sorted(counts, reverse=True), repeats=repeats, seed=seed)) <= everything


def test_another_seed_draws_otherwise():
    net = three_stages()
    for plan in (studies.delete_many, studies.reorder):
        first, second = (plan(net, [10], repeats=10, seed=seed)[1:] for seed in (0, 1))
        assert {t.route for t in first}.isdisjoint(t.route for t in second)


def test_a_count_given_twice_is_planned_once():
    assert len(studies.delete_many(three_stages(), [3, 3], repeats=2, seed=0)) == 3


def test_swaps_stay_within_a_stage_and_spare_what_changes_the_shape():
    for trial in studies.reorder(three_stages(), [1, 5, 40], repeats=50, seed=0):
        order = trial.route.modules
        assert [order[18], order[36]] == [18, 36]
        for first, last in ((0, 18), (19, 36), (37, 54)):
            assert sorted(order[first:last]) == list(range(first, last))


def test_all_admissible_pairs_are_swapped_equally_often():
    trials = studies.reorder(three_stages(), [1], repeats=4000, seed=0)[1:]
    pairs, times = np.unique(
        [[i for i, m in enumerate(t.route.modules) if i != m] for t in trials], axis=0, return_counts=True
    )
    # 18 * 17 / 2 + 2 * 17 * 16 / 2 pairs.
    assert len(pairs) == 425
    expected = 4000 / 425
    assert ((times - expected) ** 2 / expected).sum() < 425 + 5 * np.sqrt(2 * 425)


def test_a_pair_may_be_drawn_again():
    # With one admissible pair two swaps cancel.
    net = Network([(1,), (1,), (1,)])
    assert [str(t.route) for t in studies.reorder(net, [1, 2, 3], repeats=1, seed=0)] == [
        "0-1",
        "1,0",
        "0-1",
        "1,0",
    ]


def test_kendall_tau_falls_with_swaps_as_in_the_paper():
    trials = studies.reorder(three_stages(), EXPECTED_TAU, repeats=150, seed=0)
    for count, expected in EXPECTED_TAU.items():
        label = f"{count} swap," if count == 1 else f"{count} swaps,"
        taus = [trial.route.kendall_tau() for trial in drawn(trials, label)]
        assert len(taus) == 150
        assert np.mean(taus) == pytest.approx(expected, abs=0.01)


def test_no_swaps_leave_the_network_intact():
    assert {t.route for t in studies.reorder(three_stages(), [0], repeats=3, seed=0)} == {Route.full(54)}


@pytest.mark.parametrize(
    ("call", "phrase"),
    [
        (
            lambda: studies.delete_many(three_stages(), [55], repeats=1, seed=0),
            "Cannot delete 55 modules: 54 of 54 are eligible",
        ),
        (
            lambda: studies.delete_many(three_stages(), [53], repeats=1, seed=0, eligible="same-shape"),
            "52 of 54 are eligible. Give counts of at most 52",
        ),
        (lambda: studies.delete_many(vgg(), [3], repeats=1, seed=0), "2 of 4 are eligible"),
        (lambda: studies.delete_many(vgg(), [-1], repeats=1, seed=0), "counts of 0 or more"),
        (lambda: studies.delete_many(vgg(), [1], repeats=0, seed=0), "repeats=0"),
        (lambda: studies.reorder(three_stages(), [1], repeats=1, seed=-3), "seed=-3"),
        (lambda: studies.reorder(vgg(), [1], repeats=1, seed=0), "No two of the 4 residual modules"),
    ],
)
def test_impossible_studies_are_refused(call, phrase):
    with pytest.raises(RouteError, match=phrase):
        call()


def test_an_unknown_choice_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'same-shape'"):
        studies.delete_many(vgg(), [1], repeats=1, seed=0, eligible="same_shape")
