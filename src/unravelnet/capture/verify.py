"""Holds a captured network against the model it came from, before it is handed out."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from unravelnet.capture.call import arguments
from unravelnet.capture.export import ExportedModel
from unravelnet.capture.modes import followed_parts
from unravelnet.capture.operations import argument_of, operation
from unravelnet.capture.refusals import fixed_batch_size
from unravelnet.capture.stream import module_path
from unravelnet.capture.training_mode import TrainingComparison
from unravelnet.capture.trial import Trial, awake, copied, output_of, run_awake, tried
from unravelnet.capture.untouched import seed_everything
from unravelnet.errors import CaptureError, first_line
from unravelnet.network import UnraveledNetwork, first_tensor
from unravelnet.routes.move import Move

# Kernels may choose another order of summation; float32 keeps about seven digits.
TOLERANCE = 1e-5
# Statistics of two images amplify that.
TOLERANCE_IN_TRAINING = 1e-4
# The model draws with others.
_SEED_OF_NETWORK = 3


@torch.no_grad()
def verify(
    model: nn.Module, exported: ExportedModel, net: UnraveledNetwork, output_names: Sequence[str]
) -> None:
    """Check that a network gives the model's own output: two batch sizes, drawn inputs, every branch awake.

    The model draws with one seed for each batch, and the network with another one, so that a model that computes at
    random shows. What the network does not follow in training mode is noted in it. `output_names`: the value of the
    graph that each residual module hands on. Raises CaptureError where an output differs by more than 1e-5 of the
    largest one, with the first residual module that differs, and where the model draws its output at random.
    """
    check = partial(_check_same, model, exported, net, output_names)
    net.eval()
    seed_everything(_SEED_OF_NETWORK)
    with awake(model) as redraw:
        first = exported.trial
        found, is_woken = run_awake(net, copied(first.inputs), redraw)
        if is_woken:
            first = Trial(first.inputs, output_of(model, first.inputs, exported.call.constants, seed=0))
        check(first, found)
        second, found = _other_size(model, exported, net)
        check(second, found)
        net.training_obstacle = _training_obstacle(model, exported, net, first, second, found)


def _other_size(model: nn.Module, exported: ExportedModel, net: UnraveledNetwork) -> tuple[Trial, Any]:
    """Run model and network on one input; on three where one of them does not take that."""
    example, constants = exported.example, exported.call.constants
    with contextlib.suppress(Exception):
        one = tried(model, example, constants, [1], seed=1)
        if not one.has_nan:
            return one, net(copied(one.inputs))
    try:
        three = tried(model, example, constants, [1, 0, 1], seed=1)
    except Exception as error:
        raise fixed_batch_size(3, first_line(error)) from error
    return three, net(copied(three.inputs))


def _training_obstacle(
    model: nn.Module, exported: ExportedModel, net: UnraveledNetwork, first: Trial, second: Trial, found: Any
) -> str:
    """Say what the network does not follow in training mode. `found`: what it gave for the second batch."""
    graph = exported.graph_module.graph
    followed = followed_parts(graph)
    # One input has no statistics.
    inputs = first.inputs if followed else second.inputs

    def run(which: nn.Module) -> Any:
        if which is net:
            # Where nothing in it follows the mode, it computes the same in both.
            return net(copied(inputs)) if followed else found
        args, kwargs = arguments(copied(inputs))
        return model(*args, **kwargs, **exported.call.constants)

    def differ(first: Any, second: Any) -> bool:
        return not relative_difference(first, second) <= TOLERANCE_IN_TRAINING

    has_control_flow = any(isinstance(node.target, torch._ops.HigherOrderOperator) for node in graph.nodes)
    return TrainingComparison(model, net, run, differ, followed, not has_control_flow).obstacle()


def _check_same(
    model: nn.Module,
    exported: ExportedModel,
    net: UnraveledNetwork,
    output_names: Sequence[str],
    trial: Trial,
    found: Any,
) -> None:
    """Raise where what the network gave for a batch is not the model's output."""
    _check_finite(model, trial.output)
    difference = relative_difference(found, trial.output)
    if difference <= TOLERANCE:
        return
    again = output_of(model, trial.inputs, exported.call.constants, seed=2)
    if not relative_difference(again, trial.output) <= TOLERANCE:
        raise _random_model(model, exported.graph_module)
    raise CaptureError(
        f"The captured network differs from {type(model).__name__} by {difference:.1e} (relative) on a batch of "
        f"{len(first_tensor(trial.inputs))}; {_first_difference(exported, net, trial.inputs, output_names)}. The model "
        "may compute something from the batch as a whole, or change from one call to the next."
    )


