"""How deep a network is for its modules: through how many later ones their gradient comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from unravelnet.errors import EvaluationError
from unravelnet.gradient.lengths import Sum, backwards, norms_of
from unravelnet.gradient.linearised import Cotangent, Recording, Visit, fixed
from unravelnet.gradient.loss import LossName, LossOfOutput
from unravelnet.gradient.measurement import facts_of, open_batches, recorded
from unravelnet.measuring.bench import Bench
from unravelnet.network import UnraveledNetwork
from unravelnet.network.output import OutputName
from unravelnet.records.record import Row, Table
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
    progress: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
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
    batches = open_batches(data, batch_size=batch_size, limit=limit, seed=seed)
    chosen = LossOfOutput.of(net, loss, output)
    bench = Bench(net, device=device)
    route = net.full_route if route is None else net.check(route)
    sums: list[Tensor] = []
    n_images, loss_name = 0, ""
    with fixed(bench.net):
        for recording, end, name in recorded(
            bench, batches, route, chosen, max_bytes=max_bytes, progress=progress
        ):
            loss_name, norms = name, _norms_behind_visits(recording, end)
            sums = [a + b for a, b in zip(sums, norms, strict=True)] if sums else norms
            n_images += recording.n_images
    facts = facts_of(net, batches, n_images=n_images, seed=seed, confidence=confidence)
    visits = reversed(sums)
    rows = [_row(net, step.module, total, share) for step, total in zip(route.steps, visits, strict=True)]
    about = {"loss": loss_name, "output": chosen.output_name, "route": str(route)}
    return Table([{**row, **about, **facts} for row in rows])


def _norms_behind_visits(recording: Recording, end: Cotangent) -> list[Tensor]:
    """Sum over images the norm of each length at the output of each visited module, from the last to the first."""
    n, stages = recording.n_images, recording.stages
    behind = zip(reversed(stages), backwards(stages, end, Sum(n)), strict=False)
    return [norms_of(terms, n).sum(dim=1) for stage, (terms, _) in behind if isinstance(stage, Visit)]


def _row(net: UnraveledNetwork, index: int, norms_L: Tensor, share: float) -> Row:
    norms = norms_L.tolist()
    carried = list(accumulate(norms))
    total = carried[-1]
    depth = next(length for length, value in enumerate(carried) if value >= share * total)
    return {
        "module": index,
        "name": net.residual_modules[index].name,
        "n_after": len(norms) - 1,
        "effective_depth": depth,
        "mean_length": sum(length * norm for length, norm in enumerate(norms)) / total if total else None,
        "share": share,
        "is_deeper": len(norms) - 1 > depth,
    }
