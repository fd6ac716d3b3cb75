"""How deep a network is for its modules: through how many later ones their gradient comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from unravelnet.errors import EvaluationError
from unravelnet.gradient.lengths import Sum, backwards, norms_of
from unravelnet.gradient.linearised import Recording
from unravelnet.gradient.live import Cotangent
from unravelnet.gradient.loss import LossName, LossOfOutput
from unravelnet.gradient.measurement import GradientMeasurement, open_ledger_of_gradients, open_sample
from unravelnet.gradient.stages import Visit
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.runner import Progress, identity_of, run
from unravelnet.measuring.sample import Shard
from unravelnet.measuring.sums import Sums
from unravelnet.measuring.tally import Tally
from unravelnet.network import UnraveledNetwork
from unravelnet.network.output import OutputName
from unravelnet.records.record import Row, Table
from unravelnet.records.store import ResultsStore
from unravelnet.routes.route import Route


def effective_depths(
    net: UnraveledNetwork,
    data: Any,
    *,
    share: float = 0.95,
    route: Route | None = None,
    loss: LossName = None,
    output: OutputName = None,
    limit: int | None = None,
    batch_size: int | None = None,
    max_bytes: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    device: torch.device | str | None = None,
    store: ResultsStore | None = None,
    progress: Progress | None = None,
) -> Table:
    """Find for each module the effective depth behind it: one row a visit of a module, in the order of the route.

    >>> from unravelnet import zoo
    >>> net = zoo.preact_resnet(depth=14, input_shape=(1, 8, 8), seed=0)
    >>> table = effective_depths(net, (torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.long)))
    >>> [row["n_after"] for row in table]
    [5, 4, 3, 2, 1, 0]

    The gradient that arrives at a module's output is split by the number of later modules whose branch it came
    through, as exact vector sums. `effective_depth`: the smallest number such that paths of at most this length
    carry `share` of the sum of the norms (each a mean over images). `is_deeper`: whether there are more modules
    behind than that: the network is deeper than this module can be trained end to end. Other options as for
    `path_gradients`. Source: Wu, Shen and van den Hengel (2016), section 3, who left the measure open; it is ours.
    """
    if not 0 < share <= 1:
        raise EvaluationError(f"A share must be above 0 and at most 1; got {share}.")
    sample, batches = open_sample(
        data, limit=limit, seed=seed, batch_size=batch_size, device=device, max_bytes=max_bytes
    )
    chosen = LossOfOutput.of(net, loss, output)
    bench = Bench(net, device=sample.device)
    route = net.full_route if route is None else net.check(route)
    measurement = _EffectiveDepths(route, chosen, sample.max_bytes, net, share, sample.seed, confidence)
    identity = identity_of(net, batches, is_kept=store is not None)
    ledger = open_ledger_of_gradients(store, identity, measurement, sample, bench)
    return run(measurement, bench, batches, identity, ledger=ledger, progress=progress)


@dataclass(frozen=True)
class _EffectiveDepths(GradientMeasurement):
    """Sums over images of the norm of each length behind each visit, numbered from the last to the first."""

    net: UnraveledNetwork
    share: float
    seed: int
    confidence: float

    def of_shard(self, net: UnraveledNetwork, shard: Shard, trials: Sequence[Route]) -> dict[Route, Sums]:
        sums = Sums()
        for recording, end, name in self.recorded(net, shard):
            norms = _norms_behind_visits(recording, end)
            sums += Sums({str(visit): of_visit for visit, of_visit in enumerate(norms)}, facts={"loss": name})
        return {self.route: sums}

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
        totals = [tally.sums.added[str(visit)] for visit in reversed(range(len(self.route)))]
        return [
            {**_row(self.net, visit.module, total.tolist(), self.share), **about}
            for step, total in zip(self.route.steps, totals, strict=True)
            for visit in step.visits
        ]


def _norms_behind_visits(recording: Recording, end: Cotangent) -> list[Tensor]:
    """Sum over images the norm of each length at the output of each visited module, from the last to the first."""
    n, stages = recording.n_images, recording.stages
    behind = zip(reversed(stages), backwards(stages, end, Sum(n)), strict=False)
    return [norms_of(terms, n).sum(dim=1) for stage, (terms, _) in behind if isinstance(stage, Visit)]


def _row(net: UnraveledNetwork, index: int, norms: list[float], share: float) -> Row:
    carried = list(accumulate(norms))
    total = carried[-1]
    depth = next(length for length, value in enumerate(carried) if value >= share * total)
    return {
        "module": index,
        "name": net.residual_modules[index].name,
        "n_after": len(norms) - 1,
        "effective_depth": depth,
        "mean_length": sum(length * norm for length, norm in enumerate(norms)) / total if total else None,
        "depth_share": share,
        "is_deeper": len(norms) - 1 > depth,
    }
