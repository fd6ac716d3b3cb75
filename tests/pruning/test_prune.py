"""Pruning as a whole. Oracles: all subsets by hooks, operations counted as they run, gradients, and least squares."""

from __future__ import annotations

import copy
import math
from itertools import combinations, count

import pytest
import torch
from torch import nn

import unravelnet as un
from tests.pruning.networks import images, losses, problem, trained
from unravelnet.errors import ArgumentError, DataError, EvaluationError, RouteError, UnknownNameError
from unravelnet.measuring.bench import Bench
from unravelnet.network import ResidualModule, UnraveledNetwork
from unravelnet.network.macs import Macs
from unravelnet.pruning.budget import Budget, Size
from unravelnet.pruning.parts import divide
from unravelnet.pruning.patch import LeastSquares
from unravelnet.pruning.sizes import Sizes, latency_shares
from unravelnet.pruning.strategies.beam import beam
from unravelnet.pruning.strategies.evolutionary import evolutionary
from unravelnet.pruning.strategies.span import angular_distances
from unravelnet.pruning.strategy import find_strategy
from unravelnet.routes.route import Route

FULL = Route.full(6)


def best_set(given, size):
    """Find the best modules to delete together by trying all, one by one."""
    inputs, targets = given.evidence.part.gather(torch.arange(given.evidence.n_images))
    return min(
        combinations(range(6), size),
        key=lambda deleted: float(losses(trained(), inputs, targets, deleted).mean()),
    )


@pytest.fixture(scope="module")
def result():
    return un.prune(trained(), images(), n_deleted=3, n_draws=2, compare=["one_shot"], batch_size=40)


def test_a_beam_that_keeps_every_set_finds_the_best_of_all_subsets():
    given = problem()
    steps = list(beam(20).search(given))
    assert [step.modules for step in steps[:4]] == [best_set(given, size) for size in (1, 2, 3, 4)]


def test_evolution_finds_the_best_of_all_subsets():
    given = problem(n_deleted=2)
    *_, last = evolutionary(20).search(given)
    assert last.modules == best_set(given, 2)


def test_one_shot_goes_by_what_each_deletion_costs_alone():
    given = problem()
    inputs, targets = given.evidence.part.gather(torch.arange(60))
    alone = {m: float(losses(trained(), inputs, targets, [m]).double().mean()) for m in range(6)}
    order = [step.modules[0] for step in find_strategy("one_shot").search(given)]
    assert order == sorted(range(6), key=alone.__getitem__)


def test_spans_turn_the_stream_by_the_angle_between_its_ends():
    given = problem(n_images=20)
    net, (inputs, _) = trained(), given.evidence.part.gather(torch.arange(20))
    with torch.no_grad():
        stream = [net.stem(inputs)]
        for module in net.residual_modules:
            stream.append(module(stream[-1]))
    distances = angular_distances(given)
    # The stages have 4, 4 and 8 channels and halve the image: the modules 2 and 4 change the shape.
    assert set(distances) == {(0,), (1,), (0, 1), (3,), (5,)}
    for span, distance in distances.items():
        x, y = (part.movedim(1, -1).flatten(0, 2) for part in (stream[span[0]], stream[span[-1] + 1]))
        angle = torch.arccos((x * y).sum(1) / x.norm(dim=1) / y.norm(dim=1))
        assert distance == pytest.approx(float(angle.mean()) / math.pi, abs=1e-4)


# -- the result --


def test_the_steps_hold_estimate_truth_and_the_report(result):
    parts = divide(un.Sample(data=images()))
    inputs, targets = parts.selection.gather(torch.arange(60))
    intact = losses(trained(), inputs, targets, []).mean()
    for row in list(result.steps)[1:]:
        deleted = [step.module for step in Route.parse(row["route"]).steps if step.mode == "skip"]
        changed = losses(trained(), inputs, targets, deleted).mean() - intact
        assert row["selection_difference"] == pytest.approx(float(changed), abs=1e-4)
    table = un.evaluate(trained(), [Route.parse(route) for route in result.steps["route"]], parts.report)
    for name in ("error_rate", "error_rate_low", "error_rate_difference_high"):
        assert result.steps[name] == pytest.approx(table[name])
    assert result.steps["is_chosen"] == [False, False, False, True]
    assert (result.steps[0]["n_selection_images"], result.steps[0]["n_images"]) == (60, 60)


def test_the_curve_has_random_orders_and_other_strategies(result):
    curve = result.curve
    assert set(curve["strategy"]) == {"intact", "greedy", "one_shot", "random"}
    random = curve.where(strategy="random")
    assert {row["repeat"] for row in random} == {0, 1}
    assert [row["n_deleted"] for row in random] == [1, 2, 3, 1, 2, 3]


def test_the_result_says_what_it_is(result):
    text = str(result)
    assert str(result.route) in text
    assert "3 modules of 6 deleted" in text
    assert "chosen on 60 images" in text
    assert "On 60 other images: error" in text
    assert result.shortfall == ""


