"""Gates between a skip and a branch: t h + (1 - t) x, as in highway networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import fx

from unravelnet.capture.kinds.kind import AbstractKind, Operands, Site
from unravelnet.capture.operations import ADDITIONS, MULTIPLICATIONS, is_sum, negated, operation
from unravelnet.capture.stream import Stream, shape_of
from unravelnet.network import Gate

aten = torch.ops.aten


@dataclass(frozen=True)
class _Weighted:
    """A value and its weight in a sum whose weights add up to one; None where no value of the graph is the weight."""

    value: fx.Node
    weight: fx.Node | None


class Gates(AbstractKind):
    """A sum is a gate if its two weights add up to one: t h + (1 - t) x, or x + t (h - x).

    The skip, at most affine in what came in, is one of the weighted values. The other one and its weight make the
    branch.
    """

    def may_be(self, stream: Stream, node: fx.Node) -> bool:
        return is_sum(node) and len(stream.operands(node)) == 2

    def read(self, site: Site) -> Operands | None:
        for skip, other, explained in _weighted_sums(site.node):
            t, h = other.weight, other.value
            if t is None or t not in site.stream or not site.is_affine(skip.value) or site.is_affine(h):
                continue
            if site.learns(h, t) and shape_of(skip.value) == shape_of(h) == shape_of(site.node):
                return Operands(skip.value, (h, t), Gate(), _side_by_side, explained)
        return None


def _side_by_side(graph: fx.Graph, values: Sequence[fx.Node]) -> fx.Node:
    """Write h beside t; a gate that several channels share is spread over them."""
    h, t = values
    spread = t if shape_of(t) == shape_of(h) else graph.call_function(aten.expand_as.default, (t, h))
    return graph.call_function(aten.cat.default, ([h, spread], Gate().dim))


def _weighted_sums(node: fx.Node) -> Iterator[tuple[_Weighted, _Weighted, frozenset[fx.Node]]]:
    """Read a sum as two weighted values, in either order, each time with the sums that this takes in."""
    for first, second in permutations(node.all_input_nodes, 2):
        for a, b in _factors(first):
            for c, d in _factors(second):
                if _complement(c) is a:
                    pair = _Weighted(b, a), _Weighted(d, c)
                    yield (*pair, frozenset())
                    yield (*pair[::-1], frozenset())
        for weight, difference in [*_factors(second), *_factors(negated(second))]:
            other = _moved_towards(difference, first, is_backwards=negated(second) is not None)
            if other is not None:
                pair = _Weighted(first, _complement(weight)), _Weighted(other, weight)
                yield (*pair, frozenset({difference}))
                yield (*pair[::-1], frozenset({difference}))


def _factors(node: fx.Node | None) -> list[tuple[fx.Node, fx.Node]]:
    """List the two factors of a product in both orders."""
    factors = node.args if node is not None and operation(node) in MULTIPLICATIONS else ()
    values = [factor for factor in factors if isinstance(factor, fx.Node)]
    return list(permutations(values)) if len(values) == 2 else []  # type: ignore[arg-type]


def _complement(node: fx.Node) -> fx.Node | None:
    """Find t where a value is 1 - t."""
    if operation(node) == "rsub":
        t, one = node.args[:2]
        is_one = one == 1 and node.kwargs.get("alpha", 1) == 1
        return t if is_one and isinstance(t, fx.Node) else None
    if operation(node) in ADDITIONS:
        for one, minus in permutations(node.args[:2]):
            is_one = one == 1 or (isinstance(one, fx.Node) and operation(one) in {"ones_like", "ones"})
            if is_one and isinstance(minus, fx.Node):
                return negated(minus)
    return None


def _moved_towards(node: fx.Node, x: fx.Node, *, is_backwards: bool) -> fx.Node | None:
    """Find h where a value is h - x; backwards, where it is x - h."""
    if not is_sum(node):
        return None
    for a, minus in permutations(node.args[:2]):
        b = negated(minus) if isinstance(minus, fx.Node) else None
        start, end = (a, b) if is_backwards else (b, a)
        if start is x and isinstance(end, fx.Node):
            return end
    return None
