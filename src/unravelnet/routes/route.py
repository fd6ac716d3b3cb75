"""Routes: which residual modules to visit, in which order, and how.

A route is a plain frozen value, without torch. It describes; `network` runs it. Deleting, reordering, scaling,
taking skips away, repeating and random depth are all ways to make one. Its text form is short, canonical
and parses back: it names a trial in the results store, on another machine and in a URL.

The text lists the modules visited, runs of neighbours as ranges. A trailing `s` takes the skip only (the
module is deleted), a trailing `b` the branch only (its skip is removed), a trailing `m` the mean of the branch in its
place:

    0-53                 the intact network of 54 modules
    0-2,3s,4-53          module 3 deleted
    0-2,3m,4-53          the mean of the branch of module 3 over a sample in its place
    0-2,3*0.5,4-53       the branch of module 3 counts half
    0-9,11,10,12-53      modules 10 and 11 swapped
    0-9,(10-12),13-53    modules 10 to 12 side by side: they read one input
    0-1,2[0-4,5s],3-53   module 5 of those inside the branch of module 2 deleted
    53-0                 backwards
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from numbers import Integral
from typing import Any

import numpy as np

from unravelnet.costs import MOST_MODULES, check_number
from unravelnet.door import short
from unravelnet.errors import RouteError
from unravelnet.routes import grammar
from unravelnet.routes.move import Move, moves_of
from unravelnet.routes.step import AnyStep, Mode, Parallel, Step

__all__ = ["AnyStep", "Mode", "Parallel", "Route", "Step", "as_route", "as_routes"]


@dataclass(frozen=True)
class Route:
    """The modules to visit, in order, each with its mode.

    >>> Route.full(6).delete(3).swap(0, 1).remove_skip(5)
    Route('1,0,2,3s,4,5b')
    >>> Route.parse("1,0,2,3s,4,5b") == Route.full(6).delete(3).swap(0, 1).remove_skip(5)
    True

    Every method returns a new route. Modules are named by their index in the network, wherever they stand
    in the route. Raises RouteError where a method names a module that the route does not visit.
    """

    steps: tuple[AnyStep, ...]

    @classmethod
    def full(cls, n_modules: int) -> Route:
        """Visit all modules in order: the intact network.

        >>> Route.full(4)
        Route('0-3')
        """
        check_number(n_modules, MOST_MODULES, "residual modules")
        if n_modules < 0:
            raise RouteError(f"A network of {n_modules} residual modules cannot exist; give 0 or more.")
        return cls(tuple(Step(module) for module in range(n_modules)))

    @classmethod
    def parse(cls, text: str) -> Route:
        """Read a route from its text form.

        >>> Route.parse("0-2,3s,4").steps[3]
        Step(module=3, mode='skip')
        """
        return grammar.read(text, cls)

    def __str__(self) -> str:
        return grammar.write(self.steps)

    def __repr__(self) -> str:
        return f"Route({str(self)!r})"

    def __len__(self) -> int:
        return len(self.steps)

    @cached_property
    def visits(self) -> tuple[Step, ...]:
        """The visits of single modules in order, those in parallel spans one after the other."""
        return tuple(visit for step in self.steps for visit in step.visits)

    @cached_property
    def modules(self) -> tuple[int, ...]:
        """The indices of the modules in the order of the visits, deleted ones included."""
        return tuple(step.module for step in self.visits)

    @cached_property
    def moves(self) -> tuple[Move, ...]:
        """What is done on this route, one thing after the other: spans and visits with a route inside spelt out."""
        return tuple(moves_of(self.steps))

    @property
    def n_deleted(self) -> int:
        """The number of visits that take the skip only."""
        return sum(step.mode == "skip" for step in self.visits)

    @property
    def at_their_mean(self) -> frozenset[int]:
        """The modules that have the mean in the place of their branch."""
        return frozenset(step.module for step in self.visits if step.mode == "mean")

    @property
    def n_skips_removed(self) -> int:
        """The number of visits that take the branch only."""
        return sum(step.mode == "branch" for step in self.visits)

    @property
    def path_count(self) -> int:
        """The number of paths of the unraveled view that are left: 2 for every visit that takes both ways.

        >>> Route.full(54).delete(*range(10)).path_count == 2**44
        True
        >>> Route.parse("(0-2)").path_count, Route.parse("0[0-1]").path_count
        (4, 5)

        Modules side by side have one way around all of them and one through each. A way into a module goes on by
        all ways of the route inside, where it has one.
        """
        return prod(step.path_count for step in self.steps)

    @property
    def longest_path(self) -> int:
        """The most branches that a path of the route enters.

        >>> Route.parse("0,1s,(2-3),4[0-2]").longest_path
        6
        """
        return sum(step.longest_path for step in self.steps)

    def delete(self, *modules: int) -> Route:
        """Take only the skip of these modules.

        >>> Route.full(5).delete(1, 2)
        Route('0,1-2s,3-4')
        """
        return self._changed(modules, lambda step: Step(step.module, "skip"), "delete")

    def keep(self, *modules: int) -> Route:
        """Delete every module but these.

        >>> Route.full(5).keep(0, 4)
        Route('0,1-3s,4')
        """
        self._check_visited(modules, "keep")
        return self.delete(*set(self.modules) - set(modules))

    def remove_skip(self, *modules: int) -> Route:
        """Take only the branch of these modules.

        >>> Route.full(3).remove_skip(1)
        Route('0,1b,2')
        """
        return self._changed(modules, lambda step: replace(step, mode="branch"), "remove the skip of")

    def mean_ablate(self, *modules: int) -> Route:
        """Put the mean of the branch over a sample in the place of the branch of these modules.

        >>> Route.full(5).mean_ablate(3)
        Route('0-2,3m,4')

        The network holds the means: `measure_means(net, data)` computes them, as `evaluate` does where they are
        lacking, and `hold_mean` of a module takes one. What is left is the skip and a constant: what the branch does
        for every input alike stays, and nothing that depends on the input.
        """
        return self._changed(modules, lambda step: Step(step.module, "mean"), "put the mean in the place of")

    def scale(self, factor: float, *modules: int) -> Route:
        """Multiply the branch of these modules by a number; their skips stay as they are.

        >>> Route.full(5).scale(0.5, 3)
        Route('0-2,3*0.5,4')
        >>> Route.full(5).scale(0, 3) == Route.full(5).delete(3)
        True

        `factor`: any finite number, in the place of one that was given before. Above 1 the branch weighs more than
        it was trained to.
        """
        return self._changed(modules, lambda step: replace(step, scale=factor), "scale")

    def parallel(self, *modules: int) -> Route:
        """Let neighbours read one input: x + f4(x) + f5(x) + f6(x).

        >>> Route.full(5).parallel(1, 2, 3)
        Route('0,(1-3),4')

        Raises RouteError where the modules do not follow each other in the route, each once.
        """
        self._check_visited(modules, "put into a parallel span")
        holds = [any(step.module in modules for step in step.visits) for step in self.steps]
        first, n = holds.index(True) if any(holds) else 0, sum(holds)
        inside = [step for item in self.steps[first : first + n] for step in item.visits]
        if sorted(step.module for step in inside) != sorted(modules):
            raise RouteError(
                f"Cannot put the modules {', '.join(map(str, modules))} into one parallel span: they do not follow "
                f"each other in the route {self}, each once. Name neighbours."
            )
        return Route((*self.steps[:first], Parallel(tuple(inside)), *self.steps[first + n :]))

    def inside(self, module: int, route: Route) -> Route:
        """Take a route through the residual modules inside the branch of a module.

        >>> Route.full(3).inside(2, Route.full(4).delete(3))
        Route('0-1,2[0-2,3s]')
        """
        inner = as_route(route)
        return self._changed((module,), lambda step: replace(step, inside=inner), "enter")

    def swap(self, first: int, second: int) -> Route:
        """Exchange the places of two modules.

        >>> Route.full(4).swap(1, 2)
        Route('0,2,1,3')
        """
        self._check_visited((first, second), "swap")
        exchanged = {first: second, second: first}
        return self.permute([exchanged.get(module, module) for module in self.modules])

    def permute(self, order: Sequence[int]) -> Route:
        """Visit the same modules in the given order, each with the mode it has.

        >>> Route.full(4).delete(3).permute([0, 3, 1, 2])
        Route('0,3s,1-2')
        """
        if not isinstance(order, Iterable) or Counter(order) != Counter(self.modules):
            raise RouteError(
                f"The order {order!r} is not a permutation of the modules that the route {self} visits; "
                "give each of them once."
            )
        waiting: dict[int, list[Step]] = {}
        for step in self.visits:
            waiting.setdefault(step.module, []).append(step)
        ordered = iter([waiting[module].pop(0) for module in order])
        return self._each(lambda _: next(ordered))

    def repeat(self, start: int, stop: int | None = None, *, times: int = 2) -> Route:
        """Pass through the visits start … stop-1 (a half-open range of places in the route) several times.

        >>> Route.full(4).repeat(1, 3)
        Route('0-2,1-3')
        """
        first, last = self._span(start, start + 1 if stop is None else stop, "repeat")
        if times < 1:
            raise RouteError(f"A span cannot be passed {times} times; give times=1 or more.")
        check_number((last - first) * times, MOST_MODULES, "visits of one span")
        return Route(self.steps[:first] + self.steps[first:last] * times + self.steps[last:])

    def reverse(self, start: int = 0, stop: int | None = None) -> Route:
        """Pass through the visits start … stop-1 (a half-open range of places in the route) backwards.

        >>> Route.full(5).reverse(1, 4)
        Route('0,3-1,4')
        """
        first, last = self._span(start, len(self) if stop is None else stop, "reverse")
        return Route(self.steps[:first] + self.steps[first:last][::-1] + self.steps[last:])

    def drop(self, probabilities: float | Sequence[float], generator: np.random.Generator) -> Route:
        """Delete each visited module at random, independently of the others.

        >>> Route.full(3).drop(1.0, np.random.default_rng(0))
        Route('0-2s')

        `probabilities`: the chance of deletion, one for all visits or one a visit, each in [0, 1].
        Source: stochastic depth (Huang et al. 2016), where the chance grows with depth.
        """
        try:
            given = np.asarray(probabilities, dtype=float)
        except (TypeError, ValueError):
            raise RouteError(f"Drop probabilities are numbers; got {probabilities!r}.") from None
        n = len(self.visits)
        if given.shape not in ((), (1,), (n,)):
            raise RouteError(
                f"Give one drop probability, or one for each of the {n} visits; got {given.size}."
            )
        chances = np.broadcast_to(given, n)
        if not ((chances >= 0) & (chances <= 1)).all():
            raise RouteError(f"Drop probabilities must lie in [0, 1]; got {probabilities!r}.")
        dropped = iter(generator.random(n) < chances)
        return self._each(lambda step: Step(step.module, "skip") if next(dropped) else step)

    def kendall_tau(self) -> float:
        """Measure how far the order is from the full order: 1 for the same, -1 for the reverse.

        >>> round(Route.full(54).swap(0, 17).kendall_tau(), 3)
        0.954

        Kendall's rank correlation over all modules; the x axis of Fig. 5b of Veit et al. (2016). Raises
        RouteError where a module is visited twice, since no rank is defined then.
        """
        from scipy.stats import kendalltau

        if len(self.visits) > len(self):
            raise RouteError(
                f"Kendall's tau is defined for orders; the route {self} visits modules side by side."
            )
        if len(set(self.modules)) < len(self.modules):
            raise RouteError(
                f"Kendall's tau is defined for orders that visit each module once; the route {self} visits "
                "some of them more often."
            )
        if len(self) < 2:
            return 1.0
        # Rounded, since scipy gives 0.9999999999999998 for some orders that are the same.
        return round(float(kendalltau(range(len(self)), self.modules).statistic), 12)

    def _changed(self, modules: Collection[int], change: Callable[[Step], Step], verb: str) -> Route:
        self._check_visited(modules, verb)
        chosen = set(modules)
        return self._each(lambda step: change(step) if step.module in chosen else step)

    def _each(self, change: Callable[[Step], Step]) -> Route:
        """Change every visit, in order; spans stay spans."""
        return Route(
            tuple(
                Parallel(tuple(map(change, step.steps))) if isinstance(step, Parallel) else change(step)
                for step in self.steps
            )
        )

    def _check_visited(self, modules: Collection[int], verb: str) -> None:
        for module in modules:
            if not isinstance(module, Integral):
                raise RouteError(
                    f"Cannot {verb} module {module!r}: give the indices of modules one by one, as in delete(1, 2)."
                )
        missing = sorted(set(modules) - set(self.modules))
        if missing:
            raise RouteError(
                f"Cannot {verb} module {missing[0]}: the route {self} does not visit it. "
                "Indices of modules start at 0."
            )

    def _span(self, start: int, stop: int, verb: str) -> tuple[int, int]:
        if not 0 <= start < stop <= len(self):
            raise RouteError(
                f"Cannot {verb} the visits {start} to {stop}: a span is half-open and must lie within "
                f"0 to {len(self)}, the number of visits of the route."
            )
        return start, stop


def as_route(value: object) -> Route:
    """Return a value that a user gives as a route, if it is one.

    >>> as_route("0-2")
    Traceback (most recent call last):
    unravelnet.errors.RouteError: A route must be a Route, or a Trial of a study; got '0-2'. Route.parse reads a text.
    """
    if isinstance(value, Route):
        return value
    raise RouteError(
        f"A route must be a Route, or a Trial of a study; got {short(value)}. Route.parse reads a text."
    )


def as_routes(values: object) -> Iterable[Any]:
    """Return what a user gives as a list of routes, if it can be gone through as one.

    >>> as_routes("0-2")
    Traceback (most recent call last):
    unravelnet.errors.RouteError: Routes must be a list; got '0-2'. Put a single route into a list, as [route].
    """
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping):
        return values
    given = repr(values) if isinstance(values, Route) else short(values)
    raise RouteError(f"Routes must be a list; got {given}. Put a single route into a list, as [route].")
