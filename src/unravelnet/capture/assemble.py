"""Cuts a graph along its residual modules and makes each piece a callable of its own.

Pieces: for each module branch, skip and after; between modules the *gaps*: gap 0 is the stem, the last one
the head, those in the middle transitions. A node that no module holds runs in the earliest gap in which all
it reads is there. What a later piece needs beside the stream is *held*: named, and passed along.

The branch of a module with others inside is such a piece, and is cut in the same way into a row of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from unravelnet.capture.export import ExportedModel
from unravelnet.capture.junctions import Region
from unravelnet.capture.kinds.kind import Gather, added
from unravelnet.capture.pieces import Piece, build, names_of
from unravelnet.capture.segments import GraphSegment, Head, Stem, Tap, Transition
from unravelnet.capture.stream import Stream, descendants
from unravelnet.capture.structure import Structure
from unravelnet.errors import CaptureError
from unravelnet.network import ResidualModule, Row, UnraveledNetwork


def assemble(exported: ExportedModel, structure: Structure, name: str) -> UnraveledNetwork:
    """Build the network from the graph and the regions found in it."""
    stream = structure.stream
    whole = Piece(-1, None, stream.outputs, None, list(stream.graph.nodes))
    return _Assembly(exported, stream, whole, structure.regions).network(name, structure.unexplained)


class _Assembly:
    """Cuts a piece along the regions in it: the whole graph into a network, a branch into the row inside it."""

    def __init__(
        self, exported: ExportedModel, stream: Stream, whole: Piece, regions: Sequence[Region]
    ) -> None:
        self.exported = exported
        self.stream = stream
        self.whole = whole
        self.regions = regions
        self.own = {node for node in whole.nodes if node in stream or node.op == "output"}
        self.given = set(whole.reads)
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
        gap_of = {} if self.whole.x is None else {self.whole.x: 0}
        for node in self.whole.nodes:
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
            is_told = any(self.module_of.get(reader) != index for reader in self._readers(node))
            if is_told and node is not self.regions[index].output:
                tapped.setdefault(index, []).append(node)
        return tapped

    def _beside(self) -> set[fx.Node]:
        """Find what is tapped, and what is made of it for outputs beside the logits: the head computes that."""
        tapped = {node for nodes in self.tapped.values() for node in nodes}
        readers = {user for node in tapped for user in node.users if user in self.stream}
        return tapped | descendants(readers - self.stream.leads_to_logits)

    def _available_from(self, node: fx.Node, gap_of: dict[fx.Node, int]) -> int:
        # What the piece as a whole is given is there from the beginning.
        return self.module_of[node] + 1 if node in self.module_of else gap_of.get(node, 0)

    def _readers(self, node: fx.Node) -> list[fx.Node]:
        """List what reads a value within the piece; the output of the model is in the whole graph only."""
        return [user for user in node.users if user in self.own]

    def _needing_input(self) -> set[fx.Node]:
        """Find the values off the stream that depend on the inputs: the stem computes them once a batch."""
        found: set[fx.Node] = set()
        for node in self.whole.nodes:
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

    def _gap_piece(self, gap: int, holds: Sequence[fx.Node]) -> Piece:
        """Describe gap number `gap`: everything that runs before module `gap`, and after the one before."""
        x = self.regions[gap - 1].output if gap > 0 else self.whole.x
        if gap == len(self.regions):
            outputs = [None if output in self.beside else output for output in self.whole.outputs]
            return self._piece(-1 - gap, x, outputs, self.whole.gather)
        return self._piece(-1 - gap, x, [self.regions[gap].entry, *holds])

    def _pieces_beside(self) -> dict[int, Piece]:
        """Describe by their places the outputs that tell of the inside of modules."""
        last = len(self.regions)
        return {
            place: self._piece(-1 - last, self.regions[-1].output, [output])
            for place, output in enumerate(self.whole.outputs)
            if output in self.beside
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

    def _is_read(self, node: fx.Node, owner: int) -> bool:
        """Whether a piece finds a value among those held, instead of computing it."""
        if node in self.given:
            return True
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

    # -- the row --

    def network(self, name: str, unexplained: Sequence[str]) -> UnraveledNetwork:
        """Build the network that the whole graph is."""
        held, modules, transitions = self._between_stem_and_head()
        head = self._gap_piece(len(self.regions), [])
        return UnraveledNetwork(
            Stem(self._build(self._gap_piece(0, held)), self.exported.call, names_of(held)),
            modules,
            Head(
                self._build(head),
                names_of(head.reads),
                self.exported.call,
                {place: self._segment(piece) for place, piece in self._pieces_beside().items()},
            ),
            transitions=transitions,
            example=self.exported.example,
            name=name,
            unexplained=unexplained,
            # The comparison with the model does so.
            measured=False,
        )

    def row(self) -> Row:
        """Build the row that is inside a piece."""
        held, modules, transitions = self._between_stem_and_head()
        head = self._segment(self._gap_piece(len(self.regions), []))
        return Row(self._transition(0, held), modules, head, transitions=transitions)

    def _between_stem_and_head(self) -> tuple[list[fx.Node], list[ResidualModule], list[Transition]]:
        """List what is held behind the stem, the modules, and the transitions between chains."""
        parts = [self._module_pieces(index, region) for index, region in enumerate(self.regions)]
        chains, live = self._chains_and_live(parts)
        self._check_held({node for nodes in live.values() for node in nodes})
        starts = [index for index, chain in enumerate(chains) if index == 0 or chain != chains[index - 1]]
        modules = [
            self._module(index, pieces, chain)
            for index, (pieces, chain) in enumerate(zip(parts, chains, strict=True))
        ]
        return live[0], modules, [self._transition(gap, live[gap]) for gap in starts[1:]]

    def _chains_and_live(
        self, parts: Sequence[dict[str, Piece | None]]
    ) -> tuple[list[int], dict[int, list[fx.Node]]]:
        """Join modules in series into chains; list what is held behind each gap that is kept."""
        is_joint = [gap > 0 and self._is_joint(gap) for gap in range(len(self.regions))]
        chains = [sum(not joint for joint in is_joint[1 : index + 1]) for index in range(len(self.regions))]
        live: dict[int, list[fx.Node]] = {}
        ends = [self._gap_piece(len(self.regions), []), *self._pieces_beside().values()]
        needed = {node for piece in ends for node in piece.reads} - self.beside
        for gap in reversed(range(len(self.regions))):
            needed |= {node for piece in parts[gap].values() if piece for node in piece.reads}
            if not is_joint[gap]:
                live[gap] = sorted(needed, key=self.stream.position.__getitem__)
                piece = self._gap_piece(gap, live[gap])
                needed = set(piece.reads)
        return chains, live

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

    def _is_joint(self, gap: int) -> bool:
        """Whether modules gap - 1 and gap follow one another with nothing between or beside them."""
        before, after = self.regions[gap - 1], self.regions[gap]
        inside = {*after.interior, after.junction}
        return (
            after.entry is before.output
            and gap not in self.gap_of.values()
            and all(reader in inside for reader in self._readers(before.output))
            and before.output not in self.whole.outputs
        )

    def _transition(self, gap: int, holds: Sequence[fx.Node]) -> Transition:
        piece = self._gap_piece(gap, holds)
        return Transition(self._build(piece), names_of(piece.reads), names_of(holds))

    def _module(self, index: int, pieces: dict[str, Piece | None], chain: int) -> ResidualModule:
        region = self.regions[index]
        parts = {role: self._segment(piece) for role, piece in pieces.items() if piece is not None}
        entered = [inner for inner in region.inner if _is_closed(inner, pieces)]
        skip = None if region.operands.skip is None else parts.get("skip", nn.Identity())
        module = ResidualModule(
            self._row_in(pieces["branch"], entered) if entered else parts["branch"],
            skip,
            parts.get("after"),
            junction=region.operands.junction,
            name=region.name,
            chain=chain,
            inner=[self._listed(inner, index) for inner in region.inner if inner not in entered],
            tap=parts.get("tap"),
        )
        module.input_shape, module.output_shape = _sizes(region.entry), _sizes(region.output)
        return module

    def _row_in(self, piece: Piece | None, regions: Sequence[Region]) -> Row:
        assert piece is not None
        return _Assembly(self.exported, self.stream, piece, regions).row()

    def _listed(self, region: Region, owner: int) -> ResidualModule:
        """Make a nested module that no route enters, because others read what is in it."""
        way = self._piece(owner, self.regions[owner].entry, [region.output], added)
        (module,) = self._row_in(way, [region]).inner
        module.index = -1
        return module

    def _segment(self, piece: Piece) -> GraphSegment:
        graph, reads = self._build(piece), names_of(piece.reads)
        is_tap = piece.gather is None and piece.owner >= 0
        return Tap(graph, reads, names_of(piece.outputs)) if is_tap else GraphSegment(graph, reads)

    def _build(self, piece: Piece) -> fx.GraphModule:
        placeholders = [node for node in self.whole.nodes if node.op == "placeholder"]
        return build(self.exported.graph_module, piece, placeholders if piece.x is None else piece.reads)


def _is_closed(region: Region, pieces: Mapping[str, Piece | None]) -> bool:
    """Whether a nested region is in the branch alone, and keeps what it computes to itself up to its output."""
    branch, skip = pieces["branch"], pieces["skip"]
    assert branch is not None
    of_branch, of_skip = set(branch.nodes), set() if skip is None else set(skip.nodes)
    own = {*region.interior, region.junction, *region.after}
    kept = own - {region.output}
    readers = {user for node in kept for user in node.users if user in of_branch}
    return own <= of_branch - of_skip and readers <= own and kept.isdisjoint(branch.outputs)


def _sizes(node: fx.Node) -> tuple[int, ...]:
    """The sizes of a value beside the batch; open ones as in the example."""
    value = node.meta.get("val")
    shape = value.shape[1:] if isinstance(value, Tensor) else ()
    return tuple(size.node.hint if isinstance(size, torch.SymInt) else size for size in shape)
