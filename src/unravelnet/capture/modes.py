"""Lets a captured network follow training mode, although its graph was read in evaluation mode.

Normalisation and dropout are operators with a flag: in the captured network the flag is the mode of the network.
A module that hands its input on in evaluation mode, as stochastic depth, leaves no operator behind: a copy of the
module itself stands in its place. Whatever else a model does in training mode is found by comparison and named, see
`verify`.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from unravelnet.capture.operations import argument_of, operation, set_argument
from unravelnet.capture.untouched import left_as_it_was

# The flags of operators that differ between the modes; all are False in evaluation mode.
_FLAGS = {
    **dict.fromkeys(("batch_norm", "native_batch_norm"), "training"),
    "instance_norm": "use_input_stats",
    **dict.fromkeys(("dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"), "train"),
    "rrelu": "training",
}
# Where the nodes of a graph keep what they follow.
_FOLLOWS = "unravelnet_follows"


@dataclass(frozen=True)
class Followed:
    """What a node follows in training mode: a flag of its own, or, without one, the module that it stands for."""

    path: str
    module: nn.Module
    flag: str = ""


@contextlib.contextmanager
def watched(model: nn.Module) -> Iterator[dict[str, nn.Module]]:
    """Find, while a model runs in evaluation mode, the modules that hand their input on and change it in training mode.

    They are in what it gives, by name, afterwards. Only those without weights, parts and hooks count, and none of
    torch, whose operators have flags.
    """
    functions = {name: module for name, module in _named_modules(model).items() if _is_plain_function(module)}
    changing: set[nn.Module] = set()

    def watch(module: nn.Module, inputs: tuple[Any, ...], output: object) -> None:
        if len(inputs) == 1 and output is inputs[0] and _changes_in_training(module, output):
            changing.add(module)

    hooks = [module.register_forward_hook(watch) for module in set(functions.values())]
    found: dict[str, nn.Module] = {}
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
    found.update((name, module) for name, module in functions.items() if module in changing)


def _named_modules(model: nn.Module) -> dict[str, nn.Module]:
    """All modules by all their names: one that stands in several places has several."""
    return dict(model.named_modules(remove_duplicate=False))


def _is_plain_function(module: nn.Module) -> bool:
    has_state = any(True for _ in (*module.parameters(), *module.buffers(), *module.children()))
    has_hooks = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks
    return not (has_state or has_hooks or type(module).__module__.startswith("torch.nn."))


def _changes_in_training(module: nn.Module, x: object) -> bool:
    trained = copy.copy(module)
    trained.training = True
    return isinstance(x, Tensor) and trained.forward(x) is not x


def mark(modules: Mapping[str, nn.Module]) -> None:
    """Let modules leave an operator behind in the graph that is read next."""
    for module in modules.values():
        module.forward = lambda x, *_: x.clone()


def note_modes(graph: fx.Graph, model: nn.Module, passing: Mapping[str, nn.Module]) -> None:
    """Note at each node of a graph what it follows in training mode."""
    with left_as_it_was(model):
        # The author's own method, which may leave parts of the model in evaluation mode.
        model.train()
        modules = _named_modules(model)
        trained = {name for name, module in modules.items() if module.training}
    for node in graph.nodes:
        path = _part_of(node, modules)
        if path in passing and operation(node) == "clone":
            node.meta[_FOLLOWS] = Followed(path, passing[path])
        flag = _FLAGS.get(operation(node))  # type: ignore[call-overload]  # operators of Python have no flag
        # Dropout at rate 0 hands its input on in both modes.
        if flag and path in trained and argument_of(node, flag) is False and argument_of(node, "p") != 0:
            node.meta[_FOLLOWS] = Followed(path, modules[path], flag)


def _part_of(node: fx.Node, modules: Mapping[str, nn.Module]) -> str:
    """Name the module that a node comes from.

    torch.export gives names from the model on, or, where modules are shared, some from the module around.
    """
    name = ""
    for own, _ in (node.meta.get("nn_module_stack") or {}).values():
        joined = f"{name}.{own}" if name else own
        name = joined if joined in modules else own
    return name


def followed_parts(graph: fx.Graph) -> set[str]:
    """Name the modules of the model that the network follows in training mode."""
    return {node.meta[_FOLLOWS].path for node in graph.nodes if _FOLLOWS in node.meta}


def follow_modes(graph: fx.Graph) -> dict[str, nn.Module | Tensor]:
    """Let the noted nodes of a piece follow `self.training`; return what the piece must hold for that, by name."""
    held: dict[str, nn.Module | Tensor] = {}
    for node in list(graph.nodes):
        followed = node.meta.get(_FOLLOWS)
        if followed is not None:
            with graph.inserting_before(node):
                held |= _follow_flag(node, followed) if followed.flag else _call_instead(node, followed)
    return held


def follow_every_flag(graph: fx.Graph) -> None:
    """Let normalisation and dropout follow `self.training` in a stored graph, which tells of no modules any more."""
    for node in list(graph.nodes):
        flag = _FLAGS.get(operation(node))  # type: ignore[call-overload]  # operators of Python have no flag
        if flag and argument_of(node, flag) is False and argument_of(node, "p") != 0:
            with graph.inserting_before(node):
                set_argument(node, flag, graph.create_node("get_attr", "training"))


def _call_instead(node: fx.Node, followed: Followed) -> dict[str, nn.Module | Tensor]:
    node.replace_all_uses_with(node.graph.call_module(followed.path, node.args[:1]))
    node.graph.erase_node(node)
    # A copy, because the modes of the model are its user's.
    return {followed.path: copy.copy(followed.module)}


def _follow_flag(node: fx.Node, followed: Followed) -> dict[str, nn.Module | Tensor]:
    module, graph = followed.module, node.graph
    training = graph.get_attr("training")
    set_argument(node, followed.flag, training)
    if not isinstance(module, _BatchNorm) or module.num_batches_tracked is None:
        return {}
    counter = f"{followed.path}.num_batches_tracked"
    arguments = (graph.get_attr(counter), training, module.momentum)
    set_argument(node, "momentum", graph.call_function(momentum_of_batch, arguments))
    return {counter: module.num_batches_tracked}


def momentum_of_batch(n_batches: Tensor, training: bool, momentum: float | None) -> float:
    """Count a batch in training mode, and give the weight of its statistics in the running ones.

    >>> import torch
    >>> n_batches = torch.tensor(3)
    >>> momentum_of_batch(n_batches, True, None), n_batches
    (0.25, tensor(4))
    """
    if training:
        n_batches.add_(1)
    if momentum is not None:
        return momentum
    return 1.0 / max(1.0, float(n_batches))
