"""A model and its example as one flat, functional graph of ATen operators.

`torch.export` does the reading; this file prepares the example, undoes in-place operations and turns failures
into sentences. The user's model is left as it was, modes and random state included, whatever happens.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from unravelnet.capture.call import Call, arguments, check_example, with_batch
from unravelnet.capture.hidden_blocks import put_in_line
from unravelnet.capture.modes import mark, note_modes, watched
from unravelnet.capture.operations import RESHAPES, argument_of, operation
from unravelnet.capture.refusals import check_runs, fixed_batch_size, not_exported
from unravelnet.capture.trial import Trial, awake, tried
from unravelnet.capture.untouched import left_as_it_was, quiet
from unravelnet.network import Inputs, first_tensor

# Reshapes that make no view: they copy, or hand their input on as a whole.
_COPY = {"clone", "cat", "stack", "_to_copy"}
_HAND_ON = _COPY | {"dropout", "feature_dropout"}


@dataclass(frozen=True)
class ExportedModel:
    """A flat graph with its parameters, the way to call it, an example of its inputs, and a trial of the model.

    The graph is read and never run, so no code is made of it.
    """

    graph_module: fx.GraphModule
    call: Call
    example: Inputs
    trial: Trial

    @property
    def logits_place(self) -> int | None:
        """Which of the graph's outputs are the logits; None where none can be."""
        output = next(node for node in self.graph_module.graph.nodes if node.op == "output")
        leaves = output.args[0] if isinstance(output.args[0], tuple | list) else [output.args[0]]
        values = [leaf.meta.get("val") if isinstance(leaf, fx.Node) else leaf for leaf in leaves]
        return self.call.logits_place(values)


def export_model(model: nn.Module, example: Inputs) -> ExportedModel:
    """Export a model in evaluation mode, with its batch size left open.

    Raises CaptureError with what in the model stands in the way.
    """
    check_example(example)
    given, example = example, with_batch(example, [0, 1] if len(first_tensor(example)) > 1 else [0, 0])
    args, kwargs = arguments(example)
    constants = _constants(model, kwargs)
    names, kwargs = tuple(kwargs), {**kwargs, **constants}
    leaves, spec = pytree.tree_flatten((args, kwargs))
    with watched(model) as passing:
        trial = _first_trial(model, given, example, constants)
    # Under torch.no_grad around the call, the graph would not show the model's own.
    with left_as_it_was(model), quiet(), torch.enable_grad():
        model.eval()
        mark(passing)
        with_plain_signature(model, args, kwargs)
        try:
            program, graph_module, guards = read_program(model, args, kwargs)
        except Exception as error:
            raise not_exported(model, error) from error
    _check_batch_is_open(graph_module)
    note_modes(graph_module.graph, model, passing)
    fixed = {place: leaf for place, leaf in enumerate(leaves) if not isinstance(leaf, Tensor)}
    call = Call(names, constants, spec, program.call_spec.out_spec, fixed, guards)
    return ExportedModel(graph_module, call, example, trial)


def _first_trial(model: nn.Module, given: Inputs, example: Inputs, constants: Mapping[str, Any]) -> Trial:
    """Run a model before anything else: what does not run cannot be read."""
    try:
        with quiet(), awake(model):
            return tried(model, example, constants, [0, 1], seed=0)
    except Exception:
        args, kwargs = arguments(example)
        check_runs(model, arguments(given), (args, {**kwargs, **constants}))
        raise


def _constants(model: nn.Module, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Switch off what keeps a model from being a function: the key-value cache of language models."""
    accepted = inspect.signature(model.forward).parameters
    caches = getattr(getattr(model, "config", None), "use_cache", False)
    # Some language models take the option among **kwargs and hand it on.
    hands_on = any(p.kind is p.VAR_KEYWORD for p in accepted.values()) and hasattr(model, "generate")
    is_taken = caches and ("use_cache" in accepted or hands_on)
    return {"use_cache": False} if is_taken and "use_cache" not in kwargs else {}


def with_plain_signature(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Let the signature of a model's forward have a name for each input and nothing else.

    torch.export cannot tell the inputs of **kwargs apart, and a forward that another tool has put on the instance
    often claims the signature of the method that it stands for, `self` included.
    """
    forward = model.forward
    is_own = "forward" not in vars(model)
    declared = inspect.signature(forward).parameters.values() if is_own else ()
    names = [p.name for p in declared if p.kind is p.POSITIONAL_OR_KEYWORD]
    names = [*names, *(f"input_{place}" for place in range(len(names), len(args)))][: len(args)]
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in names]
    parameters += [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in kwargs]

    def called(*args: Any, **kwargs: Any) -> Any:
        return forward(*args, **kwargs)

    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # functions may have one
    model.forward = called