def _check_finite(model: nn.Module, output: Any) -> None:
    """Raise where weights that are no numbers make the output none, too."""
    if all(bool(leaf.isfinite().all()) for leaf in _tensors(output)):
        return
    damaged = [name for name, p in model.named_parameters() if not bool(p.isfinite().all())]
    if damaged:
        raise CaptureError(
            f"The weights of {type(model).__name__} are damaged: {damaged[0]} holds NaN or infinite values"
            f"{f', as do {len(damaged) - 1} others' if damaged[1:] else ''}. Load weights that are whole, or train "
            "again with a lower learning rate."
        )


def _random_model(model: nn.Module, graph_module: fx.GraphModule) -> CaptureError:
    places = list(dict.fromkeys(_place(node) for node in graph_module.graph.nodes if _draws(node)))
    by = f" by {', '.join(places)}" if places else ""
    return CaptureError(
        f"{type(model).__name__} computes at random, in evaluation mode{by}: two runs on the same inputs differ, so "
        "no lesion of it could be told from chance. Draw in training mode only, as functional.dropout does with "
        "training=self.training."
    )


def _place(node: fx.Node) -> str:
    return f"{operation(node)} in {'.'.join(module_path(node)) or 'its own forward'}"


def _draws(node: fx.Node) -> bool:
    """Whether an operator draws random numbers, with the arguments that it has here."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return False
    is_off = any(argument_of(node, name) in (False, 0) for name in ("train", "training", "dropout_p", "p"))
    return torch.Tag.nondeterministic_seeded in node.target.tags and not is_off


def relative_difference(first: Any, second: Any) -> float:
    """Measure the largest difference between two outputs, relative to the largest value of the second."""
    ours, theirs = _tensors(first), _tensors(second)
    if len(ours) != len(theirs):
        return float("inf")
    return max((_distance(a, b) for a, b in zip(ours, theirs, strict=True)), default=float("nan"))


def _distance(a: Tensor, b: Tensor) -> float:
    if a.shape != b.shape:
        return float("inf")
    if torch.equal(a, b):
        return 0.0
    if a.is_complex() or b.is_complex():
        a, b = torch.view_as_real(a.to(torch.complex64)), torch.view_as_real(b.to(torch.complex64))
    a, b = a.float(), b.float()
    # Infinite values, as in masked logits, and NaN must be the same ones.
    finite = b.isfinite()
    if not torch.allclose(a[~finite], b[~finite], equal_nan=True):
        return float("inf")
    largest = (a - b)[finite].abs().max().item() if finite.any() else 0.0
    return largest / max(b[finite].abs().max().item(), 1e-30) if largest else 0.0


def _tensors(output: Any) -> list[Tensor]:
    leaves = [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor)]
    return [torch.view_as_real(leaf) if leaf.is_complex() else leaf for leaf in leaves]


def _first_difference(
    exported: ExportedModel, net: UnraveledNetwork, inputs: Any, output_names: Sequence[str]
) -> str:
    """Name the first residual module whose output is not that of the exported graph."""
    recorder = _Recorder(exported.graph_module)
    recorder.run(*exported.call.leaves(copied(inputs)), enable_io_processing=False)
    state = net.enter(copied(inputs))
    for module, name in zip(net.residual_modules, output_names, strict=True):
        state = net.advance(state, Move(module.index))
        if not relative_difference(state.x, recorder.values[name]) <= TOLERANCE:
            return f"{module} is the first that gives another output"
    return "every residual module agrees, the head does not"


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps every value; used only to explain a failure."""

    def __init__(self, graph_module: fx.GraphModule) -> None:
        super().__init__(graph_module)
        self.values: dict[str, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.values[n.name] = super().run_node(n)
        return self.values[n.name]
