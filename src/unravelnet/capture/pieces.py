"""Pieces of a graph: what each computes and reads, and how it becomes a module of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from torch import fx, nn

from unravelnet.capture.kinds.kind import Gather
from unravelnet.capture.modes import follow_modes


@dataclass
class Piece:
    """A piece before it is built: what it computes from the stream value `x`, and what else it reads.

    `owner` tells the module (an index) or the gap (a negative number) that a piece belongs to. A piece gives its
    outputs as a tuple, or, where there is a way to `gather` them, as one value.
    """

    owner: int
    x: fx.Node | None
    outputs: list[Any]
    gather: Gather | None
    nodes: list[fx.Node] = field(default_factory=list)
    reads: list[fx.Node] = field(default_factory=list)


def build(root: nn.Module, piece: Piece, inputs: Iterable[fx.Node]) -> fx.GraphModule:
    """Copy the nodes of a piece into a graph module that holds the parameters it uses, which are those of `root`."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    if piece.x is not None:
        copies[piece.x] = _argument(graph, "x")
    for node in inputs:
        copies[node] = _argument(graph, node.name)
    for node in piece.nodes:
        if node not in copies:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(_result(graph, piece, copies))
    held = follow_modes(graph)
    attributes = {
        n.target: _attribute(root, n.target)
        for n in graph.nodes
        if n.op == "get_attr" and n.target not in held
    }
    return fx.GraphModule({**attributes, **held}, graph)


def _argument(graph: fx.Graph, name: str) -> fx.Node:
    """Add an argument under a name that nothing else in the graph has: an input of a model may be called x, too."""
    node = graph.placeholder(name)
    node.target = node.name
    return node


def _result(graph: fx.Graph, piece: Piece, copies: dict[fx.Node, fx.Node]) -> Any:
    """State what a piece returns: one value that is gathered from its outputs, or a tuple of them."""
    outputs = [copies[o] if isinstance(o, fx.Node) else o for o in piece.outputs]
    return tuple(outputs) if piece.gather is None else piece.gather(graph, outputs)


def _attribute(root: nn.Module, target: str) -> Any:
    value: Any = root
    for part in target.split("."):
        value = getattr(value, part)
    return value


def names_of(nodes: Iterable[fx.Node]) -> list[str]:
    """List the names under which values are held."""
    return [node.name for node in nodes]
