"""Trains what is left of a pruned network for some epochs, with or without lessons from the intact one."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from typing import Any

from unravelnet.errors import TrainingError
from unravelnet.network import UnraveledNetwork
from unravelnet.records.record import Table
from unravelnet.routes.route import Route
from unravelnet.training.loop import OnBatch, Progress, train
from unravelnet.training.objective import Teacher

_EPOCHS = 5
# The network is trained already: a tenth of the usual rate, falling to nothing.
_LEARNING_RATE = 0.01


@dataclass(frozen=True)
class Healed:
    """A pruned network after its training.

    `net`: a copy, which is to be used on `route`. `history`: one row an epoch; `test_error_rate` is that on the route.
    """

    net: UnraveledNetwork
    route: Route
    history: Table


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
    `weight` and `temperature` as of `training.objective.Teacher`. `options`: settings of `TrainingPlan`; the learning
    rate is 0.01 and follows a cosine unless they say otherwise. `data`, `validation`, `out`, `progress`, `on_batch`: as
    of `train`.

    Raises RouteError where the route does not fit, and TrainingError where the network cannot be trained.
    """
    if "routes" in options:
        raise TrainingError("The routes of a healing are one, the route that is given. Leave routes out.")
    copied = copy.deepcopy(net)
    settings = {"learning_rate": _LEARNING_RATE, "schedule": "cosine", "epochs": epochs, **options}
    history = train(
        copied,
        data,
        teacher=Teacher(net if teacher is None else teacher, weight, temperature) if distil else None,
        routes=f"route:{net.check(route)}",
        validation=validation,
        out=out,
        progress=progress,
        on_batch=on_batch,
        **settings,
    )
    return Healed(copied, route, history)
