"""Concatenations of a skip and a branch: [x, f(x)], as in DenseNets and U-Nets."""

from __future__ import annotations

from torch import fx

from unravelnet.capture.kinds.kind import AbstractKind, Operands, Side, Site
from unravelnet.capture.operations import SELECTING_POOLINGS, is_slice, operation
from unravelnet.capture.side_by_side import JOINS_STREAMS, Row, row_of, size_along
from unravelnet.capture.stream import Stream
from unravelnet.network import Concatenate


class Concatenations(AbstractKind):
    """A concatenation is a junction if one operand is all of what came in, and another one is learned.

    The skip may be cropped, resized or scaled. A projection of what came in, a maximum of it, or some of its channels
    is no skip: the branches of Inception are none. All that stands beside the skip is made of it. Where residual sums
    lie inside, the concatenation is left as it is, so that they can be visited and deleted one by one.
    """

    def may_be(self, stream: Stream, node: fx.Node) -> bool:
        row = row_of(node) if JOINS_STREAMS not in node.meta else None
        return (
            row is not None and len(row.values) > 1 and row.values[0] in stream and row.values[-1] in stream
        )

    def read(self, site: Site) -> Operands | None:
        row = row_of(site.node)
        assert row is not None, "may_be has looked"
        skips = [value for value in (row.values[0], row.values[-1]) if _passes_whole(site, value, row)]
        if not skips or _holds_sums(site):
            return None
        skip = site.cheapest(skips)
        is_first = skip is row.values[0]
        branch = row.values[1:] if is_first else row.values[:-1]
        if not site.learns(*branch) or not all(site.nodes([value]) for value in branch):
            return None
        n_skip, n_branch = size_along(skip, row.dim), sum(size_along(value, row.dim) for value in branch)
        junction = Concatenate(n_skip, n_branch, row.dim, skip_first=is_first)
        return Operands(skip, branch, junction, Side(row.dim))


def _passes_whole(site: Site, value: fx.Node, row: Row) -> bool:
    """Whether a value is all of what came in, at most affine in it, and not learned."""
    if not site.is_affine(value) or site.learns(value):
        return False
    nodes = site.nodes([value])
    return not any(
        operation(node) in SELECTING_POOLINGS or _drops(site.stream, node, row.dim) for node in nodes
    )


def _drops(stream: Stream, node: fx.Node, dim: int) -> bool:
    """Whether a node keeps some of the channels only."""
    return is_slice(node) and any(
        size_along(node, dim) != size_along(operand, dim) for operand in stream.operands(node)
    )


def _holds_sums(site: Site) -> bool:
    return any(
        node in site.inside and region.operands.junction.kind != "concatenate"
        for node, region in site.found.items()
    )
