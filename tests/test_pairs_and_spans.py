"""Pairs, spans and scaled branches. Oracles: every route by itself, modules called by hand, and counts."""

from __future__ import annotations

import logging
from itertools import combinations

import numpy as np
import pytest
import torch

from unravelnet import evaluate, studies, zoo
from unravelnet.errors import CostError, EvaluationError, RouteError
from unravelnet.readers.doses import responses
from unravelnet.readers.pairs import interactions
from unravelnet.records.record import Table
from unravelnet.routes.route import Route


@pytest.fixture(scope="module")
def net():
    """Nine modules in three stages, the first of the second and third stage changing the shape."""
    return zoo.preact_resnet(20, input_shape=(1, 8, 8), widths=(4, 4, 4), seed=0).eval()


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(40, 1, 8, 8, generator=generator), torch.randint(10, (40,), generator=generator)


def facts(trial):
    return dict(trial.facts)


def test_every_pair_is_deleted_once_and_every_module_alone(net):
    trials = studies.delete_pairs(net)
    routes = [trial.route for trial in trials]
    assert routes[0] == net.full_route
    assert routes[1:10] == [net.full_route.delete(module) for module in range(9)]
    assert routes[10:] == [net.full_route.delete(*pair) for pair in combinations(range(9), 2)]
    assert [tuple(facts(trial).values()) for trial in trials[10:]] == list(combinations(range(9), 2))


@torch.no_grad()
def test_interactions_are_those_of_every_route_by_itself(net, data):
    images, labels = data

    def cost(*modules):
        route = Route.full(9).delete(*modules)
        return (net(images, route).argmax(1) != labels).double().mean().item()

    found = interactions(evaluate(net, studies.delete_pairs(net), data))
    expected = [cost(i, j) - cost(i) - cost(j) + cost() for i, j in combinations(range(9), 2)]
    assert found["interaction"].to_numpy() == pytest.approx(np.array(expected), abs=1e-12)
    assert (found["interaction_low"] < found["interaction"]).all()


def test_the_interval_of_an_interaction_is_as_wide_as_its_three_differences():
    def row(value, half, *modules):
        names = dict(zip(("first_module", "second_module"), modules, strict=False))
        ends = {"error_rate_difference_low": value - half, "error_rate_difference_high": value + half}
        return {"label": f"{modules}", "error_rate_difference": value, **ends, **names}

    table = Table([row(0.1, 0.01, 0), row(0.2, 0.02, 1), row(0.2, 0.04, 0, 1)])
    [found] = interactions(table).to_dict("records")
    ends = [found[f"interaction{end}"] for end in ("_low", "", "_high")]
    assert ends == pytest.approx([-0.1 - 0.07, -0.1, -0.1 + 0.07])


def test_of_many_pairs_some_are_drawn_and_it_is_said(net, caplog):
    with caplog.at_level(logging.INFO, "unravelnet"):
        trials, again = (studies.delete_pairs(net, most=10, seed=3) for _ in range(2))
    assert (
        "delete_pairs takes 10 of 36 pairs, drawn at random. In Python, its argument most allows more."
        in caplog.messages
    )
    assert trials == again
    assert len(trials) == 1 + 9 + 10
    assert set(trials) < set(studies.delete_pairs(net))
    assert trials != studies.delete_pairs(net, most=10, seed=4)


def test_every_pair_is_equally_likely_to_be_drawn(net):
    times = dict.fromkeys(combinations(range(9), 2), 0)
    for seed in range(400):
        for trial in studies.delete_pairs(net, most=9, seed=seed)[10:]:
            times[tuple(facts(trial).values())] += 1
    expected = 400 * 9 / 36
    chi_squared = sum((count - expected) ** 2 / expected for count in times.values())
    assert chi_squared < 35 + 5 * np.sqrt(70)


@torch.no_grad()
def test_a_repeated_span_is_its_modules_called_by_hand(net, data):
    images = data[0]
    trial = next(t for t in studies.repeat_spans(net) if facts(t) == {"first_module": 4, "last_module": 5})
    x = net.stem(images)
    for module in (0, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8):
        residual = net.residual_modules[module]
        x = residual.after(residual.skip(x) + residual.branch(x))
    assert torch.equal(net(images, trial.route), net.head(x))


@pytest.mark.parametrize(("plan", "shortest"), [(studies.repeat_spans, 1), (studies.reverse_spans, 2)])
def test_spans_are_those_that_the_network_takes(net, plan, shortest):
    def change(first, last):
        full = net.full_route
        return full.repeat(first, last + 1) if plan is studies.repeat_spans else full.reverse(first, last + 1)

    def fits(first, last):
        try:
            net.check(change(first, last))
        except RouteError:
            return False
        return True

    spans = {(i, j) for i in range(9) for j in range(i + shortest - 1, 9) if fits(i, j)}
    planned = plan(net)
    assert {tuple(facts(trial).values()) for trial in planned[1:]} == spans
    assert len(planned) == 1 + len(spans)
    assert all(trial.route == change(*facts(trial).values()) for trial in planned[1:])


