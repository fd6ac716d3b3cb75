"""Delete each residual module of a torchvision model: our engine beside nnsight and captum, on the same images.

nnsight traces one forward pass a deletion and puts zeros in the place of the last normalisation of a block. captum's
`LayerFeatureAblation` runs the model with and without the output of that layer, and gives the difference of the
losses. All three give the rise of the loss after each deletion; how far they are apart stands in the rows. Both
packages are dependencies of this benchmark only.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import unravelnet as un
from benchmarks.measure import Row, seconds
from unravelnet._extras import require

BATCH_SIZE = 64


def run(n_images: int = 128) -> Iterator[Row]:
    """Measure the sweep with each tool: one row a model and tool."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(n_images, 3, 64, 64, generator=generator)
    labels = torch.randint(0, 1000, (n_images,), generator=generator)
    for name in ("resnet50", "resnet152"):
        torch.manual_seed(0)
        model = _with_statistics(require("torchvision.models", "This benchmark").get_model(name), images)
        yield from _sweeps(name, model, images, labels)


def _sweeps(name: str, model: nn.Module, images: Tensor, labels: Tensor) -> Iterator[Row]:
    capture, net = seconds(lambda: un.unravel(model, images[:2]))
    layers = [f"{module.name}.bn3" for module in net.residual_modules]
    trials = un.studies.delete_each(net)
    ours, table = seconds(
        lambda: un.evaluate(net, trials, (images, labels), metrics=("loss",), batch_size=BATCH_SIZE)
    )
    case = f"{name}, {len(layers)} modules"
    yield {"benchmark": "neighbours", "case": f"{case}: engine", "seconds": ours, "capture_seconds": capture}
    rises = table["loss_difference"][1:]
    for tool, sweep in (("nnsight", _nnsight), ("captum", _captum)):
        spent, found = seconds(lambda sweep=sweep: sweep(model, layers, images, labels))
        yield {
            "benchmark": "neighbours",
            "case": f"{case}: {tool}",
            "seconds": spent,
            "times_engine": spent / ours,
            "times_engine_and_capture": spent / (ours + capture),
            "largest_loss_gap": max(abs(rise - other) for rise, other in zip(rises, found, strict=True)),
        }


@torch.no_grad()
def _nnsight(model: nn.Module, layers: list[str], images: Tensor, labels: Tensor) -> list[float]:
    """Find the rise of the loss after each deletion, by an intervention on one trace each."""
    from nnsight import NNsight

    traced = NNsight(model)
    intact, lesioned = 0.0, [0.0] * len(layers)
    for batch, targets in zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True):
        intact += F.cross_entropy(model(batch), targets, reduction="sum").item()
        for number, layer in enumerate(layers):
            normalisation = traced.get(layer)
            with traced.trace(batch):
                normalisation.output = torch.zeros_like(normalisation.output)
                logits = traced.output.save()
            lesioned[number] += F.cross_entropy(logits, targets, reduction="sum").item()
    return [(total - intact) / len(images) for total in lesioned]


@torch.no_grad()
def _captum(model: nn.Module, layers: list[str], images: Tensor, labels: Tensor) -> list[float]:
    """Find the rise of the loss after each deletion, as the effect of the layer's output as one feature."""
    from captum.attr import LayerFeatureAblation

    def losses(batch: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(model(batch), targets, reduction="none")

    rises = []
    whole = torch.zeros(1, 1, 1, 1, dtype=torch.long)
    for layer in layers:
        ablation = LayerFeatureAblation(losses, model.get_submodule(layer))
        effects = [
            ablation.attribute(batch, additional_forward_args=(targets,), layer_mask=whole).flatten(1)[:, 0]
            for batch, targets in zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True)
        ]
        rises.append(-torch.cat(effects).double().mean().item())
    return rises


def _with_statistics(model: nn.Module, images: Tensor) -> nn.Module:
    """Give random weights statistics that fit the images: else every prediction is the same."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        model.train()(images[:BATCH_SIZE])
    return model.eval()
