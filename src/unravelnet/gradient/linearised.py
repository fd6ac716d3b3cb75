"""One batch on one route, kept so that gradients can be pulled back through it piece by piece."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from unravelnet.errors import EvaluationError
from unravelnet.gradient.live import STREAM, Cotangent, Place, pull, tensors_of_state
from unravelnet.gradient.loss import Loss
from unravelnet.gradient.stages import LinearPart, Stage, places_of, stages_of
from unravelnet.machine import full_float32
from unravelnet.measuring.misfit import taking
from unravelnet.network import Inputs, State, UnraveledNetwork, first_tensor, in_evaluation_mode
from unravelnet.routes.route import Route
from unravelnet.wording import counted


@dataclass(frozen=True, slots=True)
class Recording:
    """One batch on one route: what was computed at every place of it.

    `stem`: from the main input, if it is floating-point, to the first place. `end`: the place before the head.
    """

    net: UnraveledNetwork
    n_images: int
    stem: LinearPart
    stages: tuple[Stage, ...]
    end: Place

    @property
    def has_parallel_streams(self) -> bool:
        """Whether the input is carried by more than the stream, so that paths are more than codes of branches."""
        return any(place.live for place in self.places)

    @property
    def places(self) -> list[Place]:
        """All places of the route, those inside modules as well."""
        return [*places_of(self.stages), self.end]

    @property
    def start(self) -> Place:
        """The place behind the stem."""
        return self.stages[0].place if self.stages else self.end

    def gradient(self, loss: Loss, targets: Tensor | None) -> tuple[Tensor, Cotangent]:
        """Give each image's loss, and the gradient of each at the end of the route."""
        with torch.enable_grad():
            state, leaves = self.end.as_leaves()
            losses = self._losses(state, loss, targets)
        return losses.detach(), pull({STREAM: losses}, leaves, {STREAM: torch.ones_like(losses)})

    def whole_gradient(self, loss: Loss, targets: Tensor | None, *, only_first: bool = False) -> Cotangent:
        """Give the gradient at the start of the route by one ordinary backward pass.

        `only_first`: of the loss of the first image alone.
        """
        with torch.enable_grad():
            state, leaves = self.start.as_leaves()
            for stage in self.stages:
                state = stage.run(state)
            losses = self._losses(state, loss, targets)
        given = torch.ones_like(losses)
        if only_first:
            given[1:] = 0
        return pull({STREAM: losses}, leaves, {STREAM: given})

    def _losses(self, state: State, loss: Loss, targets: Tensor | None) -> Tensor:
        losses = loss(self.net.leave(state), targets)
        if losses.shape != (self.n_images,):
            raise EvaluationError(
                f"The loss has the shape {tuple(losses.shape)} for {counted(self.n_images, 'image')}; "
                "expected one value an "
                'image. Reduce it over everything but the first dimension, as with reduction="none" and a mean.'
            )
        if not losses.isfinite().all():
            raise EvaluationError(
                f"The loss of {self.net.name or 'the network'} is not finite on some images, so its gradient "
                "cannot be split. Check the weights and the normalisation of the data."
            )
        return losses


def record(net: UnraveledNetwork, inputs: Inputs, route: Route | None = None) -> Recording:
    """Run a batch along a route and keep the state at every place of it.

    To be called inside `fixed(net)`. `route`: the full one if None. Raises RouteError where it does not fit.
    """
    route = net.full_route if route is None else net.check(route)
    with taking(net, inputs):
        return _record(net, inputs, route)


def _record(net: UnraveledNetwork, inputs: Inputs, route: Route) -> Recording:
    given, leaves = _with_leaf(inputs)
    with torch.enable_grad():
        entered = net.enter(given)
    stages, end = stages_of(net, Place.after(entered), route)
    stem = LinearPart(tensors_of_state(entered), leaves)
    return Recording(net, first_tensor(inputs).shape[0], stem, tuple(stages), end)


def _with_leaf(inputs: Inputs) -> tuple[Any, dict[str, Tensor]]:
    """Make the main input, the first, a leaf for autograd; tokens are whole numbers, and have no gradient."""
    main = first_tensor(inputs)
    if not main.is_floating_point():
        return inputs, {}
    leaf = main.detach().requires_grad_()
    return pytree.tree_map(lambda value: leaf if value is main else value, inputs), {"input": leaf}


@contextlib.contextmanager
def fixed(net: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode with constant weights, and give both back afterwards.

    What depends on the input can then be told by autograd, and no gradient of a weight is computed.
    """
    learned = [parameter for parameter in net.parameters() if parameter.requires_grad]
    try:
        for parameter in learned:
            parameter.requires_grad_(False)
        with in_evaluation_mode(net), torch.no_grad(), full_float32():
            yield
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)
