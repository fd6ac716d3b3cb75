"""Gradients by path length on routes with scaled, parallel and nested visits, against single paths one at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor
from torch.nn import functional as F

import unravelnet as un
from tests.nested import nested_network, routes
from unravelnet.errors import RouteError
from unravelnet.gradient.lengths import Join, RandomPath, Sum, backwards
from unravelnet.gradient.linearised import fixed, record
from unravelnet.gradient.live import STREAM
from unravelnet.gradient.loss import LossOfOutput
from unravelnet.network import Row
from unravelnet.routes.route import AnyStep, Parallel, Route, Step
from unravelnet.zoo.unet import LongSkip

NET = nested_network()
X = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([0, 2])
MIXED = Route.parse("0*0.5,(0-1*2,3[0,2[1s,0]]),2b,3[1,2]*0.5,4,5*2")

# A path says of each step which visit's branch it enters, None for none, and the path inside that branch.
Path = tuple[tuple[int | None, "Path"], ...]


def paths_of(steps: tuple[AnyStep, ...]) -> Iterator[Path]:
    """List all paths, one choice after the other."""
    if not steps:
        yield ()
        return
    for rest in paths_of(steps[1:]):
        visits = steps[0].visits
        if isinstance(steps[0], Parallel) or visits[0].mode != "branch":
            yield ((None, ()), *rest)
        for place, visit in enumerate(visits):
            if visit.mode != "skip":
                for inside in paths_of(visit.inside.steps) if visit.inside is not None else [()]:
                    yield ((place, inside), *rest)


def length_of(path: Path) -> int:
    return sum(1 + length_of(inside) for place, inside in path if place is not None)


def run_along(row: Row, x: Tensor, steps: tuple[AnyStep, ...], path: Path) -> Tensor:
    """Run the modules of a row with the values of the route, every way but that of the path detached."""
    chain = 0
    for step, (entered, inside) in zip(steps, path, strict=True):
        chosen = [row.residual_modules[visit.module] for visit in step.visits]
        while chain < chosen[0].chain:
            x, chain = row.transitions[chain](x), chain + 1
        branches = [
            _branch(module.branch, x, visit, inside if place == entered else None)
            for place, (module, visit) in enumerate(zip(chosen, step.visits, strict=True))
        ]
        assert chosen[0].skip is not None
        skip = chosen[0].skip(x)
        skip = skip if entered is None else skip.detach()
        if isinstance(step, Parallel):
            parts = [
                module.junction(skip, module.junction.scale(branch, visit.scale)) - skip
                for module, branch, visit in zip(chosen, branches, step.visits, strict=True)
                if visit.mode != "skip"
            ]
            joined = skip + sum(parts, torch.zeros(()))
        else:
            (visit,), junction = step.visits, chosen[0].junction
            joined = junction(
                None if visit.mode == "branch" else skip,
                None if visit.mode == "skip" else junction.scale(branches[0], visit.scale),
            )
        x = chosen[0].after(joined)
    while chain < len(row.transitions):
        x, chain = row.transitions[chain](x), chain + 1
    return x


def _branch(branch: torch.nn.Module, x: Tensor, visit: Step, path: Path | None) -> Tensor:
    if visit.inside is None or not isinstance(branch, Row):
        return branch(x) if path is not None else branch(x).detach()
    any_path = next(paths_of(visit.inside.steps)) if path is None else path
    value = branch.head(run_along(branch, branch.stem(x), visit.inside.steps, any_path))
    return value if path is not None else value.detach()


@cache
def gradients_of(route: Route) -> dict[int, list[Tensor]]:
    """List the gradients along all paths of a route by their length."""
    found: dict[int, list[Tensor]] = {}
    for path in paths_of(route.steps):
        start = NET.stem(X).detach().requires_grad_()
        logits = NET.head(run_along(NET, start, route.steps, path))
        loss = F.cross_entropy(logits, TARGETS, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, start, allow_unused=True)
        found.setdefault(length_of(path), []).append(
            torch.zeros_like(start) if gradient is None else gradient
        )
    return found


def terms_of(route: Route, join: Join, n: int = 1) -> Iterator[tuple[list[Tensor], list[int]]]:
    """Give the terms of each length and the counts of paths, n times from one forward pass."""
    _, loss = LossOfOutput.of(NET, None, None).find(has_targets=True)
    zero = torch.zeros(2, 4, dtype=torch.float64)
    with fixed(NET):
        recording = record(NET, X, route)
        _, end = recording.gradient(loss, TARGETS)
        for _ in range(n):
            *_, (terms, counts) = backwards(recording.stages, end, join)
            yield [zero if term is None else term.unscaled().get(STREAM, zero) for term in terms], counts


def test_each_length_has_the_sum_of_its_paths() -> None:
    ((terms, counts),) = terms_of(MIXED, Sum(2))
    expected = gradients_of(MIXED)
    assert counts == [len(expected.get(length, [])) for length in range(len(counts))]
    assert sum(counts) == MIXED.path_count
    assert len(counts) == MIXED.longest_path + 1
    for length, found in enumerate(terms):
        total = sum(expected.get(length, []), torch.zeros(2, 4, dtype=torch.float64))
        torch.testing.assert_close(found, total, rtol=1e-9, atol=1e-12)


def test_a_random_path_is_one_of_them() -> None:
    expected = gradients_of(MIXED)
    generator = torch.Generator().manual_seed(0)
    drawn: Counter[int] = Counter()
    for terms, _ in terms_of(MIXED, RandomPath(2, generator), 40):
        for length, found in enumerate(terms):
            if length in expected:
                distance = [(one - found).abs().amax(dim=1) for one in expected[length]]
                assert torch.stack(distance).amin(dim=0).max() < 1e-12, length
                drawn[length] += int(torch.stack(distance)[:, 0].argmin())
    # Of many paths of a length not always the same one is drawn.
    assert len(set(drawn.values())) > 1


def test_random_signs_keep_the_squares() -> None:
    expected = gradients_of(MIXED)
    generator = torch.Generator().manual_seed(0)
    draws = [terms for terms, _ in terms_of(MIXED, Sum(2, generator), 150)]
    for length, gradients in expected.items():
        squares = sum(float(one.square().sum()) for one in gradients)
        found = sum(float(terms[length].square().sum()) for terms in draws) / len(draws)
        assert found == pytest.approx(squares, rel=0.25), length


@settings(max_examples=25)
@given(routes())
def test_lengths_add_up_to_the_gradient_of_autograd(route: Route) -> None:
    table = un.path_gradients(NET, (X, TARGETS), route=route, draws=1, method="exact")
    assert table[0]["gradient_error"] is not None
    assert table[0]["gradient_error"] < 1e-9
    counts = Counter(length_of(path) for path in paths_of(route.steps)) if route.path_count < 3000 else None
    if counts is not None:
        assert [row["path_count"] for row in table] == [counts[length] for length in range(len(table))]
    assert sum(row["path_count"] for row in table) == route.path_count


@pytest.mark.parametrize("junction", ["add", "concatenate"])
def test_a_u_net_has_paths_of_every_depth(junction: LongSkip) -> None:
    net = un.zoo.unet(junction=junction, widths=(2, 3, 4, 5), input_shape=(1, 8, 8), seed=0).double()
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    table = un.path_gradients(
        net,
        (x, TARGETS),
        route=Route.parse("0[0[0]]"),
        loss=lambda output, _: output.square().sum(dim=(1, 2, 3)),
    )
    # A long skip goes around everything deeper: one path of each depth.
    assert [row["path_count"] for row in table] == [1, 1, 1, 1]
    assert table[0]["gradient_error"] < 1e-9


def test_what_is_measured_of_single_visits_refuses_others() -> None:
    with pytest.raises(RouteError, match="path_logits takes routes of single visits"):
        un.path_logits(NET, X, route=Route.parse("(0,2),4,5"))
