"""Finds the residual modules of a graph.

A *junction* is a node j that adds, with d its immediate dominator and j the immediate post-dominator of d:
everything that leaves d meets again in j. Such single-entry single-exit regions are disjoint or nested, never
crossing (Johnson, Pearson and Pingali 1994, the program structure tree). The operand that is at most affine
in d is the skip; the rest, which must hold learned weights or mix positions, is the branch.

Where d is read elsewhere too (a feature pyramid, a second stream), j is a junction all the same if nothing
between d and j is: still one way in and one way out, and still never crossing another region. These are
looked for second, so that x + attention(x) + mlp(x) stays one module.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from torch import fx
from torch._ops import HigherOrderOperator

from unravelnet.capture.operations import AFFINE, GATES, PRODUCTS, is_sum, operation
from unravelnet.capture.stream import Stream, shape_of

_READ_ELSEWHERE = (
    "one operand reaches the other through learned weights, but something between them is read elsewhere too"
)
_SIDE_BY_SIDE = "two linear layers of the same value are added; neither goes around the other"
_HIDDEN = "its operators are hidden in a block of their own (torch.no_grad, torch.autocast or torch.cond)"
OFF_STREAM = "it depends on another input only, and residual modules are looked for behind the main input"


@dataclass(eq=False)
class Region:
    """One residual module in the graph: everything between `entry` and `junction`.

    `skip`: the operand of the junction that is the skip, `entry` itself if the skip is the identity; None for
    a plain layer. `branch`: the operands that are added to it. `after`: the nodes behind the junction that
    belong to the module. `inner`: the residual modules inside.
    """

    entry: fx.Node
    junction: fx.Node
    skip: fx.Node | None
    branch: tuple[fx.Node, ...]
    interior: frozenset[fx.Node]
    after: tuple[fx.Node, ...] = ()
    inner: list[Region] = field(default_factory=list)
    name: str = ""

    @property
    def output(self) -> fx.Node:
        """The value that the module hands on."""
        return self.after[-1] if self.after else self.junction


@dataclass(frozen=True)
class Structure:
    """The outermost residual modules in execution order, and the sums that look like one and are none."""

    regions: list[Region]
    unexplained: list[str]


def find_structure(stream: Stream, others: Sequence[Stream] = ()) -> Structure:
    """Find the residual modules of a graph; for a network without any, its plain layers.

    `others`: the streams of further inputs, whose modules are listed and not taken apart.
    """
    regions = _junction_regions(stream)
    unexplained = _unexplained(stream, regions)
    elsewhere = {r.junction for other in others for r in _junction_regions(other) if r.junction not in stream}
    unexplained += [
        _description(node, OFF_STREAM) for node in sorted(elsewhere, key=stream.position.__getitem__)
    ]
    outermost = _nest(regions)
    if not outermost:
        outermost = _plain_regions(stream)
    else:
        _attach_after(stream, outermost)
    _name(stream, regions or outermost)
    return Structure(outermost, unexplained)


# -- junctions --


def _junction_regions(stream: Stream) -> list[Region]:
    sums = [n for n in stream.graph.nodes if n in stream and is_sum(n) and len(stream.operands(n)) == 2]
    found: dict[fx.Node, Region] = {}
    for is_closed in (_all_leads_to, _nothing_leaves):
        partial = {node for region in found.values() for node in region.interior if _is_partial(node, region)}
        for node in sums:
            entry = stream.dominator.get(node)
            if node not in found and node not in partial and isinstance(entry, fx.Node):
                region = _region_of(stream, entry, node, found) if is_closed(stream, entry, node) else None
                if region is not None:
                    found[node] = region
    return sorted(found.values(), key=lambda region: stream.position[region.junction])


def _all_leads_to(stream: Stream, entry: fx.Node, junction: fx.Node) -> bool:
    """Whether everything that leaves the entry meets again in the junction."""
    return stream.post_dominator.get(entry) is junction


def _nothing_leaves(stream: Stream, entry: fx.Node, junction: fx.Node) -> bool:
    """Whether what lies between entry and junction is read by nothing else."""
    inside = set(stream.between(entry, junction))
    readers = {
        user for node in inside - {junction} for user in node.users if user in stream or user.op == "output"
    }
    return readers <= inside


def _region_of(
    stream: Stream, entry: fx.Node, junction: fx.Node, found: dict[fx.Node, Region]
) -> Region | None:
    """Read a sum as the junction of a residual module, or say None if it is not one."""
    terms = _terms(stream, junction, entry, found)
    skips = [term for term in terms if _is_affine(stream, term, entry)]
    if not skips or any(shape_of(term) != shape_of(junction) for term in terms):
        return None
    skip = min(skips, key=lambda term: _cost(stream, term, entry))
    branch = tuple(term for term in terms if term is not skip)
    nodes = [node for term in branch for node in stream.between(entry, term)]
    if not any(stream.is_learned(node) or stream.mixes_positions(node) for node in nodes):
        return None
    if len(skips) == len(terms) and any(map(stream.is_learned, stream.between(entry, skip))):
        # Two linear layers side by side, as in a pair of classifiers: neither goes around the other.
        return None
    interior = frozenset(stream.between(entry, junction)) - {junction}
    return Region(entry, junction, skip, branch, interior)


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


def _is_affine(stream: Stream, term: fx.Node, entry: fx.Node) -> bool:
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
        if value in seen or _is_gate(stream, value, entry):
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


def _nest(regions: Sequence[Region]) -> list[Region]:
    """Hang each region into the smallest one that holds it; return those that are held by none."""
    outermost: list[Region] = []
    for region in regions:
        holders = [other for other in regions if region.junction in other.interior]
        if holders:
            min(holders, key=lambda other: len(other.interior)).inner.append(region)
        else:
            outermost.append(region)
    return outermost


def _unexplained(stream: Stream, regions: Sequence[Region]) -> list[str]:
    """Describe the sums that have the look of a skip, x + f(x) with weights in f, and are no junction."""
    understood = {region.junction for region in regions}
    understood |= {node for region in regions for node in region.interior if _is_partial(node, region)}
    sums = [n for n in stream.graph.nodes if n in stream and is_sum(n) and n not in understood]
    hidden = [n for n in stream.graph.nodes if n in stream and isinstance(n.target, HigherOrderOperator)]
    return [
        *(_description(node, _READ_ELSEWHERE) for node in sums if _looks_like_skip(stream, node)),
        *(_description(node, _SIDE_BY_SIDE) for node in sums if _is_pair_of_layers(stream, node)),
        *(_description(node, _HIDDEN) for node in hidden),
    ]


def _is_partial(node: fx.Node, region: Region) -> bool:
    """Whether a node is a sum of some of a junction's terms."""
    return is_sum(node) and set(node.users) == {region.junction} and node not in (*region.branch, region.skip)


