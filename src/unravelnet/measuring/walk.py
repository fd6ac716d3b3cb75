"""Runs many routes on one batch, computing what they share once.

Routes form a prefix tree over their moves, which is walked depth first: one evaluation of a branch serves the routes
that take it alone, with the skip, and scaled, and only streams that are still needed are kept. Moves lead into modules
and through parallel spans, too, so routes share what they begin with there as well.
Deleting each of n modules then costs (n + 1) / 2 passes instead of n. Of several subtrees the smallest is walked first,
so that at most log2(routes) streams wait at any time, whatever the number of routes and modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

from unravelnet.network import State, UnraveledNetwork
from unravelnet.routes.route import Route

_Key = TypeVar("_Key")


@dataclass(frozen=True)
class _Span:
    """A subtree still to be walked: routes[first:last] share their first `depth` moves, which led to `state`."""

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
    ordered = sorted(set(routes), key=lambda route: route.moves)
    if not ordered:
        return
    waiting = [_Span(net.enter(inputs), 0, 0, len(ordered))]
    while waiting:
        span = waiting.pop()
        state, depth, first, last = span.state, span.depth, span.first, span.last
        if len(ordered[first].moves) == depth:
            yield ordered[first], net.leave(state)
            first += 1
        if first == last:
            continue
        moves = [route.moves[depth] for route in ordered[first:last]]
        parts = _split([(move.module, move.kind) for move in moves], first)
        state = net.move_towards(state, moves)
        if len(parts) == 1:
            children = list(children_of(net, ordered, _Span(state, depth, first, last)))
        else:
            children = [_Span(state, depth, start, stop) for _, start, stop in parts]
        # Released before the subtree is walked, so that a stream lives only as long as it is needed.
        del state, span
        waiting += sorted(children, key=lambda child: child.first - child.last)


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


def children_of(net: UnraveledNetwork, routes: Sequence[Route], span: _Span) -> Iterator[_Span]:
    """Make the next move of routes that all come to the same module next; each part of it is run once."""
    parts = _split([route.moves[span.depth] for route in routes[span.first : span.last]], span.first)
    states = net.advance_each(span.state, [move for move, *_ in parts])
    for state, (_, first, last) in zip(states, parts, strict=True):
        yield _Span(state, span.depth + 1, first, last)
