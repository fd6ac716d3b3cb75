"""The residual modules of a graph, junction by junction.

A *junction* is a node j that adds, with d its immediate dominator and j the immediate post-dominator of d:
everything that leaves d meets again in j. Such single-entry single-exit regions are disjoint or nested, never
crossing (Johnson, Pearson and Pingali 1994, the program structure tree). The operand that is at most affine
in d is the skip; the rest, which must hold learned weights or mix positions, is the branch.

Where d is read elsewhere too (a feature pyramid, a second stream), j is a junction all the same if nothing
between d and j is: still one way in and one way out, and still never crossing another region. These are
looked for second, so that x + attention(x) + mlp(x) stays one module. Last come those whose skip pools or slices
d, and where only that is read elsewhere: module and reader then each compute it from d.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import fx

from unravelnet.capture.operations import AFFINE, GATES, PRODUCTS, is_sum, operation
from unravelnet.capture.stream import Stream, descendants, shape_of


@dataclass(eq=False)
class Region:
    """One residual module in the graph: everything between `entry` and `junction`.

    `skip`: the operand of the junction that is the skip, `entry` itself if the skip is the identity; None for
    a plain layer. `branch`: the operands that are added to it. `copied`: values of the skip that others read, too,
    and that are computed once more for them. `after`: the nodes behind the junction that belong to the module.
    `inner`: the residual modules inside.
    """

    entry: fx.Node
    junction: fx.Node
    skip: fx.Node | None
    branch: tuple[fx.Node, ...]
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
    sums = [n for n in stream.graph.nodes if n in stream and is_sum(n) and len(stream.operands(n)) == 2]
    found: dict[fx.Node, Region] = {}
    for is_closed in (_all_leads_to, _nothing_leaves, _only_pooled_leaves):
        partial = {node for region in found.values() for node in region.interior if is_partial(node, region)}
        for node in sums:
            entry = stream.dominator.get(node)
            if node not in found and node not in partial and isinstance(entry, fx.Node):
                region = _region_of(stream, entry, node, found) if is_closed(stream, entry, node) else None
                if region is not None:
                    found[node] = region
    regions = sorted(found.values(), key=lambda region: stream.position[region.junction])
    told = told_of(stream, regions)
    return [region for region in regions if region.junction not in told]


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


def _region_of(
    stream: Stream, entry: fx.Node, junction: fx.Node, found: dict[fx.Node, Region]
) -> Region | None:
    """Read a sum as the junction of a residual module, or say None if it is not one."""
    terms = _terms(stream, junction, entry, found)
    skips = [term for term in terms if is_affine(stream, term, entry)]
    if not skips or any(shape_of(term) != shape_of(junction) for term in terms):
        return None
    skip = min(skips, key=lambda term: _cost(stream, term, entry))
    branch = tuple(term for term in terms if term is not skip)
    nodes = [node for term in branch for node in stream.between(entry, term)]
    is_learned = learns(stream, nodes)
    if not is_learned and not any(map(stream.mixes_positions, nodes)):
        return None
    if skip is not entry and not is_learned and not learns(stream, stream.between(entry, skip)):
        # Two poolings of one value: nothing is learned on either side.
        return None
    if len(skips) == len(terms) and learns(stream, stream.between(entry, skip)):
        # Two linear layers side by side, as in a pair of classifiers: neither goes around the other.
        return None
    inside = frozenset(stream.between(entry, junction)) - {junction}
    copied = frozenset(value for value, _ in leaks(stream, inside, junction))
    return Region(entry, junction, skip, branch, inside - copied, copied)


def _terms(stream: Stream, junction: fx.Node, entry: fx.Node, found: dict[fx.Node, Region]) -> list[fx.Node]:
    """List what a junction adds; sums of sums are taken apart, as in x + attention(x) + mlp(x)."""
    terms: list[fx.Node] = []
    for operand in stream.operands(junction):
        is_partial_sum = is_sum(operand) and len(operand.users) == 1 and operand not in found
        if operand is not entry and is_partial_sum and len(stream.operands(operand)) == 2:
            terms += _terms(stream, operand, entry, found)
        else:
            terms.append(operand)
    return terms


def is_affine(stream: Stream, term: fx.Node, entry: fx.Node) -> bool:
    """Whether a value is the entry, or at most affine, pooled, padded, sliced or gated from it."""
    affine = {entry}
    for node in stream.between(entry, term):
        if not _is_affine_step(stream, node, entry, affine):
            return False
        affine.add(node)
    return True


def _is_affine_step(stream: Stream, node: fx.Node, entry: fx.Node, affine: set[fx.Node]) -> bool:
    """Whether one operator keeps its operands affine. What only feeds a gate may be anything."""
    if _feeds_gates_only(stream, node, entry):
        return True
    operands = [operand for operand in node.args if isinstance(operand, fx.Node) and operand in stream]
    if operation(node) in {"mul", operator.mul} and len(operands) == 2:
        operands = [operand for operand in operands if not _is_gate(stream, operand, entry)]
    is_contraction = operation(node) in PRODUCTS | {"mul", "div", operator.mul, operator.truediv}
    if is_contraction and len(operands) != 1:
        return False
    needed = operands if is_contraction else stream.operands(node)
    return operation(node) in AFFINE and affine.issuperset(needed)


def _feeds_gates_only(stream: Stream, node: fx.Node, entry: fx.Node) -> bool:
    """Whether a value is a gate, or reaches the junction through gates only."""
    waiting, seen = [node], set()
    while waiting:
        value = waiting.pop()
        is_added = any(map(is_sum, value.users))
        if value in seen or (_is_gate(stream, value, entry) and not is_added):
            continue
        seen.add(value)
        readers = [user for user in value.users if user in stream]
        if not readers or is_sum(value) or operation(value) in {"mul", "cat"}:
            return False
        waiting += readers
    return True


def _is_gate(stream: Stream, node: fx.Node, entry: fx.Node) -> bool:
    """Whether a value lies between 0 and 1 by construction: a sigmoid, or one minus it."""
    if node is entry:
        return False
    if operation(node) in GATES:
        return True
    operands = stream.operands(node)
    passes_on = operation(node) in {"rsub", "sub", "view", "reshape", "unsqueeze", "expand", "mean"}
    return passes_on and len(operands) == 1 and _is_gate(stream, operands[0], entry)


def _cost(stream: Stream, term: fx.Node, entry: fx.Node) -> tuple[int, int, int]:
    nodes = stream.between(entry, term)
    return sum(map(stream.is_learned, nodes)), len(nodes), stream.position[term]


def is_partial(node: fx.Node, region: Region) -> bool:
    """Whether a node is a sum of some of a junction's terms."""
    return is_sum(node) and set(node.users) == {region.junction} and node not in (*region.branch, region.skip)
