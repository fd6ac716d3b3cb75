"""By which angle the stream turns over each span of modules: the shorter the turn, the less the span is missed.

Source: Gromov et al. (2024), who cut the span of layers over which the stream turns least.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unravelnet.data.source import Batch, n_examples
from unravelnet.mathematics.intervals import mean_interval
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.runner import identity_of
from unravelnet.measuring.sample import Sample, network_for
from unravelnet.network import UnraveledNetwork, first_tensor
from unravelnet.pruning.streams import channels_of, spans, streams
from unravelnet.records.record import Row, Table
from unravelnet.studies.blocks import Block, Unit, in_units

_BATCH = 32
_CONFIDENCE = 0.95

Span = tuple[int, ...]


def angular_distances(
    net: UnraveledNetwork,
    data: Any,
    *,
    unit: Unit = "module",
    limit: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
) -> Table:
    """Measure by which angle the stream turns over each span of modules, as a share of pi: one row a span.

    >>> from unravelnet import zoo
    >>> net = zoo.preact_resnet(depth=14, input_shape=(1, 8, 8), seed=0)
    >>> table = angular_distances(net, "digits", limit=20)
    >>> table["label"], 0 < table["angular_distance"][0] < 1
    (['module 0', 'module 1', 'module 3', 'module 5', 'modules 0 to 1'], True)

    The angle is that of the stream in front of the span and behind it: at the last token of a text, else the mean over
    positions. A span lies in one chain, and gives the shape that it takes. Rows have the mean over images or sequences
    with its interval, and `figures.figure_spans(table, metric="angular_distance")` draws them. `unit`: "block" takes
    spans of whole blocks. The other keywords are those of a `Sample`. Raises RouteError where no two modules form a
    block, and DataError as `evaluate`. Source: Gromov et al. (2024).
    """
    sample = Sample.of(data, limit=limit, seed=seed, batch_size=batch_size, device=device)
    net = network_for(net, sample.data)
    parts = parts_of(net, unit)
    possible = [span for n in range(1, len(parts) + 1) for span in spans(net, parts, n)]
    batches = sample.batches(_BATCH)
    turned = turns_over(Bench(net, device=sample.device), batches, possible)
    about = {"seed": sample.seed, **identity_of(net, batches)}
    return Table(
        [{**_row(span, unit, values), **about} for span, values in zip(possible, turned, strict=True)]
    )


def parts_of(net: UnraveledNetwork, unit: Unit) -> list[Span]:
    """List what can be deleted, as modules that go together. Raises as `studies.in_units`."""
    units, _ = in_units(net, unit)
    return [
        tuple(module.index for module in (part.modules if isinstance(part, Block) else (part,)))
        for part in units.residual_modules
        if part.is_deletable
    ]


def turns_over(bench: Bench, batches: Iterable[Batch], possible: Sequence[Span]) -> np.ndarray[Any, Any]:
    """Measure the angle over spans, for each image: shape (spans, images)."""
    found = []
    for batch, before, behind in streams(bench, batches):
        is_text = not first_tensor(batch[0]).is_floating_point()
        rows = []
        for span in possible:
            x, y = before[span[0]], behind[span[-1]]
            channels = channels_of(bench.net.residual_modules[span[0]], x)
            rows.append(turn(x, y, channels=channels, n_images=n_examples(batch), is_text=is_text))
        found.append(torch.stack(rows).double().cpu().numpy())
    return np.concatenate(found, axis=1)


def _row(span: Span, unit: Unit, values: np.ndarray[Any, Any]) -> Row:
    known = values[np.isfinite(values)]
    low, high = mean_interval(known.sum(), np.square(known).sum(), len(known), _CONFIDENCE)
    ends = f"module {span[0]}" if len(span) == 1 else f"modules {span[0]} to {span[-1]}"
    return {
        "label": ends,
        **({"unit": unit} if unit == "block" else {}),
        "first_module": span[0],
        "last_module": span[-1],
        "angular_distance": float(known.mean()) if len(known) else None,
        "angular_distance_low": low if len(known) else None,
        "angular_distance_high": high if len(known) else None,
        "n_images": len(values),
        "confidence": _CONFIDENCE,
    }


def turn(first: Tensor, second: Tensor, *, channels: int, n_images: int, is_text: bool) -> Tensor:
    """Give the angle between two streams in units of pi: at the last token of a text, else the mean over positions."""
    if is_text and first.dim() == 3 and channels == 2 and len(first) == n_images:
        first, second = first[:, -1:], second[:, -1:]
    halves = chords(first, second, channels) / 2
    return mean_of_positions(2 * torch.arcsin(halves.clamp(max=1)) / math.pi, n_images)


def chords(first: Tensor, second: Tensor, channels: int) -> Tensor:
    """Give the distance of two streams at each position, both brought to length 1; NaN where one has none.

    >>> chords(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 1)
    tensor([1.4142])
    """
    first, second = (x / torch.linalg.vector_norm(x, dim=channels, keepdim=True) for x in (first, second))
    return torch.linalg.vector_norm(first - second, dim=channels)


def mean_of_positions(values: Tensor, n_images: int) -> Tensor:
    """Average over the positions of each image where there is a number."""
    return values.reshape(n_images, -1).double().nanmean(dim=1)
