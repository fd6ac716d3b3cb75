"""Takes any model apart: a model and an example in, an `UnraveledNetwork` out.

Four steps, a file each: `export` (a flat graph of operators), `stream` (what depends on the input, and its
dominators), `structure` (the residual modules), `assemble` (callables). `verify` holds the result against the
model, and `modes` lets it follow training mode. For a large model a third to a half of the time is `torch.export`,
and most of the rest are four or five forward passes of two inputs; `docs/architectures.md` has the seconds.
"""

from __future__ import annotations

from torch import nn

from unravelnet.capture.account import refusal
from unravelnet.capture.assemble import assemble
from unravelnet.capture.export import export_model
from unravelnet.capture.forms import bare_model
from unravelnet.capture.normal_form import in_normal_form
from unravelnet.capture.refusals import in_sentences
from unravelnet.capture.stream import Stream
from unravelnet.capture.structure import find_structure
from unravelnet.capture.two_outputs import join_two_outputs
from unravelnet.capture.untouched import random_state_kept
from unravelnet.capture.verify import verify
from unravelnet.errors import CaptureError
from unravelnet.network import Inputs, Origin, UnraveledNetwork

__all__ = ["unravel"]


@in_sentences
@random_state_kept()
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

    The network shares its parameters with the model, keeps it as its `origin`, and never changes it. It is in
    evaluation mode; in training mode it has the rates of dropout and the momenta that the model has now. A network
    without residual modules is read as a row of plain layers. What looks like a residual module and is none, and
    what such a row leaves out, is listed in `unexplained`. Before it is returned its output is compared with the
    model's, in evaluation and in training mode; what it does not follow in the latter stands in its
    `training_obstacle`.

    Raises CaptureError where the model cannot be exported or holds nothing to remove, with the form that stands
    in the way. Source: Veit, Wilber and Belongie 2016 for the modules; Johnson, Pearson and Pingali 1994 for
    the regions.
    """
    model = bare_model(model)
    exported = export_model(model, example)
    stream = in_normal_form(Stream(exported.graph_module.graph, logits_place=exported.logits_place))
    structure = find_structure(join_two_outputs([stream, *stream.others()]))
    label = name or type(model).__name__
    if not structure.regions:
        raise CaptureError(refusal(label, structure.stream))
    net = assemble(exported, structure, label)
    verify(model, exported, net, [region.output.name for region in structure.regions])
    net.origin = Origin.of(model, net, exported.example, exported.call.constants)
    return net.eval()
