"""A stretch of the graph cut along the residual modules in it: the whole graph, or the branch of a module.

Pieces: for each module branch, skip and after; between modules the *gaps*: gap 0 is the stem, the last one the head,
those in the middle transitions. What a later piece needs beside the stream is *held*: named, and passed along.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from unravelnet.capture.export import ExportedModel
from unravelnet.capture.junctions import Region
from unravelnet.capture.kinds.kind import Gather, added
from unravelnet.capture.pieces import Piece, build, names_of
from unravelnet.capture.segments import GraphSegment, Tap, Transition
from unravelnet.capture.stream import Stream
from unravelnet.network import ResidualModule, Row


class Cut(ABC):
    """A stretch of the graph, cut along the residual modules in it.

    Whatever runs for one module, or between two, is a piece. `module_of`, `gap_of`: where nodes run. `tapped`: what
    outputs beside the logits read of the inside of each module; `beside` what the head makes of it.
    """

    exported: ExportedModel
    stream: Stream
    regions: Sequence[Region]
    module_of: dict[fx.Node, int]
    gap_of: dict[fx.Node, int]
    tapped: dict[int, list[fx.Node]]
    beside: set[fx.Node]

    @abstractmethod
    def _is_read(self, node: fx.Node, owner: int) -> bool:
        """Whether a piece finds a value among those held, instead of computing it."""

    @abstractmethod
    def _gap_piece(self, gap: int, holds: Sequence[fx.Node]) -> Piece:
        """Describe gap number `gap`: everything that runs before module `gap`, and after the one before."""

    @abstractmethod
    def _ends(self) -> list[Piece]:
        """List the pieces behind the last module."""

    def _module_pieces(self, owner: int, region: Region) -> dict[str, Piece | None]:
        entry, operands = region.entry, region.operands
        has_skip = operands.skip is not None and operands.skip is not entry
        tapped = self.tapped.get(owner)
        return {
            "branch": self._piece(owner, entry, list(operands.branch), operands.gather),
            "skip": self._piece(owner, entry, [operands.skip], added) if has_skip else None,
            "after": self._piece(owner, region.junction, [region.output], added) if region.after else None,
            "tap": self._piece(owner, entry, tapped) if tapped else None,
        }

    def _piece(
        self, owner: int, x: fx.Node | None, outputs: list[Any], gather: Gather | None = None
    ) -> Piece:
        """Collect what a piece computes itself and what it reads, back from its outputs."""
        piece = Piece(owner, x, outputs, gather)
        seen: set[fx.Node] = set()
        waiting = [output for output in outputs if isinstance(output, fx.Node)]
        while waiting:
            node = waiting.pop()
            if node in seen or node is x:
                continue
            seen.add(node)
            if self._is_read(node, owner):
                piece.reads.append(node)
            else:
                piece.nodes.append(node)
                waiting += node.all_input_nodes
        piece.nodes.sort(key=self.stream.position.__getitem__)
        piece.reads.sort(key=self.stream.position.__getitem__)
        return piece

    def _chains_and_live(
        self, parts: Sequence[dict[str, Piece | None]]
    ) -> tuple[list[int], dict[int, list[fx.Node]]]:
        """Join modules in series into chains; list what is held behind each gap that is kept."""
        is_joint = [gap > 0 and self._is_joint(gap) for gap in range(len(self.regions))]
        chains = [sum(not joint for joint in is_joint[1 : index + 1]) for index in range(len(self.regions))]
        live: dict[int, list[fx.Node]] = {}
        needed = {node for piece in self._ends() for node in piece.reads} - self.beside
        for gap in reversed(range(len(self.regions))):
            needed |= {node for piece in parts[gap].values() if piece for node in piece.reads}
            if not is_joint[gap]:
                live[gap] = sorted(needed, key=self.stream.position.__getitem__)
                piece = self._gap_piece(gap, live[gap])
                needed = set(piece.reads)
        return chains, live

    def _is_joint(self, gap: int) -> bool:
        """Whether modules gap - 1 and gap follow one another with nothing between or beside them."""
        before, after = self.regions[gap - 1], self.regions[gap]
        inside = {*after.interior, after.junction}
        readers = [user for user in before.output.users if user in self.stream]
        return (
            after.entry is before.output
            and gap not in self.gap_of.values()
            and all(reader in inside for reader in readers)
            and all(user.op != "output" for user in before.output.users)
        )

    def _transitions(self, chains: Sequence[int], live: Mapping[int, Sequence[fx.Node]]) -> list[Transition]:
        starts = [gap for gap in range(1, len(chains)) if chains[gap] != chains[gap - 1]]
        return [self._transition(gap, live[gap]) for gap in starts]

    def _transition(self, gap: int, holds: Sequence[fx.Node]) -> Transition:
        piece = self._gap_piece(gap, holds)
        return Transition(self._built(piece), names_of(piece.reads), names_of(holds))

    def _module(self, region: Region, pieces: dict[str, Piece | None], chain: int) -> ResidualModule:
        parts = {role: self._segment(piece) for role, piece in pieces.items() if piece is not None}
        skip = None if region.operands.skip is None else parts.get("skip", nn.Identity())
        module = ResidualModule(
            self._row_inside(region, pieces["branch"]) or parts["branch"],
            skip,
            parts.get("after"),
            junction=region.operands.junction,
            name=region.name,
            chain=chain,
            tap=parts.get("tap"),
        )
        module.input_shape, module.output_shape = _sizes(region.entry), _sizes(region.output)
        return module

    def _row_inside(self, region: Region, branch: Piece | None) -> Row | None:
        """Make a row of the modules inside a branch, where routes can lead into it."""
        inside = [] if branch is None else [inner for inner in region.inner if inner.junction in branch.nodes]
        return Inside(self, region, branch, inside).row() if branch is not None and inside else None

    def _segment(self, piece: Piece) -> GraphSegment:
        graph, reads = self._built(piece), names_of(piece.reads)
        is_tap = piece.gather is None and piece.owner >= 0
        return Tap(graph, reads, names_of(piece.outputs)) if is_tap else GraphSegment(graph, reads)

    def _built(self, piece: Piece) -> fx.GraphModule:
        return build(self.exported.graph_module, piece, self._inputs_of(piece))

    def _inputs_of(self, piece: Piece) -> Sequence[fx.Node]:
        return piece.reads


class Inside(Cut):
    """The branch of a module with others inside. What is computed outside of it is held."""

    def __init__(self, outer: Cut, region: Region, branch: Piece, inside: Sequence[Region]) -> None:
        self.exported, self.stream = outer.exported, outer.stream
        self.tapped, self.beside = {}, set()
        self.region = region
        self.own = set(branch.nodes)
        self.regions = sorted(inside, key=lambda inner: self.stream.position[inner.junction])
        self.module_of = {
            node: index
            for index, inner in enumerate(self.regions)
            for node in (*inner.interior, inner.junction, *inner.after)
        }
        self.gap_of = {}
        for node in branch.nodes:
            if node not in self.module_of and node.op != "get_attr":
                self.gap_of[node] = max(map(self._available_from, node.all_input_nodes), default=0)

    def _available_from(self, node: fx.Node) -> int:
        return self.module_of[node] + 1 if node in self.module_of else self.gap_of.get(node, 0)

    def _is_read(self, node: fx.Node, owner: int) -> bool:
        if node.op == "get_attr" or (owner >= 0 and node in self.regions[owner].copied):
            return False
        if node not in self.own:
            return True
        return self.module_of[node] != owner if node in self.module_of else self.gap_of[node] != -1 - owner

    def _gap_piece(self, gap: int, holds: Sequence[fx.Node]) -> Piece:
        x = self.regions[gap - 1].output if gap > 0 else self.region.entry
        if gap == len(self.regions):
            return self._piece(-1 - gap, x, list(self.region.operands.branch), self.region.operands.gather)
        return self._piece(-1 - gap, x, [self.regions[gap].entry, *holds])

    def _ends(self) -> list[Piece]:
        return [self._gap_piece(len(self.regions), [])]

    def row(self) -> Row | None:
        """Make the row; None where a part of the branch reads what a module in it keeps to itself."""
        parts = [self._module_pieces(index, region) for index, region in enumerate(self.regions)]
        chains, live = self._chains_and_live(parts)
        outputs = {region.output for region in self.regions}
        if any(node in self.module_of and node not in outputs for nodes in live.values() for node in nodes):
            return None
        modules = [
            self._module(region, pieces, chain)
            for region, pieces, chain in zip(self.regions, parts, chains, strict=True)
        ]
        stem, (head,) = self._transition(0, live[0]), self._ends()
        return Row(stem, modules, self._segment(head), transitions=self._transitions(chains, live))


def _sizes(node: fx.Node) -> tuple[int, ...]:
    """The sizes of a value beside the batch; open ones as in the example."""
    value = node.meta.get("val")
    shape = value.shape[1:] if isinstance(value, Tensor) else ()
    return tuple(size.node.hint if isinstance(size, torch.SymInt) else size for size in shape)
