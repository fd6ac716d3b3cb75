"""Cuts a graph along its residual modules and makes each piece a callable of its own.

Pieces: for each module branch, skip and after; between modules the *gaps*: gap 0 is the stem, the last one
the head, those in the middle transitions. A node that no module holds runs in the earliest gap in which all
it reads is there. What a later piece needs beside the stream is *held*: named, and passed along.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from torch import fx

from unravelnet.capture.cut import Cut
from unravelnet.capture.export import ExportedModel
from unravelnet.capture.pieces import Piece, names_of
from unravelnet.capture.segments import Head, Stem
from unravelnet.capture.stream import descendants
from unravelnet.capture.structure import Structure
from unravelnet.errors import CaptureError
from unravelnet.network import UnraveledNetwork


def assemble(exported: ExportedModel, structure: Structure, name: str) -> UnraveledNetwork:
    """Build the network from the graph and the regions found in it."""
    return _Assembly(exported, structure).network(name)


class _Assembly(Cut):
    """The whole graph."""

    def __init__(self, exported: ExportedModel, structure: Structure) -> None:
        self.exported = exported
        self.stream = structure.stream
        self.structure = structure
        self.regions = structure.regions
        self.module_of = {
            node: index
            for index, region in enumerate(self.regions)
            for node in (*region.interior, region.junction, *region.after)
        }
        self.tapped = self._tapped()
        self.beside = self._beside()
        self.gap_of = self._gaps()
        self.needs_input = self._needing_input()
        self.shared: set[fx.Node] = set()
        self.shared = self._shared_constants()

    # -- where nodes run --

    def _gaps(self) -> dict[fx.Node, int]:
        """Give each stream value outside modules the earliest gap in which all it reads is there."""
        gap_of: dict[fx.Node, int] = {}
        for node in self.stream.graph.nodes:
            if node in self.stream and node not in self.module_of:
                earliest = max(
                    (self._available_from(o, gap_of) for o in self.stream.operands(node)), default=0
                )
                gap_of[node] = len(self.regions) if node in self.beside else earliest
        return gap_of

    def _tapped(self) -> dict[int, list[fx.Node]]:
        """List by module what outputs beside the logits read of its inside."""
        tapped: dict[int, list[fx.Node]] = {}
        for node, index in sorted(self.module_of.items(), key=lambda item: self.stream.position[item[0]]):
            readers = [user for user in node.users if user in self.stream or user.op == "output"]
            is_told = any(self.module_of.get(reader) != index for reader in readers)
            if is_told and node is not self.regions[index].output:
                tapped.setdefault(index, []).append(node)
        return tapped

    def _beside(self) -> set[fx.Node]:
        """Find what is tapped, and what is made of it for outputs beside the logits: the head computes that."""
        tapped = {node for nodes in self.tapped.values() for node in nodes}
        readers = {user for node in tapped for user in node.users if user in self.stream}
        return tapped | descendants(readers - self.stream.leads_to_logits)

    def _available_from(self, node: fx.Node, gap_of: dict[fx.Node, int]) -> int:
        return self.module_of[node] + 1 if node in self.module_of else gap_of[node]

    def _needing_input(self) -> set[fx.Node]:
        """Find the values off the stream that depend on the inputs: the stem computes them once a batch."""
        found: set[fx.Node] = set()
        for node in self.stream.graph.nodes:
            operands = node.all_input_nodes
            reads_stream = any(o in self.stream and o.op != "placeholder" for o in operands)
            reads_input = node.op == "placeholder" or any(
                o in found or o.op == "placeholder" for o in operands
            )
            if node not in self.stream and node.op != "output" and reads_input and not reads_stream:
                found.add(node)
        return found

    def _shared_constants(self) -> set[fx.Node]:
        """Find computed constants that several owners need: the stem computes these, too."""
        owners: Counter[fx.Node] = Counter()
        by_owner: dict[int, set[fx.Node]] = {}
        for piece in self._pieces():
            by_owner.setdefault(piece.owner, set()).update(piece.nodes)
        for nodes in by_owner.values():
            owners.update(n for n in nodes if n not in self.stream and n.op != "get_attr")
        return {node for node, count in owners.items() if count > 1}

    # -- pieces --

    def _pieces(self) -> list[Piece]:
        pieces = [self._gap_piece(gap, []) for gap in range(len(self.regions) + 1)]
        pieces += self._pieces_beside().values()
        for index, region in enumerate(self.regions):
            pieces += [p for p in self._module_pieces(index, region).values() if p is not None]
        return pieces

    def _gap_piece(self, gap: int, holds: Sequence[fx.Node]) -> Piece:
        """Describe gap number `gap`: everything that runs before module `gap`, and after the one before."""
        x = self.regions[gap - 1].output if gap > 0 else None
        if gap == len(self.regions):
            outputs = [None if output in self.beside else output for output in self.stream.outputs]
        else:
            outputs = [self.regions[gap].entry, *holds]
        return self._piece(-1 - gap, x, outputs)

    def _pieces_beside(self) -> dict[int, Piece]:
        """Describe by their places the outputs that tell of the inside of modules."""
        last = len(self.regions)
        return {
            place: self._piece(-1 - last, self.regions[-1].output, [output])
            for place, output in enumerate(self.stream.outputs)
            if output in self.beside
        }

    def _is_read(self, node: fx.Node, owner: int) -> bool:
        """Whether a piece finds a value among those held, instead of computing it."""
        is_stem = owner == -1
        if is_stem or node.op == "get_attr":
            return False
        if node in self.needs_input or node in self.shared or node.op == "placeholder":
            return True
        if 0 <= owner < len(self.regions) and node in self.regions[owner].copied:
            return False
        if node in self.module_of:
            return self.module_of[node] != owner
        return node in self.gap_of and self.gap_of[node] != -1 - owner

    # -- the network --

    def network(self, name: str) -> UnraveledNetwork:
        parts = [self._module_pieces(index, region) for index, region in enumerate(self.regions)]
        chains, live = self._chains_and_live(parts)
        self._check_held({node for nodes in live.values() for node in nodes})
        modules = [
            self._module(region, pieces, chain)
            for region, pieces, chain in zip(self.regions, parts, chains, strict=True)
        ]
        head = self._gap_piece(len(self.regions), [])
        return UnraveledNetwork(
            Stem(self._built(self._gap_piece(0, live[0])), self.exported.call, names_of(live[0])),
            modules,
            Head(
                self._built(head),
                names_of(head.reads),
                self.exported.call,
                {place: self._segment(piece) for place, piece in self._pieces_beside().items()},
            ),
            transitions=self._transitions(chains, live),
            example=self.exported.example,
            name=name,
            unexplained=self.structure.unexplained,
        )

    def _check_held(self, held: set[fx.Node]) -> None:
        """Raise where a piece would read what another module keeps to itself."""
        for node in held:
            index = self.module_of.get(node)
            if index is not None and node is not self.regions[index].output:
                raise CaptureError(
                    f"The value {node.name}, computed inside the residual module {self.regions[index].name}, is "
                    "needed by another part of the model, so the module cannot be deleted by itself. Compute it "
                    "outside of the module, or return it from there."
                )

    def _ends(self) -> list[Piece]:
        return [self._gap_piece(len(self.regions), []), *self._pieces_beside().values()]

    def _inputs_of(self, piece: Piece) -> Sequence[fx.Node]:
        placeholders = [node for node in self.stream.graph.nodes if node.op == "placeholder"]
        return placeholders if piece.x is None else piece.reads
