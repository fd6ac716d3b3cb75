"""The residual modules of a graph, junction by junction.

A *junction* is a node j that joins values, with d its immediate dominator and j the immediate post-dominator of d:
everything that leaves d meets again in j. Such single-entry single-exit regions are disjoint or nested, never
crossing (Johnson, Pearson and Pingali 1994, the program structure tree). The operand that is at most affine
in d is the skip; the rest, which must hold learned weights or mix positions, is the branch. What may be a junction,
and which of its operands is what, is said by each of the `kinds`.

Where d is read elsewhere too (a feature pyramid, a second stream), j is a junction all the same if nothing
between d and j is: still one way in and one way out, and still never crossing another region. These are
looked for second, so that x + attention(x) + mlp(x) stays one module. Last come those whose skip pools or slices
d, and where only that is read elsewhere: module and reader then each compute it from d.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import fx

from unravelnet.capture.affine import is_affine
from unravelnet.capture.kinds import KINDS
from unravelnet.capture.kinds.kind import AbstractKind, Operands, Site
from unravelnet.capture.stream import Stream, descendants


@dataclass(eq=False)
class Region:
    """One residual module in the graph: everything between `entry` and `junction`.

    `operands`: what the junction joins; the skip is `entry` itself if it is the identity. `copied`: values of the skip
    that others read, too, and that are computed once more for them. `after`: the nodes behind the junction that belong
    to the module. `inner`: the residual modules inside.
    """

    entry: fx.Node
    junction: fx.Node
    operands: Operands
    interior: frozenset[fx.Node]
    copied: frozenset[fx.Node] = frozenset()
    after: tuple[fx.Node, ...] = ()
    inner: list[Region] = field(default_factory=list)
    name: str = ""

    @property
    def output(self) -> fx.Node:
        """The value that the module hands on."""
        return self.after[-1] if self.after else self.junction


def junction_regions(stream: Stream) -> list[Region]:
    """Find the residual modules of a stream, in graph order, each apart from those inside of it."""
    found: dict[fx.Node, Region] = {}
    for kind in KINDS:
        nodes = [n for n in stream.graph.nodes if n in stream and kind.may_be(stream, n)]
        for is_closed in (_all_leads_to, _nothing_leaves, _only_pooled_leaves):
            explained = explained_by(found.values())
            for node in nodes:
                entry = stream.dominator.get(node)
                if node in explained or not isinstance(entry, fx.Node) or not is_closed(stream, entry, node):
                    continue
                region = _region_of(Site(stream, entry, node, found), kind)
                if region is not None:
                    found[node] = region
    regions = sorted(found.values(), key=lambda region: stream.position[region.junction])
    told = told_of(stream, regions)
    return [region for region in regions if region.junction not in told]


def explained_by(regions: Iterable[Region]) -> set[fx.Node]:
    """Give the junctions of some modules with the sums that belong to them."""
    return {node for region in regions for node in (region.junction, *region.operands.explained)}


def told_of(stream: Stream, regions: Iterable[Region]) -> set[fx.Node]:
    """Find what outputs beside the logits make of values from inside the modules that lead to the logits.

    It runs with the head, so no residual module can be in it.
    """
    inside = {node for r in regions if r.junction in stream.leads_to_logits for node in r.interior}
    readers = [user for node in inside for user in node.users if user in stream]
    return descendants(user for user in readers if user not in stream.leads_to_logits)


def _all_leads_to(stream: Stream, entry: fx.Node, junction: fx.Node) -> bool:
    """Whether everything that leaves the entry meets again in the junction."""
    return stream.post_dominator.get(entry) is junction


def _nothing_leaves(stream: Stream, entry: fx.Node, junction: fx.Node) -> bool:
    """Whether what lies between entry and junction is read by nothing else."""
    return not leaks(stream, stream.between(entry, junction), junction)


def _only_pooled_leaves(stream: Stream, entry: fx.Node, junction: fx.Node) -> bool:
    """Whether what is read elsewhere of what lies between is computed from the entry without learned weights."""
    leaked = [value for value, _ in leaks(stream, stream.between(entry, junction), junction)]
    return all(
        is_affine(stream, value, entry) and not learns(stream, stream.between(entry, value))
        for value in leaked
    )


def leaks(stream: Stream, nodes: Iterable[fx.Node], junction: fx.Node) -> list[tuple[fx.Node, fx.Node]]:
    """List the values on the way to a junction that something else reads, each with its reader."""
    inside = {*nodes, junction}
    return [
        (node, user)
        for node in sorted(inside - {junction}, key=stream.position.__getitem__)
        for user in stream.readers(node, on_the_way_of=junction)
        if user not in inside
    ]


def learns(stream: Stream, nodes: Iterable[fx.Node]) -> bool:
    """Whether there is a learned layer among some nodes."""
    return any(map(stream.is_learned, nodes))


def _region_of(site: Site, kind: AbstractKind) -> Region | None:
    """Read a node as the junction of a residual module, or say None if it is not one."""
    operands = kind.read(site)
    if operands is None:
        return None
    inside = frozenset(site.stream.between(site.entry, site.node)) - {site.node}
    copied = frozenset(value for value, _ in leaks(site.stream, inside, site.node))
    return Region(site.entry, site.node, operands, inside - copied, copied)
