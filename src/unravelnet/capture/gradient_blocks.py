"""Puts what a model computes under `torch.no_grad` in line, so that its operators are seen.

torch.export keeps such operators in a graph of their own. In line they compute the same, and each value that leaves
the block is detached: no gradient flows back through it, in the captured network as in the model.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx


def put_in_line(graph_module: fx.GraphModule) -> None:
    """Put the operators of each block under `torch.no_grad` into the graph around it."""
    for node in list(graph_module.graph.nodes):
        if node.target is torch.ops.higher_order.wrap_with_set_grad_enabled and node.args[0] is False:
            body = getattr(graph_module, node.args[1].target)
            put_in_line(body)
            if not any(inner.op in {"get_attr", "call_module"} for inner in body.graph.nodes):
                _put_body_in_line(node, body.graph)


def _put_body_in_line(node: fx.Node, body: fx.Graph) -> None:
    graph = node.graph
    inputs = [inner for inner in body.nodes if inner.op == "placeholder"]
    with graph.inserting_before(node):
        given: Any = dict(zip(inputs, node.args[2:], strict=True))
        values: Any = graph.graph_copy(body, given)
        for reader in list(node.users):
            assert reader.target is operator.getitem, "a block gives a tuple"
            reader.replace_all_uses_with(_detached(graph, values[reader.args[1]]))
            graph.erase_node(reader)
    graph.erase_node(node)


def _detached(graph: fx.Graph, value: fx.Node) -> fx.Node:
    if not isinstance(value.meta.get("val"), Tensor):
        return value
    detached = graph.call_function(torch.ops.aten.detach.default, (value,))
    detached.meta = dict(value.meta)
    return detached
