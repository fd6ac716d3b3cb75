"""What each image loses without each module: exact, by running the network on every route that lacks one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from unravelnet.data.source import Batch, n_examples
from unravelnet.data.targets import IGNORED_TARGET
from unravelnet.gradient.loss import Loss, mean_of_each_image
from unravelnet.measuring.metrics import as_outputs, find_metrics
from unravelnet.measuring.walk import walk
from unravelnet.network import UnraveledNetwork
from unravelnet.network.output import Output
from unravelnet.pruning.score import Deletions
from unravelnet.routes.route import Route
from unravelnet.studies.subject import deletable


def routes_without(net: UnraveledNetwork, modules: Sequence[int] | None = None) -> dict[int, Route]:
    """Give the route without each module, of those that can be deleted."""
    wanted = deletable(net) if modules is None else modules
    return {module: net.check(net.full_route.delete(module)) for module in wanted}


def delete(net: UnraveledNetwork, batch: Batch, loss: Loss, output: Output | None) -> Deletions:
    """Measure each image without each module, in one walk that shares what routes begin with.

    `output`: what errors are counted of; None: what the network returns. Without targets errors are NaN.
    """
    routes = routes_without(net)
    measured = measure(net, [net.full_route, *routes.values()], batch, loss, output)
    nothing = torch.full((n_examples(batch),), torch.nan, dtype=torch.float64)
    rows = [
        measured[routes[module.index]] if module.index in routes else (nothing, nothing)
        for module in net.residual_modules
    ]
    losses, errors = (torch.stack([row[place] for row in rows]) for place in (0, 1))
    return Deletions(losses, errors, *measured[net.full_route])


def measure(
    net: UnraveledNetwork, routes: Sequence[Route], batch: Batch, loss: Loss, output: Output | None
) -> Mapping[Route, tuple[Tensor, Tensor]]:
    """Give each image's loss and share of errors on each route, in float64 on the processor."""
    inputs, targets = batch
    n_images = n_examples(batch)
    return {
        route: (_exact(loss(returned, targets)), _exact(errors_of(returned, targets, output, n_images)))
        for route, returned in walk(net, routes, inputs)
    }


def errors_of(returned: Any, targets: Tensor | None, output: Output | None, n_images: int) -> Tensor:
    """Give each image's share of wrong predictions; NaN where it has no target."""
    if targets is None or targets.is_floating_point() or output is None:
        return torch.full((n_images,), torch.nan)
    (error_rate,) = find_metrics(["error_rate"])
    is_wrong = error_rate.values(as_outputs(returned, targets, output=output)).float()
    errors = mean_of_each_image(is_wrong, targets)
    has_any = (targets != IGNORED_TARGET).reshape(n_images, -1).any(dim=1)
    return torch.where(has_any, errors, torch.nan)


def _exact(values: Tensor) -> Tensor:
    return values.detach().double().cpu()
