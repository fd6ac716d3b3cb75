"""Trains what is left of a pruned network for some epochs, with or without lessons from the intact one."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, replace
from typing import Any

import torch

from unravelnet.errors import TrainingError
from unravelnet.measuring.evaluation import evaluate
from unravelnet.measuring.metrics import find_metrics
from unravelnet.measuring.sample import Sample, network_for
from unravelnet.network import UnraveledNetwork
from unravelnet.network.output import Output
from unravelnet.precision import PrecisionChoice
from unravelnet.pruning.compared import compared_row
from unravelnet.pruning.evidence import Evidence
from unravelnet.pruning.parts import drawn
from unravelnet.records.record import Table
from unravelnet.routes.route import Route
from unravelnet.studies.trial import INTACT, Trial
from unravelnet.training.loop import OnBatch, Progress, train
from unravelnet.training.objective import Teacher
from unravelnet.training_plan import TrainingPlan

_EPOCHS, _SCHEDULE = 5, "cosine"
_METRICS = ("error_rate", "loss")


@dataclass(frozen=True)
class Healed:
    """A pruned network after its training.

    `net`: a copy, which is to be used on `route`. `history`: one row an epoch; `test_error_rate` is that on the route.
    `pruned`: the route through the network that it was made from. The two differ where that one scales its branches.
    """

    net: UnraveledNetwork
    route: Route
    history: Table
    pruned: Route


def heal(
    net: UnraveledNetwork,
    route: Route,
    data: Any,
    *,
    epochs: int = _EPOCHS,
    distil: bool = False,
    weight: float = 0.9,
    temperature: float = 4.0,
    teacher: UnraveledNetwork | None = None,
    validation: Any = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    on_batch: OnBatch | None = None,
    **options: Any,
) -> Healed:
    """Train a copy of a network on a route; modules that the route leaves out take no part.

    >>> from unravelnet import zoo
    >>> net = zoo.preact_resnet(depth=8, input_shape=(1, 8, 8), seed=0)
    >>> healed = heal(net, net.full_route.delete(1), "digits", epochs=1, distil=True)
    >>> str(healed.route), len(healed.history)
    ('0,1s,2', 1)

    The network itself stays as it is. Normalisation takes the statistics of its mini-batches and dropout draws, as the
    model does in training mode. `distil`: the network also learns the outputs of the intact one, or of `teacher`, with
    `weight` and `temperature` as of `training.objective.Teacher`. `options`: settings of `TrainingPlan`. Unless they
    say otherwise, the learning rate is a tenth of the usual one and follows a cosine. `data`, `validation`, `out`,
    `progress`, `on_batch`: as of `train`.

    Raises RouteError where the route does not fit, and TrainingError where the network cannot be trained.
    """
    if "routes" in options:
        raise TrainingError("The routes of a healing are one, the route that is given. Leave routes out.")
    copied = copy.deepcopy(net)
    plan = TrainingPlan().changed({"schedule": _SCHEDULE, "epochs": epochs, **options})
    if plan.learning_rate is None:
        # The network is trained already.
        plan = replace(plan, learning_rate=plan.peak_learning_rate / 10)
    trained = _with_branch_scales(net, net.check(route))
    history = train(
        copied,
        data,
        plan=plan,
        teacher=Teacher(net if teacher is None else teacher, weight, temperature) if distil else None,
        routes=f"route:{trained}",
        validation=validation,
        out=out,
        progress=progress,
        on_batch=on_batch,
    )
    copied.name = f"{net.name}, healed".removeprefix(", ")
    return Healed(copied, trained, history, route)


def _with_branch_scales(net: UnraveledNetwork, route: Route) -> Route:
    """Write the factors of branches into a route: its own hold in training mode, too, and those of modules do not."""
    for visit in route.visits:
        factor = net.residual_modules[visit.module].branch_scale
        if visit.computes_branch and factor != 1:
            route = route.scale(visit.scale * factor, visit.module)
    return route


def before_and_after(
    net: UnraveledNetwork,
    healed: Healed,
    data: Any,
    *,
    limit: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    precision: PrecisionChoice = "float32",
) -> Table:
    """Measure the intact network, what pruning left of it, and what healing made of that: a row each.

    >>> from unravelnet import zoo
    >>> net = zoo.preact_resnet(depth=8, input_shape=(1, 8, 8), seed=0)
    >>> healed = heal(net, net.full_route.delete(1), "digits", epochs=1)
    >>> before_and_after(net, healed, "digits", limit=50)["label"]
    ['intact', 'pruned', 'healed']

    Rows have error and loss with their intervals, and the difference to the intact network on the same examples.
    `data`: examples that were not trained on. The options are those of a `Sample`. Raises as `evaluate`.
    """
    sample = Sample.of(
        data, limit=limit, seed=seed, batch_size=batch_size, device=device, precision=precision
    )
    net, after = (network_for(one, sample.data) for one in (net, healed.net))
    output = Output.of(None).chosen_from(net.outputs, net.name)
    part = drawn(sample)
    intact = Evidence.on(net, part, find_metrics(_METRICS), output, sample)
    measured = replace(sample, data=part, limit=None, precision=intact.bench.precision)
    trials = [Trial(net.full_route, "healing", INTACT), Trial(healed.pruned, "healing", "pruned")]
    rows = evaluate(net, trials, measured, metrics=_METRICS)
    return Table([*rows, compared_row(after, Trial(healed.route, "healing", "healed"), measured, intact)])
