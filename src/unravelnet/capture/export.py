"""A model and its example as one flat, functional graph of ATen operators.

`torch.export` does the reading; this file prepares the example, undoes in-place operations and turns failures
into sentences. The user's model is left as it was, modes and random state included, whatever happens.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from unravelnet.capture.operations import RESHAPES, operation
from unravelnet.errors import CaptureError
from unravelnet.network import Inputs, first_tensor


@dataclass(frozen=True)
class Call:
    """How a model is called: the form of its inputs, the constants that go along, the form of its output."""

    names: tuple[str, ...]
    constants: Mapping[str, Any]
    spec: pytree.TreeSpec
    output_spec: pytree.TreeSpec
    fixed: Mapping[int, Any]
    guards: nn.Module | None

    def __deepcopy__(self, memo: object) -> Call:
        # It never changes, so that copies of a network may share it.
        return self

    def output(self, leaves: Iterable[Any]) -> Any:
        """Put output values into the model's own form."""
        return pytree.tree_unflatten(list(leaves), self.output_spec)

    def leaves(self, inputs: Inputs) -> list[Any]:
        """Flatten inputs into the order of the graph's placeholders.

        Raises CaptureError where their form is not that of the example.
        """
        args, kwargs = arguments(inputs)
        if set(kwargs) == set(self.names):
            kwargs = {name: kwargs[name] for name in self.names}
        leaves, spec = pytree.tree_flatten((args, {**kwargs, **self.constants}))
        if spec != self.spec:
            expected = (
                f"a dict with {list(self.names)}" if self.names else "inputs in the form of the example"
            )
            given = f"a dict with {list(kwargs)}" if kwargs else f"{len(args)} positional input(s)"
            raise CaptureError(
                f"The network was captured for {expected} and got {given}. Give the inputs in the form of the "
                "example, or unravel the model again with an example of the new form."
            )
        self._check(leaves)
        return leaves

    def _check(self, leaves: list[Any]) -> None:
        """Raise where the graph does not hold for these inputs: it is what the model did with the example."""
        for place, value in self.fixed.items():
            if leaves[place] != value:
                raise CaptureError(
                    f"The network was captured with the value {value!r} for an input that is now {leaves[place]!r}. "
                    "Unravel the model again with an example that has the new value."
                )
        if self.guards is None:
            return
        try:
            self.guards(*leaves)
        except (AssertionError, RuntimeError, ValueError) as error:
            shapes = ", ".join(str(tuple(leaf.shape)) for leaf in leaves if isinstance(leaf, Tensor))
            reason = str(error).strip().partition("\n")[0].removeprefix("Guard failed: ")
            raise CaptureError(
                f"The network was captured from an example that does not stand for inputs of shape {shapes}: the "
                f"model may compute something else for them ({reason}). Unravel it again with an example like them."
            ) from error


@dataclass(frozen=True)
class ExportedModel:
    """A flat graph with its parameters, the way to call it, and an example of its inputs."""

    graph_module: fx.GraphModule
    call: Call
    example: Inputs


