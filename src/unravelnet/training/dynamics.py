"""How the paths of a network change while it is trained, from the weights that its training kept.

Littwin and Wolf (2016) predict that the virtual ensemble deepens: the scales of normalisation grow, and with them
the weight of long paths. Whether it does is measured here; nothing is assumed. `train(..., keep_epochs=...)` keeps
the weights.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from unravelnet import zoo
from unravelnet.data import Batches, load
from unravelnet.data.source import Batch
from unravelnet.errors import CheckpointError, EvaluationError
from unravelnet.gradient import module_measures, path_gradients
from unravelnet.gradient.measurement import open_sample
from unravelnet.mathematics.decay import Decay, fit_decay, predicted_length, theory_weights
from unravelnet.mathematics.intervals import mean_interval
from unravelnet.network import UnraveledNetwork
from unravelnet.network.output import OutputName
from unravelnet.paths import effective_lengths
from unravelnet.records.files import usable_path
from unravelnet.records.record import Row, Table, load_table
from unravelnet.training.checkpoint import EPOCHS_DIRECTORY, epochs_kept, read_epoch
from unravelnet.training.directory import HISTORY_FILE
from unravelnet.training_plan import TrainingPlan

Progress = Callable[[Iterable[Any]], Iterable[Any]]

_SHARE = 0.9
# Disjoint parts of the images, whose differences bound those of other images.
_N_GROUPS = 8
_FACTS = (
    "output",
    "n_images",
    "seed",
    "confidence",
    "network",
    "network_name",
    "data",
    "data_name",
    "data_unit",
)
_WEIGHT_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_NORMALISATIONS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)


@dataclass(frozen=True, slots=True)
class OverTraining:
    """Three tables about the checkpoints of one training; their names are those of the studies.

    `over_training`: one row a checkpoint. `spectra_over_training`: one row a checkpoint and path length.
    `normalisation_scales`: one row a checkpoint and normalisation layer.
    """

    over_training: Table
    spectra_over_training: Table
    normalisation_scales: Table

    def by_study(self) -> dict[str, Table]:
        """Give the tables by their names."""
        return {name: getattr(self, name) for name in CHECKPOINT_STUDIES}


CHECKPOINT_STUDIES = tuple(field.name for field in fields(OverTraining))


def over_training(
    directory: str | os.PathLike[str],
    data: Any,
    *,
    epochs: Iterable[int] | None = None,
    n_images: int = 64,
    draws: int = 1,
    output: OutputName = None,
    batch_size: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> OverTraining:
    """Measure the gradient by path length at the checkpoints of a training.

    >>> from unravelnet.training.loop import train
    >>> net = zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0)
    >>> _ = train(net, "digits", epochs=1, keep_epochs="all", out=directory)
    >>> found = over_training(directory, "digits", n_images=20)
    >>> [row["epoch"] for row in found.over_training]
    [0, 1]

    `directory`: that of a finished training of a zoo network with `keep_epochs`. `epochs`: which checkpoints, all
    that were kept if None; 0 is before training. `n_images`: so many random images of the data, the same at every
    checkpoint. `draws`: random paths of each length and image. `output`: as for `path_gradients`.
    `progress`: wraps the iteration over checkpoints.

    At each: `decay`, fitted to the norms of single paths, with `r_squared`; of the exact sums, `mean_length` of
    their shares, the shortest interval of lengths with 90 % of them (`length_low`, `length_high`) and
    `dominating_length`, the largest; `predicted_length`, n r / (1 + r); `branch_to_stream` and `gradient_gain`, the
    geometric means over modules; `error_rate` on the validation data of the training, with its own statistics, where it
    was measured. The
    spectra have `theory_weight`, the squared weights of the theory with the decay for its beta. The scales are
    those outside of skips: `scale` is the mean |γ| of a layer, `scaled_norm` that times the norm of the convolution
    behind it where that one ends the branch (elsewhere another normalisation undoes its scale).

    `decay_change` and `length_change` are those of decay and mean length since the first checkpoint with a decay, in
    eight groups of the same images (Student's t); the interval of a decay itself says how straight the line of its fit
    is.

    Normalisation takes the statistics of the images (`statistics`: "images") where the training never collected any,
    as before its first epoch, and at all checkpoints of a training that had smaller images (`image_sizes`). Where
    fewer than two lengths carry a gradient, as in plain networks and with branches that are 0, there is no decay, and
    None in its place. Raises CheckpointError where weights are missing or damaged, and EvaluationError for data that
    cannot be read anew. Source: Littwin and Wolf (2016), sections 3, 4.
    """
    if draws < 1:
        raise EvaluationError(
            f"A decay is fitted to single paths, and {draws} were asked for; give draws=1 or more."
        )
    data = load(data) if isinstance(data, str) else data
    if isinstance(data, Iterator):
        raise EvaluationError(
            f"The data, a {type(data).__name__}, can be read once, and every checkpoint needs it. Give a list of its "
            "batches."
        )
    directory = usable_path(directory)
    net = zoo.load(directory)
    n_modules, error_rates = len(net.residual_modules), _error_rates(directory)
    plan = TrainingPlan().changed(zoo.read_description(directory).facts.get("training", {}))
    options: dict[str, Any] = {
        "output": output,
        "batch_size": batch_size,
        "confidence": confidence,
        "seed": seed,
        "device": device,
    }
    checkpoints, spectra, scales = [], [], []
    measured: list[tuple[Row, list[Row]]] = []
    chosen = _chosen(directory, epochs)
    _, batches = open_sample(data, batch_size=batch_size, limit=n_images, seed=seed)
    _, groups = open_sample(data, batch_size=-(-n_images // _N_GROUPS), limit=n_images, seed=seed)
    is_anew = _had_other_sizes(plan, chosen, batches)
    for epoch in progress(chosen) if progress else chosen:
        net.load_weights(read_epoch(directory, epoch), source=f"epoch {epoch} in {directory}")
        statistics = collect_statistics(net, batches, anew=is_anew)
        lengths = path_gradients(net, data, draws=draws, limit=n_images, **options)
        modules = module_measures(net, data, limit=n_images, **options)
        about = {"epoch": epoch}
        facts = {"statistics": statistics, **{name: lengths[0][name] for name in _FACTS}}
        spectrum, row = _measured(lengths, n_modules, confidence)
        tables = [path_gradients(net, [group], draws=draws, **options) for group in groups]
        measured.append((row, [_measured(table, n_modules, confidence)[1] for table in tables]))
        # Before training the branches may be 0, with nothing to compare.
        first = next((each for each in measured if each[0]["decay"] is not None), measured[-1])
        changes = _changes(first, measured[-1], confidence)
        means = {name: _geometric_mean(modules, name) for name in ("branch_to_stream", "gradient_gain")}
        checkpoints.append(
            {**about, **row, **changes, **means, "error_rate": error_rates.get(epoch), **facts}
        )
        spectra += [{**about, **of_length, **facts} for of_length in spectrum]
        scales += [{**about, **of_layer, **facts} for of_layer in _scales(net)]
    return OverTraining(Table(checkpoints), Table(spectra), Table(scales))


def _chosen(directory: Path, epochs: Iterable[int] | None) -> list[int]:
    chosen = epochs_kept(directory) if epochs is None else sorted(set(epochs))
    if not chosen:
        raise CheckpointError(
            f"No weights of the training in {directory} were kept on its way: {directory / EPOCHS_DIRECTORY} has none. "
            'Train with keep_epochs="all", or with the epochs that matter.'
        )
    return chosen


def _error_rates(directory: Path) -> dict[int, float]:
    """Read the error after each epoch, where there was validation data."""
    history = load_table(directory / HISTORY_FILE)
    rates = {int(row["epoch"]): row["test_error_rate"] for row in history}
    return {epoch: rate for epoch, rate in rates.items() if rate is not None and math.isfinite(rate)}


def _had_other_sizes(plan: TrainingPlan, epochs: Sequence[int], batches: Batches) -> bool:
    """Whether the statistics of any checkpoint are those of images of another size, which would mislead."""
    heights = {plan.image_size_at(epoch - 1) for epoch in epochs if epoch} - {None}
    if not heights:
        return False
    return any(isinstance(inputs, Tensor) and heights != {inputs.shape[-2]} for inputs, _ in batches)


@torch.no_grad()
def collect_statistics(net: UnraveledNetwork, batches: Iterable[Batch], *, anew: bool = False) -> str:
    """Collect the statistics of normalisation that no training has collected, or all of them; say where they are from.

    "images": all of them are those of the batches, the mean over them. "training": none was missing.
    """
    chosen = [
        layer
        for layer in net.modules()
        if isinstance(layer, _BatchNorm) and (anew or layer.num_batches_tracked == 0)
    ]
    momenta = [layer.momentum for layer in chosen]
    try:
        for layer in chosen:
            layer.reset_running_stats()
            # Without momentum: the mean over all batches.
            layer.train()
            layer.momentum = None
        for inputs, _ in batches if chosen else ():
            net(inputs)
    finally:
        for layer, momentum in zip(chosen, momenta, strict=True):
            layer.eval()
            layer.momentum = momentum
    return "images" if chosen else "training"


def _measured(lengths: Table, n_modules: int, confidence: float) -> tuple[list[Row], Row]:
    """Sum up the gradient by path length: one row a length, and one for the checkpoint."""
    decay = _decay(lengths, confidence)
    # Paths of the theory pass one layer more than modules.
    theory = theory_weights(n_modules + 1, decay.rate) ** 2 if decay else [None] * len(lengths)
    names = ("length", "length_gradient_norm", "path_gradient_norm", "length_share", "share")
    spectrum = [
        {**{name: row[name] for name in names}, "theory_weight": weight}
        for row, weight in zip(lengths, theory, strict=True)
    ]
    shares = _column(lengths, "length_share")
    is_dead = not any(_column(lengths, "length_gradient_norm"))
    low, high = (None, None) if is_dead else effective_lengths(shares, share=_SHARE)
    return spectrum, {
        "decay": decay and decay.rate,
        "decay_low": decay and decay.low,
        "decay_high": decay and decay.high,
        "r_squared": decay and decay.r_squared,
        "mean_length": None if is_dead else float(np.average(_column(lengths, "length"), weights=shares)),
        "length_low": low,
        "length_high": high,
        "dominating_length": None if is_dead else int(np.argmax(shares)),
        "predicted_length": decay and predicted_length(n_modules, decay.rate),
    }


def _changes(first: tuple[Row, Sequence[Row]], last: tuple[Row, Sequence[Row]], confidence: float) -> Row:
    """Say how much a checkpoint differs from the first, with intervals over groups of the images (Student's t).

    `first`, `last`: what was measured of all images, and of each group of them.
    """
    changes: Row = {}
    for name, of in (("decay_change", "decay"), ("length_change", "mean_length")):
        paired = [_difference(after, before, of) for before, after in zip(first[1], last[1], strict=True)]
        value, known = _difference(last[0], first[0], of), [each for each in paired if each is not None]
        margin = mean_interval(sum(known), sum(d**2 for d in known), len(known), confidence).half_width
        ends = (None, None) if value is None or math.isinf(margin) else (value - margin, value + margin)
        changes |= {name: value, f"{name}_low": ends[0], f"{name}_high": ends[1]}
    return changes


def _difference(row: Row, first: Row, name: str) -> float | None:
    return None if row[name] is None or first[name] is None else row[name] - first[name]


def _decay(lengths: Table, confidence: float) -> Decay | None:
    """Fit the norms of single paths; None where fewer than two lengths carry a gradient."""
    norms = _column(lengths, "path_gradient_norm")
    if sum(bool(norm) for norm in norms) < 2:
        return None
    return fit_decay(_column(lengths, "length"), norms, confidence)


def _geometric_mean(table: Table, name: str) -> float | None:
    logs = [math.log(value) for value in _column(table, name) if value]
    return math.exp(sum(logs) / len(logs)) if logs else None


def _column(table: Table, name: str) -> list[Any]:
    return [row[name] for row in table]


# -- scales of normalisation --


def _scales(net: UnraveledNetwork) -> Iterator[Row]:
    """Describe the scales of all normalisation layers but those of skips, in the order of the network."""
    position = 0
    for part_name, module, part in _parts(net):
        layers = [
            (name, layer) for name, layer in part.named_modules() if not any(True for _ in layer.children())
        ]
        for place, (name, layer) in enumerate(layers):
            if not isinstance(layer, _NORMALISATIONS) or layer.weight is None:
                continue
            scale = float(layer.weight.detach().abs().mean())
            behind = None if module is None else _last_weights([later for _, later in layers[place + 1 :]])
            yield {
                "position": position,
                "layer": f"{part_name}.{name}" if name else part_name,
                "module": module,
                "scale": scale,
                "scaled_norm": None if behind is None else scale * float(behind.detach().norm()),
            }
            position += 1


def _parts(net: UnraveledNetwork) -> Iterator[tuple[str, int | None, nn.Module]]:
    """List the parts of a network but for skips, in its order: name, index of the residual module, the part."""
    yield "stem", None, net.stem
    for chain in range(len(net.transitions) + 1):
        if chain > 0:
            yield f"transitions.{chain - 1}", None, net.transitions[chain - 1]
        for module in net.residual_modules:
            if module.chain == chain:
                yield f"residual_modules.{module.index}.branch", module.index, module.branch
    yield "head", None, net.head


def _last_weights(layers: Sequence[nn.Module]) -> Tensor | None:
    """Give the weights of the layer that a normalisation leads to, if no other normalisation comes behind it."""
    weight_layers = [layer for layer in layers if isinstance(layer, _WEIGHT_LAYERS)]
    is_normalised = any(isinstance(layer, _NORMALISATIONS) for layer in layers)
    return None if is_normalised or not weight_layers else weight_layers[0].weight
