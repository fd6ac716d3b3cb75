"""What lies between two places of a route, as linear maps that carry gradients backwards.

A residual module has two such maps, around its branch and through it; transitions between chains have one. A parallel
span has one way around all of its branches and one through each. A way through a module that a route leads into goes
on through the stages inside. Words of this room:

*Stage*: a visit, a parallel span or a transition, between two places of a route. *Way*: through one branch of a stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from unravelnet.gradient.live import STREAM, Cotangent, Place, plus, pull, tensors_of_state
from unravelnet.network import AbstractJunction, ResidualModule, Row, State
from unravelnet.routes.move import moves_of
from unravelnet.routes.route import Route
from unravelnet.routes.step import AnyStep, Parallel, Step


class Linear(Protocol):
    """A stage around fixed activations."""

    def pull(
        self, cotangent: Cotangent, *, around: bool, ways: Sequence[bool]
    ) -> tuple[Cotangent, list[Cotangent]]:
        """Carry a cotangent back around all branches, and into each; what is not asked for is empty.

        Through a branch that is entered it comes to the end of what is inside, through another to the place before
        the stage.
        """

    def pull_out(self, way: int, cotangent: Cotangent) -> Cotangent:
        """Carry a cotangent from the start of what is inside a branch to the place before the stage."""


class Stage(Protocol):
    """What lies between two places of a route. `place` is the one before it."""

    @property
    def place(self) -> Place: ...

    @property
    def has_around(self) -> bool:
        """Whether there is a way that enters no branch."""

    @property
    def ways(self) -> Sequence[Way]:
        """The ways through a branch."""

    def run(self, state: State) -> State:
        """Run the stage, as autograd follows it."""

    def linearise(self) -> Linear:
        """Compute the stage anew, and keep what autograd needs to go back through it."""


@dataclass(frozen=True, slots=True)
class LinearPart:
    """A piece without branch: everything goes around."""

    outputs: Mapping[str, Tensor]
    leaves: Mapping[str, Tensor]

    def pull(
        self, cotangent: Cotangent, *, around: bool = True, ways: Sequence[bool] = ()
    ) -> tuple[Cotangent, list[Cotangent]]:
        return (pull(self.outputs, self.leaves, cotangent) if around else {}), []

    def pull_out(self, way: int, cotangent: Cotangent) -> Cotangent:
        return pull(self.outputs, self.leaves, cotangent)


@dataclass(frozen=True, slots=True)
class Transition:
    """What every route passes before it enters a chain."""

    place: Place
    row: Row
    chain: int
    has_around: bool = True
    ways: tuple[Way, ...] = ()

    def run(self, state: State) -> State:
        return self.row.move_to_chain(state, self.chain)

    def linearise(self) -> LinearPart:
        with torch.enable_grad():
            state, leaves = self.place.as_leaves()
            return LinearPart(tensors_of_state(self.run(state)), leaves)


@dataclass(frozen=True, slots=True)
class LinearWay:
    """The branch of one module, a function of `leaves`: of those before the stage, or at the end of what is inside.

    `entry`: from the place before the stage to the start of what is inside, where the branch is entered.
    """

    junction: AbstractJunction
    branch: Tensor
    leaves: Mapping[str, Tensor]
    entry: LinearPart | None

    def pull(self, gradient: Tensor, skip: Tensor | None) -> Cotangent:
        """Carry the gradient of what is joined into the branch."""
        own = self.junction.to_branch(gradient, skip, self.branch)
        return pull({STREAM: self.branch}, self.leaves, {STREAM: own})


@dataclass(frozen=True, slots=True)
class Inside:
    """What a route does inside the branch of a module. `end`: the place before what follows the modules there."""

    stages: tuple[Stage, ...]
    end: Place


@dataclass(frozen=True, slots=True)
class Way:
    """The way through the branch of one module; `inside` where the route leads into it."""

    module: ResidualModule
    step: Step
    inside: Inside | None

    def linearise(self, state: State, leaves: Mapping[str, Tensor]) -> LinearWay:
        """Compute the branch. `state`, `leaves`: the place before the stage."""
        module, entry = self.module, None
        if self.inside is None:
            branch = module.take_branch(state.x, state.held)
        else:
            row = module.inside
            assert isinstance(row, Row)
            entry = LinearPart(tensors_of_state(row.enter(state.x, state.held)), leaves)
            state, leaves = self.inside.end.as_leaves()
            branch = module.as_received(row.leave(state))
        return LinearWay(module.junction, module.scaled(branch, self.step.scale), leaves, entry)


@dataclass(frozen=True, slots=True)
class LinearVisit:
    """A visit or a parallel span: `after(joined)`, joined of `skip` and branches, which are functions of `leaves`.

    `joins`: each branch with its junction, and each mean that stands in the place of one: a constant, which no gradient
    goes through.

    What comes after the junction belongs to all ways, with the activations of what is joined there: `output` as a
    function of `joined`, which are leaves of their own. A skip that the route does not take is None.
    """

    leaves: Mapping[str, Tensor]
    junction: AbstractJunction
    skip: Tensor | None
    ways: tuple[LinearWay, ...]
    joins: tuple[tuple[AbstractJunction, Tensor], ...]
    joined: Mapping[str, Tensor]
    output: Tensor
    is_span: bool

    @property
    def branch(self) -> Tensor | None:
        """The branch, of a visit that takes it."""
        return self.ways[0].branch if self.ways else None

    def pull(
        self, cotangent: Cotangent, *, around: bool, ways: Sequence[bool]
    ) -> tuple[Cotangent, list[Cotangent]]:
        arriving = self.pull_to_junction(cotangent)
        # Parallel streams pass by a module untouched: they go around it.
        beside = {name: g for name, g in arriving.items() if name != STREAM}
        gone_around = plus(beside, self._pull_around(arriving)) if around else {}
        through = [
            way.pull(arriving[STREAM], self.skip) if is_asked and STREAM in arriving else {}
            for way, is_asked in zip(self.ways, ways, strict=True)
        ]
        return gone_around, through

    def pull_out(self, way: int, cotangent: Cotangent) -> Cotangent:
        entry = self.ways[way].entry
        assert entry is not None
        return pull(entry.outputs, entry.leaves, cotangent)

    def pull_to_junction(self, cotangent: Cotangent) -> Cotangent:
        """Carry a cotangent back through what comes after the junction."""
        beside = {name: g for name, g in cotangent.items() if name != STREAM}
        return plus(beside, pull({STREAM: self.output}, self.joined, cotangent))

    def _pull_around(self, arriving: Cotangent) -> Cotangent:
        if self.skip is None or STREAM not in arriving:
            return {}
        return pull({STREAM: self.skip}, self.leaves, {STREAM: self._to_skip(arriving[STREAM], self.skip)})

    def _to_skip(self, gradient: Tensor, skip: Tensor) -> Tensor:
        if not self.is_span:
            return self.junction.to_skip(gradient, skip, self.joins[0][1] if self.joins else None)
        # What each branch changes may depend on the skip, too, as behind a gate.
        total = gradient
        for junction, branch in self.joins:
            total = total + (junction.to_skip(gradient, skip, branch) - gradient)
        return total


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit of a residual module, or a parallel span of several.

    A plain layer has no way around it unless it is deleted.
    """

    place: Place
    row: Row
    step: AnyStep
    ways: tuple[Way, ...]

    @property
    def module(self) -> ResidualModule:
        """The module; of a span the first."""
        return self.row.residual_modules[self.step.visits[0].module]

    @property
    def takes_skip(self) -> bool:
        """Whether the stream flows around the branch."""
        if isinstance(self.step, Parallel):
            return True
        return self.step.mode in ("skip", "mean") or (
            self.step.mode == "both" and self.module.skip is not None
        )

    @property
    def has_around(self) -> bool:
        # Parallel streams pass by every module.
        return self.takes_skip or bool(self.place.live)

    def run(self, state: State) -> State:
        if any(way.inside for way in self.ways) or isinstance(self.step, Parallel):
            for move in moves_of([self.step]):
                state = self.row.advance(state, move)
            return state
        # Computed again on the way back, so that memory holds one module and not all.
        x = checkpoint(
            self.module,
            state.x,
            self.step.mode,
            state.held,
            self.step.scale,
            use_reentrant=False,
            preserve_rng_state=False,
        )
        return State(x, state.chain, state.held)

    def linearise(self) -> LinearVisit:
        with torch.enable_grad():
            state, leaves = self.place.as_leaves()
            skip = self.module.take_skip(state.x, state.held) if self.takes_skip else None
            ways = tuple(way.linearise(state, leaves) for way in self.ways)
            joins = [
                *((way.junction, way.branch) for way in ways),
                *self._means(state.x if skip is None else skip),
            ]
            joined = self._joined(state, skip, joins)
            behind = State(joined, state.chain, self.place.state.held)
            at_junction, leaves_there = Place(behind, self.place.live).as_leaves()
            output = self.module.pass_on(at_junction.x, at_junction.held)
        is_span = isinstance(self.step, Parallel)
        return LinearVisit(
            leaves, self.module.junction, skip, ways, tuple(joins), leaves_there, output, is_span
        )

    def _means(self, like: Tensor) -> Iterator[tuple[AbstractJunction, Tensor]]:
        """Give the means that stand in the place of branches, with their junctions."""
        for visit in self.step.visits:
            if visit.mode == "mean":
                module = self.row.residual_modules[visit.module]
                yield module.junction, module.take_mean(like)

    def _joined(
        self, state: State, skip: Tensor | None, joins: Sequence[tuple[AbstractJunction, Tensor]]
    ) -> Tensor:
        if not isinstance(self.step, Parallel):
            return self.module.junction(skip, joins[0][1] if joins else None)
        joined: Tensor = state.x
        for junction, branch in joins:
            joined = joined + junction.change(state.x, branch)
        return joined


