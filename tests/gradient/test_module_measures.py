"""What modules do to the stream and the gradient, against rotations of the plane and against autograd by hand."""

from __future__ import annotations

import cmath
import copy

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

import unravelnet as un
from tests.gradient.networks import linear_network, some_modules
from tests.joined import joined_network
from tests.nested import nested_network, read_plainly
from unravelnet import module_measures
from unravelnet.errors import EvaluationError, RouteError, UnforeseenError
from unravelnet.network import State

MEASURES = ("branch_to_stream", "branch_stream_cosine", "branch_gradient_cosine", "gradient_gain")
# A rotation of the plane with a scale is a complex number.
FACTORS = [cmath.rect(0.5, 0.3), cmath.rect(2.0, -1.2), cmath.rect(0.1, 2.5), cmath.rect(1.0, cmath.pi / 2)]


def rotation(factor):
    return torch.tensor([[factor.real, -factor.imag], [factor.imag, factor.real]], dtype=torch.float64)


def plane():
    """Make a network whose modules turn and scale the plane by 1 + w, for the factors w."""
    net = linear_network([rotation(factor).float() for factor in FACTORS]).double()
    for module, factor in zip(net.residual_modules, FACTORS, strict=True):
        module.branch.weight.data = rotation(factor)
    return net


def some_points(n=5):
    return torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def digits(n=6):
    return un.data.load("digits", limit=n).batch(torch.arange(n))


# -- closed forms --


def test_branches_that_turn_and_scale_the_plane():
    table = module_measures(plane(), some_points(), loss="squared_norm")
    for factor, row in zip(FACTORS, table, strict=True):
        # Behind the junction only (1 + w) follow, whose transposes turn the gradient back: g is along (1 + w) x.
        downhill = (factor * (1 + factor).conjugate()).real / abs(factor) / abs(1 + factor)
        assert row["branch_to_stream"] == pytest.approx(abs(factor))
        assert row["branch_stream_cosine"] == pytest.approx(np.cos(cmath.phase(factor)))
        assert row["branch_gradient_cosine"] == pytest.approx(downhill)
        assert row["gradient_gain"] == pytest.approx(abs(factor))
        # All images are alike, so that nothing is uncertain.
        for name in MEASURES:
            assert row[f"{name}_low"] == pytest.approx(row[name]) == row[f"{name}_high"]


def test_a_gradient_too_small_for_its_square_is_measured():
    def tiny(output, targets):
        return 1e-30 * output.square().sum(dim=1) / 2

    net, points = plane().float(), some_points().float()
    expected = module_measures(net, points, loss="squared_norm")
    for row, other in zip(module_measures(net, points, loss=tiny), expected, strict=True):
        assert [row[name] for name in MEASURES] == pytest.approx([other[name] for name in MEASURES], rel=1e-5)
    assert row["loss_name"] == "tiny"


# -- autograd by hand --


def by_hand(net, inputs, targets):
    """Measure with hooks of autograd, image by image: what arrives at each junction in one backward pass."""
    net = copy.deepcopy(net).eval()
    state = net.enter(inputs)
    kept = []
    for module in net.residual_modules:
        state = net.move_to_chain(state, module.chain)
        x = state.x
        branch = module.take_branch(x, state.held)
        if module.skip is None:
            skip = x if x.shape == branch.shape else None
            junction = branch * 1.0
        else:
            skip = module.take_skip(x, state.held)
            junction = skip + branch
        junction.retain_grad()
        kept.append((module, x, state.held, skip, branch, junction))
        state = State(module.join(None, junction, state.held), state.chain, state.held)
    F.cross_entropy(net.leave(state), targets, reduction="sum").backward()
    return [measures_by_hand(*values) for values in kept]


def measures_by_hand(module, x, held, skip, branch, junction):
    start = x.detach().requires_grad_()
    gradient = junction.grad
    (gone_back,) = torch.autograd.grad(module.take_branch(start, held), start, gradient)

    def flat(values):
        return values.detach().double().flatten(1).numpy()

    def norm(values):
        return np.linalg.norm(flat(values), axis=1)

    def cosine(a, b):
        return (flat(a) * flat(b)).sum(axis=1) / norm(a) / norm(b)

    found = {
        "branch_gradient_cosine": cosine(branch, gradient),
        "gradient_gain": norm(gone_back) / norm(gradient),
    }
    if skip is not None:
        found["branch_to_stream"] = norm(branch) / norm(skip)
        found["branch_stream_cosine"] = cosine(branch, skip)
    return found


