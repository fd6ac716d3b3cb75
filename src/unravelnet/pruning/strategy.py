"""What a strategy of pruning is, as one value, and what it is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from unravelnet.errors import ArgumentError
from unravelnet.network import UnraveledNetwork
from unravelnet.pruning.budget import Budget, Size
from unravelnet.pruning.evidence import Evidence
from unravelnet.pruning.sizes import Sizes, deleted_of
from unravelnet.registry import STRATEGIES
from unravelnet.routes.route import Route


@dataclass(frozen=True, slots=True)
class Patched:
    """A network in which something else stands in the place of modules, and what is known of it."""

    net: UnraveledNetwork
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Cut:
    """A step of a search: a route that leaves modules out.

    `modules`: what was taken out in this step. `estimate`: the number that the strategy chose it by. `patched`: the
    network that the route is of, where it is not the one that is pruned.
    """

    route: Route
    modules: tuple[int, ...]
    estimate: float = math.nan
    patched: Patched | None = None


@dataclass(frozen=True)
class Problem:
    """What a strategy is given.

    `net`: the network. `evidence`: what is known of routes on the part to choose on. `candidates`: the modules that may
    be deleted, of blocks their first ones. `seed`: of random choices. `latency_of`: the time on a route as a share of
    the intact one, where the budget asks for it. `blocks`: all modules of the block of each candidate; without,
    candidates are deleted one by one.
    """

    net: UnraveledNetwork
    evidence: Evidence
    sizes: Sizes
    budget: Budget
    candidates: tuple[int, ...]
    seed: int = 0
    latency_of: Callable[[Route], float] | None = None
    blocks: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def full(self) -> Route:
        """The intact route."""
        return self.net.full_route

    def modules(self, *candidates: int) -> tuple[int, ...]:
        """List the modules that go where candidates are deleted."""
        gone = (module for candidate in candidates for module in self.blocks.get(candidate, (candidate,)))
        return tuple(sorted(gone))

    def without(self, *candidates: int) -> Route:
        """Give the route that leaves candidates out."""
        return self.full.delete(*self.modules(*candidates))

    def size(self, cut: Route | Cut) -> Size:
        """Say how large the network is on a route, or after a step."""
        if isinstance(cut, Cut) and cut.patched is not None:
            sizes = Sizes(cut.patched.net, self.evidence.one_example())
            return Size(len(deleted_of(cut.route)), *sizes.left(cut.route, of=self.sizes))
        route = cut.route if isinstance(cut, Cut) else cut
        latency = None if self.latency_of is None else self.latency_of(route)
        return Size(len(deleted_of(route)), *self.sizes.left(route), latency)


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to choose modules.

    >>> from unravelnet.registry import STRATEGIES
    >>> STRATEGIES.find("greedy").title
    'Greedy'

    `search`: gives steps, one after the other, for as long as it is asked. `estimate`: what the column of that name
    holds. `paper`: where it comes from. `grows`: whether each step leaves out more than the one before, so that a
    search may end at any; else every step has the whole size, and the last is the result. `with_option`: makes the
    strategy with what stands behind a colon in its name.
    """

    name: str
    title: str
    search: Callable[[Problem], Iterator[Cut]]
    estimate: str
    paper: str = ""
    grows: bool = True
    with_option: Callable[[str], Strategy] | None = None


def find_strategy(asked: str | Strategy) -> Strategy:
    """Give a strategy by its name, or as it is.

    >>> find_strategy("beam:4").name
    'beam'

    Raises UnknownNameError for an unknown name, ArgumentError for an option that it does not take.
    """
    if isinstance(asked, Strategy):
        return asked
    name, colon, option = asked.partition(":")
    found: Strategy = STRATEGIES.find(name)
    if not colon:
        return found
    if found.with_option is None:
        raise ArgumentError(f"The strategy {name} takes no option, and {asked!r} gives it {option!r}.")
    return found.with_option(option)


def whole_option(strategy: str, option: str, least: int) -> int:
    """Read the number behind a colon. Raises ArgumentError where it is none, or too small."""
    if not option.isdecimal() or int(option) < least:
        raise ArgumentError(
            f"The strategy {strategy} takes a whole number of {least} or more behind its colon, and not {option!r}. "
            f"Write it like {strategy}:{least + 2}."
        )
    return int(option)
