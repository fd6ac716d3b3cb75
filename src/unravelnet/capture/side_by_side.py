"""Concatenations in one form: each puts the one before it beside something new.

A DenseNet concatenates a list of all values so far in front of every layer. Written with what is there already, these
lists are a row of concatenations of two values. Every number stays as it is, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, fx

from unravelnet.capture.operations import operation


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
    size = value.shape[dim] if isinstance(value, Tensor) and value.dim() > dim else None
    return size if isinstance(size, int) else -1


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