def read_program(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[torch.export.ExportedProgram, fx.GraphModule, nn.Module | None]:
    """Read the graph with lengths left open, or, where the model decides by them, with the batch alone."""
    signature = inspect.signature(model.forward)
    leaves, spec = pytree.tree_flatten((args, kwargs))
    attempts = [_open_dimensions(leaves, with_lengths=True), _open_dimensions(leaves, with_lengths=False)]
    for shapes in attempts:
        open_args, open_kwargs = pytree.tree_unflatten(shapes, spec)
        by_name = dict(signature.bind(*open_args, **open_kwargs).arguments)
        try:
            program = torch.export.export(model, args, kwargs, dynamic_shapes=by_name, strict=False)
            return program, *_functional(program)
        except Exception:
            if shapes == attempts[-1]:
                raise
    raise AssertionError("the last attempt returns or raises")


def _open_dimensions(leaves: list[Any], *, with_lengths: bool) -> list[Any]:
    """Leave the first dimension open; in token ids and masks, the length as well."""
    auto = torch.export.Dim.AUTO

    def shape_of(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return None
        n_open = leaf.dim() if with_lengths and not leaf.is_floating_point() else 1
        return dict.fromkeys(range(min(n_open, leaf.dim())), auto)

    return [shape_of(leaf) for leaf in leaves]


def _functional(program: torch.export.ExportedProgram) -> tuple[fx.GraphModule, nn.Module | None]:
    """Turn a program into a graph module without in-place operations; give its guards beside it."""
    graph_module = program.module()
    put_in_line(graph_module)
    if not _without_inplace(graph_module):
        # Writes into views need the general way, which also takes some composite operators apart.
        graph_module = program.run_decompositions({}).module()
        put_in_line(graph_module)
        _with_one_normalisation(graph_module.graph)
    guards = getattr(graph_module, "_guards_fn", None)
    for node in list(graph_module.graph.nodes):
        if node.op == "call_module" and node.target == "_guards_fn":
            graph_module.graph.erase_node(node)
    _without_copies(graph_module.graph)
    _without_idle_casts(graph_module.graph)
    _with_plain_sums(graph_module.graph)
    graph_module.graph.eliminate_dead_code()
    _sizes_from_inputs(graph_module.graph)
    _constants_from_inputs(graph_module.graph)
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
        if functional is None or not isinstance(target, fx.Node):
            return False
        # Dropout in place writes nothing in evaluation mode.
        if _shares_memory(target, node) and argument_of(node, "train") is not False:
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


def _shares_memory(node: fx.Node, write: fx.Node) -> bool:
    """Whether a value that is read elsewhere is a view of this one when that is written, or this one a view of such.

    A view that is made later shows the new value, as that of the functional operator does.
    """
    hands_on = operation(node) in _HAND_ON and len(node.all_input_nodes[0].users) == 1
    is_view = operation(node) in RESHAPES - _COPY and not hands_on
    views = [user for user in node.users if operation(user) in RESHAPES - _HAND_ON]
    return is_view or node.op == "get_attr" or not all(_stands_after(view, write) for view in views)


def _stands_after(node: fx.Node, other: fx.Node) -> bool:
    return other < node


def _with_one_normalisation(graph: fx.Graph) -> None:
    """Give batch normalisation its flag for training mode back, which taking operators apart has removed."""
    for node in graph.nodes:
        if operation(node) == "_native_batch_norm_legit_no_training":
            node.target = torch.ops.aten.native_batch_norm.default
            node.args = (*node.args[:5], False, *node.args[5:])


def _without_copies(graph: fx.Graph) -> None:
    """Take out copies into a value that is overwritten whole: autograd does not know their derivative."""
    for node in list(graph.nodes):
        if operation(node) != "copy":
            continue
        target, source = (argument.meta.get("val") for argument in node.args[:2])
        if (target.shape, target.dtype, target.device) == (source.shape, source.dtype, source.device):
            node.replace_all_uses_with(node.args[1])
            graph.erase_node(node)


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


def _constants_from_inputs(graph: fx.Graph) -> None:
    """Make constants by token ids where a value in the middle makes them, of which they read the type alone.

    They would tie a segment to a value of another one.
    """
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    values = [(node, node.meta.get("val")) for node in inputs]
    ids = [node for node, value in values if isinstance(value, Tensor) and not value.is_floating_point()]
    for node in graph.nodes if ids else ():
        if operation(node) in {"new_ones", "new_zeros", "new_full"} and node.args[0] not in inputs:
            node.update_arg(0, ids[0])
            node.update_kwarg("dtype", node.meta["val"].dtype)


def _check_batch_is_open(graph_module: fx.GraphModule) -> None:
    inputs = [node for node in graph_module.graph.nodes if node.op == "placeholder"]
    placeholder = next(node for node in inputs if isinstance(node.meta.get("val"), Tensor))
    size = placeholder.meta["val"].shape[0]
    # A model that reads len(x) leaves a symbol that stands for one number.
    if not isinstance(size, torch.SymInt) or size.node.maybe_as_int() is not None:
        raise fixed_batch_size(3, f"its graph holds the constant {size}")
