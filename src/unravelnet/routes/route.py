"""Routes: which residual modules to visit, in which order, and how.

A route is a plain frozen value, without torch. It describes; `network` runs it. Deleting, reordering,
taking skips away, repeating and random depth are all ways to make one. Its text form is short, canonical
and parses back: it names a trial in the results store, on another machine and in a URL.

The text lists the modules visited, runs of neighbours as ranges. A trailing `s` takes the skip only (the
module is deleted), a trailing `b` the branch only (its skip is removed):

    0-53             the intact network of 54 modules
    0-2,3s,4-53      module 3 deleted
    0-9,11,10,12-53  modules 10 and 11 swapped
    53-0             backwards
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any, Literal

import numpy as np

from unravelnet.costs import MOST_MODULES, check_number
from unravelnet.door import short
from unravelnet.errors import RouteError

Mode = Literal["both", "skip", "branch"]

_MODE_OF_SUFFIX: dict[str, Mode] = {"": "both", "s": "skip", "b": "branch"}
_SUFFIX_OF_MODE: dict[Mode, str] = {mode: suffix for suffix, mode in _MODE_OF_SUFFIX.items()}
_RUN = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?([sb]?)", re.ASCII)
_EMPTY = "none"


@dataclass(frozen=True, slots=True)
class Step:
    """One visit of one residual module.

    >>> Step(3, "skip")
    Step(module=3, mode='skip')

    `module`: index of the residual module. `mode`: "both" (skip + branch), "skip" (module deleted) or
    "branch" (skip removed).
    """

    module: int
    mode: Mode = "both"

    def __post_init__(self) -> None:
        if not isinstance(self.module, Integral):
            raise RouteError(f"A step names module {self.module!r}; give its index, a whole number.")
        if self.module < 0:
            raise RouteError(f"A step names module {self.module}; indices of modules start at 0.")
        if self.mode not in _SUFFIX_OF_MODE:
            raise RouteError(f"A step has mode {self.mode!r}; expected 'both', 'skip' or 'branch'.")


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

    steps: tuple[Step, ...]

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
        if not isinstance(text, str):
            raise RouteError(f"A route is read from a text, such as '0-2,3s'; got {text!r}.")
        compact = text.replace(" ", "")
        if compact == _EMPTY:
            return cls(())
        steps: list[Step] = []
        for run in compact.split(","):
            steps += _parse_run(run, text, room=MOST_MODULES - len(steps))
        return cls(tuple(steps))

    def __str__(self) -> str:
        return ",".join(_run_text(run) for run in _runs(self.steps)) or _EMPTY

    def __repr__(self) -> str:
        return f"Route({str(self)!r})"

    def __len__(self) -> int:
        return len(self.steps)

    @cached_property
    def modules(self) -> tuple[int, ...]:
        """The indices of the modules in the order of the visits, deleted ones included."""
        return tuple(step.module for step in self.steps)

    @property
    def n_deleted(self) -> int:
        """The number of visits that take the skip only."""
        return sum(step.mode == "skip" for step in self.steps)

    @property
    def n_skips_removed(self) -> int:
        """The number of visits that take the branch only."""
        return sum(step.mode == "branch" for step in self.steps)

    @property
    def path_count(self) -> int:
        """The number of paths of the unraveled view that are left: 2 for every visit that takes both ways.

        >>> Route.full(54).delete(*range(10)).path_count == 2**44
        True
        """
        return 2 ** sum(step.mode == "both" for step in self.steps)

    def delete(self, *modules: int) -> Route:
        """Take only the skip of these modules.

        >>> Route.full(5).delete(1, 2)
        Route('0,1-2s,3-4')
        """
        return self._with_mode(modules, "skip", "delete")

    def keep(self, *modules: int) -> Route:
        """Delete every module but these.

        >>> Route.full(5).keep(0, 4)
        Route('0,1-3s,4')
        """
        self._check_visited(modules, "keep")
        return self._with_mode(set(self.modules) - set(modules), "skip", "delete")

    def remove_skip(self, *modules: int) -> Route:
        """Take only the branch of these modules.

        >>> Route.full(3).remove_skip(1)
        Route('0,1b,2')
        """
        return self._with_mode(modules, "branch", "remove the skip of")

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
        for step in self.steps:
            waiting.setdefault(step.module, []).append(step)
        return Route(tuple(waiting[module].pop(0) for module in order))

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
        if given.shape not in ((), (1,), (len(self),)):
            raise RouteError(
                f"Give one drop probability, or one for each of the {len(self)} visits; got {given.size}."
            )
        chances = np.broadcast_to(given, len(self))
        if not ((chances >= 0) & (chances <= 1)).all():
            raise RouteError(f"Drop probabilities must lie in [0, 1]; got {probabilities!r}.")
        dropped = generator.random(len(self)) < chances
        return Route(
            tuple(
                Step(step.module, "skip") if is_dropped else step
                for step, is_dropped in zip(self.steps, dropped, strict=True)
            )
        )

    def kendall_tau(self) -> float:
        """Measure how far the order is from the full order: 1 for the same, -1 for the reverse.

        >>> round(Route.full(54).swap(0, 17).kendall_tau(), 3)
        0.954

        Kendall's rank correlation over all modules; the x axis of Fig. 5b of Veit et al. (2016). Raises
        RouteError where a module is visited twice, since no rank is defined then.
        """
        from scipy.stats import kendalltau

        if len(set(self.modules)) < len(self.modules):
            raise RouteError(
                f"Kendall's tau is defined for orders that visit each module once; the route {self} visits "
                "some of them more often."
            )
        if len(self) < 2:
            return 1.0
        # Rounded, since scipy gives 0.9999999999999998 for some orders that are the same.
        return round(float(kendalltau(range(len(self)), self.modules).statistic), 12)

    def _with_mode(self, modules: Collection[int], mode: Mode, verb: str) -> Route:
        self._check_visited(modules, verb)
        chosen = set(modules)
        return Route(tuple(Step(s.module, mode) if s.module in chosen else s for s in self.steps))

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


def _parse_run(run: str, text: str, room: int) -> list[Step]:
    match = _RUN.fullmatch(run)
    if match is None:
        raise RouteError(
            f"{run!r} in the route {text!r} is not a step. Write modules as 3, ranges as 4-9, a deleted module "
            "as 3s, one without skip as 3b, with commas between them."
        )
    first, last, suffix = int(match[1]), int(match[2] or match[1]), match[3]
    if abs(last - first) >= room:
        # Texts of routes come from files and addresses; a short one must not ask for all the memory there is.
        raise RouteError(
            f"The route {text[:80]!r} has more than {MOST_MODULES} steps; no network has that many."
        )
    step = 1 if last >= first else -1
    return [Step(module, _MODE_OF_SUFFIX[suffix]) for module in range(first, last + step, step)]


def _runs(steps: Sequence[Step]) -> list[list[Step]]:
    """Split steps into maximal runs of one mode whose modules rise, or fall, by one.

    A run falls only from its third step on: two neighbours in falling order are written one by one, so that
    a swap reads as a swap.
    """
    runs: list[list[Step]] = []
    for step in steps:
        if runs and _continues(runs[-1], step):
            runs[-1].append(step)
        else:
            runs.append([step])
    return [part for run in runs for part in _split_short_fall(run)]


def _continues(run: list[Step], step: Step) -> bool:
    change = step.module - run[-1].module
    same_direction = len(run) == 1 or change == run[1].module - run[0].module
    return step.mode == run[-1].mode and abs(change) == 1 and same_direction


def _split_short_fall(run: list[Step]) -> list[list[Step]]:
    is_short_fall = len(run) == 2 and run[1].module < run[0].module
    return [[step] for step in run] if is_short_fall else [run]


def _run_text(run: list[Step]) -> str:
    first, last = run[0].module, run[-1].module
    span = str(first) if first == last else f"{first}-{last}"
    return span + _SUFFIX_OF_MODE[run[0].mode]
