"""What each residual module does to the stream and to the gradient.

One forward and one backward pass a batch. All measures are ratios of norms, or cosines, of one image each (over all
its other dimensions), averaged over images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unravelnet.gradient.linearised import Recording
from unravelnet.gradient.live import STREAM, Cotangent, plus
from unravelnet.gradient.loss import LossName, LossOfOutput
from unravelnet.gradient.measurement import (
    GradientMeasurement,
    open_ledger_of_gradients,
    open_sample,
)
from unravelnet.gradient.stages import Linear, LinearVisit, LinearWay, Stage, Visit
from unravelnet.mathematics.intervals import mean_interval
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.runner import Progress, identity_of, run
from unravelnet.measuring.sample import Shard
from unravelnet.measuring.sums import Sums
from unravelnet.measuring.tally import Tally
from unravelnet.network import ResidualModule, UnraveledNetwork
from unravelnet.network.output import OutputName
from unravelnet.records.record import Row, Table
from unravelnet.records.store import ResultsStore
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
    store: ResultsStore | None = None,
    progress: Progress | None = None,
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
    and None comes out where its shape is another. Deleted modules have no branch and no row. In a parallel span all
    branches have the same s and g. A visit that leads inside a module is measured by the branch as the route leaves it;
    the modules inside have no rows. Images on which a
    measure is not defined (a norm of 0) are left out of its mean; it is None where none is left. `route`, `loss`,
    `output`, `limit`, `batch_size`, `store`: as for `path_gradients`.

    Raises EvaluationError where the loss is not finite, and RouteError where the route does not fit. Sources:
    Jastrzebski et al. (2018), "Residual connections encourage iterative inference", for the ratio and the cosine
    with the gradient.
    """
    sample, batches = open_sample(data, limit=limit, seed=seed, batch_size=batch_size, device=device)
    chosen = LossOfOutput.of(net, loss, output)
    bench = Bench(net, device=sample.device)
    route = net.full_route if route is None else net.check(route)
    measurement = _ModuleMeasures(route, chosen, sample.max_bytes, net, sample.seed, confidence)
    identity = identity_of(net, batches, is_kept=store is not None)
    ledger = open_ledger_of_gradients(store, identity, measurement, sample, bench)
    return run(measurement, bench, batches, identity, ledger=ledger, progress=progress)


@dataclass(frozen=True)
class _ModuleMeasures(GradientMeasurement):
    """Sums over images, of shape (visits, measures): of the values that are defined, their squares, their number."""

    net: UnraveledNetwork
    seed: int
    confidence: float

    def of_shard(self, net: UnraveledNetwork, shard: Shard, trials: Sequence[Route]) -> dict[Route, Sums]:
        shape = (len(self.route.visits), len(_RANGES))
        n, total, squares = np.zeros(shape, dtype=np.int64), np.zeros(shape), np.zeros(shape)
        facts = {}
        for recording, end, name in self.recorded(net, shard):
            facts["loss"] = name
            visits = reversed(range(len(self.route.visits)))
            for visit, measured in zip(visits, _backwards(recording, end), strict=True):
                for place, measure in enumerate(_RANGES):
                    if measure in measured:
                        defined = measured[measure][measured[measure].isfinite()]
                        n[visit, place] += len(defined)
                        total[visit, place] += float(defined.sum())
                        squares[visit, place] += float(defined.square().sum())
        return {self.route: Sums({"n": n, "total": total, "squares": squares}, facts=facts)}

    def rows(self, tallies: Mapping[Route, Tally]) -> list[Row]:
        tally = tallies[self.route]
        about = {
            "loss_name": tally.sums.facts["loss"],
            "output": self.loss.output_name,
            "route": str(self.route),
            "n_images": tally.n_images,
            "seed": self.seed,
            "confidence": self.confidence,
        }
        return [
            {
                **_described(self.net.residual_modules[step.module]),
                **self._row(visit, tally.sums.added),
                **about,
            }
            for visit, step in enumerate(self.route.visits)
            if step.computes_branch
        ]

    def _row(self, visit: int, added: Mapping[str, Any]) -> Row:
        row: Row = {}
        for place, (name, (least, most)) in enumerate(_RANGES.items()):
            n, total, squares = (added[sums][visit, place].item() for sums in ("n", "total", "squares"))
            low, high = mean_interval(total, squares, n, self.confidence)
            row[name] = total / n if n else None
            row[f"{name}_low"] = max(least, low) if n else None
            row[f"{name}_high"] = min(most, high) if n else None
        return row


def _backwards(recording: Recording, cotangent: Cotangent) -> Iterator[dict[str, Tensor]]:
    """Carry the gradient back and measure each visit of a module, from the last to the first."""
    for stage in reversed(recording.stages):
        linear = stage.linearise()
        around, through = _pulled(stage, linear, cotangent)
        if isinstance(stage, Visit) and isinstance(linear, LinearVisit):
            gradient = linear.pull_to_junction(cotangent)
            ways = zip(linear.ways, through, strict=True)
            # A deleted module has no way through its branch, and nothing to measure.
            measured = [
                {} if visit.mode == "skip" else _measures(stage, linear.skip, gradient, *next(ways))
                for visit in stage.step.visits
            ]
            yield from reversed(measured)
        cotangent = reduce(plus, through, around)


def _pulled(stage: Stage, linear: Linear, cotangent: Cotangent) -> tuple[Cotangent, list[Cotangent]]:
    """Carry a gradient around the branches of a stage, and through each to the place before the stage."""
    around, through = linear.pull(cotangent, around=stage.has_around, ways=[True] * len(stage.ways))
    for place, way in enumerate(stage.ways):
        if way.inside is not None and through[place]:
            arrived = through[place]
            for part in reversed(way.inside.stages):
                gone, came = _pulled(part, part.linearise(), arrived)
                arrived = reduce(plus, came, gone)
            through[place] = linear.pull_out(place, arrived)
    return around, through


def _measures(
    stage: Stage, skip: Tensor | None, gradient: Cotangent, way: LinearWay, through: Cotangent
) -> dict[str, Tensor]:
    """Measure the way through the branch of one module, one value an image."""
    branch = way.junction.change(skip, way.branch)
    stream = stage.place.state.x if skip is None else way.junction(skip, None)
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
