"""A network with modules to nest, scale and put side by side, and a plain reading of routes to compare with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.joined import Gated, smooth
from unravelnet.network import Concatenate, Gate, ResidualModule, Row, UnraveledNetwork
from unravelnet.routes.route import AnyStep, Parallel, Route, Step


def nested_network(seed: int = 0) -> UnraveledNetwork:
    """Six modules: three that fit side by side, one of two levels inside, a concatenation and a last projection."""
    torch.manual_seed(seed)
    deepest = Row(nn.Linear(4, 3), [_added(3), _added(3)], nn.Linear(3, 4))
    inside = Row(
        nn.Linear(4, 4),
        [_added(4), _gated(4), ResidualModule(deepest, nn.Identity(), nn.Tanh(), chain=1)],
        nn.Linear(4, 4),
        transitions=[nn.Tanh()],
    )
    modules = [
        _added(4),
        _gated(4),
        _added(4),
        ResidualModule(inside, nn.Identity()),
        ResidualModule(smooth(4, 2), nn.Identity(), junction=Concatenate(4, 2)),
        ResidualModule(smooth(6, 3), nn.Linear(6, 3), nn.Tanh()),
    ]
    net = UnraveledNetwork(nn.Linear(3, 4), modules, nn.Linear(3, 3), example=torch.zeros(2, 3))
    return net.double().eval()


def _added(width: int) -> ResidualModule:
    return ResidualModule(smooth(width, width), nn.Identity())


def _gated(width: int) -> ResidualModule:
    return ResidualModule(Gated(width, width), nn.Identity(), junction=Gate())


def read_plainly(net: UnraveledNetwork, x: Tensor, route: Route) -> Tensor:
    """Run a route as it reads, step by step, by nothing but the parts of the modules."""
    return _through(net, x, route)


def _through(row: Row, x: Tensor, route: Route) -> Tensor:
    x, chain = row.stem(x), 0
    for step in route.steps:
        steps = step.steps if isinstance(step, Parallel) else (step,)
        module = row.residual_modules[steps[0].module]
        while chain < module.chain:
            x, chain = row.transitions[chain](x), chain + 1
        if isinstance(step, Parallel):
            x = x + sum(
                (_visit(row, x, Step(s.module, s.mode, s.scale, s.inside)) - x for s in steps),
                torch.zeros(()),
            )
            x = module.after(x)
        else:
            x = module.after(_visit(row, x, step))
    while chain < len(row.transitions):
        x, chain = row.transitions[chain](x), chain + 1
    return row.head(x)


def _visit(row: Row, x: Tensor, step: Step) -> Tensor:
    module = row.residual_modules[step.module]
    assert module.skip is not None
    skip = module.skip(x)
    inside = module.branch
    branch = inside(x) if step.inside is None else _through(inside, x, step.inside)
    takes_skip, factor = step.mode != "branch", step.scale * (step.mode != "skip")
    if module.junction.kind == "gate":
        value, gate = branch.chunk(2, 1)
        return skip + factor * gate * (value - skip) if takes_skip else value
    if module.junction.kind == "concatenate":
        return torch.cat([skip * takes_skip, factor * branch], dim=1)
    return skip * takes_skip + factor * branch


SCALES = (1.0, 1.0, 0.5, 2.0, -0.25)


@st.composite
def _step(
    draw: st.DrawFn, module: int, *, is_gate: bool = False, inside: Route | None = None, in_span: bool = False
) -> Step:
    mode = draw(st.sampled_from(["both", "both", "skip"] if in_span else ["both", "both", "skip", "branch"]))
    if mode == "skip":
        return Step(module, mode)
    scale = 1.0 if is_gate and mode == "branch" else draw(st.sampled_from(SCALES))
    return Step(module, mode, scale, inside)


@st.composite
def _inside(draw: st.DrawFn) -> Route | None:
    """Draw a route through what is inside of module 3, or None."""
    if draw(st.booleans()):
        return None
    deepest = draw(st.one_of(st.none(), st.lists(_step(1) | _step(0), max_size=3).map(tuple).map(Route)))
    first = draw(st.lists(_step(0) | _step(1, is_gate=True), max_size=2))
    if draw(st.booleans()):
        return Route(
            (*first, Parallel((Step(0), draw(_step(1, in_span=True)))), draw(_step(2, inside=deepest)))
        )
    return Route((*first, *([draw(_step(2, inside=deepest))] if draw(st.booleans()) else [])))


@st.composite
def routes(draw: st.DrawFn) -> Route:
    """Draw a route through the network with all that a route can hold."""
    steps: list[AnyStep] = []
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            chosen = draw(st.lists(st.integers(0, 3), min_size=2, max_size=3))
            steps.append(Parallel(tuple(draw(_free(module, in_span=True)) for module in chosen)))
        else:
            steps.append(draw(_free(draw(st.integers(0, 3)))))
    return Route((*steps, draw(_step(4)), draw(_step(5))))


@st.composite
def _free(draw: st.DrawFn, module: int, *, in_span: bool = False) -> Step:
    inside = draw(_inside()) if module == 3 else None
    return draw(_step(module, is_gate=module == 1, inside=inside, in_span=in_span))


def depth_of(steps: Sequence[AnyStep]) -> int:
    """Count how deep routes lead into modules."""
    visits = [visit for step in steps for visit in step.visits]
    return max((1 + depth_of(visit.inside.steps) for visit in visits if visit.inside is not None), default=0)
