"""Sums of a skip and a branch: x + f(x), as in residual networks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import fx

from unravelnet.capture.kinds.kind import AbstractKind, Operands, Site
from unravelnet.capture.operations import MULTIPLICATIONS, is_sum, negated, operation
from unravelnet.capture.stream import Stream, shape_of


class Sums(AbstractKind):
    """A sum is a junction if one operand is at most affine in what came in, and another one is learned.

    Sums of sums are taken apart, as in x + attention(x) + mlp(x). In x + a (f(x) - x) with a learned number a, the
    difference belongs to the sum around it.
    """

    def may_be(self, stream: Stream, node: fx.Node) -> bool:
        return is_sum(node) and len(stream.operands(node)) == 2

    def read(self, site: Site) -> Operands | None:
        explained: set[fx.Node] = set()
        terms = _terms(site, site.node, explained)
        skips = [term for term in terms if site.is_affine(term)]
        if not skips or any(shape_of(term) != shape_of(site.node) for term in terms):
            return None
        skip = site.cheapest(skips)
        branch = tuple(term for term in terms if term is not skip)
        is_learned, skip_learns = site.learns(*branch), site.learns(skip)
        if not is_learned and not any(map(site.stream.mixes_positions, site.nodes(branch))):
            return None
        if skip is not site.entry and not is_learned and not skip_learns:
            # Two poolings of one value: nothing is learned on either side.
            return None
        if len(skips) == len(terms) and skip_learns:
            # Two linear layers side by side, as in a pair of classifiers: neither goes around the other.
            return None
        explained.update(_differences(site.stream, branch, skip))
        return Operands(skip, branch, explained=frozenset(explained))


def _terms(site: Site, junction: fx.Node, explained: set[fx.Node]) -> list[fx.Node]:
    """List what a sum adds, and note the sums of some of it on the way."""
    terms: list[fx.Node] = []
    for operand in site.stream.operands(junction):
        is_part = is_sum(operand) and len(operand.users) == 1 and operand not in site.found
        if operand is not site.entry and is_part and len(site.stream.operands(operand)) == 2:
            explained.add(operand)
            terms += _terms(site, operand, explained)
        else:
            terms.append(operand)
    return terms


def _differences(stream: Stream, branch: Iterable[fx.Node], skip: fx.Node) -> Iterator[fx.Node]:
    """Find the differences f(x) - x that a branch is a multiple of, where x is the skip."""
    for value in branch:
        node = value
        while operation(node) in MULTIPLICATIONS and len(stream.operands(node)) == 1:
            node = stream.operands(node)[0]
        is_difference = is_sum(node) and any(negated(operand) is skip for operand in stream.operands(node))
        if node is not value and is_difference and len(node.users) == 1:
            yield node
