"""Concatenations in one form: each puts the one before it beside something new.

A DenseNet concatenates a list of all values so far in front of every layer. Written with what is there already, these
lists are a row of concatenations of two values. A dual path network keeps two streams and concatenates them in front
of every layer; read off the concatenation, they are one. Every number stays as it is, bit for bit.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from unravelnet.capture.operations import argument_of, operation

JOINS_STREAMS = "joins streams"
"""In the meta of a concatenation that is not the model's own: whether it holds what a block adds to two streams."""


@dataclass(frozen=True)
class Row:
    """The values of a concatenation, in order, and the dimension along which they stand."""

    values: tuple[fx.Node, ...]
    dim: int


def row_of(node: fx.Node) -> Row | None:
    """Read a node as a concatenation of known sizes, not along the batch; None if it is none.

    >>> row_of(fx.Graph().placeholder("x")) is None
    True
    """
    if operation(node) != "cat" or not isinstance(node.args[0], list | tuple):
        return None
    n_dims = len(node.meta["val"].shape) if isinstance(node.meta.get("val"), Tensor) else 0
    dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    if not isinstance(dim, int) or not n_dims or dim % n_dims == 0:
        return None
    values = tuple(value for value in node.args[0] if isinstance(value, fx.Node))
    is_known = len(values) == len(node.args[0]) and all(size_along(value, dim) >= 0 for value in values)
    return Row(values, dim % n_dims) if is_known else None


def size_along(node: fx.Node, dim: int) -> int:
    """Give the size of a value along a dimension; -1 where it is open or the value is no tensor."""
    value = node.meta.get("val")
    is_there = isinstance(value, Tensor) and -value.dim() <= dim < value.dim()
    size = value.shape[dim] if is_there else None  # type: ignore[union-attr]  # a tensor
    return size if isinstance(size, int) else -1


@dataclass(frozen=True)
class Part:
    """Some of a value along a dimension: from `start` on, up to `stop`."""

    whole: fx.Node
    start: int
    stop: int


def part_of(node: fx.Node, dim: int) -> Part:
    """Say of which value a node is a part along a dimension; of itself where it is no slice."""
    size = size_along(node, dim)
    found = (_sliced_from if operation(node) in {"slice", "narrow"} else _split_from)(node, dim)
    found = found or _selected_from(node, dim)
    return Part(node, 0, size) if found is None else Part(found[0], found[1], found[1] + size)


def _sliced_from(node: fx.Node, dim: int) -> tuple[fx.Node, int] | None:
    """Find what a slice is cut from, and where it starts."""
    source, start, step = node.args[0], argument_of(node, "start"), argument_of(node, "step")
    if (
        not _is_along(node, dim)
        or (step or 1) != 1
        or not isinstance(start, int | None)
        or not isinstance(source, fx.Node)
    ):
        return None
    return source, (start or 0) % max(1, size_along(source, dim))


def _selected_from(node: fx.Node, dim: int) -> tuple[fx.Node, int] | None:
    """Find what one place of a value comes from, and where it is, if its dimension is kept: `x[:, 0].unsqueeze(1)`."""
    selected = node.args[0] if operation(node) == "unsqueeze" else None
    if not isinstance(selected, fx.Node) or operation(selected) != "select":
        return None
    source, place = selected.args[0], argument_of(selected, "index")
    is_same = _is_along(selected, dim) and node.args[1] in (dim, dim - node.meta["val"].dim())
    if not is_same or not isinstance(source, fx.Node) or not isinstance(place, int):
        return None
    return source, place % max(1, size_along(source, dim))


def _split_from(node: fx.Node, dim: int) -> tuple[fx.Node, int] | None:
    """Find what a piece of a split value comes from, and where it starts."""
    split = node.args[0] if operation(node) is operator.getitem else None
    if not isinstance(split, fx.Node) or operation(split) not in {"split", "split_with_sizes", "chunk"}:
        return None
    if not _is_along(split, dim):
        return None
    source, before = split.args[0], [value.shape[dim] for value in split.meta["val"][: node.args[1]]]
    is_known = all(isinstance(size, int) for size in before)
    return (source, sum(before)) if is_known and isinstance(source, fx.Node) else None


def _is_along(node: fx.Node, dim: int) -> bool:
    """Whether a node takes its first operand apart along a dimension, which may be counted from the end."""
    source, place = node.args[0], argument_of(node, "dim")
    value = source.meta.get("val") if isinstance(source, fx.Node) else None
    return isinstance(value, Tensor) and isinstance(place, int) and place % value.dim() == dim


def read_off_rows(graph: fx.Graph, on_stream: Iterable[fx.Node]) -> int:
    """Read the values of a concatenation off it, where all of them are read beside it, too; count them.

    It moves to where the last of its values is there. What reads them from there on reads the concatenation.
    """
    n_rewritten, nodes = 0, set(on_stream)
    for node in list(graph.nodes):
        row = row_of(node) if node in nodes else None
        if row is None or len(set(row.values)) < max(2, len(row.values)):
            continue
        last = max(row.values)
        later = {
            value: [user for user in value.users if user in nodes and last < user and user is not node]
            for value in row.values
        }
        if not all(later.values()):
            continue
        last.append(node)
        start = 0
        for value, users in later.items():
            size = size_along(value, row.dim)
            with graph.inserting_after(node):
                part = graph.call_function(torch.ops.aten.slice.Tensor, (node, row.dim, start, start + size))
            part.meta = dict(value.meta)
            value.replace_all_uses_with(part, delete_user_cb=set(users).__contains__)
            start, n_rewritten = start + size, n_rewritten + 1
    return n_rewritten


def share_rows(graph: fx.Graph, on_stream: Iterable[fx.Node]) -> int:
    """Write each concatenation with an earlier one that it begins or ends with; say how many were rewritten."""
    known: dict[Row, fx.Node] = {}
    n_rewritten, nodes = 0, set(on_stream)
    for node in list(graph.nodes):
        row = row_of(node) if node in nodes else None
        if row is None:
            continue
        shared = row.values[0] if len(row.values) == 1 else known.setdefault(row, node)
        if shared is not node:
            node.replace_all_uses_with(shared)
            graph.erase_node(node)
            n_rewritten += 1
        elif shorter := _with_known(row, known):
            node.args, node.kwargs = (list(shorter), row.dim), {}
            n_rewritten += 1
    return n_rewritten


def _with_known(row: Row, known: dict[Row, fx.Node]) -> tuple[fx.Node, ...]:
    """Replace the longest run at either end that is known; nothing where none is."""
    values = row.values
    for length in range(len(values) - 1, 1, -1):
        if start := known.get(Row(values[:length], row.dim)):
            return (start, *values[length:])
        if end := known.get(Row(values[-length:], row.dim)):
            return (*values[:-length], end)
    return ()
