"""Whether a value is at most affine in another one: what may be a skip."""

from __future__ import annotations

import operator

from torch import fx

from unravelnet.capture.operations import AFFINE, GATES, PRODUCTS, is_sum, operation
from unravelnet.capture.stream import Stream


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
