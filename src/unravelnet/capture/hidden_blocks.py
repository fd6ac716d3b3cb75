"""Puts what a model computes under `torch.no_grad` or `torch.autocast` in line, so that its operators are seen.

torch.export keeps such operators in a graph of their own. In line they compute the same: each value that leaves a
block without gradients is detached, so that no gradient flows back through it, in the captured network as in the
model; and the casts to the lower precision, which torch makes unseen, are written out.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx

from unravelnet.capture.operations import ADDITIONS, PRODUCTS, operation

_SWITCHES = {"_enter_autocast", "_exit_autocast"}


def put_in_line(graph_module: fx.GraphModule) -> None:
    """Put the operators of each block under `torch.no_grad` or `torch.autocast` into the graph around it."""
    for node in list(graph_module.graph.nodes):
        without_gradients = node.target is torch.ops.higher_order.wrap_with_set_grad_enabled
        # Where autocast is switched off, it stays off: rotary positions must not be rounded.
        lowered = node.target is torch.ops.higher_order.wrap_with_autocast and node.args[2]
        if not (lowered or (without_gradients and node.args[0] is False)):
            continue
        place = 4 if lowered else 1
        body = getattr(graph_module, node.args[place].target)
        put_in_line(body)
        if any(map(_stays, body.graph.nodes)):
            continue
        inputs = [inner for inner in body.graph.nodes if inner.op == "placeholder"]
        given = dict(zip(inputs, node.args[place + 1 :], strict=True))
        if lowered:
            _write_casts(body.graph, {inner for inner, value in given.items() if value.op == "get_attr"})
        _put_body_in_line(node, body.graph, given, is_detached=without_gradients)


def _stays(node: fx.Node) -> bool:
    """Whether a node cannot be moved out of its block."""
    return node.op in {"get_attr", "call_module"} or getattr(node.target, "__name__", "") in _SWITCHES


def _put_body_in_line(node: fx.Node, body: fx.Graph, given: Any, *, is_detached: bool) -> None:
    graph = node.graph
    with graph.inserting_before(node):
        values: Any = graph.graph_copy(body, given)
        for reader in list(node.users):
            assert reader.target is operator.getitem, "a block gives a tuple"
            value = values[reader.args[1]]
            reader.replace_all_uses_with(_detached(graph, value) if is_detached else value)
            graph.erase_node(reader)
    graph.erase_node(node)


def _detached(graph: fx.Graph, value: fx.Node) -> fx.Node:
    if not isinstance(value.meta.get("val"), Tensor):
        return value
    detached = graph.call_function(torch.ops.aten.detach.default, (value,))
    detached.meta = dict(value.meta)
    return detached


# -- casts --


def _write_casts(body: fx.Graph, weights: set[fx.Node]) -> None:
    """Cast the operands of each operator that gave another type under `torch.autocast` than it gives by itself.

    The operands of sums are cast, too, so that the stream has one type with a branch and without it. Weights are cast
    once, as torch does.
    """
    known: dict[tuple[fx.Node, torch.dtype], fx.Node] = {}
    for node in list(body.nodes):
        given = _float_type(node.meta.get("val"))
        if given is None or not isinstance(node.target, torch._ops.OpOverload):
            continue
        is_cast = operation(node) in PRODUCTS | ADDITIONS or _float_type(_value_by_itself(node)) != given
        for operand in node.all_input_nodes if is_cast else ():
            # What is double stays double.
            if _float_type(operand.meta.get("val")) not in {None, given, torch.float64}:
                cast = known.get((operand, given)) or _cast(node, operand, given)
                node.replace_input_with(operand, cast)
                if operand in weights:
                    known[operand, given] = cast


def _cast(node: fx.Node, operand: fx.Node, given: torch.dtype) -> fx.Node:
    with node.graph.inserting_before(node):
        cast = node.graph.call_function(torch.ops.aten.to.dtype, (operand, given))
    cast.meta = {**node.meta, "val": operand.meta["val"].to(given)}
    return cast


def _value_by_itself(node: fx.Node) -> Any:
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda operand: operand.meta.get("val"))
    try:
        return node.target(*args, **kwargs)  # type: ignore[operator]  # an operator
    except Exception:
        # It does not take operands of several types.
        return None


def _float_type(value: Any) -> torch.dtype | None:
    """Give the type of a real-valued tensor, or of the first of several values; None for anything else."""
    first = value[0] if isinstance(value, tuple | list) and value else value
    return first.dtype if isinstance(first, Tensor) and first.is_floating_point() else None
