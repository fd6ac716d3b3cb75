"""One batch on one route, kept so that gradients can be pulled back through it piece by piece.

With the activations of the forward pass fixed, every piece of a network is a linear map of small changes, and
its transpose carries gradients backwards. A residual module has two such maps, around its branch and through
it; transitions between chains have one. Words of this room:

*live values*: the stream, and the held values of a captured network that depend on its input (parallel
streams). *Cotangent*: the gradient of the losses with respect to the live values at one place, by name; a
value without gradient is left out. *Stage*: a residual module or a transition, between two places of a route.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils.checkpoint import checkpoint

from unravelnet.errors import EvaluationError
from unravelnet.gradient.loss import Loss
from unravelnet.machine import full_float32
from unravelnet.measuring.misfit import taking
from unravelnet.network import (
    AbstractJunction,
    Inputs,
    ResidualModule,
    State,
    UnraveledNetwork,
    first_tensor,
    in_evaluation_mode,
)
from unravelnet.routes.route import Mode, Route
from unravelnet.wording import counted

STREAM = ""
"""The name of the stream among the live values; held values have names of their own."""

Cotangent = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Place:
    """The state at one place of a route, and which held values depend on the input of the network."""

    state: State
    live: tuple[str, ...] = ()

    @property
    def n_bytes(self) -> int:
        """The memory that the live values take."""
        values = [self.state.x, *(self.state.held[name] for name in self.live)]
        return sum(value.numel() * value.element_size() for value in values)

    def as_leaves(self) -> tuple[State, Cotangent]:
        """Copy the state with its live values as leaves, from which autograd starts anew."""
        values = {STREAM: self.state.x, **{name: self.state.held[name] for name in self.live}}
        leaves = {name: value.detach().requires_grad_() for name, value in values.items()}
        held = {**self.state.held, **{name: leaves[name] for name in self.live}}
        return State(leaves[STREAM], self.state.chain, held), leaves

    @classmethod
    def after(cls, state: State) -> Place:
        """Take a state that autograd has followed: live is what depends on its leaves."""
        live = tuple(
            name for name, value in _tensors(state).items() if value.requires_grad and name != STREAM
        )
        held = {**state.held, **{name: state.held[name].detach() for name in live}}
        return cls(State(state.x.detach(), state.chain, held), live)


def pull(
    outputs: Mapping[str, Tensor],
    leaves: Mapping[str, Tensor],
    cotangent: Cotangent,
    *,
    create_graph: bool = False,
) -> Cotangent:
    """Carry a cotangent from outputs back to leaves: a product with the transposed Jacobian.

    It can be called again for other cotangents of the same outputs. `create_graph`: let autograd follow this, too.
    """
    names = [name for name in cotangent if name in outputs and outputs[name].requires_grad]
    if not names:
        return {}
    gradients = torch.autograd.grad(
        [outputs[name] for name in names],
        list(leaves.values()),
        [cotangent[name] for name in names],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
    )
    return {name: g for name, g in zip(leaves, gradients, strict=True) if g is not None}


def plus(first: Cotangent, second: Cotangent) -> Cotangent:
    """Add two cotangents; what one of them lacks is zero."""
    both = {name: first[name] + second[name] for name in first.keys() & second.keys()}
    return {**first, **second, **both}


class Linear(Protocol):
    """A stage around fixed activations."""

    def pull(self, cotangent: Cotangent, *, around: bool, through: bool) -> tuple[Cotangent, Cotangent]:
        """Carry a cotangent back around the branch and through it; what is not asked for is empty."""


class Stage(Protocol):
    """What lies between two places of a route. `place` is the one before it."""

    @property
    def place(self) -> Place: ...

    @property
    def has_around(self) -> bool:
        """Whether there is a way that enters no branch."""

    @property
    def has_through(self) -> bool:
        """Whether there is a way through a branch."""

    def run(self, state: State) -> State:
        """Run the stage, as autograd follows it."""

    def linearise(self) -> Linear:
        """Compute the stage anew, and keep what autograd needs to go back through it."""


@dataclass(frozen=True, slots=True)
class LinearPart:
    """A piece without branch: everything goes around."""

    outputs: Mapping[str, Tensor]
    leaves: Mapping[str, Tensor]

    def pull(self, cotangent: Cotangent, *, around: bool, through: bool) -> tuple[Cotangent, Cotangent]:
        return (pull(self.outputs, self.leaves, cotangent) if around else {}), {}


@dataclass(frozen=True, slots=True)
class LinearModule:
    """A residual module: `after(joined)`, joined of `skip` and `branch`, which are functions of `leaves`.

    What comes after the junction belongs to both ways, with the activations of what is joined there: `output` as a
    function of `joined`, which are leaves of their own. A way that the route does not take is None.
    """

    leaves: Mapping[str, Tensor]
    junction: AbstractJunction
    skip: Tensor | None
    branch: Tensor | None
    joined: Mapping[str, Tensor]
    output: Tensor

    def pull(self, cotangent: Cotangent, *, around: bool, through: bool) -> tuple[Cotangent, Cotangent]:
        arriving = self.pull_to_junction(cotangent)
        # Parallel streams pass by a module untouched: they go around it.
        beside = {name: g for name, g in arriving.items() if name != STREAM}
        gone_around = plus(beside, self._pull_around(arriving)) if around else {}
        return gone_around, self._pull_through(arriving) if through else {}

    def pull_to_junction(self, cotangent: Cotangent) -> Cotangent:
        """Carry a cotangent back through what comes after the junction."""
        beside = {name: g for name, g in cotangent.items() if name != STREAM}
        return plus(beside, pull({STREAM: self.output}, self.joined, cotangent))

    def _pull_around(self, arriving: Cotangent) -> Cotangent:
        if self.skip is None or STREAM not in arriving:
            return {}
        gradient = self.junction.to_skip(arriving[STREAM], self.skip, self.branch)
        return pull({STREAM: self.skip}, self.leaves, {STREAM: gradient})

    def _pull_through(self, arriving: Cotangent) -> Cotangent:
        if self.branch is None or STREAM not in arriving:
            return {}
        gradient = self.junction.to_branch(arriving[STREAM], self.skip, self.branch)
        return pull({STREAM: self.branch}, self.leaves, {STREAM: gradient})


@dataclass(frozen=True, slots=True)
class Transition:
    """What every route passes before it enters a chain."""

    place: Place
    net: UnraveledNetwork
    chain: int
    has_around: bool = True
    has_through: bool = False

    def run(self, state: State) -> State:
        return self.net.move_to_chain(state, self.chain)

    def linearise(self) -> LinearPart:
        with torch.enable_grad():
            state, leaves = self.place.as_leaves()
            return LinearPart(_tensors(self.run(state)), leaves)


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit of a residual module; a plain layer has no way around it unless it is deleted."""

    place: Place
    module: ResidualModule
    mode: Mode

    @property
    def takes_skip(self) -> bool:
        """Whether the stream flows around the branch."""
        return self.mode == "skip" or (self.mode == "both" and self.module.skip is not None)

    @property
    def has_around(self) -> bool:
        # Parallel streams pass by every module.
        return self.takes_skip or bool(self.place.live)

    @property
    def has_through(self) -> bool:
        return self.mode != "skip"

    def run(self, state: State) -> State:
        # Computed again on the way back, so that memory holds one module and not all.
        x = checkpoint(
            self.module, state.x, self.mode, state.held, use_reentrant=False, preserve_rng_state=False
        )
        return State(x, state.chain, state.held)

    def linearise(self) -> LinearModule:
        with torch.enable_grad():
            state, leaves = self.place.as_leaves()
            skip = self.module.take_skip(state.x, state.held) if self.takes_skip else None
            branch = self.module.take_branch(state.x, state.held) if self.has_through else None
            behind = State(self.module.junction(skip, branch), state.chain, self.place.state.held)
            at_junction, joined = Place(behind, self.place.live).as_leaves()
            output = self.module.pass_on(at_junction.x, at_junction.held)
        return LinearModule(leaves, self.module.junction, skip, branch, joined, output)


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
        return any(stage.place.live for stage in self.stages) or bool(self.end.live)

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
    place = Place.after(entered)
    stages: list[Stage] = []
    for step in route.steps:
        module = net.residual_modules[step.module]
        place = _move(net, place, module.chain, stages)
        stages.append(Visit(place, module, step.mode))
        x = module(place.state.x, step.mode, place.state.held)
        place = Place(State(x, place.state.chain, place.state.held), place.live)
    end = _move(net, place, len(net.transitions), stages)
    stem = LinearPart(_tensors(entered), leaves)
    return Recording(net, first_tensor(inputs).shape[0], stem, tuple(stages), end)


def _move(net: UnraveledNetwork, place: Place, chain: int, stages: list[Stage]) -> Place:
    if place.state.chain == chain:
        return place
    transition = Transition(place, net, chain)
    stages.append(transition)
    with torch.enable_grad():
        return Place.after(transition.run(place.as_leaves()[0]))


def _with_leaf(inputs: Inputs) -> tuple[Any, dict[str, Tensor]]:
    """Make the main input, the first, a leaf for autograd; tokens are whole numbers, and have no gradient."""
    main = first_tensor(inputs)
    if not main.is_floating_point():
        return inputs, {}
    leaf = main.detach().requires_grad_()
    return pytree.tree_map(lambda value: leaf if value is main else value, inputs), {"input": leaf}


def _tensors(state: State) -> dict[str, Tensor]:
    held = {name: value for name, value in state.held.items() if isinstance(value, Tensor)}
    return {STREAM: state.x, **held}


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
