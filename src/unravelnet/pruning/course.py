"""Follows a strategy step by step until the budget is reached or spent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from unravelnet.measuring.runner import Progress
from unravelnet.pruning.budget import Budget, Size
from unravelnet.pruning.strategy import Cut, Problem, Strategy
from unravelnet.routes.route import Route

ERROR_RATE = "error_rate"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a search, with the truth on the part to choose on.

    `value`: the metric on all images. `difference`: to the intact network. `error_rate`, `error_increase`: NaN where
    there are no targets.
    """

    cut: Cut
    size: Size
    value: float
    difference: float
    error_rate: float
    error_increase: float


@dataclass(frozen=True, slots=True)
class Course:
    """The steps of a search, which of them is the result, and what could not be reached.

    `chosen`: the place of the result among the steps; None: nothing can be deleted within the budget.
    """

    steps: tuple[Step, ...]
    chosen: int | None
    shortfall: str

    @property
    def result(self) -> Step | None:
        """The step that is the result."""
        return None if self.chosen is None else self.steps[self.chosen]


def follow(problem: Problem, strategy: Strategy, progress: Progress | None = None) -> Course:
    """Go on until a step reaches the budget, costs more than it allows, or nothing is left to delete."""
    steps: list[Step] = []
    cuts = strategy.search(problem)
    for cut in cast("Iterable[Cut]", progress(cuts) if progress else cuts):
        step = _measured(problem, cut)
        steps.append(step)
        if strategy.grows and _ends(problem.budget, step):
            break
    allowed = [
        number for number, step in enumerate(steps) if problem.budget.allows(_or_none(step.error_increase))
    ]
    chosen = allowed[-1] if allowed else None
    return Course(tuple(steps), chosen, _shortfall(problem.budget, steps, chosen))


def _ends(budget: Budget, step: Step) -> bool:
    return budget.is_reached(step.size) or not budget.allows(_or_none(step.error_increase))


def _measured(problem: Problem, cut: Cut) -> Step:
    evidence = problem.evidence if cut.patched is None else cut.patched.evidence
    value, error = evidence.mean(cut.route), math.nan
    intact, intact_error = problem.evidence.mean(problem.full), math.nan
    place = evidence.place_of(ERROR_RATE)
    if place is not None:
        error, intact_error = evidence.mean(cut.route, place), problem.evidence.mean(problem.full, place)
    return Step(cut, problem.size(cut), value, value - intact, error, error - intact_error)


def _shortfall(budget: Budget, steps: Sequence[Step], chosen: int | None) -> str:
    """Say what of a budget is not reached, and why; empty where all is."""
    if chosen is None:
        if not steps:
            return "No module can be deleted in this way."
        rise = 100 * steps[0].error_increase
        return (
            f"Nothing was deleted: the first step adds {rise:.2f} points of error, and the budget allows "
            f"{budget.error_increase:g}."
        )
    step = steps[chosen]
    missed = budget.misses(step.size) if budget.has_target else []
    if not missed:
        return ""
    if chosen + 1 < len(steps):
        rise = 100 * steps[chosen + 1].error_increase
        why = (
            f"The next step adds {rise:.2f} points of error, and the budget allows {budget.error_increase:g}."
        )
    else:
        why = "No further module can be deleted."
    return f"The budget asks for {', and for '.join(missed)}. {why} This is the best that was found."


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def thinned(routes: Sequence[Route], most: int) -> list[int]:
    """Give at most so many places of a list, spread evenly, the last among them.

    >>> thinned([Route.full(1)] * 9, 4)
    [1, 3, 6, 8]
    """
    n = min(most, len(routes))
    return [round((number + 1) * len(routes) / n) - 1 for number in range(n)]