def assert_as_by_hand(table, expected, rel):
    assert len(table) == len(expected)
    for row, values in zip(table, expected, strict=True):
        for name in MEASURES:
            if name in values:
                assert row[name] == pytest.approx(values[name].mean(), rel=rel, abs=rel), (
                    row["module"],
                    name,
                )
                low, high = stats.t.interval(
                    0.9, len(values[name]) - 1, loc=values[name].mean(), scale=stats.sem(values[name])
                )
                margin = rel * (1 + abs(high))
                assert row[f"{name}_low"] == pytest.approx(
                    max(low, 0 if "cosine" not in name else -1), abs=margin
                )
                assert row[f"{name}_high"] == pytest.approx(
                    min(high, 1 if "cosine" in name else high), abs=margin
                )
            else:
                assert [row[name], row[f"{name}_low"], row[f"{name}_high"]] == [None] * 3


@pytest.mark.parametrize("kind", ["pre-activation", "post-activation", "post-norm"])
def test_captured_networks_are_measured_as_autograd_measures_them(kind):
    net, data = some_modules(kind)
    assert_as_by_hand(module_measures(net, data, confidence=0.9), by_hand(net, *data), rel=1e-9)


@pytest.mark.parametrize(
    "net",
    [
        un.zoo.preact_resnet(14, input_shape=(1, 8, 8), seed=0),
        un.zoo.resnet(14, input_shape=(1, 8, 8), shortcut="C", seed=0),
        un.zoo.plain(14, input_shape=(1, 8, 8), seed=0),
    ],
    ids=lambda net: net.name,
)
def test_networks_of_the_zoo_are_measured_as_autograd_measures_them(net):
    table = module_measures(net, digits(), confidence=0.9, batch_size=4)
    assert_as_by_hand(table, by_hand(net, *digits()), rel=2e-4)
    assert [(row["module"], row["kind"], row["keeps_shape"]) for row in table] == [
        (module.index, module.kind, module.keeps_shape) for module in net.residual_modules
    ]


# -- routes --


def test_a_removed_skip_is_measured_against_the_input_and_a_deleted_module_is_not():
    net = plane()
    route = net.full_route.delete(0).remove_skip(1)
    table = module_measures(net, some_points(), loss="squared_norm", route=route)
    assert [row["module"] for row in table] == [1, 2, 3]
    assert table[0]["branch_to_stream"] == pytest.approx(2.0)
    # Without its skip all that arrives at the junction is the branch, along the gradient.
    assert table[0]["branch_gradient_cosine"] == pytest.approx(1.0)
    assert {row["route"] for row in table} == {"0s,1b,2-3"}


def test_rows_follow_the_route():
    net = plane()
    table = module_measures(net, some_points(), loss="squared_norm", route=net.full_route.swap(0, 2))
    assert [row["module"] for row in table] == [2, 1, 0, 3]
    assert [row["gradient_gain"] for row in table] == pytest.approx([abs(FACTORS[i]) for i in (2, 1, 0, 3)])
    with pytest.raises(RouteError, match="no module 4"):
        module_measures(net, some_points(), route=un.Route.parse("0-4"))


MIXED = un.Route.parse("0*0.5,(0-1*2,3[0,2[1s,0]]),2b,1s,3[1,2]*0.5,4,5*2")


def test_spans_scales_and_ways_inside_are_measured_as_autograd_measures_them():
    net, x, targets = nested_network(), torch.randn(5, 3).double(), torch.tensor([0, 1, 2, 0, 1])
    table = module_measures(net, (x, targets), route=MIXED)
    assert [row["module"] for row in table] == [0, 0, 1, 3, 2, 3, 4, 5]
    for row, values in zip(table, on_a_route_by_hand(net, x, targets, MIXED), strict=True):
        for name in MEASURES:
            expected = None if name not in values else pytest.approx(values[name].mean().item(), abs=1e-9)
            assert row[name] == expected, (row["module"], name)