def _looks_like_skip(stream: Stream, node: fx.Node) -> bool:
    operands = stream.operands(node)
    if len(operands) != 2 or shape_of(operands[0]) != shape_of(operands[1]):
        return False
    return any(
        any(map(stream.is_learned, between)) and early in _inputs_of(stream, between)
        for early, late in (operands, operands[::-1])
        for between in [_only_through(stream, early, late)]
    )


def _only_through(stream: Stream, early: fx.Node, late: fx.Node) -> list[fx.Node]:
    """The nodes between two values if one is an ancestor of the other, else none."""
    if stream.position[early] >= stream.position[late]:
        return []
    between = [n for n in stream.between(early, late) if stream.position[n] > stream.position[early]]
    return between if early in _inputs_of(stream, between) else []


def _inputs_of(stream: Stream, nodes: Sequence[fx.Node]) -> set[fx.Node]:
    return {operand for node in nodes for operand in stream.operands(node)}


def _is_pair_of_layers(stream: Stream, node: fx.Node) -> bool:
    """Whether a sum adds two learned linear functions of one value, neither of which goes around the other."""
    entry = stream.dominator.get(node)
    operands = stream.operands(node)
    return (
        isinstance(entry, fx.Node)
        and len(operands) == 2
        and _nothing_leaves(stream, entry, node)
        and all(_is_affine(stream, operand, entry) for operand in operands)
        and all(any(map(stream.is_learned, stream.between(entry, operand))) for operand in operands)
    )


def _description(node: fx.Node, reason: str) -> str:
    place = ".".join(module_path(node)) or "the model's own forward"
    shape = "×".join(map(str, (shape_of(node) or ("?",))[1:]))
    return f"{node.name} in {place} ({shape}): {reason}"


# -- plain layers --


def _plain_regions(stream: Stream) -> list[Region]:
    """Read a network without junctions as a row of learned layers with what follows them."""
    main_road = _main_road(stream)
    layers = [node for node in main_road if stream.is_learned(node)]
    regions = [_plain_region(stream, main_road, layer) for layer in layers if _has_entry(stream, layer)]
    return regions[:-1]


