"""What a kind of junction says of a node, and what all kinds ask of skip and branch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import torch
from torch import fx

from unravelnet.capture.affine import is_affine
from unravelnet.capture.stream import Stream
from unravelnet.network import AbstractJunction, Add

if TYPE_CHECKING:
    from unravelnet.capture.junctions import Region

aten = torch.ops.aten
ADD = Add()

Gather = Callable[[fx.Graph, Sequence[fx.Node]], fx.Node]
"""Writes one value, the branch as its junction receives it, into a graph, from the values that it is made of."""


def added(graph: fx.Graph, values: Sequence[fx.Node]) -> fx.Node:
    """Gather a branch by adding its values."""
    return reduce(lambda a, b: graph.call_function(aten.add.Tensor, (a, b)), values)


@dataclass(frozen=True)
class Side:
    """A way to gather a branch whose values stand side by side."""

    dim: int

    def __call__(self, graph: fx.Graph, values: Sequence[fx.Node]) -> fx.Node:
        is_alone = len(values) == 1
        return values[0] if is_alone else graph.call_function(aten.cat.default, (list(values), self.dim))


@dataclass(frozen=True)
class Operands:
    """What a junction joins.

    `skip`: the value that is the skip; None for a plain layer. `branch`: the values that the branch is made of, and
    `gather` how. `junction`: how skip and branch are joined. `explained`: the sums on the way that belong to it.
    """

    skip: fx.Node | None
    branch: tuple[fx.Node, ...]
    junction: AbstractJunction = ADD
    gather: Gather = added
    explained: frozenset[fx.Node] = frozenset()


@dataclass(frozen=True)
class Site:
    """A node that may be a junction, with the value that everything on its way passes: its entry.

    `found`: the residual modules that are known by their junctions. `inside`: the nodes on the way.
    """

    stream: Stream
    entry: fx.Node
    node: fx.Node
    found: dict[fx.Node, Region]
    inside: frozenset[fx.Node]

    def is_affine(self, value: fx.Node) -> bool:
        """Whether a value is the entry, or at most affine in it."""
        return is_affine(self.stream, value, self.entry)

    def nodes(self, values: Iterable[fx.Node]) -> list[fx.Node]:
        """List the nodes on the way from the entry to some values."""
        ways = [self.stream.between(self.entry, value) for value in values]
        return [node for way in ways for node in way if node in self.inside]

    def learns(self, *values: fx.Node) -> bool:
        """Whether there is a learned layer on the way from the entry to some values."""
        return any(map(self.stream.is_learned, self.nodes(values)))

    def cheapest(self, values: Iterable[fx.Node]) -> fx.Node:
        """Of some values, give the one with the fewest learned layers on its way."""
        return min(values, key=self.cost)

    def n_learned(self, *values: fx.Node) -> int:
        """Count the learned layers on the way from the entry to some values."""
        return len({node for node in self.nodes(values) if self.stream.is_learned(node)})

    def cost(self, value: fx.Node) -> tuple[int, int, int]:
        """Order values: those with few learned layers on their way first, then short ways."""
        nodes = self.nodes([value])
        return sum(map(self.stream.is_learned, nodes)), len(nodes), self.stream.position[value]


class AbstractKind(ABC):
    """A kind of junction, as it is found in graphs."""

    @abstractmethod
    def may_be(self, stream: Stream, node: fx.Node) -> bool:
        """Say quickly whether a node may be such a junction."""

    @abstractmethod
    def read(self, site: Site) -> Operands | None:
        """Say what a node joins; None if it is no junction of this kind."""