def on_a_route_by_hand(net, x, targets, route):
    """Measure each visit that has a branch; the gradient arrives by one backward pass through the whole route."""
    y, kept = net.stem(x), []
    for step in route.steps:
        first = net.residual_modules[step.visits[0].module]
        skip = None if step.visits[0].mode == "branch" else first.take_skip(y)
        ways = [
            way_of(net.residual_modules[visit.module], visit) for visit in step.visits if visit.mode != "skip"
        ]
        joined = (0 if skip is None else first.junction(skip, None)) + sum(way(y, skip) for way in ways)
        joined.retain_grad()
        kept += [(way, y.detach(), skip, first, joined) for way in ways]
        y = first.after(joined)
    F.cross_entropy(net.head(y), targets, reduction="sum").backward()
    found = []
    for way, entered, skip, first, joined in kept:
        start = entered.clone().requires_grad_()
        skip = None if skip is None else skip.detach()
        branch = way(start, skip)
        (gone_back,) = torch.autograd.grad(branch, start, joined.grad)
        stream = entered if skip is None else first.junction(skip, None)
        measured = {
            "branch_gradient_cosine": F.cosine_similarity(branch, joined.grad),
            "gradient_gain": gone_back.norm(dim=1) / joined.grad.norm(dim=1),
        }
        if stream.shape == branch.shape:
            measured["branch_to_stream"] = branch.norm(dim=1) / stream.norm(dim=1)
            measured["branch_stream_cosine"] = F.cosine_similarity(branch, stream)
        found.append(measured)
    return found


def way_of(module, visit):
    """What a visit changes of the stream that its skip gives alone, or the branch where it has no skip."""

    def way(y, skip):
        inside = visit.inside
        branch = module.take_branch(y) if inside is None else read_plainly(module.branch, y, inside)
        return module.junction.change(skip, module.scaled(branch, visit.scale))

    return way


# -- images --


def test_images_without_a_gradient_are_left_out_of_what_needs_one():
    def chosen(output, targets):
        return targets * output.square().sum(dim=1)

    net, points = plane(), some_points(4)
    data = (points, torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64))
    table = module_measures(net, data, loss=chosen)
    assert [row["gradient_gain"] for row in table] == pytest.approx([abs(f) for f in FACTORS])
    none = module_measures(net, (points, torch.zeros(4, dtype=torch.float64)), loss=chosen)
    assert {row["gradient_gain"] for row in none} == {None}
    assert [row["branch_to_stream"] for row in none] == pytest.approx([abs(f) for f in FACTORS])


def test_facts_say_what_was_measured():
    net = un.zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0)
    row = module_measures(net, "digits", limit=7, seed=3, confidence=0.8)[0]
    assert (row["n_images"], row["seed"], row["confidence"], row["loss_name"]) == (7, 3, 0.8, "cross_entropy")
    assert (row["network"], row["network_name"]) == (net.fingerprint(), "preact-resnet8")
    assert row["data_name"] == "digits"
    assert row["name"] == "stage1.0"


def test_a_loss_that_is_not_finite_is_explained():
    net = linear_network([torch.full((2, 2), 1e30)])
    with pytest.raises(EvaluationError, match="loss of linear is not finite"):
        module_measures(net, torch.ones(2, 2))


def test_the_network_is_left_as_it_was_after_an_error():
    net = plane().train()
    net.residual_modules[1].eval()
    net.residual_modules[2].branch.weight.requires_grad_(False)

    def broken(output, targets):
        raise ArithmeticError

    with pytest.raises(UnforeseenError, match="ArithmeticError"):
        module_measures(net, some_points(), loss=broken)
    assert [m.training for m in net.residual_modules] == [True, False, True, True]
    assert [m.branch.weight.requires_grad for m in net.residual_modules] == [True, True, False, True]
    assert not any(isinstance(m, nn.Module) and m._forward_hooks for m in net.modules())


def test_every_junction_is_measured_by_what_the_branch_changes():
    net, x, targets = joined_network(), torch.randn(5, 3).double(), torch.tensor([0, 1, 2, 0, 1])
    table = module_measures(net, (x, targets))
    stream = net.stem(x)
    for module, row in zip(net.residual_modules, table, strict=True):
        entered = stream.detach().requires_grad_()
        skip, branch = module.take_skip(entered), module.take_branch(entered)
        alone = module.junction(skip, None)
        joined = module.junction(skip, branch).detach().requires_grad_()
        change = joined - alone
        stream = y = module.after(joined)
        for later in list(net.residual_modules)[module.index + 1 :]:
            y = later(y)
        (gradient,) = torch.autograd.grad(F.cross_entropy(net.head(y), targets, reduction="sum"), joined)
        (through,) = torch.autograd.grad(module.junction(skip.detach(), branch), entered, gradient)
        expected = {
            "branch_to_stream": change.norm(dim=1) / alone.norm(dim=1),
            "branch_stream_cosine": F.cosine_similarity(change, alone),
            "branch_gradient_cosine": F.cosine_similarity(change, gradient),
            "gradient_gain": through.norm(dim=1) / gradient.norm(dim=1),
        }
        for name, values in expected.items():
            assert row[name] == pytest.approx(values.mean().item(), abs=1e-9), (module.index, name)