def test_the_same_call_gives_the_same_result(result):
    again = un.prune(trained(), images(), n_deleted=3, n_draws=2, compare=["one_shot"], batch_size=40)
    assert again.route == result.route
    assert again.curve == result.curve


def test_a_network_in_training_mode_is_measured_as_in_evaluation_mode_and_keeps_its_statistics():
    net = copy.deepcopy(trained())
    expected = un.prune(net, images(60), n_deleted=2, n_draws=0)
    before = {name: buffer.clone() for name, buffer in net.train().named_buffers()}
    found = un.prune(net, images(60), n_deleted=2, n_draws=0)
    assert (found.route, list(found.steps)) == (expected.route, list(expected.steps))
    assert all(torch.equal(buffer, before[name]) for name, buffer in net.named_buffers())
    assert net.training


def test_of_a_limit_on_the_error_the_last_step_within_is_the_result():
    found = un.prune(trained(), images(), error_increase=20.0, n_draws=0, batch_size=40)
    rises = [
        100 * (row["selection_error_rate"] - found.steps[0]["selection_error_rate"]) for row in found.steps
    ]
    assert all(rise <= 20 for rise in rises[:-1])
    assert rises[-1] > 20
    assert found.steps["is_chosen"].index(True) == len(rises) - 2


def test_a_budget_out_of_reach_gives_the_best_and_says_so():
    found = un.prune(trained(), images(), macs=0.01, n_draws=0, batch_size=60)
    assert found.route == FULL.delete(*range(6))
    assert "at most 1.0 % of the MACs" in found.shortfall
    assert "No further module can be deleted." in found.shortfall
    assert found.shortfall in str(found)


def test_nothing_is_deleted_where_the_first_step_costs_too_much():
    found = un.prune(trained(), images(), error_increase=0.0, n_deleted=6, n_draws=0, batch_size=60)
    assert found.route.n_deleted < 6
    assert "the budget allows 0" in found.shortfall


def test_without_labels_one_chooses_by_outputs():
    found = un.prune(trained(), images()[0], metric="kl_divergence", n_deleted=1, n_draws=1, batch_size=60)
    assert found.steps["kl_divergence"][0] == 0
    assert "error" not in str(found)
    with pytest.raises(ArgumentError, match="Say how far to go: n_deleted, macs"):
        un.prune(trained(), images()[0], metric="kl_divergence")


# -- a linear map in the place of a span --


def linear_network():
    torch.manual_seed(0)
    modules = [ResidualModule(nn.Linear(5, 5), nn.Identity()) for _ in range(3)]
    return UnraveledNetwork(nn.Linear(5, 5), modules, nn.Linear(5, 3), example=torch.zeros(1, 5)).eval()


def test_a_patch_of_linear_modules_is_exact():
    net, x = linear_network(), torch.randn(200, 5)
    given = (x, net(x).argmax(1).detach())
    found = un.prune(net, given, strategy="linear_patch", n_deleted=2, n_draws=0)
    assert found.route == Route.parse("0,1-2s")
    assert torch.allclose(found.net(x, found.route), net(x), atol=0.02)
    assert found.chosen["error_rate_difference"] == pytest.approx(0, abs=0.02)
    assert found.chosen["estimate"] < 1e-3


def test_a_patch_leaves_the_network_as_it_was_and_shares_its_weights():
    net = linear_network()
    before = net.fingerprint()
    found = un.prune(
        net, (torch.randn(60, 5), torch.arange(60) % 3), strategy="linear_patch", n_deleted=1, n_draws=0
    )
    assert net.fingerprint() == before
    assert found.net.head.weight is net.head.weight


def test_a_fit_is_that_of_least_squares():
    x, noise = torch.randn(300, 4).double(), torch.randn(300, 4).double()
    y = x + x @ torch.randn(4, 4).double() + 0.1 * noise
    fit = LeastSquares(4)
    for rows in torch.arange(300).split(70):
        fit.add(x[rows].float(), y[rows].float(), channels=1)
    patch = fit.solve(channels=1)
    design = torch.cat([x, torch.ones(300, 1).double()], 1)
    expected = torch.linalg.lstsq(design, y - x).solution
    assert torch.allclose(patch.weight.double(), expected[:4].T, atol=2e-3)
    left = (y - x - design @ expected).square().sum() / (y - x).square().sum()
    assert fit.unexplained == pytest.approx(float(left), rel=1e-2)


# -- sizes and budgets --


def test_operations_are_those_that_run_and_parameters_those_that_a_gradient_reaches():
    net, route = trained(), FULL.delete(1, 4)
    sizes = Sizes(net, torch.zeros(1, 1, 8, 8))
    with Macs() as counted, torch.no_grad():
        net(torch.zeros(1, 1, 8, 8), route)
    assert sizes.macs(route) == counted.count
    parameters = list(net.parameters())
    reached = torch.autograd.grad(net(torch.randn(2, 1, 8, 8), route).sum(), parameters, allow_unused=True)
    used = sum(p.numel() for p, g in zip(parameters, reached, strict=True) if g is not None)
    assert sizes.parameters(route) == used


