"""The part of a graph that depends on the stream, and its dominators.

A value is *on the stream* when it depends on an activation: on the main input itself, or, where that holds token
ids, on what is looked up with them. Masks, positions and batch sizes are off the stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import PurePath
from typing import Any

import networkx as nx
import torch
from torch import Tensor, fx

from unravelnet.capture.operations import LOOK_UPS, POSITION_MIXERS, PRODUCTS, operation

START, END = "start", "end"


class Stream:
    """The values between input and output that carry activations, with the dominators among them.

    `dominator[n]`: the last value that everything on the way from the input to n passes through.
    `post_dominator[n]`: the first value that everything on the way from n to the output passes through.
    `mains`: the inputs that the stream begins with; by default the one with most learned layers behind it.
    `logits_place`: which of the outputs are the logits. Of a value that leads to them, its ways to other outputs do
    not count; None: all outputs count alike. `leads_to_logits`: the values that do.

    Its graph stays as it is, so that what was looked up in it once is kept: the ways in a network of many branches are
    long, and asked for again and again.
    """

    def __init__(
        self, graph: fx.Graph, mains: Sequence[fx.Node] = (), *, logits_place: int | None = None
    ) -> None:
        self.graph = graph
        self.logits_place = logits_place
        self._operands: dict[fx.Node, list[fx.Node]] = {}
        self._ways: dict[tuple[fx.Node, fx.Node, fx.Node | None], tuple[fx.Node, ...]] = {}
        self.position = {node: place for place, node in enumerate(graph.nodes)}
        self.with_parameters = descendants(n for n in graph.nodes if n.op == "get_attr" and _is_float(n))
        self.on_input = descendants(n for n in graph.nodes if n.op == "placeholder")
        self.inputs = [node for node in graph.nodes if node.op == "placeholder" and _is_tensor(node)]
        self.mains = list(mains) or [max(self.inputs, key=self._n_learned_after)]
        self.sources = [source for main in self.mains for source in self._sources(main)]
        reached = descendants(self.sources)
        output = next(node for node in graph.nodes if node.op == "output")
        self.outputs = list(output.args[0]) if isinstance(output.args[0], tuple | list) else [output.args[0]]
        self.nodes = reached & _ancestors([n for n in output.all_input_nodes if n in reached])
        logits = None if logits_place is None else self.outputs[logits_place]
        self.logits = logits if logits in self.nodes else None
        self.leads_to_logits = _ancestors([self.logits]) & self.nodes if self.logits else self.nodes
        flow = self._flow(self.nodes, [n for n in output.all_input_nodes if n in self.nodes])
        self.dominator = nx.immediate_dominators(flow, START)
        self.post_dominator = nx.immediate_dominators(flow.reverse(copy=False), END)
        if self.logits:
            way = self._flow(self.leads_to_logits, [self.logits])
            self.dominator[END] = self.logits
            self.post_dominator |= nx.immediate_dominators(way.reverse(copy=False), END)

    def __contains__(self, node: object) -> bool:
        return node in self.nodes

    def operands(self, node: fx.Node) -> list[fx.Node]:
        """The inputs of a node that are on the stream."""
        if node not in self._operands:
            self._operands[node] = [operand for operand in node.all_input_nodes if operand in self.nodes]
        return self._operands[node]

    def between(self, entry: fx.Node, end: fx.Node, *, after: fx.Node | None = None) -> tuple[fx.Node, ...]:
        """The nodes on the way from `entry` (left out) to `end` (included), in graph order.

        `after`: leave out what stands before this node.
        """
        way = (entry, end, after)
        if way not in self._ways:
            self._ways[way] = self._between(*way)
        return self._ways[way]

    def _between(self, entry: fx.Node, end: fx.Node, after: fx.Node | None) -> tuple[fx.Node, ...]:
        first = 0 if after is None else self.position[after]
        found: set[fx.Node] = set()
        waiting = [] if end is entry else [end]
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                operands = [operand for operand in self.operands(node) if operand is not entry]
                waiting += [operand for operand in operands if self.position[operand] >= first]
        return tuple(sorted(found, key=self.position.__getitem__))

    def through(self, early: fx.Node, late: fx.Node) -> list[fx.Node]:
        """The nodes on some way from one value (left out) to a later one (included), in graph order."""
        if self.position[early] >= self.position[late]:
            return []
        reached = {early}
        for node in self.between(early, late, after=early):
            if not reached.isdisjoint(self.operands(node)):
                reached.add(node)
        return sorted(reached - {early}, key=self.position.__getitem__) if late in reached else []

    @property
    def main_road(self) -> list[fx.Node]:
        """The values that everything passes through, in order."""
        road = []
        node: object = self.dominator.get(END)
        while isinstance(node, fx.Node):
            road.append(node)
            node = self.dominator.get(node)
        return road[::-1]

    def is_learned(self, node: fx.Node) -> bool:
        """Whether a node multiplies the stream with learned weights."""
        return operation(node) in PRODUCTS and any(
            operand in self.with_parameters and operand not in self.nodes for operand in node.all_input_nodes
        )

    def readers(self, node: fx.Node, *, on_the_way_of: fx.Node) -> list[fx.Node]:
        """The nodes on the stream, and the output, that read a value, as far as they count for another one.

        For a value that leads to the logits, what leads to other outputs only does not count.
        """
        if self.logits and on_the_way_of in self.leads_to_logits:
            return [user for user in node.users if user in self.leads_to_logits]
        return [user for user in node.users if user in self.nodes or user.op == "output"]

    def mixes_positions(self, node: fx.Node) -> bool:
        """Whether a node combines values at several positions: pooling, attention, convolution."""
        return operation(node) in POSITION_MIXERS

    def _flow(self, nodes: set[fx.Node], ends: list[fx.Node]) -> nx.DiGraph:
        flow = nx.DiGraph()
        flow.add_edges_from((START, source) for source in self.sources if source in nodes)
        flow.add_edges_from((operand, node) for node in nodes for operand in self.operands(node))
        flow.add_edges_from((end, END) for end in ends)
        flow.add_nodes_from((START, END))
        return flow

    def _sources(self, main: fx.Node) -> list[fx.Node]:
        """Find the first activations: an input, or what is looked up with it where that holds ids.

        What is gathered from an activation by computed indices, as the tokens of an expert, is no new one.
        """
        if _is_float(main):
            return [main]
        dependent = descendants([main])
        looked_up = [
            n
            for n in dependent
            if _is_float(n)
            and operation(n) in LOOK_UPS
            and not any(_is_float(operand) for operand in n.all_input_nodes[1:])
        ]
        behind = descendants(user for node in looked_up for user in node.users)
        return [node for node in looked_up if node not in behind] or [main]

    def others(self) -> list[Stream]:
        """The streams of the other inputs that pass through learned weights, and the one of all such activations."""
        behind = [node for node in self.inputs if node not in self.mains and self._n_learned_after(node)]
        active = [node for node in (*self.mains, *behind) if all(map(_is_float, self._sources(node)))]
        starts = [*([node] for node in behind), *([active] if len(active) > 1 else [])]
        streams = [Stream(self.graph, start, logits_place=self.logits_place) for start in starts]
        return [stream for stream in streams if stream.nodes]

    def _n_learned_after(self, node: fx.Node) -> int:
        reached = descendants([node])
        return sum(operation(n) in PRODUCTS and n in self.with_parameters for n in reached)


def shape_of(node: fx.Node) -> tuple[object, ...] | None:
    """The shape of a node's value, with names for open sizes; None where it is not one tensor."""
    value = node.meta.get("val")
    return tuple(map(str, value.shape)) if isinstance(value, Tensor) else None


