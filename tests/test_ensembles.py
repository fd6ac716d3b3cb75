"""Ensembles against every subset averaged by hand, and against members whose errors are known by construction."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

import unravelnet as un
from unravelnet.errors import EvaluationError, RouteError, TrainingError, UnknownNameError
from unravelnet.measuring import ensembles
from unravelnet.measuring.ensembles import ensemble_of_routes
from unravelnet.measuring.sums import Sums
from unravelnet.measuring.votes import Subsets, Votes, draw_subsets
from unravelnet.routes.route import Route
from unravelnet.training.loop import train

DIGITS = (1, 8, 8)


@pytest.fixture(scope="module")
def trained():
    """Two networks that have learned something, and images."""
    nets = []
    for seed in (0, 1):
        net = un.zoo.preact_resnet(14, input_shape=DIGITS, widths=(8, 8, 16), seed=seed)
        train(net, "digits", epochs=3, schedule="one-cycle", seed=seed)
        nets.append(net)
    images = un.data.load("digits", limit=200).batch(torch.arange(200))
    return *nets, images


def probabilities(net, route, images):
    with torch.no_grad():
        return net(images, route).double().softmax(dim=1).numpy()


def averaged_by_hand(members_ENC, targets, size):
    """Give the mean error of the averaged predictions of all subsets of a size."""
    errors = [
        (np.mean([members_ENC[i] for i in subset], axis=0).argmax(axis=1) != targets).mean()
        for subset in itertools.combinations(range(len(members_ENC)), size)
    ]
    return np.mean(errors)


def assert_pairs_by_hand(row, members_ENC, targets):
    predicted = [member.argmax(axis=1) for member in members_ENC]
    wrong = [(classes != targets).astype(float) for classes in predicted]
    pairs = list(itertools.combinations(range(len(members_ENC)), 2))
    assert row["member_error_rate"] == pytest.approx(np.mean(wrong))
    assert row["disagreement"] == pytest.approx(
        np.mean([(predicted[i] != predicted[j]).mean() for i, j in pairs])
    )
    assert row["error_correlation"] == pytest.approx(
        np.mean([np.corrcoef(wrong[i], wrong[j])[0, 1] for i, j in pairs])
    )


# -- networks, by hand --


def test_all_subsets_of_routes_and_of_networks(trained):
    net, other, (images, targets) = trained
    routes = [net.full_route.delete(*deleted) for deleted in ([0], [1, 4], [2], [3], [5])]
    third = un.zoo.preact_resnet(8, input_shape=DIGITS, seed=2).eval()
    table = ensemble_of_routes(
        net, (images, targets), routes=routes, sizes=(1, 2, 3, 5, 9), others=[other, third], batch_size=64
    )
    assert [(row["members"], row["n_members"], row["n_sets"]) for row in table] == [
        *[("routes", size, draws) for size, draws in ((1, 5), (2, 10), (3, 10), (5, 1))],
        *[("networks", size, draws) for size, draws in ((1, 3), (2, 3), (3, 1))],
    ]
    members = {
        "routes": [probabilities(net, route, images) for route in routes],
        "networks": [probabilities(each, None, images) for each in (net, other, third)],
    }
    intact = (members["networks"][0].argmax(axis=1) != targets.numpy()).mean()
    for row in table:
        own = members[row["members"]]
        expected = averaged_by_hand(own, targets.numpy(), row["n_members"])
        # One prediction of 200 may hang on the last digit.
        assert row["error_rate"] == pytest.approx(expected, abs=1e-3)
        assert_pairs_by_hand(row, own, targets.numpy())
        assert row["intact_error_rate"] == pytest.approx(intact)
        bounds = stats.binomtest(round(200 * row["error_rate"]), 200).proportion_ci(0.95, method="wilson")
        assert (row["error_rate_low"], row["error_rate_high"]) == pytest.approx((bounds.low, bounds.high))
    assert {row["n_predictions"] for row in table} == {row["n_images"] for row in table} == {200}
    assert (table[0]["network"], table[0]["data_name"]) == (net.fingerprint(), "tensors")
    # Averaging networks that were trained apart is better than each of them, here as everywhere.
    assert table[-2]["error_rate"] < table[-3]["error_rate"]


def test_members_that_are_all_the_same(trained):
    net, _, data = trained
    table = ensemble_of_routes(net, data, routes=[net.full_route] * 8, sizes=(1, 3, 8), others=[net])
    errors = {row["error_rate"] for row in table}
    assert errors == {table[0]["intact_error_rate"]} == {table[0]["member_error_rate"]}
    assert errors != {0.0}
    assert {row["disagreement"] for row in table} == {0.0}
    assert [row["error_correlation"] for row in table] == pytest.approx([1.0] * 5)


def test_one_member_disagrees_with_nobody(trained):
    net, _, data = trained
    (row,) = ensemble_of_routes(net, data, routes=[net.full_route], sizes=(1,))
    assert (row["disagreement"], row["error_correlation"]) == (None, None)
    assert row["error_rate"] == row["intact_error_rate"]


def test_a_route_without_finite_predictions_is_always_wrong(trained):
    net, _, (images, targets) = trained
    broken = un.zoo.preact_resnet(14, input_shape=DIGITS, widths=(8, 8, 16), seed=0).eval()
    broken.load_state_dict(net.state_dict())
    broken.residual_modules[2].branch.conv2.weight.data.fill_(torch.inf)
    routes = [broken.full_route, broken.full_route.delete(2)]
    table = ensemble_of_routes(broken, (images, targets), routes=routes, sizes=(1, 2))
    sound = (probabilities(net, routes[1], images).argmax(axis=1) != targets.numpy()).mean()
    assert table[0]["error_rate"] == pytest.approx((1 + sound) / 2)
    assert table[1]["error_rate"] == table[1]["intact_error_rate"] == 1.0


def test_batches_do_not_matter(trained):
    net, other, data = trained
    tables = [
        ensemble_of_routes(net, data, n_routes=4, sizes=(1, 2, 4), others=[other], batch_size=size, seed=1)
        for size in (7, 200)
    ]
    assert tables[0] == tables[1]


# -- members by construction --


def votes(correct_EN, n_classes=2):
    """Make members that put all their probability on the right class 0, or on a wrong one."""
    predicted_EN = np.where(correct_EN, 0, 1)
    return torch.from_numpy(np.eye(n_classes)[predicted_EN])


def voted(subsets, *parts):
    """Count the votes of members that are right where these say so, part by part."""
    counts = [subsets.count(votes(part), torch.zeros(part.shape[1], dtype=torch.long)) for part in parts]
    return Votes.of(subsets, sum(map(Sums, counts), Sums()).added)


def test_independent_members():
    # Of three members that err independently with chance p, the majority errs with 3 p² (1 - p) + p³.
    p, n = 0.2, 40_000
    correct = np.random.default_rng(0).random((3, n)) >= p
    found = voted(Subsets(3, [1, 3], 10, seed=0), *np.split(correct, 8, axis=1))
    single, majority = found.rows(0.95)
    tolerance = 4 * 0.5 / np.sqrt(n)
    assert single["error_rate"] == single["member_error_rate"] == pytest.approx(p, abs=tolerance)
    assert majority["error_rate"] == pytest.approx(3 * p**2 * (1 - p) + p**3, abs=tolerance)
    assert majority["disagreement"] == pytest.approx(2 * p * (1 - p), abs=tolerance)
    assert majority["error_correlation"] == pytest.approx(0, abs=2 * tolerance)


def test_members_that_err_on_different_images():
    # Three of them, each wrong on another third: the majority is never wrong.
    correct = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]], dtype=bool)
    found = voted(Subsets(3, [1, 3], 10, seed=0), correct)
    single, majority = found.rows(0.95)
    assert (single["error_rate"], majority["error_rate"]) == (pytest.approx(1 / 3), 0)
    assert majority["disagreement"] == pytest.approx(2 / 3)
    assert majority["error_correlation"] == pytest.approx(-1 / 2)


def test_the_correlation_leaves_out_members_without_an_error():
    correct = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0]], dtype=bool)
    found = voted(Subsets(4, [1], 10, seed=0), correct)
    # Of the three pairs of members that err one errs together, and the others independently.
    assert found.error_correlation == pytest.approx((1 + 0 + 0) / 3)
    alone = voted(Subsets(2, [1], 10, seed=0), correct[:2])
    assert alone.error_correlation is None


def test_random_subsets_where_there_are_many():
    assert len(draw_subsets(20, 10, 50, seed=0)) == 50
    assert all(len(set(subset)) == 10 for subset in draw_subsets(20, 10, 50, seed=0))
    assert draw_subsets(20, 10, 50, seed=0) != draw_subsets(20, 10, 50, seed=1)
    # More repeats later repeat the earlier ones, and other sizes change nothing.
    assert draw_subsets(20, 10, 30, seed=0) == draw_subsets(20, 10, 50, seed=0)[:30]
    assert draw_subsets(5, 2, 10, seed=0) == [list(pair) for pair in itertools.combinations(range(5), 2)]


# -- which routes --


def drawn(net, routes=None, n_routes=10, keep=0.8, seed=0):
    return ensembles.members_of(net, routes, n_routes=n_routes, keep=keep, seed=seed)


def test_the_usual_routes_lack_a_fifth_of_the_modules():
    kind, routes = drawn(un.zoo.preact_resnet(110), n_routes=64)
    assert kind == "exactly:43"
    assert len(set(routes)) == 64
    assert {route.n_deleted for route in routes} == {11}
    assert drawn(un.zoo.preact_resnet(110), n_routes=64)[1] == routes
    assert drawn(un.zoo.preact_resnet(110), n_routes=64, seed=1)[1] != routes


def test_at_least_one_module_is_lacking_and_none_that_cannot():
    assert {route.n_deleted for route in drawn(un.zoo.preact_resnet(8), keep=0.99)[1]} == {1}
    net = un.zoo.plain(14)
    fixed = [module.index for module in net.residual_modules if not module.keeps_shape]
    routes = drawn(net, keep=0.0, n_routes=1)[1]
    assert [step.module for step in routes[0].steps if step.mode == "both"] == fixed


def test_where_there_are_fewer_routes_all_of_them_are_members():
    kind, routes = drawn(un.zoo.preact_resnet(8), keep=0.6)
    assert (kind, {str(route) for route in routes}) == ("exactly:2", {"0s,1-2", "0,1s,2", "0-1,2s"})
    assert [str(route) for route in drawn(un.zoo.preact_resnet(8), "all")[1]] == ["0-2"]


@pytest.mark.parametrize("text", ["exactly:3", "stochastic-depth:0.5", "uniform"])
def test_routes_of_a_sampler(trained, text):
    net, _, data = trained
    table = ensemble_of_routes(net, data, routes=text, n_routes=4, sizes=(4,))
    assert table[0]["routes"] == text
    assert len(set(drawn(net, text, n_routes=4)[1])) == 4
    assert ensemble_of_routes(net, data, routes=drawn(net, text, n_routes=4)[1], sizes=(4,))[0][
        "error_rate"
    ] == pytest.approx(table[0]["error_rate"])


# -- what cannot be --


def test_requests_that_cannot_be_met_are_explained(trained):
    net, _, (images, targets) = trained
    data = (images, targets)
    with pytest.raises(EvaluationError, match="needs targets"):
        ensemble_of_routes(net, images)
    with pytest.raises(EvaluationError, match=r"cannot be made of 6 members in sizes 7, 8 .* sizes from 1"):
        ensemble_of_routes(net, data, sizes=(7, 8))
    with pytest.raises(EvaluationError, match="repeats=1 or more"):
        ensemble_of_routes(net, data, repeats=0)
    with pytest.raises(EvaluationError, match="share of at least 0 and below 1"):
        ensemble_of_routes(net, data, keep=1.0)
    with pytest.raises(RouteError, match="no module 6"):
        ensemble_of_routes(net, data, routes=[Route.full(7)])
    with pytest.raises(TrainingError, match="exactly 23 modules do not exist"):
        ensemble_of_routes(net, data, routes="exactly:23")
    with pytest.raises(UnknownNameError, match="Did you mean 'uniform'"):
        ensemble_of_routes(net, data, routes="unifrom")
    other = un.zoo.preact_resnet(8, input_shape=DIGITS, n_classes=12)
    with pytest.raises(EvaluationError, match="preact-resnet8 tells 12 classes apart and preact-resnet14 10"):
        ensemble_of_routes(net, data, others=[other])


def test_predictions_that_would_need_too_much_memory_are_refused(trained, monkeypatch):
    net, _, data = trained
    monkeypatch.setattr(ensembles, "_MAX_BYTES", 2**12)
    with pytest.raises(EvaluationError, match="of 7 routes for 128 predictions of a batch and 10 classes"):
        ensemble_of_routes(net, data)
    # One at a time they fit: 7 routes of 10 classes in four bytes each.
    assert len(ensemble_of_routes(net, data, batch_size=14)) == 3
