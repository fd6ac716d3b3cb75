"""Scores of importance, against rotations of the plane, against routes one by one, and against numpy."""

from __future__ import annotations

import cmath
import functools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import unravelnet as un
from tests.gradient.networks import FoldedPositions, captured, linear_network, some_modules
from unravelnet.columns import find
from unravelnet.errors import EvaluationError, UnknownNameError
from unravelnet.network import ResidualModule, UnraveledNetwork
from unravelnet.registry import SCORES

# A rotation of the plane with a scale is a complex number.
FACTORS = [cmath.rect(0.5, 0.3), cmath.rect(2.0, -1.2), cmath.rect(0.1, 2.5), cmath.rect(1.0, cmath.pi / 2)]
KINDS = ["pre-activation", "post-activation", "post-norm", "all junctions"]


def plane():
    """Make a network whose modules multiply the plane by 1 + w, for the factors w."""
    matrices = [torch.tensor([[w.real, -w.imag], [w.imag, w.real]], dtype=torch.float64) for w in FACTORS]
    net = linear_network([matrix.float() for matrix in matrices]).double()
    for module, matrix in zip(net.residual_modules, matrices, strict=True):
        module.branch.weight.data = matrix
    return net


@functools.cache
def network_and_data(kind):
    return some_modules(kind)


# -- closed forms --


def test_modules_that_turn_and_scale_the_plane():
    net, points = plane(), torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    table = un.importance(net, points, methods=SCORES.names()[:1] + SCORES.names()[2:], loss="squared_norm")
    before = float(net(points).detach().square().sum(dim=1).mean()) / 2
    for w, row in zip(FACTORS, table, strict=True):
        assert row["deletion"] == pytest.approx(before * (1 / abs(1 + w) ** 2 - 1))
        assert row["first_order"] == pytest.approx(-2 * before * (w / (1 + w)).real)
        assert row["block_influence"] == pytest.approx(1 - math.cos(cmath.phase(1 + w)))
        assert row["angular_distance"] == pytest.approx(abs(cmath.phase(1 + w)) / math.pi)
        assert row["relative_magnitude"] == pytest.approx(abs(w))
        assert row["gradient_cosine"] == pytest.approx((w / (1 + w)).real * abs(1 + w) / abs(w))
        assert row["path_gradient_share"] == pytest.approx(abs(w) / (1 + abs(w)))
        # All images turn alike, so that nothing is uncertain.
        assert row["block_influence_low"] == pytest.approx(row["block_influence"])


def test_very_small_turns_keep_their_digits():
    turn = 1e-5
    net = linear_network([torch.tensor([[0.0, -turn], [turn, 0.0]])])
    (row,) = un.importance(net, torch.randn(20, 2), methods=["block_influence", "angular_distance"])
    assert row["block_influence"] == pytest.approx(turn**2 / 2, rel=0.01)
    assert row["angular_distance"] == pytest.approx(turn / math.pi, rel=0.01)


# -- routes, one by one --


