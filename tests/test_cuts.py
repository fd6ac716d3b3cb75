"""Cuts at both ends, and the middle in random orders."""

from __future__ import annotations

import pytest

from unravelnet import studies, zoo
from unravelnet.errors import RouteError
from unravelnet.registry import FIGURES, STUDIES
from unravelnet.studies import Draws


def net_of(depth=32):
    return zoo.preact_resnet(depth=depth, input_shape=(1, 8, 8), widths=(2, 2, 2))


def test_cuts_delete_from_either_end():
    net = net_of(14)
    first, last = (
        [[step.module for step in trial.route.visits if step.mode == "skip"] for trial in plan(net)]
        for plan in (studies.delete_first, studies.delete_last)
    )
    assert first == [[*range(n)] for n in range(7)]
    assert last == [[*range(6 - n, 6)] for n in range(7)]


def test_cuts_leave_out_what_cannot_be_deleted():
    net = zoo.plain(depth=8, input_shape=(1, 8, 8))
    able = [module.index for module in net.residual_modules if module.is_deletable]
    longest = studies.delete_last(net)[-1].route
    assert [step.module for step in longest.visits if step.mode == "skip"] == able


@pytest.mark.parametrize("counts", [[0], [8]])
def test_cuts_that_cannot_be_are_refused(counts):
    with pytest.raises(RouteError, match=r"of 6 modules that can be deleted\. Give counts of 1 to 6"):
        studies.delete_first(net_of(14), counts)


def test_the_middle_of_the_longest_row_is_in_another_order():
    # Three stages of five modules, the first of the last two changes the shape.
    net = net_of()
    for trial in studies.shuffle_middle(net, [2, 3, 5], repeats=3, seed=0)[1:]:
        net.check(trial.route)
        moved = [place for place, module in enumerate(trial.route.modules) if place != module]
        ends = dict(trial.facts)
        assert moved
        assert ends["first_module"] <= min(moved)
        assert max(moved) <= ends["last_module"] <= 4
        assert sorted(trial.route.modules) == list(range(15))


def test_more_than_the_longest_row_is_refused():
    with pytest.raises(RouteError, match=r"one chain and shape has 5\. Give counts of 2 to 5"):
        studies.shuffle_middle(net_of(), [6], repeats=1, seed=0)


@pytest.mark.parametrize("name", ["delete_first", "delete_last", "shuffle_middle", "mean_ablate_each"])
def test_each_is_a_study_with_a_figure(name):
    study = STUDIES.find(name)
    trials = study.plan(net_of(14), Draws(counts=[1, 2], repeats=2))
    assert trials[0].label == "intact"
    assert {trial.study for trial in trials} == {name}
    assert FIGURES.find(study.figure).table == name