def _has_entry(stream: Stream, layer: fx.Node) -> bool:
    return isinstance(stream.dominator[layer], fx.Node)


def _plain_region(stream: Stream, main_road: Sequence[fx.Node], layer: fx.Node) -> Region:
    """Take a layer with the normalisation and non-linearity that follow it."""
    behind = main_road[main_road.index(layer) + 1 :]
    tail = takewhile(lambda node: _belongs_to_layer(stream, node, layer), behind)
    end = [layer, *tail][-1]
    entry = stream.dominator[layer]
    return Region(entry, end, None, (end,), frozenset(stream.between(entry, end)) - {end})


def _main_road(stream: Stream) -> list[fx.Node]:
    """The values that everything passes through, in order."""
    road = []
    node: object = stream.dominator.get("end")
    while isinstance(node, fx.Node):
        road.append(node)
        node = stream.dominator.get(node)
    return road[::-1]


def _belongs_to_layer(stream: Stream, node: fx.Node, layer: fx.Node) -> bool:
    """Whether a node on the main road is normalisation or non-linearity of the layer before it."""
    return (
        shape_of(node) in (shape_of(layer), None)
        and not stream.mixes_positions(node)
        and not any(map(stream.mixes_positions, stream.between(stream.dominator[node], node)))
    )


# -- what follows a junction --


def _attach_after(stream: Stream, regions: Sequence[Region]) -> None:
    """Give each module the nodes behind its junction that belong to it.

    A ReLU in post-activation networks or a normalisation in post-norm transformers follows every junction;
    what follows only one (a last normalisation, a pooling between stages) belongs to the network. So the run
    behind a junction is the module's own where more than half of the modules have the same.
    """
    runs = [_run_behind(stream, region) for region in regions]
    if not runs:
        return
    signatures = [tuple(operations for _, operations in run) for run in runs]
    common, count = Counter(signatures).most_common(1)[0]
    if 2 * count <= len(regions):
        return
    for region, run, signature in zip(regions, runs, signatures, strict=True):
        if signature[: len(common)] == common:
            region.after = tuple(node for nodes, _ in run[: len(common)] for node in nodes)


def _run_behind(stream: Stream, region: Region) -> list[tuple[list[fx.Node], tuple[object, ...]]]:
    """Follow the stream behind a junction through pieces that keep its shape and hold no layer."""
    run: list[tuple[list[fx.Node], tuple[object, ...]]] = []
    start = region.junction
    end = stream.post_dominator.get(start)
    while isinstance(end, fx.Node):
        nodes = stream.between(start, end)
        if any(stream.is_learned(n) or stream.mixes_positions(n) for n in nodes):
            break
        if shape_of(end) == shape_of(region.junction) and stream.dominator.get(end) is start:
            if is_sum(end) and len(stream.operands(end)) == 2:
                break
            run.append((nodes, tuple(operation(n) for n in nodes)))
        else:
            break
        start, end = end, stream.post_dominator.get(end)
    return run


# -- names --


def module_path(node: fx.Node) -> tuple[str, ...]:
    """The path of the user's submodule that a node comes from."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values()]
    return tuple(part for part in paths[-1].split(".") if part) if paths else ()


def _name(stream: Stream, regions: Sequence[Region]) -> None:
    """Name each module by the user's submodule that holds it, by its layers where that is not unique."""
    for region in regions:
        nodes = [n for term in region.branch for n in stream.between(region.entry, term)]
        region.name = ".".join(_common([module_path(n) for n in [*nodes, region.junction]]))
    counts = Counter(region.name for region in regions)
    for region in regions:
        if counts[region.name] > 1 or not region.name:
            nodes = [n for term in region.branch for n in stream.between(region.entry, term)]
            layers = [n for n in nodes if stream.is_learned(n) or stream.mixes_positions(n)]
            region.name = ".".join(_common([module_path(n) for n in layers])) or region.name
    _number_repeats(regions)


def _number_repeats(regions: Sequence[Region]) -> None:
    counts = Counter(region.name for region in regions)
    seen: Counter[str] = Counter()
    for region in regions:
        if counts[region.name] > 1 or not region.name:
            seen[region.name] += 1
            region.name = f"{region.name or 'model'}#{seen[region.name]}"


def _common(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    if not paths:
        return ()
    columns = zip(*paths, strict=False)
    return tuple(column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns))
