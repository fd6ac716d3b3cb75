"""Sums on some channels beside the rest: [x1 + f1(x), x2, f2(x)], as in dual path networks and ReXNet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Literal

from torch import fx

from unravelnet.capture.affine import is_affine
from unravelnet.capture.kinds.kind import ADD, AbstractKind, Operands, Side, Site
from unravelnet.capture.operations import is_sum
from unravelnet.capture.side_by_side import JOINS_STREAMS, Part, Row, part_of, row_of, size_along
from unravelnet.capture.stream import Stream, leaks
from unravelnet.network import Partial

Piece = tuple[fx.Node, ...]
Run = tuple[Literal["both", "skip", "branch"], int]


class Partials(AbstractKind):
    """A concatenation is a partial junction if something in it is a sum of what came in and something learned.

    Each of its values is some of the skip, of the branch, or the sum of both. The skip is at most affine in what came
    in, or, in front of a longer branch, one layer behind a normalisation and a non-linearity, as the projections of
    dual path networks are. Where residual sums stand side by side, as in cells of PNASNet, they are the
    modules.
    """

    def may_be(self, stream: Stream, node: fx.Node) -> bool:
        row = row_of(node) if node.meta.get(JOINS_STREAMS, True) else None
        return row is not None and any(is_sum(value) for value in row.values)

    def read(self, site: Site) -> Operands | None:
        row = row_of(site.node)
        assert row is not None, "may_be has looked"
        values = _flat(row)
        pieces = [_summands(site, value) for value in values]
        sums = {value for value, piece in zip(values, pieces, strict=True) if len(piece) > 1}
        summands = {summand for piece in pieces if len(piece) > 1 for summand in piece}
        wholes = {part_of(summand, row.dim).whole for summand in summands}
        for skip in sorted(summands | wholes, key=site.cost):
            split = _split(values, pieces, skip, row.dim)
            if split is not None and _goes_around(site, skip, split[1]):
                runs, branch = split
                apart = [value for value in values if value in branch or len(branch) > 1]
                if any(_is_residual(site, value) for value in apart):
                    return None
                junction = ADD if len(runs) == 1 else Partial(runs, row.dim)
                return Operands(skip, branch, junction, Side(row.dim), frozenset(sums))
        return None


def _is_residual(site: Site, value: fx.Node) -> bool:
    """Whether a value is by itself a sum of something inside and a function of that."""
    stream, entry = site.stream, site.stream.dominator.get(value)
    if not is_sum(value) or not isinstance(entry, fx.Node) or entry not in site.inside:
        return False
    is_apart = not leaks(stream, set(stream.between(entry, value)) - {value}, value)
    return is_apart and any(is_affine(stream, operand, entry) for operand in stream.operands(value))


def _flat(row: Row) -> list[fx.Node]:
    """List the values of a concatenation, those of concatenations in it one by one."""
    values: list[fx.Node] = []
    for value in row.values:
        inner = row_of(value) if len(value.users) == 1 else None
        values += _flat(inner) if inner is not None and inner.dim == row.dim else [value]
    return values


def _summands(site: Site, value: fx.Node) -> Piece:
    operands = site.stream.operands(value)
    is_apart = is_sum(value) and len(operands) == 2 and len(value.users) == 1 and value not in site.found
    return tuple(operands) if is_apart else (value,)


def _split(
    values: Sequence[fx.Node], pieces: Sequence[Piece], skip: fx.Node, dim: int
) -> tuple[tuple[Run, ...], Piece] | None:
    """Say which channels are whose, and what the branch is made of; None unless all of the skip is there in order.

    A sum that holds nothing of the skip is one value of the branch.
    """
    runs: list[Run] = []
    branch: list[fx.Node] = []
    n_taken = 0
    for value, piece in zip(values, pieces, strict=True):
        size = size_along(value, dim)
        own = [summand for summand in piece if _is_part(summand, Part(skip, n_taken, n_taken + size), dim)]
        others = [summand for summand in piece if summand not in own] if own else [value]
        is_misplaced = not own and len(piece) > 1 and any(part_of(one, dim).whole is skip for one in piece)
        if len(own) > 1 or is_misplaced or any(size_along(summand, dim) != size for summand in piece):
            return None
        n_taken += size * len(own)
        branch += others
        runs.append(("both" if own and others else "skip" if own else "branch", size))
    together = [
        (owner, sum(size for _, size in group)) for owner, group in groupby(runs, key=lambda run: run[0])
    ]
    is_whole = n_taken == size_along(skip, dim)
    return (tuple(run for run in together if run[1]), tuple(branch)) if is_whole else None


def _is_part(value: fx.Node, part: Part, dim: int) -> bool:
    whole = Part(value, 0, size_along(value, dim))
    return part in (whole, part_of(value, dim))


def _goes_around(site: Site, skip: fx.Node, branch: Piece) -> bool:
    """Whether one value is the skip of others, which are all learned."""
    if not branch or not all(map(site.learns, branch)):
        return False
    if site.is_affine(skip):
        return not (site.learns(skip) and all(map(site.is_affine, branch)))
    return site.n_learned(skip) == 1 < site.n_learned(*branch) and site.stream.is_learned(skip)