def test_a_span_ends_with_its_chain():
    chains = zoo.plain(20, input_shape=(1, 8, 8), widths=(4, 4, 4), seed=0)
    for trial in [*studies.repeat_spans(chains), *studies.reverse_spans(chains)]:
        chains.check(trial.route)


def test_a_span_is_passed_as_often_as_asked(net):
    [trial] = studies.repeat_spans(net, times=3, most=1)[1:]
    assert (str(trial.route), trial.label) == ("0,0,0-8", "module 0 3 times")


def test_of_many_spans_the_longest_are_left_out(net, caplog):
    with caplog.at_level(logging.INFO, "unravelnet"):
        trials = studies.repeat_spans(net, most=8)
    assert (
        "repeat_spans takes 8 of 12 spans, the shortest. In Python, its argument most allows more."
        in caplog.messages
    )
    lengths = [facts(trial)["last_module"] - facts(trial)["first_module"] for trial in trials[1:]]
    assert lengths == [0] * 7 + [1]


def test_a_parallel_span_is_one_that_the_network_takes(net):
    def fits(first, last):
        try:
            net.check(net.full_route.parallel(*range(first, last + 1)))
        except RouteError:
            return False
        return True

    spans = {(i, j) for i in range(9) for j in range(i + 1, 9) if fits(i, j)}
    planned = studies.parallel_spans(net)[1:]
    assert [tuple(facts(trial).values()) for trial in planned] == sorted(
        spans, key=lambda s: (s[1] - s[0], s)
    )
    assert all(net.check(trial.route) for trial in planned)


@torch.no_grad()
def test_a_parallel_span_is_its_branches_added_up_by_hand(net, data):
    trial = next(t for t in studies.parallel_spans(net) if facts(t) == {"first_module": 0, "last_module": 2})
    modules = net.residual_modules
    x = net.stem(data[0])
    x = x + sum(modules[i].branch(x) for i in (0, 1, 2))
    for module in modules[3:]:
        x = module.after(module.skip(x) + module.branch(x))
    assert torch.allclose(net(data[0], trial.route), net.head(x), atol=1e-5)


@torch.no_grad()
def test_a_scaled_branch_is_scaled_by_hand(net, data):
    trial = next(t for t in studies.scale_each(net) if facts(t) == {"module": 4, "factor": 1.5})
    x = net.stem(data[0])
    for module in net.residual_modules:
        factor = 1.5 if module.index == 4 else 1.0
        x = module.after(module.skip(x) + factor * module.branch(x))
    assert torch.allclose(net(data[0], trial.route), net.head(x), atol=1e-5)


def test_every_branch_is_scaled_by_every_factor(net):
    trials = studies.scale_each(net, [0, 0.5, 1, 0.5, 2])
    expected = [net.full_route.scale(f, module) for module in range(9) for f in (0, 0.5, 2)]
    assert [trial.route for trial in trials] == [net.full_route, *expected]
    assert trials[1].route == net.full_route.delete(0)
    plain = zoo.plain(20, input_shape=(1, 8, 8), widths=(4, 4, 4), seed=0)
    assert len(studies.scale_each(plain)) == 1


def test_of_many_modules_some_at_equal_distances_are_scaled(net, caplog):
    with caplog.at_level(logging.INFO, "unravelnet"):
        trials = studies.scale_each(net, [0.5, 2], most=6)
    assert {facts(trial)["module"] for trial in trials[1:]} == {0, 4, 8}
    assert any("scale_each takes 3 of 9 modules, at equal distances" in said for said in caplog.messages)


def test_responses_have_the_intact_network_at_one(net, data):
    table = evaluate(net, studies.scale_each(net, [0.5, 2]), data)
    found = responses(table)
    assert found["factor"].tolist() == [0.5, 1.0, 2.0] * 9
    assert set(found[found["factor"] == 1]["value"]) == {table[0]["error_rate"]}
    assert found["value"].tolist()[:3] == [table[i]["error_rate"] for i in (1, 0, 2)]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda net: studies.delete_pairs(net, most=0), RouteError, "at most 0 trials. Give a whole number of 1"),
        (lambda net: studies.repeat_spans(net, most=2.5), RouteError, "at most 2.5 trials"),
        (lambda net: studies.repeat_spans(net, times=1), RouteError, "times=1 times. Give a whole number of 2"),
        (lambda net: studies.scale_each(net, [0.5, float("nan")]), RouteError, "multiplied by nan. Give a list of"),
        (lambda net: studies.scale_each(net, 0.5, most=0), RouteError, "at most 0 trials"),
        (
            lambda net: responses(Table([{"label": "intact", "error_rate": 0.1, "module": None, "factor": None}])),
            EvaluationError,
            "no scaled branch",
        ),
        (lambda net: studies.delete_pairs(net, most=10**9), CostError, "1,000,000,000 routes are too many"),
        (lambda net: studies.delete_pairs(net, seed=-1), CostError, "The seed -1 is out of range"),
        (
            lambda net: interactions(Table([{"label": "a", "first_module": 1, "error_rate_difference": 0.1}])),
            EvaluationError,
            "no pair of modules that were deleted alone",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_planned_or_read_is_told(net, call, error, message):
    with pytest.raises(error, match=message):
        call(net)