@pytest.mark.parametrize("kind", KINDS)
def test_deletion_is_what_the_route_without_the_module_costs(kind):
    net, (inputs, targets) = network_and_data(kind)
    table = un.importance(net, (inputs, targets), methods=["deletion", "deletion_error_rate"])
    intact = net(inputs).detach()
    for row in table:
        logits = net(inputs, net.full_route.delete(row["module"])).detach()
        rise = F.cross_entropy(logits, targets) - F.cross_entropy(intact, targets)
        errors = [(z.argmax(dim=1) != targets).double().mean() for z in (logits, intact)]
        assert row["deletion"] == pytest.approx(float(rise), abs=1e-9)
        assert row["deletion_error_rate"] == float(errors[0] - errors[1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_order_estimate_is_the_derivative_by_the_scale_of_the_branch(kind):
    net, (inputs, targets) = network_and_data(kind)
    table = un.importance(net, (inputs, targets), methods=["first_order"])
    step = 1e-5
    for row in table:
        more, less = (
            F.cross_entropy(net(inputs, net.full_route.scale(1 + change, row["module"])), targets)
            for change in (step, -step)
        )
        assert row["first_order"] == pytest.approx(
            -float((more - less).detach()) / (2 * step), rel=1e-4, abs=1e-7
        )


@pytest.mark.parametrize("kind", KINDS)
def test_what_module_measures_knows_too(kind):
    net, data = network_and_data(kind)
    known = un.module_measures(net, data)
    table = un.importance(net, data, methods=["relative_magnitude", "gradient_cosine"])
    for row, other in zip(table, known, strict=True):
        assert row["relative_magnitude"] == pytest.approx(other["branch_to_stream"])
        assert row["gradient_cosine"] == pytest.approx(other["branch_gradient_cosine"])


def test_digits_deleted_by_the_engine():
    net = un.zoo.preact_resnet(14, input_shape=(1, 8, 8), widths=(4, 4, 8), seed=0)
    sample = un.Sample(data="digits", limit=60, seed=3)
    table = un.importance(net, sample, methods=["deletion", "deletion_error_rate"])
    rows = un.evaluate(net, un.studies.delete_each(net)[1:], sample, metrics=["loss", "error_rate"])
    assert table["deletion"] == pytest.approx(rows["loss_difference"], abs=1e-6)
    assert table["deletion_error_rate"] == pytest.approx(rows["error_rate_difference"])


def test_the_size_of_batches_and_the_other_methods_change_nothing():
    net = un.zoo.resnet(8, input_shape=(1, 8, 8), widths=(2, 2, 4), seed=0)
    every = un.importance(net, "digits", methods=SCORES.names(), limit=15)
    for name in SCORES.names():
        alone = un.importance(net, "digits", methods=[name], limit=15, batch_size=7)
        assert alone[name] == pytest.approx(every[name], rel=1e-4, abs=1e-6)


# -- positions, by numpy --


def text_network(width=6):
    torch.manual_seed(0)
    modules = [
        ResidualModule(nn.Sequential(nn.Linear(width, width), nn.Tanh()), nn.Identity()) for _ in range(3)
    ]
    return UnraveledNetwork(
        nn.Embedding(9, width), modules, nn.Linear(width, 9), example=torch.zeros(1, 4, dtype=torch.long)
    )


def streams(net, inputs):
    state = net.enter(inputs)
    found = [state.x]
    for move in net.full_route.moves:
        state = net.advance(state, move)
        found.append(state.x)
    return [x.detach().double().numpy() for x in found]


def cosines(a, b, axis):
    return (a * b).sum(axis) / np.linalg.norm(a, axis=axis) / np.linalg.norm(b, axis=axis)


def test_block_influence_takes_all_tokens_and_angular_distance_the_last():
    net, tokens = text_network(), torch.randint(9, (5, 4), generator=torch.Generator().manual_seed(1))
    table = un.importance(net, (tokens, tokens), methods=["block_influence", "angular_distance"])
    seen = streams(net, tokens)
    for row, before, after in zip(table, seen, seen[1:], strict=False):
        assert row["block_influence"] == pytest.approx(1 - cosines(before, after, 2).mean(), rel=1e-4)
        angle = np.arccos(cosines(before, after, 2)[:, -1]).mean() / np.pi
        assert row["angular_distance"] == pytest.approx(angle, rel=1e-4)


def test_positions_of_a_convolutional_stream_are_pixels():
    net = un.zoo.preact_resnet(8, input_shape=(1, 8, 8), widths=(4, 4, 4), seed=0)
    images, labels = un.data.load("digits", limit=6).batch(torch.arange(6))
    table = un.importance(net, (images, labels), methods=["block_influence"])
    before, after, *_ = streams(net.eval(), images)
    assert table[0]["block_influence"] == pytest.approx(1 - cosines(before, after, 1).mean(), rel=1e-4)


# -- what there is not --


def test_a_plain_layer_that_cannot_be_deleted_has_no_effect_of_it():
    net = un.zoo.create("plain8", input_shape=(1, 8, 8))
    table = un.importance(net, "digits", methods=SCORES.names(), limit=8)
    for row in table:
        is_deletable = net.residual_modules[row["module"]].is_deletable
        assert [row[name] is not None for name in ("deletion", "first_order")] == [is_deletable] * 2


def test_images_without_targets_have_no_errors():
    net = un.zoo.preact_resnet(8, input_shape=(1, 8, 8), widths=(2, 2, 4), seed=0)
    table = un.importance(net, torch.randn(3, 1, 8, 8), methods=["deletion", "deletion_error_rate"])
    assert set(table["loss_name"]) == {"squared_norm"}
    assert set(table["deletion_error_rate"]) == {None}


def test_an_unknown_method_is_refused():
    with pytest.raises(UnknownNameError, match=r"no score 'block_influenc'\. Did you mean 'block_influence'"):
        un.importance(plane(), torch.zeros(1, 2), methods=["block_influenc"])


def test_no_method_is_refused():
    with pytest.raises(EvaluationError, match=r"No method is named\. Name at least one: deletion, "):
        un.importance(plane(), torch.zeros(1, 2), methods=[])


def test_positions_folded_into_the_batch_are_averaged_by_image():
    inputs = torch.randn(3, 4, 6)
    net = captured(FoldedPositions(), inputs)
    table = un.importance(net, (inputs.double(), torch.tensor([0, 1, 2])), methods=SCORES.names())
    assert all(0 < row["block_influence"] < 2 and row["n_images"] == 3 for row in table)


def test_a_loss_that_is_not_finite_is_refused():
    def nowhere(output, targets):
        return output.sum(dim=1) / 0

    with pytest.raises(EvaluationError, match="not finite on some images"):
        un.importance(plane(), torch.ones(2, 2).double(), methods=["first_order"], loss=nowhere)


@pytest.mark.parametrize("score", list(SCORES), ids=lambda score: score.name)
def test_a_score_and_its_column_agree(score):
    column = find(score.name)
    assert (column.title, column.unit, column.has_interval) == (score.title, score.unit, True)
    assert score.question.endswith("?")
    assert score.paper.endswith(".")
