"""Residual modules in a row, with what stands before, between and behind them: a network, or the inside of a module.

A row can be run as a whole, or move by move along a route, as the engine does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from unravelnet.network.macs import Macs
from unravelnet.network.module import (
    NOTHING_HELD,
    Held,
    Inside,
    Outside,
    ResidualModule,
    ResidualModules,
    Segment,
    State,
    run_part,
)
from unravelnet.network.position import Position, module_at
from unravelnet.routes.move import Move
from unravelnet.routes.route import Route, as_route

Run = Callable[[ResidualModule, State], Tensor]


def run_whole(module: ResidualModule, state: State) -> Tensor:
    """Compute skip and branch of a module."""
    return module(state.x, "both", state.held)


class Row(Inside):
    """Stem, residual modules (in chains, with transitions between) and head.

    >>> from torch import nn
    >>> import torch
    >>> row = Row(nn.Identity(), [ResidualModule(nn.ReLU(), nn.Identity())], nn.Identity())
    >>> row(torch.ones(2)).tolist()
    [2.0, 2.0]

    As the branch of a residual module it lets routes lead inside. `transitions[c]` leads from chain c to chain c + 1.
    """

    def __init__(
        self,
        stem: nn.Module,
        residual_modules: Iterable[ResidualModule],
        head: nn.Module,
        *,
        transitions: Iterable[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.stem = stem
        self.residual_modules = ResidualModules(residual_modules)
        self.transitions = nn.ModuleList(transitions)
        self.head = head
        for index, module in enumerate(self.residual_modules):
            module.index = index
            module.name = module.name or f"residual_modules.{index}"

    def forward(self, x: Tensor, held: Held = NOTHING_HELD) -> Any:
        """Run the whole row."""
        state = self.enter(x, held)
        for move in self.full_route.moves:
            state = self.advance(state, move)
        return self.leave(state)

    @property
    def title(self) -> str:
        """What it is called in sentences."""
        return "its branch"

    @property
    def inner(self) -> tuple[ResidualModule, ...]:
        return tuple(self.residual_modules)

    @property
    def full_route(self) -> Route:
        """The route of the intact row."""
        return Route.full(len(self.residual_modules))

    # -- running a route move by move --

    def enter(self, x: Any, held: Held = NOTHING_HELD) -> State:
        """Run the stem: the state from which every route starts."""
        return _pass(self.stem, State(x, 0, held))

    def advance(self, state: State, move: Move) -> State:
        """Make one move of a route, with the transitions that lead to its module."""
        if move.kind != "visit" or state.joined is not None:
            return self.advance_each(state, [move])[0]
        row = self._row_of(state)
        module = row.residual_modules[move.module]
        state = row.move_to_chain(state, module.chain)
        return module.state_behind(state, module(state.x, move.mode, state.held, move.scale))

    def advance_each(self, state: State, moves: Sequence[Move]) -> list[State]:
        """Make the next moves of several routes, which are of one kind at one module; what they share runs once."""
        row, kind = self._row_of(state), moves[0].kind
        if kind == "exit":
            assert state.outside is not None
            module = state.outside.module
            branch = module.as_received(row.leave(state))
            return module.arrive_each(state.outside.state, moves, branch)
        module = row.residual_modules[moves[0].module]
        state = row.move_to_chain(state, module.chain)
        if kind == "visit":
            is_needed = any(move.computes_branch for move in moves)
            taken = module.take_branch(state.x, state.held) if is_needed else None
            return module.arrive_each(state, moves, taken)
        if kind == "enter":
            inside = module.inside.enter(state.x, state.held)
            return [replace(inside, outside=Outside(module, state))] * len(moves)
        if kind == "open":
            return [replace(state, joined=state.x)] * len(moves)
        assert state.joined is not None
        x = module.pass_on(state.joined, state.held, is_shared=state.joined is state.x)
        return [replace(state, x=x, joined=None)] * len(moves)

    def move_towards(self, state: State, moves: Iterable[Move]) -> State:
        """Run the transitions that all of these moves need."""
        row = self._row_of(state)
        end = len(row.transitions)
        chains = [end if move.kind == "exit" else row.residual_modules[move.module].chain for move in moves]
        return row.move_to_chain(state, min(chains))

    def move_to_chain(self, state: State, chain: int) -> State:
        """Run the transitions between the chain that the state is in and a later one."""
        for number in range(state.chain, chain):
            state = replace(_pass(self.transitions[number], state), chain=number + 1)
        return state

    def leave(self, state: State) -> Any:
        """Run the transitions that are left and the head: the output of the row."""
        state = self.move_to_chain(state, len(self.transitions))
        return run_part(self.head, state.x, {**state.held, **state.tapped})

    def _row_of(self, state: State) -> Row:
        inside = self if state.outside is None else state.outside.module.inside
        assert isinstance(inside, Row)
        return inside

    def measure(self, state: State, n_examples: int, run: Run) -> tuple[State, int]:
        """Run the modules to fill in their shapes and MACs, of those inside as well.

        `state`: where the stem has led. `run` computes one module. Gives the state behind the last module, and the
        MACs on the way there.
        """
        macs = 0
        for module in self.residual_modules:
            with Macs() as transition_macs:
                state = self.move_to_chain(state, module.chain)
            module.input_shape = tuple(state.x.shape[1:])
            if isinstance(module.branch, Row):
                module.branch.measure(module.branch.enter(state.x, state.held), n_examples, run)
            with Macs() as module_macs:
                x = run(module, state)
            state = module.state_behind(state, x)
            module.output_shape = tuple(state.x.shape[1:])
            module.macs = module_macs.count // n_examples
            macs += transition_macs.count + module_macs.count
        return state, macs

    # -- what fits where --

    def check(self, route: Route) -> Route:
        """Return the route if it fits.

        Raises RouteError with the modules that stand in the way and those that would fit.
        """
        position = Position(self)
        for step in as_route(route).steps:
            position.visit(step)
        position.finish()
        return route

    def compatible_with(self, index: int) -> list[int]:
        """List the other modules that may stand in the place of this one: same chain, same shapes."""
        module = module_at(self, index)
        return [
            other.index
            for other in self.residual_modules
            if other.index != index
            and (other.chain, other.input_shape, other.output_shape)
            == (module.chain, module.input_shape, module.output_shape)
        ]


def _pass(part: nn.Module, state: State) -> State:
    """Run a part that stands before or between chains; one of a captured network says what is held from there on."""
    if isinstance(part, Segment):
        x, held = part(state.x, state.held)
        return replace(state, x=x, held=held)
    return replace(state, x=part(state.x))
