"""What each residual module does to the stream and to the gradient.

One forward and one backward pass a batch. All measures are ratios of norms, or cosines, of one image each (over all
its other dimensions), averaged over images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from unravelnet.gradient.linearised import (
    STREAM,
    Cotangent,
    LinearModule,
    Recording,
    Stage,
    fixed,
    plus,
)
from unravelnet.gradient.loss import LossName, LossOfOutput
from unravelnet.gradient.measurement import facts_of, open_batches, recorded
from unravelnet.mathematics.intervals import mean_interval
from unravelnet.measuring.bench import Bench
from unravelnet.network import ResidualModule, UnraveledNetwork
from unravelnet.network.output import OutputName
from unravelnet.records.record import Row, Table
from unravelnet.routes.route import Route

# What is measured, and the values that it can have.
_RANGES = {
    "branch_to_stream": (0.0, math.inf),
    "branch_stream_cosine": (-1.0, 1.0),
    "branch_gradient_cosine": (-1.0, 1.0),
    "gradient_gain": (0.0, math.inf),
}


def module_measures(
    net: UnraveledNetwork,
    data: Any,
    *,
    route: Route | None = None,
    loss: LossName = None,
    output: OutputName = None,
    limit: int | None = None,
    batch_size: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
) -> Table:
    """Measure what each residual module adds, and how it points: one row a visit of a module, in route order.

    >>> from unravelnet import zoo
    >>> net = zoo.preact_resnet(depth=8, input_shape=(1, 8, 8), seed=0)
    >>> table = module_measures(net, (torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.long)))
    >>> [row["kind"] for row in table]
    ['identity', 'projection', 'projection']
    >>> all(0 < row["branch_to_stream"] for row in table)
    True

    With s the stream that the skip alone gives at the junction, b what the branch changes of it (where it is added,
    the branch itself), J the branch's Jacobian and g the gradient of an image's loss at the junction:
    `branch_to_stream` is |b| / |s|; `branch_stream_cosine` that of b and s;
    `branch_gradient_cosine` that of b and g, negative where the branch goes downhill; `gradient_gain` is
    |Jᵀ g| / |g|. Where a route has no skip (plain layers, skips removed) the module's input is in the place of s,
    and None comes out where its shape is another. Deleted modules have no branch and no row. Images on which a
    measure is not defined (a norm of 0) are left out of its mean; it is None where none is left. `route`, `loss`,
    `output`, `limit`, `batch_size`: as for `path_gradients`.

    Raises EvaluationError where the loss is not finite, and RouteError where the route does not fit. Sources:
    Jastrzebski et al. (2018), "Residual connections encourage iterative inference", for the ratio and the cosine
    with the gradient.
    """
    batches = open_batches(data, batch_size=batch_size, limit=limit, seed=seed)
    chosen = LossOfOutput.of(net, loss, output)
    bench = Bench(net, device=device)
    route = net.full_route if route is None else net.check(route)
    visits = [step.module for step in route.steps]
    sums = [{name: _Mean() for name in _RANGES} for _ in visits]
    n_images, loss_name = 0, ""
    with fixed(bench.net):
        for recording, end, name in recorded(bench, batches, route, chosen, progress=progress):
            for means, measured in zip(reversed(sums), _backwards(recording, end), strict=True):
                for measure, values_B in measured.items():
                    means[measure].add(values_B)
            loss_name = name
            n_images += recording.n_images
    facts = facts_of(net, batches, n_images=n_images, seed=seed, confidence=confidence)
    rows = [
        {**_described(net.residual_modules[module]), **_row(means, confidence)}
        for module, step, means in zip(visits, route.steps, sums, strict=True)
        if step.mode != "skip"
    ]
    about = {"loss": loss_name, "output": chosen.output_name, "route": str(route)}
    return Table([{**row, **about, **facts} for row in rows])


class _Mean:
    """The mean of one measure over the images on which it is defined, from sums."""

    def __init__(self) -> None:
        self.n = 0
        self.total = self.squares = 0.0

    def add(self, values_B: Tensor) -> None:
        defined = values_B[values_B.isfinite()]
        self.n += len(defined)
        self.total += float(defined.sum())
        self.squares += float(defined.square().sum())


def _backwards(recording: Recording, cotangent: Cotangent) -> Iterator[dict[str, Tensor]]:
    """Carry the gradient back and measure each visit of a module, from the last to the first."""
    for stage in reversed(recording.stages):
        linear = stage.linearise()
        around, through = linear.pull(cotangent, around=stage.has_around, through=stage.has_through)
        if isinstance(linear, LinearModule):
            yield _measures(stage, linear, linear.pull_to_junction(cotangent), through)
        cotangent = plus(around, through)


def _measures(
    stage: Stage, linear: LinearModule, gradient: Cotangent, through: Cotangent
) -> dict[str, Tensor]:
    """Measure one visit of a module, one value an image; a deleted one has nothing to measure."""
    if linear.branch is None:
        return {}
    branch = linear.junction.change(linear.skip, linear.branch)
    stream = stage.place.state.x if linear.skip is None else linear.junction(linear.skip, None)
    measured: dict[str, Tensor] = {}
    if stream.shape == branch.shape:
        measured["branch_to_stream"] = _norms(branch) / _norms(stream)
        measured["branch_stream_cosine"] = _cosines(branch, stream)
    if STREAM in gradient:
        measured["branch_gradient_cosine"] = _cosines(branch, gradient[STREAM])
        # A branch may read parallel streams, too: what goes back into all of them counts.
        squares = [_norms(value).square() for value in through.values()]
        measured["gradient_gain"] = sum(squares, torch.zeros(())).sqrt() / _norms(gradient[STREAM])
    return measured


def _norms(values: Tensor) -> Tensor:
    # float64: the squares of a gradient of 1e-25 end in float32.
    return torch.linalg.vector_norm(values.detach().flatten(1), dim=1, dtype=torch.float64)


def _cosines(first: Tensor, second: Tensor) -> Tensor:
    products = (first.detach().double() * second.detach().double()).flatten(1).sum(dim=1)
    return products / (_norms(first) * _norms(second))


def _described(module: ResidualModule) -> Row:
    return {
        "module": module.index,
        "name": module.name,
        "kind": module.kind,
        "keeps_shape": module.keeps_shape,
    }


def _row(means: Mapping[str, _Mean], confidence: float) -> Row:
    row: Row = {}
    for name, mean in means.items():
        low, high = mean_interval(mean.total, mean.squares, mean.n, confidence)
        least, most = _RANGES[name]
        is_known = mean.n > 0
        row[name] = mean.total / mean.n if is_known else None
        row[f"{name}_low"] = max(least, low) if is_known else None
        row[f"{name}_high"] = min(most, high) if is_known else None
    return row