def stages_of(row: Row, place: Place, route: Route) -> tuple[list[Stage], Place]:
    """Run a route through a row from the place behind its stem; give its stages, and the place before the head."""
    stages: list[Stage] = []
    for step in route.steps:
        visits = [(row.residual_modules[visit.module], visit) for visit in step.visits]
        place = _move(row, place, visits[0][0].chain, stages)
        ways = [
            Way(module, visit, _inside(module, place, visit))
            for module, visit in visits
            if visit.computes_branch
        ]
        stages.append(Visit(place, row, step, tuple(ways)))
        state = place.state
        for move in moves_of([step]):
            state = row.advance(state, move)
        place = Place(State(state.x, state.chain, place.state.held), place.live)
    return stages, _move(row, place, len(row.transitions), stages)


def places_of(stages: Iterable[Stage]) -> Iterator[Place]:
    """Go through the places before stages, those inside modules as well."""
    for stage in flat(stages):
        yield stage.place
        yield from (way.inside.end for way in stage.ways if way.inside is not None)


def flat(stages: Iterable[Stage]) -> Iterator[Stage]:
    """Go through stages and those inside of them."""
    for stage in stages:
        yield stage
        for way in stage.ways:
            if way.inside is not None:
                yield from flat(way.inside.stages)


def _inside(module: ResidualModule, place: Place, step: Step) -> Inside | None:
    if step.inside is None:
        return None
    row = module.inside
    assert isinstance(row, Row)
    state, _ = place.as_leaves()
    with torch.enable_grad():
        entered = row.enter(state.x, state.held)
    stages, end = stages_of(row, Place.after(entered), step.inside)
    return Inside(tuple(stages), end)


def _move(row: Row, place: Place, chain: int, stages: list[Stage]) -> Place:
    if place.state.chain == chain:
        return place
    transition = Transition(place, row, chain)
    stages.append(transition)
    with torch.enable_grad():
        return Place.after(transition.run(place.as_leaves()[0]))
