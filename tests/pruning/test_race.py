"""Races and what is kept for them. Oracles: deletion by hooks, branches counted by hooks, and simulated candidates."""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
import torch

from tests.pruning.networks import losses, problem, trained
from unravelnet.mathematics.strata import StratifiedOrder, StratifiedSample
from unravelnet.measuring.metrics import find_metrics
from unravelnet.pruning import race as races
from unravelnet.pruning.evidence import Evidence
from unravelnet.pruning.race import rounds
from unravelnet.pruning.strategies.greedy import greedy, without_racing
from unravelnet.routes.route import Route

FULL = Route.full(6)
# Simulated evidence takes the place of measured.
Race: Any = races.Race


class Simulated:
    """Evidence of made-up candidates: `values_by_route` holds each one's value of every image."""

    def __init__(self, values_by_route, strata=None):
        self.values_by_route = values_by_route
        self.strata = strata
        self.known = dict.fromkeys(values_by_route, 0)
        self.n_images = len(next(iter(values_by_route.values())))
        if strata is None:
            self.strata = np.zeros(self.n_images, dtype=np.int64)

    def measure(self, routes, n_images):
        for route in routes:
            self.known[route] = max(self.known[route], n_images)

    def values(self, route):
        return self.values_by_route[route][: self.known[route]]

    def first(self, n_images):
        return StratifiedSample.of(self.strata, n_images)


def simulated(seed, means, n_images=1000):
    random = np.random.default_rng(seed)
    routes = {module: FULL.delete(module) for module in range(6)}
    values = {route: random.normal(means[module], 1.0, n_images) for module, route in routes.items()}
    evidence = Simulated({FULL: np.zeros(n_images), **values})
    evidence.known[FULL] = n_images
    return evidence, values


def test_evidence_is_what_hooks_give_however_it_was_asked_for():
    given = problem()
    route = FULL.delete(1, 4)
    for n_images in (7, 8, 33, 60):
        given.evidence.measure([route, FULL.delete(2)], n_images)
    inputs, targets = given.evidence.part.gather(torch.arange(60))
    expected = losses(trained(), inputs, targets, [1, 4])
    assert given.evidence.values(route) == pytest.approx(expected.double().numpy(), rel=1e-4, abs=1e-5)
    assert given.evidence.mean(route) == pytest.approx(float(expected.mean()), rel=1e-4)


def test_branches_are_counted_as_they_run():
    given = problem()
    net, counted = given.evidence.bench.net, [0]
    for module in net.residual_modules:
        module.branch.register_forward_hook(lambda _, inputs, __: counted.append(len(inputs[0])))
    before = given.evidence.n_branches
    given.evidence.measure([FULL.delete(0, 3), FULL.delete(0, 5), FULL.delete(2)], 40)
    given.evidence.measure([FULL.delete(0, 3), FULL.delete(1)], 60)
    assert given.evidence.n_branches - before == sum(counted)


def test_the_cost_without_racing_is_that_of_running_every_candidate_by_itself():
    net, counted = trained(), []
    handles = [m.branch.register_forward_hook(lambda *_: counted.append(1)) for m in net.residual_modules]
    n_routes, gone = 0, list[int]()
    for module in (3, 0, 5):
        for candidate in set(range(6)) - set(gone):
            net(torch.zeros(1, 1, 8, 8), FULL.delete(*gone, candidate))
            n_routes += 1
        gone.append(module)
    for handle in handles:
        handle.remove()
    assert without_racing(6, 3) == (n_routes, len(counted))


@pytest.mark.parametrize("metric", ["loss", "error_rate"])
def test_greedy_chooses_as_if_every_candidate_were_measured_on_all_images(metric):
    inputs, targets = problem(metric).evidence.part.gather(torch.arange(60))
    steps = list(greedy().search(problem(metric)))
    gone = list[int]()
    for step in steps[:4]:

        def cost(module, gone=tuple(gone)):
            net, deleted = trained(), [*gone, module]
            if metric == "loss":
                return round(float(losses(net, inputs, targets, deleted).double().mean()), 5)
            with torch.no_grad():
                return int((net(inputs, FULL.delete(*deleted)).argmax(1) != targets).sum())

        best = min(set(range(6)) - set(gone), key=cost)
        assert step.modules == (best,)
        gone.append(best)
    assert steps[-1].route == FULL.delete(*range(6))


def test_a_race_without_an_end_is_exact():
    evidence, values = simulated(0, [0.0] * 6)
    [(best, estimate)] = Race(evidence, math.inf).best(FULL, range(6), FULL.delete)
    means = [values[FULL.delete(module)].mean() for module in range(6)]
    assert (best, estimate) == (int(np.argmin(means)), pytest.approx(min(means)))
    assert set(evidence.known.values()) == {1000}


def test_of_equal_candidates_the_first_wins():
    evidence, values = simulated(0, [0.0] * 6)
    for route in values:
        evidence.values_by_route[route] = values[FULL.delete(3)]
    assert Race(evidence).best(FULL, [4, 2, 5], FULL.delete)[0][0] == 4