def arguments(inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Split inputs of any form into positional and keyword arguments."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs), {}) if isinstance(inputs, tuple | list) else ((inputs,), {})


def export_model(model: nn.Module, example: Inputs) -> ExportedModel:
    """Export a model in evaluation mode, with its batch size left open.

    Raises CaptureError with what in the model stands in the way.
    """
    _check_batch_dimension(example)
    example = with_batch(example, [0, 1] if first_tensor(example).shape[0] > 1 else [0, 0])
    args, kwargs = arguments(example)
    constants = _constants(model, kwargs)
    flat, spec = pytree.tree_flatten((args, {**kwargs, **constants}))
    dynamic_args, dynamic_kwargs = pytree.tree_unflatten(_dynamic_shapes(flat), spec)
    names = tuple(inspect.signature(model.forward).parameters)[: len(args)]
    with left_as_it_was(model), _quiet():
        model.eval()
        try:
            program = torch.export.export(
                model,
                args,
                {**kwargs, **constants},
                dynamic_shapes=_by_name(model, names, dynamic_args, dynamic_kwargs),
                strict=False,
            )
            graph_module, guards = _functional(program)
        except Exception as error:
            raise _explained(model, error) from error
    _check_batch_is_open(graph_module)
    fixed = {place: leaf for place, leaf in enumerate(flat) if not isinstance(leaf, Tensor)}
    call = Call(tuple(kwargs), constants, spec, program.call_spec.out_spec, fixed, guards)
    return ExportedModel(graph_module, call, example)


def _check_batch_dimension(example: Inputs) -> None:
    if isinstance(example, str) or not isinstance(example, Tensor | tuple | list | Mapping):
        raise CaptureError(
            f"The example is a {type(example).__name__}. Give a tensor, a tuple of positional or a dict of keyword "
            "inputs, as the model takes them."
        )
    first = first_tensor(example)
    if first.dim() == 0 or len(first) == 0:
        raise CaptureError(
            f"The example has the shape {tuple(first.shape)}. Its first dimension must be a batch of at least one."
        )


def with_batch(inputs: Inputs, rows: list[int]) -> Inputs:
    """Take rows of a batch, with repetition, from every tensor that has the batch as its first dimension."""
    batch_size = first_tensor(inputs).shape[0]

    def take(leaf: Any) -> Any:
        has_batch = isinstance(leaf, Tensor) and leaf.dim() > 0 and leaf.shape[0] == batch_size
        return leaf[rows] if has_batch else leaf

    return pytree.tree_map(take, dict(inputs) if isinstance(inputs, Mapping) else inputs)


@contextlib.contextmanager
def left_as_it_was(model: nn.Module) -> Iterator[None]:
    """Give back modes, buffers, attributes and random state at the end, also after an exception."""
    attributes = [(module, _snapshot(vars(module))) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            yield
        finally:
            for module, saved in attributes:
                _restore(vars(module), saved)
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)


def _snapshot(attributes: dict[str, Any]) -> dict[str, tuple[Any, dict[Any, Any] | None]]:
    """Note the attributes of a module, and what stands in those that are dicts (its parameters and buffers)."""
    return {
        name: (value, dict(value) if isinstance(value, dict) else None) for name, value in attributes.items()
    }


def _restore(attributes: dict[str, Any], saved: dict[str, tuple[Any, dict[Any, Any] | None]]) -> None:
    for name in set(attributes) - set(saved):
        del attributes[name]
    for name, (value, content) in saved.items():
        attributes[name] = value
        if content is not None:
            value.clear()
            value.update(content)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the notices of torch.export, which speak of its own internals, from the user."""
    loggers = [logging.getLogger(name) for name in ("torch.export", "torch.fx", "torch._export")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _constants(model: nn.Module, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Switch off what keeps a model from being a function: the key-value cache of language models."""
    accepted = inspect.signature(model.forward).parameters
    caches = getattr(getattr(model, "config", None), "use_cache", False)
    return {"use_cache": False} if caches and "use_cache" in accepted and "use_cache" not in kwargs else {}


def _dynamic_shapes(leaves: list[Any]) -> list[Any]:
    """Leave the first dimension open; in token ids and masks, the length as well."""
    auto = torch.export.Dim.AUTO

    def shape_of(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return None
        n_open = 1 if leaf.is_floating_point() else leaf.dim()
        return dict.fromkeys(range(min(n_open, leaf.dim())), auto)

    return [shape_of(leaf) for leaf in leaves]


def _by_name(
    model: nn.Module, names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any] | tuple[Any, ...]:
    return {**dict(zip(names, args, strict=True)), **kwargs} if kwargs else tuple(args)


def _functional(program: torch.export.ExportedProgram) -> tuple[fx.GraphModule, nn.Module | None]:
    """Turn a program into a graph module without in-place operations; give its guards beside it."""
    graph_module = program.module()
    if not _without_inplace(graph_module):
        # Writes into views need the general way, which also takes some composite operators apart.
        graph_module = program.run_decompositions({}).module()
    guards = getattr(graph_module, "_guards_fn", None)
    for node in list(graph_module.graph.nodes):
        if node.op == "call_module" and node.target == "_guards_fn":
            graph_module.graph.erase_node(node)
    _without_idle_casts(graph_module.graph)
    _with_plain_sums(graph_module.graph)
    graph_module.graph.eliminate_dead_code()
    _sizes_from_inputs(graph_module.graph)
    graph_module.recompile()
    return graph_module, guards


def _without_inplace(graph_module: fx.GraphModule) -> bool:
    """Replace in-place operators by the ones that return a new value; say whether that was possible.

    `relu_(x)` becomes `relu(x)` and every later use of x reads the new value. That is the same program as
    long as x shares its memory with nothing else.
    """
    graph = graph_module.graph
    for node in list(graph.nodes):
        if not _writes(node):
            continue
        target = node.args[0]
        functional = _functional_form(node)
        if functional is None or not isinstance(target, fx.Node) or _shares_memory(target):
            return False
        node.target = functional
        later = {user for user in target.users if user is not node and _stands_after(user, node)}
        target.replace_all_uses_with(node, delete_user_cb=later.__contains__)
    return True


def _writes(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _functional_form(node: fx.Node) -> Any:
    assert isinstance(node.target, torch._ops.OpOverload)
    name = node.target._schema.name.partition("::")[2]
    packet = getattr(torch.ops.aten, name.removesuffix("_"), None) if name.endswith("_") else None
    return getattr(packet, node.target._overloadname, None)


def _shares_memory(node: fx.Node) -> bool:
    """Whether a value is a view of another one, or another one is a view of it."""
    is_view = operation(node) in RESHAPES or node.op == "get_attr"
    return is_view or any(operation(user) in RESHAPES for user in node.users if _is_view_maker(user))


def _is_view_maker(node: fx.Node) -> bool:
    return operation(node) not in {"clone", "cat", "stack", "dropout", "feature_dropout", "_to_copy"}


def _stands_after(node: fx.Node, other: fx.Node) -> bool:
    return other < node


def _without_idle_casts(graph: fx.Graph) -> None:
    """Take out casts to the type that a value has already.

    They return the very tensor they are given, so that the trace takes later reads of the stream for reads of
    the cast, and a cast inside a branch seems to stand on the skip.
    """
    for node in list(graph.nodes):
        if operation(node) == "to" and isinstance(node.args[0], fx.Node):
            before, after = node.args[0].meta.get("val"), node.meta.get("val")
            if isinstance(before, Tensor) and (before.dtype, before.device) == (after.dtype, after.device):
                node.replace_all_uses_with(node.args[0])
                graph.erase_node(node)


def _with_plain_sums(graph: fx.Graph) -> None:
    """Write x - f and x + alpha f as sums of two values, so that a junction has one form."""
    for node in list(graph.nodes):
        name = operation(node)
        if name not in {"add", "sub"} or len(node.args) != 2 or not isinstance(node.args[1], fx.Node):
            continue
        factor = node.kwargs.get("alpha", 1) * (-1 if name == "sub" else 1)
        if factor == 1 or not isinstance(node.args[1].meta.get("val"), Tensor):
            continue
        with graph.inserting_before(node):
            scaled = graph.call_function(torch.ops.aten.mul.Tensor, (node.args[1], factor))
        scaled.meta = dict(node.args[1].meta)
        node.target, node.args, node.kwargs = torch.ops.aten.add.Tensor, (node.args[0], scaled), {}


def _sizes_from_inputs(graph: fx.Graph) -> None:
    """Read every size that is one of the inputs' open sizes from the input, not from some value in the middle.

    Sizes read off the stream would tie a segment to a value of another one.
    """
    known: dict[str, fx.Node] = {}
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    for node in inputs:
        value = node.meta.get("val")
        for dimension, size in enumerate(value.shape if isinstance(value, Tensor) else ()):
            if isinstance(size, torch.SymInt) and str(size.node.expr) not in known:
                with graph.inserting_after(inputs[-1]):
                    read = graph.call_function(torch.ops.aten.sym_size.int, (node, dimension))
                read.meta["val"] = size
                known[str(size.node.expr)] = read
    for node in list(graph.nodes):
        value = node.meta.get("val")
        if operation(node) == "sym_size" and node not in known.values() and isinstance(value, torch.SymInt):
            same = known.get(str(value.node.expr))
            if same is not None:
                node.replace_all_uses_with(same)
                graph.erase_node(node)
    for read in known.values():
        if not read.users:
            graph.erase_node(read)


def _check_batch_is_open(graph_module: fx.GraphModule) -> None:
    inputs = [node for node in graph_module.graph.nodes if node.op == "placeholder"]
    placeholder = next(node for node in inputs if isinstance(node.meta.get("val"), Tensor))
    size = placeholder.meta["val"].shape[0]
    if not isinstance(size, torch.SymInt):
        raise fixed_batch_size(3, f"its graph holds the constant {size}")


def fixed_batch_size(batch_size: int, reason: str) -> CaptureError:
    """Make the error for a model that works for one batch size only."""
    return CaptureError(
        f"The model fixes its batch size: it does not run on a batch of {batch_size} ({reason}). Take the batch "
        "size from the input (x.shape[0]) in its forward method."
    )


def _explained(model: nn.Module, error: Exception) -> CaptureError:
    """Say in a sentence why a model could not be exported."""
    text = str(error)
    name = type(model).__name__
    first_line = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    if "data-dependent" in text.lower() or "DataDependent" in type(error).__name__:
        place = _user_frame(error)
        return CaptureError(
            f"{name} cannot be captured: data-dependent control flow{place} decides by the values of a tensor "
            "which operations run. Replace the decision by torch.where or torch.cond, or unravel a part of the "
            "model that has none."
        )
    return CaptureError(
        f"{name} cannot be captured: torch.export stopped{_user_frame(error)} with {type(error).__name__}: "
        f"{first_line[:300]} Check that the model runs on this example by itself, and that every input of its "
        "forward method is in the example."
    )


def _user_frame(error: BaseException) -> str:
    """Name the last line of the user's own code that an error passed through."""
    import traceback

    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not any(part in frame.filename for part in ("/torch/", "unravelnet/capture", "<"))
    ]
    return f" in {frames[-1].name}, line {frames[-1].lineno} ({frames[-1].line})," if frames else ""