def test_a_parameter_that_modules_share_is_there_until_the_last_of_them_is_gone():
    shared = nn.Linear(3, 3)
    modules = [ResidualModule(shared, nn.Identity()) for _ in range(2)]
    net = UnraveledNetwork(nn.Identity(), modules, nn.Identity(), example=torch.zeros(1, 3))
    sizes = Sizes(net, torch.zeros(1, 3))
    assert [sizes.parameters(Route.full(2).delete(*gone)) for gone in ((), (0,), (0, 1))] == [12, 12, 0]


def test_times_are_medians_taken_in_turns():
    ticks = count()
    # Every run takes one tick of the clock but the second of each turn, which takes three.
    times = iter([t for turn in range(20) for t in (10 * turn, 10 * turn + 1, 10 * turn + 2, 10 * turn + 5)])
    bench = Bench(trained())
    shares = latency_shares(
        bench,
        [FULL, FULL.delete(0)],
        torch.zeros(1, 1, 8, 8),
        clock=lambda: float((next(ticks), next(times))[1]),
    )
    assert shares == [1.0, 3.0]


def test_a_budget_of_time_is_measured():
    found = un.prune(trained(), images(40), latency=0.999, n_draws=0, batch_size=40)
    assert found.chosen["latency_left"] > 0


@pytest.mark.parametrize(
    ("budget", "size", "reached"),
    [
        (Budget(n_deleted=3), Size(3, 0.9, 0.9), True),
        (Budget(macs=0.5, n_deleted=3), Size(3, 0.6, 0.5), False),
        (Budget(parameters=0.5), Size(1, 0.9, 0.5), True),
        (Budget(latency=0.5), Size(1, 0.1, 0.1, 0.6), False),
        (Budget(error_increase=1.0), Size(6, 0.1, 0.1), False),
    ],
)
def test_a_budget_is_reached_where_all_of_it_is(budget, size, reached):
    assert budget.is_reached(size) == reached


# -- what is refused --


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_deleted": 0}, "n_deleted is 0; give the number of modules"),
        ({"macs": 1.5}, "macs is 1.5; give the share that may be left"),
        ({"error_increase": -1}, "error_increase is -1; give percentage points"),
        ({"n_deleted": 1, "n_draws": -1}, "n_draws is -1; give the number of random orders"),
        ({"strategy": "beam:none"}, "takes a whole number of 1 or more behind its colon"),
        ({"strategy": "greedy:3"}, "The strategy greedy takes no option"),
        ({"strategy": "evolutionary"}, "searches among sets of one size"),
    ],
)
def test_impossible_budgets_and_options_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        un.prune(trained(), images(20), batch_size=20, **options)


def test_unknown_strategies_are_refused():
    with pytest.raises(UnknownNameError, match="greedy"):
        un.prune(trained(), images(20), strategy="greed")


def test_parts_that_overlap_are_refused():
    inputs, targets = images(40)
    with pytest.raises(DataError, match="10 of the 20 images of report_data are among those"):
        un.prune(trained(), (inputs[:30], targets[:30]), report_data=(inputs[20:], targets[20:]))
    found = divide(un.Sample(data=(inputs[:20], targets[:20])), report_data=(inputs[20:], targets[20:]))
    assert (len(found.selection), len(found.report)) == (20, 20)


def test_streams_and_data_that_is_too_small_are_refused():
    with pytest.raises(DataError, match="a stream of batches, of which no part can be drawn"):
        un.prune(trained(), [images(20), images(20)])
    with pytest.raises(DataError, match="too few to choose on some"):
        un.prune(trained(), images(1))
    with pytest.raises(DataError, match="give a share between 0 and 1"):
        un.prune(trained(), images(20), report_share=1.0)


def test_networks_with_nothing_to_delete_are_refused():
    layer = ResidualModule(nn.Linear(3, 4), None)
    net = UnraveledNetwork(nn.Identity(), [layer], nn.Identity(), example=torch.zeros(1, 3))
    with pytest.raises(RouteError, match="There is nothing to prune"):
        un.prune(net, (torch.zeros(4, 3), torch.zeros(4).long()))


def test_metrics_that_need_labels_are_refused_without_them():
    with pytest.raises(EvaluationError, match="loss needs targets"):
        un.prune(trained(), images(20)[0], n_deleted=1)


def test_an_exponential_of_a_mean_is_no_sum_to_choose_by():
    with pytest.raises(EvaluationError, match=r"perplexity is the exponential of a mean\. Choose by loss"):
        un.prune(trained(), images(), metric="perplexity", n_deleted=1)