def test_the_best_of_several_are_ranked():
    evidence, _ = simulated(1, [0.5, 0.1, 0.9, 0.3, 0.7, 2.0])
    assert [module for module, _ in Race(evidence).best(FULL, range(6), FULL.delete, 3)] == [1, 3, 0]


def test_clear_losers_are_measured_on_few_images():
    evidence, _ = simulated(0, [0.0, 3.0, 3.0, 3.0, 3.0, 0.0])
    Race(evidence).best(FULL, range(6), FULL.delete)
    assert [evidence.known[FULL.delete(module)] for module in (1, 2, 3, 4)] == [rounds(1000)[0]] * 4


def test_the_best_rarely_leaves_a_race_early():
    wrong = 0
    for seed in range(200):
        evidence, values = simulated(seed, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5], n_images=400)
        [(best, _)] = Race(evidence).best(FULL, range(6), FULL.delete)
        wrong += best != min(range(6), key=lambda module: values[FULL.delete(module)].mean())
    assert wrong <= 4


def test_a_few_images_that_decide_are_seen_early_by_strata():
    """Module 0 costs a little everywhere, and module 1 a lot on 2 images of 100, on which the network is unsure."""
    wrong, images = {True: 0, False: 0}, {True: 0, False: 0}
    for seed in range(100):
        random = np.random.default_rng(seed)
        unsure = random.random(1000) < 0.02
        values = {
            FULL.delete(0): 0.05 + random.normal(0, 0.02, 1000),
            FULL.delete(1): np.where(unsure, 6.0 * random.random(1000), random.normal(0, 0.02, 1000)),
        }
        best = min(values, key=lambda route: values[route].mean())
        for is_sorted in (True, False):
            order = StratifiedOrder.of(unsure if is_sorted else np.zeros(1000), seed=seed)
            sorted_values = {route: value[order.places] for route, value in values.items()}
            evidence = Simulated({FULL: np.zeros(1000), **sorted_values}, order.strata)
            evidence.known[FULL] = 1000
            [(chosen, _)] = Race(evidence).best(FULL, (0, 1), FULL.delete)
            wrong[is_sorted] += FULL.delete(chosen) != best
            images[is_sorted] += sum(evidence.known.values())
    assert wrong[True] <= 5 < 20 < wrong[False]
    assert images[True] < images[False]


def test_images_that_the_network_is_unsure_of_come_first_and_no_image_is_lost():
    given = problem()
    inputs, targets = given.evidence.part.gather(torch.arange(60))
    intact = losses(trained(), inputs, targets, [])
    assert given.evidence.values(FULL) == pytest.approx(intact.numpy(), rel=1e-4, abs=1e-5)
    strata = [intact[given.evidence.strata == stratum] for stratum in range(5)]
    assert all(lower.max() <= higher.min() + 1e-5 for lower, higher in pairwise(strata))
    assert len(set(given.evidence.part.order.tolist())) == 60
    assert given.evidence.first(60).mean(intact.numpy()) == pytest.approx(float(intact.mean()))


def test_without_a_metric_that_says_how_unsure_it_is_the_order_is_random():
    given = problem().evidence
    evidence = Evidence(given.bench, given.part, find_metrics(["agreement"]), given.output, batch_size=25)
    assert set(evidence.strata) == {0}


def test_a_forecast_saves_images_and_does_not_change_the_choice():
    means = [0.0, 0.05, 0.1, 0.15, 0.2, 0.25]
    evidence, values = simulated(3, means)
    race = Race(evidence)
    first = race.best(FULL, range(6), FULL.delete)
    random = np.random.default_rng(0)
    moved = {route: value + 0.1 + random.normal(0, 0.1, 1000) for route, value in values.items()}
    again, plain = (Simulated({FULL: np.zeros(1000), **moved}) for _ in range(2))
    again.known[FULL] = plain.known[FULL] = 1000
    race.evidence = again
    second = race.best(FULL, range(6), FULL.delete)
    without = Race(plain).best(FULL, range(6), FULL.delete)
    assert second[0][0] == without[0][0] == first[0][0]
    assert sum(again.known.values()) < 0.7 * sum(plain.known.values())


def test_metrics_that_compare_with_the_intact_network_take_its_outputs_batch_by_batch():
    given = problem("kl_divergence")
    inputs, _ = given.evidence.part.gather(torch.arange(60))
    with torch.no_grad():
        intact, changed = (trained()(inputs, route).log_softmax(1) for route in (FULL, FULL.delete(2)))
    expected = (intact.exp() * (intact - changed)).sum(1)
    for n_images in (10, 60):
        given.evidence.measure([FULL.delete(2)], n_images)
    assert given.evidence.values(FULL.delete(2)) == pytest.approx(expected.numpy(), rel=1e-3, abs=1e-5)


def test_agreement_is_better_where_it_is_larger():
    given = problem("agreement")
    costs = {module: given.evidence.cost(FULL.delete(module)) for module in range(6)}
    values = {module: given.evidence.mean(FULL.delete(module)) for module in range(6)}
    assert all((costs[i] < costs[j]) == (values[i] > values[j]) for i, j in combinations(range(6), 2))
    assert 0 <= min(values.values()) <= max(values.values()) <= 1
