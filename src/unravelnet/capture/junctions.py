"""The residual modules of a graph, junction by junction.

A *junction* is a node j that joins values, with d its immediate dominator and j the immediate post-dominator of d:
everything that leaves d meets again in j. Such single-entry single-exit regions are disjoint or nested, never
crossing (Johnson, Pearson and Pingali 1994, the program structure tree). The operand that is at most affine
in d is the skip; the rest, which must hold learned weights or mix positions, is the branch. What may be a junction,
and which of its operands is what, is said by each of the `kinds`.

Where d is read elsewhere too (a feature pyramid, a second stream), j is a junction all the same if nothing
between d and j is: still one way in and one way out, and still never crossing another region. These are
looked for second, so that x + attention(x) + mlp(x) stays one module. Last come those whose skip pools or slices
d, and where only that is read elsewhere: module and reader then each compute it from d. Where all of these fail, d may
be an operand of j itself, and its branch may read values that d does not dominate (cross-attention), or nothing of d
at all (reversible blocks).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import permutations

from torch import fx

from unravelnet.capture.kinds import KINDS
from unravelnet.capture.kinds.kind import AbstractKind, Operands, Site
from unravelnet.capture.operations import is_slice, is_sum, operation
from unravelnet.capture.stream import Stream, common_path, descendants, leaks, module_path, shape_of


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


Found = dict[fx.Node, Region]
Look = Callable[[Stream, fx.Node, Found], Iterable[Site]]


def junction_regions(stream: Stream) -> list[Region]:
    """Find the residual modules of a stream, in graph order, each apart from those inside of it."""
    found: Found = {}
    for kind in KINDS:
        nodes = [n for n in stream.graph.nodes if n in stream and kind.may_be(stream, n)]
        for look in LOOKS:
            explained = explained_by(found.values())
            for node in nodes:
                sites = look(stream, node, found) if node not in explained else ()
                region = next(filter(None, (_region_of(site, kind) for site in sites)), None)
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


# -- where a region may begin --


def _where_all_meets(stream: Stream, node: fx.Node, found: Found) -> Iterator[Site]:
    """From its dominator, if everything that leaves that meets again in the junction."""
    site = _from_dominator(stream, node, found)
    if site is not None and stream.post_dominator.get(site.entry) is node:
        yield site


def _where_nothing_leaves(stream: Stream, node: fx.Node, found: Found) -> Iterator[Site]:
    """From its dominator, if what lies between is read by nothing else."""
    site = _from_dominator(stream, node, found)
    if site is not None and not leaks(stream, site.inside, node):
        yield site


def _where_only_pooled_leaves(stream: Stream, node: fx.Node, found: Found) -> Iterator[Site]:
    """From its dominator, if what is read elsewhere of what lies between is made of it without learned weights."""
    site = _from_dominator(stream, node, found)
    if site is not None:
        leaked = [value for value, _ in leaks(stream, site.inside, node)]
        if all(site.is_affine(value) and not site.learns(value) for value in leaked):
            yield site


def _from_dominator(stream: Stream, node: fx.Node, found: Found) -> Site | None:
    entry = stream.dominator.get(node)
    # The pieces of a value that is split stand in a list, which is no stream.
    if not isinstance(entry, fx.Node) or shape_of(entry) is None:
        return None
    return Site(stream, entry, node, found, frozenset(stream.between(entry, node)) - {node})


def _from_operands(stream: Stream, node: fx.Node, found: Found) -> Iterator[Site]:
    """From one of its own operands: the branch may then read other values, as cross-attention does.

    What is made of these for the branch only, by the same part of the model, belongs to it.
    """
    for entry in stream.operands(node):
        inside = set(stream.through(entry, node)) - {node}
        if not inside or leaks(stream, inside, node):
            continue
        inside |= _made_for(stream, inside, {entry, *explained_by(found.values())})
        if not any(_crosses({node, *inside}, region) for region in found.values()):
            yield Site(stream, entry, node, found, frozenset(inside))


def _made_for(stream: Stream, inside: set[fx.Node], others: set[fx.Node]) -> set[fx.Node]:
    """Find the values that only some nodes read, in the user's submodule that holds these."""
    place, made = common_path(inside), set(inside)
    waiting = [operand for node in inside for operand in stream.operands(node)]
    while waiting:
        node = max(waiting, key=stream.position.__getitem__)
        waiting = [other for other in waiting if other is not node]
        readers = [user for user in node.users if user in stream or user.op == "output"]
        is_theirs = place and module_path(node)[: len(place)] == place and made.issuperset(readers)
        if node not in made and node not in others and is_theirs:
            made.add(node)
            waiting += stream.operands(node)
    return made - inside


def _from_another_stream(stream: Stream, node: fx.Node, found: Found) -> Iterator[Site]:
    """From an operand of a sum whose other operand is made, for it alone, of another stream of the same shape.

    So are the blocks of reversible networks, which add to each half of the stream a function of the other half.
    """
    for entry, other in permutations(stream.operands(node)) if is_sum(node) else ():
        made, sources = _made_alone(stream, other, node)
        is_alone = len(sources) == 1 and entry not in sources and learns(stream, made)
        if not is_alone or any(_crosses({node, *made}, region) for region in found.values()):
            continue
        (source,) = sources
        # Both are streams: pieces of one value, or what a residual module hands on. An entry made of the source would
        # be one of two functions of it, and no skip.
        are_pieces = is_slice(source) and is_slice(entry)
        are_streams = _undetached(source) in found or are_pieces
        if shape_of(source) == shape_of(entry) and are_streams and not stream.through(source, entry):
            yield Site(stream, entry, node, found, frozenset(made))


def _undetached(node: fx.Node) -> fx.Node:
    """Find the value that a detached one is: under `torch.no_grad` modules hand on detached streams."""
    while operation(node) == "detach":
        (node,) = node.all_input_nodes
    return node


def _made_alone(stream: Stream, value: fx.Node, reader: fx.Node) -> tuple[set[fx.Node], set[fx.Node]]:
    """Find the nodes that compute a value for one reader alone, and the values that these read."""
    made, sources = {reader}, set()
    waiting = [value]
    while waiting:
        node = max(waiting, key=stream.position.__getitem__)
        waiting = [other for other in waiting if other is not node]
        if made.issuperset(stream.readers(node, on_the_way_of=reader)):
            made.add(node)
            waiting += stream.operands(node)
        else:
            sources.add(node)
    return made - {reader}, sources


def _crosses(nodes: set[fx.Node], region: Region) -> bool:
    """Whether some nodes and a region share some of each other, and neither holds the other."""
    others = {region.junction, *region.interior}
    return not (nodes.isdisjoint(others) or nodes <= region.interior or others <= nodes)


LOOKS: tuple[Look, ...] = (
    _where_all_meets,
    _where_nothing_leaves,
    _where_only_pooled_leaves,
    _from_operands,
    _from_another_stream,
)
"""Where a region may begin, in the order in which it is tried."""


def learns(stream: Stream, nodes: Iterable[fx.Node]) -> bool:
    """Whether there is a learned layer among some nodes."""
    return any(map(stream.is_learned, nodes))


def _region_of(site: Site, kind: AbstractKind) -> Region | None:
    """Read a node as the junction of a residual module, or say None if it is not one."""
    operands = kind.read(site)
    if operands is None:
        return None
    copied = frozenset(value for value, _ in leaks(site.stream, site.inside, site.node))
    return Region(site.entry, site.node, operands, site.inside - copied, copied)
