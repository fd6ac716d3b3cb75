"""Junctions against networks written out by hand, and against autograd."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import unravelnet as un
from tests.joined import N_IN_ANY_ORDER, by_hand, joined_network
from unravelnet import studies
from unravelnet.errors import ModelError
from unravelnet.measuring.reach import unreached_modules
from unravelnet.measuring.walk import walk
from unravelnet.network import (
    AbstractJunction,
    Add,
    Concatenate,
    Gate,
    Partial,
    ResidualModule,
    UnraveledNetwork,
)
from unravelnet.routes.route import Mode, Route, Step
from unravelnet.training.replay import Replay, run_again

MODES: tuple[Mode, ...] = ("both", "skip", "branch")
# Each with the numbers of channels of its skip and its branch.
JUNCTIONS: dict[str, tuple[AbstractJunction, int, int]] = {
    "add": (Add(), 3, 3),
    "concatenate": (Concatenate(3, 2), 3, 2),
    "branch first": (Concatenate(3, 2, skip_first=False), 3, 2),
    "partial": (Partial((("both", 2), ("skip", 1), ("branch", 3))), 3, 5),
    "partial, branch first": (Partial((("branch", 1), ("both", 3))), 3, 4),
    "gate": (Gate(), 3, 6),
}
NET = joined_network()
X = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def operands(n_skip: int, n_branch: int, *, dim: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    draw = partial(torch.randn, dtype=torch.float64, generator=generator)
    return draw(2, n_skip, 4, 3).movedim(1, dim), draw(2, n_branch, 4, 3).movedim(1, dim)


# -- the values --


def test_what_is_missing_is_stood_in_for() -> None:
    skip, branch = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])
    gated = torch.tensor([[3.0, 4.0, 0.5, 0.25]])
    assert Add()(skip, branch).tolist() == [[4, 6]]
    assert Add()(skip, None) is skip
    assert Add()(None, branch) is branch
    assert Concatenate(2, 2)(skip, branch).tolist() == [[1, 2, 3, 4]]
    assert Concatenate(2, 2)(skip, None).tolist() == [[1, 2, 0, 0]]
    assert Concatenate(2, 2)(None, branch).tolist() == [[0, 0, 3, 4]]
    assert Concatenate(2, 2, skip_first=False)(skip, branch).tolist() == [[3, 4, 1, 2]]
    assert Concatenate(2, 2, skip_first=False)(skip, None).tolist() == [[0, 0, 1, 2]]
    partial = Partial((("branch", 1), ("both", 1), ("skip", 1)))
    assert partial(skip, branch).tolist() == [[3, 1 + 4, 2]]
    assert partial(skip, None).tolist() == [[0, 1, 2]]
    assert partial(None, branch).tolist() == [[3, 4, 0]]
    # 0.5 · 3 + 0.5 · 1 and 0.25 · 4 + 0.75 · 2.
    assert Gate()(skip, gated).tolist() == [[2, 2.5]]
    assert Gate()(skip, None) is skip
    assert Gate()(None, gated).tolist() == [[3, 4]]


@pytest.mark.parametrize("name", JUNCTIONS)
@pytest.mark.parametrize("missing", ["none", "skip", "branch"])
def test_the_transposed_maps_are_those_of_autograd(name: str, missing: str) -> None:
    junction, *sizes = JUNCTIONS[name]
    skip, branch = (operand.requires_grad_() for operand in operands(*sizes))
    given = (None if missing == "skip" else skip, None if missing == "branch" else branch)
    joined = junction(*given)
    gradient = torch.randn(joined.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    on_skip, on_branch = torch.autograd.grad(joined, [skip, branch], gradient, materialize_grads=True)
    if given[0] is not None:
        assert torch.allclose(junction.to_skip(gradient, *given), on_skip, rtol=1e-12)
    if given[1] is not None:
        assert torch.allclose(junction.to_branch(gradient, *given), on_branch, rtol=1e-12)


@pytest.mark.parametrize("name", JUNCTIONS)
def test_a_fraction_of_the_branch_leads_from_its_absence_to_all_of_it(name: str) -> None:
    junction, *sizes = JUNCTIONS[name]
    skip, branch = operands(*sizes)
    whole, none = junction(skip, branch), junction(skip, None)
    for factor in (0.0, 0.3, 1.0):
        part = junction(skip, junction.scale(branch, factor))
        assert torch.allclose(part, none + factor * (whole - none), atol=1e-12)
    assert torch.allclose(junction.change(skip, branch), whole - none, atol=1e-12)
    assert torch.equal(junction.change(None, branch), junction(None, branch))


@pytest.mark.parametrize("name", JUNCTIONS)
def test_a_linear_junction_is_the_sum_of_what_each_operand_gives(name: str) -> None:
    junction, *sizes = JUNCTIONS[name]
    skip, branch = operands(*sizes)
    apart = junction(skip, None) + junction(None, branch)
    assert torch.allclose(apart, junction(skip, branch)) == junction.is_linear
    assert (junction(skip, None) is skip) == junction.passes_lone_skip


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -3])
def test_a_concatenation_pads_along_its_own_dimension(dim: int) -> None:
    skip, branch = operands(3, 2, dim=dim)
    junction = Concatenate(3, 2, dim=dim)
    assert torch.equal(junction(skip, None), torch.cat([skip, torch.zeros_like(branch)], dim))
    assert torch.equal(junction(None, branch), torch.cat([torch.zeros_like(skip), branch], dim))


def test_a_lone_operand_keeps_its_memory_layout() -> None:
    images = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    partial = Partial((("both", 2), ("skip", 1), ("branch", 4)))
    for junction in (Concatenate(3, 5), Concatenate(3, 5, skip_first=False), partial):
        assert junction(images, None).is_contiguous(memory_format=torch.channels_last)


def test_a_concatenation_of_other_sizes_is_refused() -> None:
    with pytest.raises(ModelError, match="made for a branch of 2 channels, and one of 4 arrives"):
        Concatenate(3, 2)(None, torch.zeros(1, 4))
    with pytest.raises(ModelError, match="made for a skip of 3 channels, and one of 4 arrives"):
        Concatenate(3, 2)(torch.zeros(1, 4), torch.zeros(1, 2))
    partial = Partial((("both", 2), ("branch", 1)))
    with pytest.raises(
        ModelError, match=r"made for a branch of 3 channels, and one of 4 arrives\. Give Partial"
    ):
        partial(torch.zeros(1, 2), torch.zeros(1, 4))


def test_a_junction_that_is_none_is_refused() -> None:
    with pytest.raises(ModelError, match="'concatenate' is none of a residual module"):
        ResidualModule(nn.Identity(), nn.Identity(), junction="concatenate")


# -- networks --


@st.composite
def routes(draw: st.DrawFn) -> Route:
    """Draw an order, repetitions and modes."""
    some = st.lists(st.integers(0, N_IN_ANY_ORDER - 1), max_size=6)
    modules = [*draw(some), *range(N_IN_ANY_ORDER, len(NET.residual_modules))]
    return Route(tuple(Step(module, draw(st.sampled_from(MODES))) for module in modules))


@settings(max_examples=40)
@given(st.lists(routes(), min_size=1, max_size=6))
def test_routes_of_all_kinds_are_what_is_written_out_by_hand(chosen: list[Route]) -> None:
    with torch.no_grad():
        together = dict(walk(NET, chosen, X))
        for route in chosen:
            expected = by_hand(NET, X, route.steps)
            assert torch.allclose(NET(X, route), expected, rtol=1e-12, atol=1e-12), route
            assert torch.equal(together[route], NET(X, route)), route


@pytest.mark.parametrize(
    ("skip", "junction", "n_out"), [(None, Add(), 3), (nn.Identity(), Add(), 3), (nn.Identity(), Gate(), 6)]
)
def test_an_inplace_after_leaves_the_branch_to_other_routes(
    skip: nn.Module | None, junction: AbstractJunction, n_out: int
) -> None:
    torch.manual_seed(0)
    after = nn.LeakyReLU(0.5, inplace=True)
    module = ResidualModule(nn.Linear(3, n_out), skip, after, junction=junction)
    net = UnraveledNetwork(nn.Identity(), [module], nn.Identity(), example=torch.zeros(1, 3))
    x, chosen = torch.randn(4, 3), [Route.parse(text) for text in ("0", "0b", "0s")]
    with torch.no_grad():
        for route, output in list(walk(net, chosen, x)):
            assert torch.equal(output, net(x, route)), route


def test_a_module_is_what_its_parts_say() -> None:
    x = NET.stem(X)
    for module in NET.residual_modules:
        assert module.skip is not None
        expected = module.after(module.junction(module.skip(x), module.branch(x)))
        assert torch.equal(module(x), expected)
        x = expected


def test_studies_measure_every_junction() -> None:
    data = (X, torch.tensor([0, 1, 2, 0, 1]))
    trials = [*studies.delete_each(NET), *studies.remove_skip_each(NET)]
    for row in un.evaluate(NET, trials, data, metrics=["loss"]):
        logits = by_hand(NET, X, Route.parse(row["route"]).steps)
        assert row["loss"] == pytest.approx(F.cross_entropy(logits, data[1]).item(), rel=1e-6)


def test_every_branch_reaches_the_output() -> None:
    assert unreached_modules(NET, X, "output") == []


def test_a_branch_scale_takes_a_fraction_of_what_the_branch_changes() -> None:
    net = copy.deepcopy(NET)
    for module, (junction, lone) in zip(
        net.residual_modules, [(m.junction, m.take_skip) for m in NET.residual_modules], strict=True
    ):
        module.branch_scale, module.after = 0.5, nn.Identity()
        x = torch.randn(2, *module.input_shape, dtype=torch.float64)
        skip = lone(x)
        half = (junction(skip, None) + junction(skip, module.branch(x))) / 2
        assert torch.allclose(module(x), half)


def test_training_steps_on_random_routes_are_those_of_autograd() -> None:
    """Replayed pieces leave out what changes nothing; a deleted concatenation does change the shape."""
    plain, replayed = (copy.deepcopy(NET).train() for _ in range(2))
    targets = torch.tensor([0, 1, 2, 0, 1])
    optimisers = []
    for net in (plain, replayed):
        for parameter in net.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimisers.append(torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9))
    replay = Replay(replayed, optimisers[1], run_again, autocast=torch.enable_grad, batch_size=5)
    full = plain.full_route
    for route in (full, full.delete(1, 4, 6), full.delete(2, 7).remove_skip(4), full.keep()):
        optimisers[0].zero_grad(set_to_none=False)
        F.cross_entropy(by_hand(plain, X, route.steps), targets).backward()
        optimisers[0].step()
        replay.step(X, targets, route)
    for expected, found in zip(plain.parameters(), replayed.parameters(), strict=True):
        assert torch.allclose(found, expected, rtol=1e-6)


def test_the_fingerprint_tells_junctions_apart() -> None:
    def fingerprint(junction: AbstractJunction) -> str:
        branch = nn.Linear(2, 2, bias=False)
        nn.init.eye_(branch.weight)
        module = ResidualModule(branch, nn.Identity(), junction=junction)
        return UnraveledNetwork(
            nn.Identity(), [module], nn.Identity(), example=torch.zeros(1, 2)
        ).fingerprint()

    others = [Concatenate(2, 2), Concatenate(2, 2, skip_first=False), Partial((("both", 2),))]
    assert len({fingerprint(junction) for junction in (Add(), *others)}) == 4
    assert fingerprint(Add()) == fingerprint(Add())


def test_a_network_says_how_its_modules_join() -> None:
    assert NET.module_table()["junction"].tolist()[3:5] == ["add", "concatenate"]
    assert "concatenate" in repr(NET)
    # Where all of them add, as in most networks, there is nothing to say.
    assert "junction" not in repr(un.zoo.preact_resnet(8))
