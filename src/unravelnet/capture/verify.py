"""Holds a captured network against the model it came from, before it is handed out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from unravelnet.capture.call import arguments, with_batch
from unravelnet.capture.export import ExportedModel
from unravelnet.capture.refusals import fixed_batch_size
from unravelnet.capture.untouched import left_as_it_was
from unravelnet.errors import CaptureError
from unravelnet.network import UnraveledNetwork
from unravelnet.route import Step

# Kernels may choose another order of summation; float32 keeps about seven digits.
TOLERANCE = 1e-5


@torch.no_grad()
def verify(
    model: nn.Module, exported: ExportedModel, net: UnraveledNetwork, output_names: Sequence[str]
) -> None:
    """Check that a network gives the model's own output, on the example and on another batch size.

    `output_names`: the value of the graph that each residual module hands on. Raises CaptureError where an
    output differs by more than 1e-5 of the largest one, with the first residual module that differs.
    """
    net.eval()
    for rows in ([0, 1], [1, 0, 1]):
        inputs = with_batch(exported.example, rows)
        args, kwargs = arguments(inputs)
        with left_as_it_was(model):
            model.eval()
            expected = _run(model, args, {**kwargs, **exported.call.constants}, len(rows))
        # Made anew: a model may change its inputs in place.
        inputs = with_batch(exported.example, rows)
        difference = relative_difference(net(inputs), expected)
        if not difference <= TOLERANCE:
            raise CaptureError(
                f"The captured network differs from the model by {difference:.1e} (relative) on a batch of "
                f"{len(rows)}; {_first_difference(exported, net, inputs, output_names)}. The model may compute "
                "something from the batch as a whole, or at random, in evaluation mode."
            )


def _run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], batch_size: int) -> Any:
    try:
        return model(*args, **kwargs)
    except Exception as error:
        raise fixed_batch_size(batch_size, str(error).partition("\n")[0]) from error


def relative_difference(first: Any, second: Any) -> float:
    """Measure the largest difference between two outputs, relative to the largest value of the second."""
    pairs = zip(_tensors(first), _tensors(second), strict=True)
    return max((_distance(a.float(), b.float()) for a, b in pairs), default=float("nan"))


def _distance(a: Tensor, b: Tensor) -> float:
    if a.shape != b.shape:
        return float("inf")
    if torch.equal(a, b):
        return 0.0
    # Infinite values, as in masked logits, must be the same ones.
    finite = b.isfinite()
    if not torch.equal(a[~finite], b[~finite]):
        return float("inf")
    return (a - b)[finite].abs().max().item() / max(b[finite].abs().max().item(), 1e-30)


def _tensors(output: Any) -> list[Tensor]:
    leaves = [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor)]
    return [torch.view_as_real(leaf) if leaf.is_complex() else leaf for leaf in leaves]


def _first_difference(
    exported: ExportedModel, net: UnraveledNetwork, inputs: Any, output_names: Sequence[str]
) -> str:
    """Name the first residual module whose output is not that of the exported graph."""
    recorder = _Recorder(exported.graph_module)
    recorder.run(*exported.call.leaves(inputs), enable_io_processing=False)
    state = net.enter(inputs)
    for module, name in zip(net.residual_modules, output_names, strict=True):
        state = net.advance(state, Step(module.index))
        if not relative_difference(state.x, recorder.values[name]) <= TOLERANCE:
            return f"{module} is the first that gives another output"
    return "every residual module agrees, the head does not"


class _Recorder(torch.fx.Interpreter):
    """Runs a graph and keeps every value; used only to explain a failure."""

    def __init__(self, graph_module: torch.fx.GraphModule) -> None:
        super().__init__(graph_module)
        self.values: dict[str, Any] = {}

    def run_node(self, n: torch.fx.Node) -> Any:
        self.values[n.name] = super().run_node(n)
        return self.values[n.name]