def descendants(roots: Iterable[fx.Node]) -> set[fx.Node]:
    """Give some nodes with all that is computed from them; sizes carry no values on."""
    return _closure(roots, lambda node: node.users)


def leaks(stream: Stream, nodes: Iterable[fx.Node], junction: fx.Node) -> list[tuple[fx.Node, fx.Node]]:
    """List the values on the way to a junction that something else reads, each with its reader."""
    inside = {*nodes, junction}
    return [
        (node, user)
        for node in sorted(inside - {junction}, key=stream.position.__getitem__)
        for user in stream.readers(node, on_the_way_of=junction)
        if user not in inside
    ]


def module_path(node: fx.Node) -> tuple[str, ...]:
    """The path of the user's submodule that a node comes from."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values()]
    return tuple(part for part in paths[-1].split(".") if part) if paths else ()


def common_path(nodes: Iterable[fx.Node]) -> tuple[str, ...]:
    """The path of the innermost of the user's submodules that holds all of some nodes."""
    columns = zip(*map(module_path, nodes), strict=False)
    return tuple(column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns))


def source_line(node: fx.Node) -> str:
    """Name the line of code that a node comes from, as in "line 12 of model.py"; empty if it is not known."""
    places = re.findall(r'File "([^"]+)", line (\d+)', node.meta.get("stack_trace") or "")
    own = [place for place in places if "torch" not in PurePath(place[0]).parts] or places
    return f"line {own[-1][1]} of {PurePath(own[-1][0]).name}" if own else ""


def _is_tensor(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), Tensor)


def _is_float(node: fx.Node) -> bool:
    value = node.meta.get("val")
    if value is None and node.op == "get_attr":
        value = attribute(node)
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())


def attribute(node: fx.Node) -> Any:
    """Give the parameter, buffer or constant that a node reads."""
    value: Any = node.graph.owning_module
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return value


def _ancestors(roots: Iterable[fx.Node]) -> set[fx.Node]:
    return _closure(roots, lambda node: node.all_input_nodes)


def _closure(roots: Iterable[fx.Node], neighbours: object) -> set[fx.Node]:
    found: set[fx.Node] = set()
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if node not in found and node.op != "output" and not _is_size(node):
            found.add(node)
            waiting += neighbours(node)  # type: ignore[operator]
    return found


def _is_size(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), int | torch.SymInt | torch.SymFloat | torch.SymBool)
