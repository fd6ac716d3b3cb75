"""Accounts for what was looked at: why a sum is no junction, and what a network holds beside its modules.

Nothing is left out silently. What looks like a skip and is none is listed with its reason; a network that is
read as plain layers also lists what joins values beside the row; a refusal lists all of it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from torch import fx
from torch._ops import HigherOrderOperator

from unravelnet.capture.affine import is_affine
from unravelnet.capture.junctions import Region, explained_by, learns, told_of
from unravelnet.capture.operations import (
    CONCATENATIONS,
    MULTIPLICATIONS,
    RECURRENT,
    is_slice,
    is_sum,
    operation,
)
from unravelnet.capture.side_by_side import JOINS_STREAMS
from unravelnet.capture.stream import Stream, leaks, module_path, shape_of, source_line

N_LINES = 24
"""How many lines a network lists at most; what is alike shares a line."""
_N_IN_MESSAGE = 10

_ALONE = "only one of its values is computed from an activation"
_TWICE = "it adds a value to itself"
_SOURCES = "its values come from different sources"
_UNLEARNED = "no learned weights lie between its values and the last value that they share"
_TWO_BRANCHES = "neither of its values is a skip: both are nonlinear functions of what they share"
_TWO_PARTS = "its values are made from different parts of what they share"
_SIDE_BY_SIDE = "two linear layers of the same value are added; neither goes around the other"
_PART = "it covers a part of the value only"
_BROADCAST = "its values have different shapes"
_READ_ELSEWHERE = "a value inside its branch is read elsewhere too"
_HOLDS_SUMS = "there are residual sums inside, which are modules by themselves"
_IDLE_BRANCH = "the weights lie in its skip, and its branch holds none"
_CROSSING = "the way around it crosses that of another sum"
_TOLD = "it is made of values from inside a residual module, for an output beside the logits"
_HIDDEN = "its operators are hidden in a block of their own (torch.autocast or torch.cond)"
_OTHER_INPUT = "it depends on another input only, and residual modules are looked for behind the main input"
_MULTIPLIED = "it multiplies a value by a learned function of it, and no skip is left without the function"
_JOINED = "it joins a value with a learned function of it in a way that is not taken apart"
_NO_WHOLE = "it puts values side by side, and none of them is the whole of what they share"
_RECURRENT = "it is recurrent: its steps share one layer and cannot be removed one by one"
_BESIDE = "this layer is not on the way that every value passes"


@dataclass(frozen=True)
class Finding:
    """Something that was looked at and is no residual module.

    `kind`: the reason in general; `detail`: the values it is about. `is_like_skip`: whether it has the look of
    x + f(x) with weights in f.
    """

    node: fx.Node
    kind: str
    detail: str = ""
    is_like_skip: bool = True


def unexplained(stream: Stream, regions: Sequence[Region], elsewhere: Iterable[fx.Node]) -> list[str]:
    """Describe what has the look of a skip and is no junction. `elsewhere`: junctions behind other inputs."""
    findings = [*_sums(stream, regions), *_unjoined(stream, regions)]
    others = [Finding(node, _OTHER_INPUT) for node in elsewhere]
    like_skips = [finding for finding in findings if finding.is_like_skip]
    return _lines([*like_skips, *_hidden(stream), *others], N_LINES)


def left_out(stream: Stream, regions: Sequence[Region], elsewhere: Iterable[fx.Node]) -> list[str]:
    """Describe what a row of plain layers leaves out: layers beside it, and all that joins learned functions."""
    held = {node for region in regions for node in (region.junction, *region.interior)}
    beside = [
        Finding(node, _BESIDE)
        for node in sorted(stream.nodes - held - set(stream.main_road), key=stream.position.__getitem__)
        if stream.is_learned(node)
    ]
    sums = [f for f in _sums(stream, []) if f.kind not in {_ALONE, _TWICE, _SOURCES, _UNLEARNED}]
    others = [Finding(node, _OTHER_INPUT) for node in elsewhere]
    joins = [*sums, *_other_joins(stream), *_concatenations(stream), *_recurrent(stream), *_hidden(stream)]
    return _lines([*joins, *beside, *others], N_LINES)


def refusal(name: str, stream: Stream) -> str:
    """Say that a network has no residual module, what it has instead, and why each sum is no junction."""
    sums, concatenations = _sums(stream, []), _several_side_by_side(stream)
    n_layers = sum(map(stream.is_learned, stream.nodes))
    in_row = sum(map(stream.is_learned, stream.main_road))
    hidden = _hidden(stream)
    unseen = f", blocks whose operators are hidden: {len(hidden)}" if hidden else ""
    looked_at = [
        *sums,
        *_other_joins(stream),
        *_concatenations(stream),
        *_recurrent(stream),
        *hidden,
    ]
    looked_at.sort(key=lambda finding: not finding.is_like_skip)
    text = (
        f"{name} has no residual module that could be removed. Expected: a sum x + f(x) or a concatenation of x and "
        "f(x), with learned weights in f, or a network that is mostly a row of learned layers. Found behind the "
        f"input: learned layers: {n_layers} (on the way that every value passes: {in_row}), sums: {len(sums)}, "
        f"concatenations: {len(concatenations)}{unseen}."
    )
    lines = _lines(looked_at, _N_IN_MESSAGE)
    return "\n  ".join([f"{text} What was looked at:", *lines]) if lines else text


# -- sums --


def _sums(stream: Stream, regions: Sequence[Region]) -> list[Finding]:
    """Say of each sum that is no junction and no part of one why it is none."""
    understood = explained_by(regions)
    told = told_of(stream, regions)
    sums = [node for node in stream.graph.nodes if node in stream and is_sum(node) and node not in understood]
    findings = [_sum(stream, node) for node in sums]
    return [replace(f, kind=_TOLD, detail="") if f.is_like_skip and f.node in told else f for f in findings]


def _sum(stream: Stream, node: fx.Node) -> Finding:
    operands = stream.operands(node)
    if len(operands) < 2:
        is_twice = len(operands) == 1 and node.args[0] is node.args[1]
        return Finding(node, _TWICE if is_twice else _ALONE, is_like_skip=False)
    for early, late in (operands, operands[::-1]):
        inside = stream.through(early, late)
        if learns(stream, inside):
            return _around_branch(stream, node, inside)
    entry = stream.dominator.get(node)
    if not isinstance(entry, fx.Node):
        return Finding(node, _SOURCES, is_like_skip=False)
    return _behind_entry(stream, node, entry)


def _around_branch(stream: Stream, node: fx.Node, inside: Sequence[fx.Node]) -> Finding:
    """Say why x + f(x), or x beside f(x), is no junction; `inside`: the nodes on the way from x to f(x)."""
    if is_sum(node) and len({shape_of(operand) for operand in stream.operands(node)}) > 1:
        return Finding(node, _BROADCAST, _shapes(stream, node))
    leaked = leaks(stream, inside, node)
    if leaked:
        return Finding(node, _READ_ELSEWHERE, _leak(*leaked[0]))
    holds_sums = not is_sum(node) and any(map(is_sum, inside))
    return Finding(node, _HOLDS_SUMS if holds_sums else _CROSSING)


def _behind_entry(stream: Stream, node: fx.Node, entry: fx.Node) -> Finding:
    """Say why a sum of two functions of one value, its entry, is no junction."""
    operands = stream.operands(node)
    if not learns(stream, stream.between(entry, node)):
        return Finding(node, _UNLEARNED, is_like_skip=False)
    if len(set(map(shape_of, operands))) > 1:
        return Finding(node, _BROADCAST, _shapes(stream, node), is_like_skip=False)
    skips = [operand for operand in operands if is_affine(stream, operand, entry)]
    if not skips:
        return Finding(node, _TWO_BRANCHES, is_like_skip=False)
    skip = min(skips, key=lambda operand: learns(stream, stream.between(entry, operand)))
    branch = next(operand for operand in operands if operand is not skip)
    if not (_reads_whole(stream, entry, skip) or _reads_whole(stream, entry, branch)):
        return Finding(node, _TWO_PARTS, is_like_skip=False)
    if not learns(stream, stream.between(entry, branch)):
        return Finding(node, _IDLE_BRANCH)
    if len(skips) == 2 and learns(stream, stream.between(entry, skip)):
        return Finding(node, _SIDE_BY_SIDE)
    sliced = _sliced(stream, entry, skip)
    if sliced:
        is_comparable = _shape(node).count("×") == _shape(sliced).count("×")
        return Finding(node, _PART, f"{_shape(node)} of {_shape(sliced)}" if is_comparable else "")
    leaked = leaks(stream, stream.between(entry, node), node)
    return Finding(node, _READ_ELSEWHERE, _leak(*leaked[0])) if leaked else Finding(node, _CROSSING)


def _reads_whole(stream: Stream, entry: fx.Node, value: fx.Node) -> bool:
    """Whether a value is computed from another one as a whole, and not from slices of it only."""
    readers = [node for node in stream.between(entry, value) if entry in node.all_input_nodes]
    return value is entry or not all(map(is_slice, readers))


def _sliced(stream: Stream, entry: fx.Node, skip: fx.Node) -> fx.Node | None:
    """Find the value of which a skip is a slice."""
    slices = [node for node in stream.between(entry, skip) if is_slice(node)]
    whole = [operand for node in slices for operand in stream.operands(node) if shape_of(operand)]
    return whole[-1] if whole and shape_of(whole[-1]) != shape_of(skip) else None


# -- what joins values in another way --


def _other_joins(stream: Stream) -> list[Finding]:
    """Find what joins x and f(x), with learned weights in f, by something else than a sum: x · f(x), the maximum."""
    found = [
        node
        for node in stream.graph.nodes
        if node in stream and not is_sum(node) and operation(node) not in CONCATENATIONS
        if len(stream.operands(node)) == 2 and _has_way_around(stream, node)
    ]
    return [
        Finding(node, _MULTIPLIED)
        if operation(node) in MULTIPLICATIONS
        else Finding(node, _JOINED, str(operation(node)))
        for node in found
    ]


def _has_way_around(stream: Stream, node: fx.Node) -> bool:
    operands = stream.operands(node)
    return any(learns(stream, stream.through(*pair)) for pair in (operands, operands[::-1]))


def _concatenations(stream: Stream) -> list[Finding]:
    """Say of the concatenations with learned weights in one of several values why they are no junctions."""
    return [
        _concatenation(stream, node)
        for node in _several_side_by_side(stream)
        if not isinstance(entry := stream.dominator.get(node), fx.Node)
        or learns(stream, stream.between(entry, node))
    ]


def _unjoined(stream: Stream, regions: Sequence[Region]) -> list[Finding]:
    """Say of the concatenations beside the modules why they are none; those around modules are left by design.

    What is put together for an output beside the logits has not the look of a skip.
    """
    of_no_skip = explained_by(regions) | set(told_of(stream, regions))
    return [
        finding
        for finding in _concatenations(stream)
        if finding.node not in of_no_skip and finding.kind != _HOLDS_SUMS and _is_around(stream, finding.node)
    ]


def _is_around(stream: Stream, node: fx.Node) -> bool:
    """Whether the first or the last of what stands side by side goes around all others, which are made of it."""
    first, *_, last = stream.operands(node)
    return any(
        all(stream.through(skip, other) for other in stream.operands(node) if other is not skip)
        for skip in (first, last)
    )


def _concatenation(stream: Stream, node: fx.Node) -> Finding:
    for early, late in permutations(stream.operands(node), 2):
        inside = stream.through(early, late)
        if learns(stream, inside):
            return _around_branch(stream, node, inside)
    return Finding(node, _NO_WHOLE, is_like_skip=False)


def _several_side_by_side(stream: Stream) -> list[fx.Node]:
    of_model = [node for node in _of_operations(stream, CONCATENATIONS) if JOINS_STREAMS not in node.meta]
    return [node for node in of_model if len(stream.operands(node)) > 1]


def _recurrent(stream: Stream) -> list[Finding]:
    return [Finding(node, _RECURRENT) for node in _of_operations(stream, RECURRENT)]


def _hidden(stream: Stream) -> list[Finding]:
    hidden = [n for n in stream.graph.nodes if n in stream and isinstance(n.target, HigherOrderOperator)]
    return [Finding(node, _HIDDEN) for node in hidden]


def _of_operations(stream: Stream, operations: Collection[object]) -> list[fx.Node]:
    return [node for node in stream.graph.nodes if node in stream and operation(node) in operations]


# -- words --


def _lines(findings: Sequence[Finding], limit: int) -> list[str]:
    """Write a line for each group of findings that are alike, and how many are left out."""
    groups: dict[tuple[object, ...], list[Finding]] = defaultdict(list)
    for finding in findings:
        alike = re.sub(r"\d+", "*", _place(finding.node))
        groups[operation(finding.node), finding.kind, alike].append(finding)
    lines = [_line(group) for group in groups.values()]
    left = sum(len(group) for group in list(groups.values())[limit:])
    return [*lines[:limit], *([f"and {left} more"] if left else [])]


def _line(group: Sequence[Finding]) -> str:
    first = group[0]
    others = f" and {len(group) - 1} more like it" if len(group) > 1 else ""
    detail = f" ({first.detail})" if first.detail else ""
    about = ", ".join(filter(None, (_shape(first.node), source_line(first.node))))
    of_what = f" ({about})" if about else ""
    return f"{first.node.name} in {_place(first.node)}{of_what}{others}: {first.kind}{detail}"


def _place(node: fx.Node) -> str:
    return ".".join(module_path(node)) or "the model's own forward"


def _value(node: fx.Node) -> str:
    return "the model's output" if node.op == "output" else f"{node.name} in {_place(node)}"


def _leak(value: fx.Node, reader: fx.Node) -> str:
    return f"{_value(value)} is read by {_value(reader)}"


def _shape(node: fx.Node) -> str:
    shape = shape_of(node)
    return "" if shape is None else "×".join(map(str, shape[1:])) or "scalar"


def _shapes(stream: Stream, node: fx.Node) -> str:
    return " and ".join(map(_shape, stream.operands(node)))
