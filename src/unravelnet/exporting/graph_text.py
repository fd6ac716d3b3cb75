"""A flat graph as JSON, and back, so that a stored graph is data: it names torch's own operators and nothing else.

`torch.export.load` evaluates texts of a file as formulas, and unpickles what it cannot read otherwise. So it reads
files of one's own only. What is read here may come from anybody: operators are looked up among those of aten that
compute tensors from tensors, and names of values are made anew.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from unravelnet.errors import CaptureError, CheckpointError, ModelError

_TARGET = re.compile(r"aten\.[a-z_A-Z0-9]+\.[a-z_A-Z0-9]+")
_TENSOR_NAME = re.compile(r"[A-Za-z0-9]\w*(\.\w+)*", re.ASCII)
# Sizes are computed with these.
_OF_SIZES: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(operator, name)
        for name in (
            *("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "pow", "getitem"),
            *("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_", "not_"),
        )
    },
    **{
        name: getattr(torch, name)
        for name in ("sym_int", "sym_float", "sym_max", "sym_min", "sym_not", "sym_ite")
    },
    **{name: getattr(math, name) for name in ("ceil", "floor", "trunc")},
}
_NAME_OF_FUNCTION = {function: name for name, function in _OF_SIZES.items()}
CPU = torch.device("cpu")
_CONSTANTS = (torch.dtype, torch.layout, torch.memory_format)
# Checks of sizes, which compute nothing.
_CHECKS = ("_assert_scalar", "sym_constrain_range", "sym_constrain_range_for_size", "_assert_tensor_metadata")


def written(graph: fx.Graph, tensor_names: Mapping[str, str]) -> dict[str, Any]:
    """Write a graph as JSON values. `tensor_names`: what the tensors that it reads shall be called.

    Raises CaptureError for an operator that is not torch's own.
    """
    nodes = [node for node in graph.nodes if not _is_check(node)]
    place = {node: number for number, node in enumerate(nodes)}
    lines = []
    for node in nodes:
        line: dict[str, Any] = {"op": node.op}
        if node.op == "call_function":
            line["target"] = _target_text(node.target)
        elif node.op == "get_attr":
            line["target"] = tensor_names[str(node.target)]
        if node.op in ("call_function", "output"):
            line["args"] = [_value(argument, place) for argument in node.args]
            line["kwargs"] = {name: _value(argument, place) for name, argument in node.kwargs.items()}
        lines.append(line)
    return {"nodes": lines}


def read(
    content: Mapping[str, Any], tensors: Mapping[str, Tensor], source: str, device: torch.device = CPU
) -> fx.GraphModule:
    """Make the graph again that `written` wrote, with these tensors, on a device.

    Raises CheckpointError where it is damaged or names what it may not, with `source`.
    """
    try:
        return _read(content, tensors, device)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError, ModelError) as error:
        raise CheckpointError(f"{source} holds no graph that can be used: {error}. Export again.") from error


def _read(content: Mapping[str, Any], tensors: Mapping[str, Tensor], device: torch.device) -> fx.GraphModule:
    taken = fx.GraphModule(nn.Module(), fx.Graph())
    for name in tensors:
        if not _TENSOR_NAME.fullmatch(name) or hasattr(taken, name.partition(".")[0]):
            raise ModelError(f"{name[:60]!r} is no name of a tensor")
    graph = fx.Graph()
    nodes: list[fx.Node] = []
    for number, line in enumerate(content["nodes"]):
        kind = line["op"]
        if kind == "placeholder":
            node = graph.placeholder(f"value_{number}")
        elif kind == "get_attr":
            if line["target"] not in tensors:
                raise ModelError(f"there is no tensor {str(line['target'])[:60]!r}")
            node = graph.get_attr(line["target"])
        elif kind in ("call_function", "output"):
            args = tuple(_argument(argument, nodes, device) for argument in line["args"])
            kwargs = {
                str(name): _argument(argument, nodes, device) for name, argument in line["kwargs"].items()
            }
            if kind == "output":
                node = graph.output(args[0])
            else:
                node = graph.create_node("call_function", _function(line["target"]), args, kwargs)
        else:
            raise ModelError(f"{str(kind)[:60]!r} is no kind of node")
        nodes.append(node)
    graph.lint()
    return fx.GraphModule(dict(tensors), graph)


def _is_check(node: fx.Node) -> bool:
    target = node.target
    return isinstance(target, torch._ops.OpOverload) and target._schema.name.partition("::")[2] in _CHECKS


def _target_text(target: Any) -> str:
    if target in _NAME_OF_FUNCTION:
        return _NAME_OF_FUNCTION[target]
    text = str(target)
    if isinstance(target, torch._ops.OpOverload) and _may_run(target):
        return text
    raise CaptureError(
        f"The network computes {text}, which is none of torch's own operators, so it cannot be kept as data. Export it "
        'as form="pt2" or "onnx".'
    )


def _function(text: object) -> Callable[..., Any]:
    if isinstance(text, str) and text in _OF_SIZES:
        return _OF_SIZES[text]
    if isinstance(text, str) and _TARGET.fullmatch(text):
        _, name, overload = text.split(".")
        found = getattr(getattr(torch.ops.aten, name, None), overload, None)
        if isinstance(found, torch._ops.OpOverload) and _may_run(found):
            return found
    raise ModelError(f"{str(text)[:60]!r} is no operator that a stored graph may use")


def _may_run(target: torch._ops.OpOverload) -> bool:
    """Whether an operator computes values from values: it writes into none, and reads no file."""
    schema = target._schema
    is_aten = schema.name.startswith("aten::")
    gives = all(str(value.type) in _RESULTS for value in schema.returns) and bool(schema.returns)
    reads_file = any(argument.name == "filename" for argument in schema.arguments)
    return is_aten and gives and not schema.is_mutable and not reads_file


_RESULTS = ("Tensor", "List[Tensor]", "int", "SymInt", "number", "float", "bool")


def _value(value: Any, place: Mapping[fx.Node, int]) -> Any:
    """Write an argument as a JSON value; what JSON does not have becomes a mapping with one key."""
    if isinstance(value, fx.Node):
        return {"node": place[value]}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_value(part, place) for part in value]
    if isinstance(value, _CONSTANTS):
        return {"torch": str(value).removeprefix("torch.")}
    if isinstance(value, torch.device):
        # It is chosen when the graph is read.
        return {"device": None}
    raise CaptureError(
        f"The network has a constant of type {type(value).__name__} in its graph, which cannot be kept as data. Export "
        'it as form="pt2".'
    )


def _argument(value: Any, nodes: list[fx.Node], device: torch.device) -> Any:
    if isinstance(value, list):
        return [_argument(part, nodes, device) for part in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "node" and type(content) is int and 0 <= content < len(nodes):
        return nodes[content]
    if kind == "float" and content in ("inf", "-inf", "nan"):
        return float(content)
    if kind == "device":
        return device
    if kind == "torch" and isinstance(constant := getattr(torch, str(content), None), _CONSTANTS):
        return constant
    raise ModelError(f"{str(value)[:60]} is no argument")
