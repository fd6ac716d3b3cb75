"""Modules with two outputs in one form: what such a module adds in two places stands side by side, in one junction.

A block of WaveNet adds one function of what it computes to the stream, and another one to a sum beside it; a joint
attention adds to two streams that it reads. Neither sum is a junction by itself, because what its branch computes is
read by the other, too. Put side by side, stream and sum are one value, and the two sums are one junction (the kind
`Partials`): a module that is deleted adds to neither. Every number stays as it is, bit for bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations

import torch
from torch import fx

from unravelnet.capture.junctions import explained_by, junction_regions, learns
from unravelnet.capture.operations import argument_of, is_sum, operation
from unravelnet.capture.side_by_side import JOINS_STREAMS, Part, part_of, size_along
from unravelnet.capture.stream import Stream, descendants, leaks, shape_of

aten = torch.ops.aten


@dataclass(frozen=True)
class _Pair:
    """A sum of a stream and what a block adds to it, and a second value of the block that is a summand, too.

    `change`: what is added to the stream. `inside`: what the block computes. `reader`: the sum that adds the second
    value. `is_first`: whether what it is added to comes from later blocks, so that it begins the sum beside the stream.
    """

    sum: fx.Node
    change: fx.Node
    inside: frozenset[fx.Node]
    second: fx.Node
    reader: fx.Node
    is_first: bool


def join_two_outputs(streams: Sequence[Stream]) -> Sequence[Stream]:
    """Rewrite a graph in place where blocks add in two places; give the streams of the new graph.

    `streams`: those of one graph, the main one first. The blocks are looked for on the one that has most of them.
    """
    pairs = max(_open_pairs(streams), key=len)
    if not pairs:
        return streams
    for pair in pairs:
        _join(pair)
    main = streams[0]
    _sort(main.graph)
    main.graph.eliminate_dead_code()
    stream = Stream(main.graph, logits_place=main.logits_place)
    return [stream, *stream.others()]


# -- what is looked for --


def _open_pairs(streams: Sequence[Stream]) -> list[list[_Pair]]:
    """List the pairs of sums on each stream that are no modules as they are, on whatever stream."""
    listed = [_once(list(_pairs(stream))) for stream in streams]
    found = (
        {node for stream in streams for node in explained_by(junction_regions(stream))} if any(listed) else ()
    )
    return [
        [pair for pair in pairs if pair.sum not in found and pair.reader not in found] for pairs in listed
    ]


def _once(pairs: Sequence[_Pair]) -> list[_Pair]:
    """Leave out what is no sum of several blocks, and pairs that are known the other way round."""
    n_summands = Counter(pair.reader for pair in pairs)
    # A sum that one block begins and no other adds to is that of two outputs, as of a classifier and an auxiliary one.
    of_blocks = [pair for pair in pairs if not pair.is_first or n_summands[pair.reader] > 1]
    # Of two streams that a block adds to, each is a sum beside the other.
    return list({frozenset((pair.sum, pair.reader)): pair for pair in reversed(of_blocks)}.values())[::-1]


def _pairs(stream: Stream) -> Iterator[_Pair]:
    for node in stream.graph.nodes:
        if node in stream.leads_to_logits and is_sum(node) and len(stream.operands(node)) == 2:
            pairs = (_pair(stream, node, *operands) for operands in permutations(stream.operands(node)))
            yield from filter(None, pairs)


def _pair(stream: Stream, node: fx.Node, x: fx.Node, change: fx.Node) -> _Pair | None:
    start = _uncropped(x)
    inside = set(stream.through(start, change)) - {x}
    if not learns(stream, inside) or not leaks(stream, inside, node):
        return None
    # What is computed beside the sum from values of the block only.
    for other in sorted(descendants(inside) & stream.leads_to_logits, key=stream.position.__getitem__):
        if other is not node and inside.issuperset(set(stream.operands(other)) - {x, start}):
            inside.add(other)
    ends = leaks(stream, inside, node)
    if len(ends) != 1:
        return None
    ((summand, reader),) = ends
    beside = [operand for operand in stream.operands(reader) if operand is not summand]
    # One that adds to the sum itself makes one sum of three.
    if not is_sum(reader) or len(beside) != 1 or beside[0] is node or shape_of(summand) != shape_of(reader):
        return None
    second = _uncropped(summand)
    if not learns(stream, stream.through(start, second)) or _dim_of(node, second) is None:
        return None
    is_first = beside[0] in descendants(inside)
    if second is not summand and not is_first:
        return None
    if not is_first:
        # Joint attention reads both streams.
        inside.update(set(stream.through(beside[0], second)) - set(stream.through(beside[0], x)))
    return _Pair(
        node, change, frozenset(inside - set(stream.through(second, summand))), second, reader, is_first
    )


def _uncropped(value: fx.Node) -> fx.Node:
    """Find what a value is cut out of, behind its channels: convolutions without padding shorten a sound."""
    while operation(value) == "slice" and argument_of(value, "dim") not in (0, 1):
        value = value.all_input_nodes[0]
    return value


def _dim_of(*nodes: fx.Node) -> int | None:
    """Find a dimension along which two values may stand side by side."""
    first, second = (shape_of(node) or () for node in nodes)
    dims = range(1, len(first)) if len(first) == len(second) else ()
    fitting = (dim for dim in dims if first[:dim] == second[:dim] and first[dim + 1 :] == second[dim + 1 :])
    return next((dim for dim in fitting if all(size_along(node, dim) >= 0 for node in nodes)), None)


# -- what is written --


def _join(pair: _Pair) -> None:
    dim = _dim_of(pair.sum, pair.second)
    assert dim is not None, "_pair has looked"
    if pair.is_first:
        # What the block adds to the stream may be the second value, too.
        behind = {*pair.second.users, *pair.sum.users} - {pair.sum, *pair.inside}
        _put_side_by_side([pair.sum, pair.second], dim, behind, are_sums=True)
        return
    x = _other_operand(pair.sum, pair.change)
    beside = _other_operand(pair.reader, pair.second)
    if not _are_whole(x, beside, dim):
        _put_side_by_side([x, beside], dim, {*pair.inside, pair.sum, pair.reader}, are_sums=False)
    behind = {*pair.sum.users, *pair.reader.users}
    _put_side_by_side([pair.sum, pair.reader], dim, behind, are_sums=True)


def _other_operand(node: fx.Node, operand: fx.Node) -> fx.Node:
    return next(other for other in node.all_input_nodes if other is not operand)


def _are_whole(x: fx.Node, beside: fx.Node, dim: int) -> bool:
    """Whether two values are all of one value, in order."""
    first, second = part_of(x, dim), part_of(beside, dim)
    return (first.whole, first.start) == (second.whole, 0) and second == Part(
        second.whole, first.stop, size_along(first.whole, dim)
    )


def _put_side_by_side(values: Sequence[fx.Node], dim: int, readers: set[fx.Node], *, are_sums: bool) -> None:
    """Write two values side by side, and let some readers read them there, unless the values are made of these.

    That is so where two streams exchange values inside of their blocks.
    """
    if not descendants(readers).isdisjoint(values):
        return
    graph, last = values[0].graph, max(values)
    with graph.inserting_after(last):
        row = graph.call_function(aten.cat.default, (list(values), dim))
    joined = torch.cat([value.meta["val"] for value in values], dim)
    row.meta = {**values[0].meta, "val": joined, JOINS_STREAMS: are_sums}
    start = 0
    for value in values:
        stop = start + size_along(value, dim)
        with graph.inserting_after(row):
            part = graph.call_function(aten.slice.Tensor, (row, dim, start, stop))
        # Where it is read, it is of no submodule: modules are named by their layers then.
        part.meta = {"val": value.meta["val"]}
        value.replace_all_uses_with(part, delete_user_cb=(readers - {row, part}).__contains__)
        start = stop


def _sort(graph: fx.Graph) -> None:
    """Put every node behind its operands, and leave the order as it is where that is so."""
    order: dict[fx.Node, None] = {}
    for node in graph.nodes:
        waiting = [node]
        while waiting:
            missing = [operand for operand in waiting[-1].all_input_nodes if operand not in order]
            if missing:
                waiting += missing
            else:
                order[waiting.pop()] = None
    for before, behind in pairwise(list(order)):
        before.append(behind)
