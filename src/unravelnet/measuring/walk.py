"""Runs many routes on one batch, computing what they share once.

Routes form a prefix tree over their steps, which is walked depth first: one evaluation of a branch serves both the
routes that take it alone and those that take it with the skip, and only streams that are still needed are kept.
Deleting each of n modules then costs (n + 1) / 2 passes instead of n. Of several subtrees the smallest is walked first,
so that at most log2(routes) streams wait at any time, whatever the number of routes and modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, TypeVar

from unravelnet.network import State, UnraveledNetwork
from unravelnet.routes.route import Route

_Key = TypeVar("_Key")


@dataclass(frozen=True)
class _Span:
    """A subtree still to be walked: routes[first:last] share their first `depth` steps, which led to `state`."""

    state: State
    depth: int
    first: int
    last: int


def walk(net: UnraveledNetwork, routes: Iterable[Route], inputs: Any) -> Iterator[tuple[Route, Any]]:
    """Run routes on one batch; give each once with its output, in an order that shares the most.

    >>> import torch
    >>> from unravelnet.zoo import preact_resnet
    >>> net = preact_resnet(depth=8)
    >>> [str(route) for route, _ in walk(net, [net.full_route, net.full_route.delete(0)], torch.zeros(1, 3, 8, 8))]
    ['0s,1-2', '0-2']
    """
    ordered = sorted(set(routes), key=_steps)
    if not ordered:
        return
    waiting = [_Span(net.enter(inputs), 0, 0, len(ordered))]
    while waiting:
        span = waiting.pop()
        state, depth, first, last = span.state, span.depth, span.first, span.last
        if len(ordered[first]) == depth:
            yield ordered[first], net.leave(state)
            first += 1
        if first == last:
            continue
        parts = _split([route.steps[depth].module for route in ordered[first:last]], first)
        state = net.move_to_chain(state, min(net.residual_modules[module].chain for module, *_ in parts))
        if len(parts) == 1:
            children = list(_children(net, ordered, _Span(state, depth, first, last)))
        else:
            children = [_Span(state, depth, start, stop) for _, start, stop in parts]
        # Released before the subtree is walked, so that a stream lives only as long as it is needed.
        del state, span
        waiting += sorted(children, key=lambda child: child.first - child.last)


def _steps(route: Route) -> list[tuple[int, str]]:
    return [(step.module, step.mode) for step in route.steps]


def _split(keys: Sequence[_Key], first: int) -> list[tuple[_Key, int, int]]:
    """Cut sorted keys, which stand in places from `first` on, into ranges of equal ones.

    >>> _split("aab", 10)
    [('a', 10, 12), ('b', 12, 13)]
    """
    parts = []
    for key, places in groupby(range(len(keys)), key=keys.__getitem__):
        group = list(places)
        parts.append((key, first + group[0], first + group[-1] + 1))
    return parts


def _children(net: UnraveledNetwork, routes: Sequence[Route], span: _Span) -> Iterator[_Span]:
    """Take the next step of routes that all visit the same module next; each part of it is run once."""
    state, depth = span.state, span.depth
    steps = _split([route.steps[depth] for route in routes[span.first : span.last]], span.first)
    module = net.residual_modules[steps[0][0].module]
    state = net.move_to_chain(state, module.chain)
    modes = {step.mode for step, _, _ in steps}
    skip = None if modes == {"branch"} else module.take_skip(state.x, state.held)
    branch = None if modes == {"skip"} else module.take_branch(state.x, state.held)
    behind = module.state_behind(state, state.x)
    for step, first, last in steps:
        taken_skip = None if step.mode == "branch" else skip
        taken_branch = None if step.mode == "skip" else branch
        x = module.join(taken_skip, taken_branch, state.held)
        yield _Span(replace(behind, x=x), depth + 1, first, last)
