"""Takes any model apart: a model and an example in, an `UnraveledNetwork` out.

Four steps, a file each: `export` (a flat graph of operators), `stream` (what depends on the input, and its
dominators), `structure` (the residual modules), `assemble` (callables). `verify` holds the result against the
model. Capturing takes about as long as a few forward passes of a small batch, plus the export, 0.2 to 5 s.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import fx, nn

from unravelnet.capture.assemble import assemble
from unravelnet.capture.export import export_model
from unravelnet.capture.forms import bare_model
from unravelnet.capture.operations import RECURRENT, operation
from unravelnet.capture.refusals import in_sentences
from unravelnet.capture.stream import Stream
from unravelnet.capture.structure import Region, find_structure
from unravelnet.capture.verify import verify
from unravelnet.errors import CaptureError
from unravelnet.network import Inputs, UnraveledNetwork

__all__ = ["unravel"]


@in_sentences
def unravel(model: nn.Module, example: Inputs, *, name: str | None = None) -> UnraveledNetwork:
    """Find the residual modules of a model.

    >>> import torch
    >>> class Block(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.fc = nn.Linear(4, 4)
    ...     def forward(self, x):
    ...         return x + self.fc(x).relu()
    >>> net = unravel(nn.Sequential(Block(), Block()), torch.randn(2, 4))
    >>> [module.name for module in net.residual_modules]
    ['0', '1']

    `example`: a batch of inputs as the model takes them: a tensor, a tuple of positional or a dict of keyword
    inputs; the first dimension of its tensors is the batch, whose size stays open. `name`: what to call the
    network in tables; the class of the model by default.

    The network shares its parameters with the model and never changes it. It is in evaluation mode. A network
    without residual modules is read as a row of plain layers. Before it is returned its output is compared
    with the model's.

    Raises CaptureError where the model cannot be exported or holds nothing to remove, with the form that stands
    in the way. Source: Veit, Wilber and Belongie 2016 for the modules; Johnson, Pearson and Pingali 1994 for
    the regions.
    """
    model = bare_model(model)
    exported = export_model(model, example)
    stream = Stream(exported.graph_module.graph)
    structure = find_structure(stream, stream.others())
    label = name or type(model).__name__
    if not structure.regions or _is_concatenative(stream, structure.regions):
        raise CaptureError(_nothing_to_remove(label, stream))
    net = assemble(exported, stream, structure, label)
    verify(model, exported, net, [region.output.name for region in structure.regions])
    return net.eval()


def _is_concatenative(stream: Stream, regions: Sequence[Region]) -> bool:
    return all(region.skip is None for region in regions) and bool(_concatenations(stream))


def _concatenations(stream: Stream) -> list[fx.Node]:
    joins = [node for node in stream.nodes if operation(node) in {"cat", "stack"}]
    return [node for node in joins if len(stream.operands(node)) > 1]


def _nothing_to_remove(name: str, stream: Stream) -> str:
    """Say which form of network has no removable module."""
    operations = {operation(node) for node in stream.graph.nodes}
    recurrent = sorted(str(o) for o in operations & RECURRENT)
    if recurrent:
        reason = f"it is recurrent ({', '.join(recurrent)}): its steps share one layer and cannot be removed one by one"
    elif _concatenations(stream):
        reason = (
            f"it is concatenative: its layers are joined by {len(_concatenations(stream))} concatenations, "
            "as in DenseNet and Inception, and not by additions"
        )
    else:
        reason = "no addition joins an activation with a learned function of itself, and it has fewer than two layers"
    needed = "unravelnet needs x + f(x), or plain layers in a row."
    return f"{name} has no residual module that could be removed: {reason}. {needed}"
