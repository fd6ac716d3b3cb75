"""Measures on the part to report on: every step of a search, random orders, and other strategies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unravelnet.measuring.evaluation import evaluate
from unravelnet.measuring.sample import Sample
from unravelnet.pruning.budget import Budget
from unravelnet.pruning.compared import compared_row
from unravelnet.pruning.course import Course, Step, follow, thinned
from unravelnet.pruning.evidence import Evidence
from unravelnet.pruning.sizes import deleted_of
from unravelnet.pruning.strategy import Problem, Strategy
from unravelnet.records.record import Row, Table
from unravelnet.routes.route import Route
from unravelnet.studies.trial import INTACT, Trial

RANDOM = "random"
STEPS, CURVE = "pruning", "pruning_curve"
# Points of the curve of each random order, and of each other strategy.
_MOST_POINTS = 8
_ORDER = 77


@dataclass(frozen=True)
class Reporter:
    """Measures routes on the part to report on, as `evaluate` does.

    `sample`: that part. `metrics`: the first is the one to choose by.
    """

    problem: Problem
    sample: Sample

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics."""
        return [metric.name for metric in self.problem.evidence.metrics]

    def steps(self, strategy: Strategy, course: Course) -> Table:
        """Make a row of the intact network and of every step."""
        trials = [
            Trial(self.problem.full, STEPS, INTACT, facts=_facts(self.problem, strategy, None, 0, False))
        ]
        trials += [
            Trial(
                step.cut.route,
                STEPS,
                _label(step),
                facts=_facts(self.problem, strategy, step, number, number - 1 == course.chosen),
            )
            for number, step in enumerate(course.steps, start=1)
        ]
        is_patched = [step.cut.patched is not None for step in course.steps]
        if not any(is_patched):
            return self._evaluate(trials)
        rows = [*self._evaluate(trials[:1])]
        rows += [self._patched_row(trial, step) for trial, step in zip(trials[1:], course.steps, strict=True)]
        return Table(rows)

    def curve(
        self, strategy: Strategy, course: Course, *, n_draws: int, compare: Sequence[Strategy]
    ) -> Table:
        """Make a row of each network that the search is compared with, and of those that it went through."""
        if not course.steps:
            return Table([])
        whole = [step for step in course.steps if step.cut.patched is None] if strategy.grows else []
        own = [step.cut.route for step in whole] or [course.steps[-1].cut.route]
        counts = [len(deleted_of(own[place])) for place in thinned(own, _MOST_POINTS)]
        trials = (
            [self._trial(strategy.name, 0, route) for route in own] if whole or not strategy.grows else []
        )
        for other in compare:
            trials += [self._trial(other.name, 0, route) for route in self._of(other, counts)]
        random = np.random.default_rng([self.problem.seed, _ORDER])
        for draw in range(n_draws):
            order = random.permutation(self.problem.candidates).tolist()
            trials += [self._trial(RANDOM, draw, self._first_of(order, count)) for count in counts if count]
        return self._evaluate([self._trial(INTACT, 0, self.problem.full), *trials])

    def _first_of(self, order: Sequence[int], count: int) -> Route:
        """Leave out the first candidates, until so many modules are gone."""
        routes = (self.problem.without(*order[:n]) for n in range(1, len(order) + 1))
        return next(route for route in routes if route.n_deleted >= count)

    def _of(self, strategy: Strategy, counts: Sequence[int]) -> list[Route]:
        """Search by another strategy as far as the first one came, and take the points of the curve."""
        problem = replace(self.problem, budget=Budget(n_deleted=max(counts)))
        routes = [step.cut.route for step in follow(problem, strategy).steps if step.cut.patched is None]
        return [route for route in routes if len(deleted_of(route)) in counts]

    def _trial(self, strategy: str, draw: int, route: Route) -> Trial:
        macs, parameters = self.problem.sizes.left(route)
        facts = (("strategy", strategy), ("macs_left", macs), ("parameters_left", parameters))
        return Trial(route, CURVE, f"{strategy}, {route.n_deleted}", repeat=draw, facts=facts)

    def _evaluate(self, trials: Sequence[Trial]) -> Table:
        output = self.problem.evidence.output
        return evaluate(self.problem.net, trials, self.sample, metrics=self.metrics, output=output)

    def _patched_row(self, trial: Trial, step: Step) -> Row:
        """Measure a network with a patch, and compare it with the intact one image by image."""
        patched, known = step.cut.patched, self.problem.evidence
        assert patched is not None
        whole = Evidence(
            known.bench, self.sample.data, known.metrics, known.output, batch_size=known.batch_size
        )
        return compared_row(patched.net, trial, self.sample, whole)


def _label(step: Step) -> str:
    modules = step.cut.modules
    what = f"module {modules[0]}" if len(modules) == 1 else f"modules {', '.join(map(str, modules))}"
    return what if step.cut.patched is None else f"{what} patched"


def _facts(
    problem: Problem, strategy: Strategy, step: Step | None, number: int, is_chosen: bool
) -> tuple[tuple[str, Any], ...]:
    evidence = problem.evidence
    place = evidence.place_of("error_rate")
    facts: dict[str, Any] = {
        "strategy": strategy.name,
        "step": number,
        "is_chosen": is_chosen,
        "selected_by": evidence.metrics[0].name,
        "estimate": None,
        "selection_value": evidence.mean(problem.full),
        "selection_difference": 0.0,
        "selection_error_rate": None if place is None else evidence.mean(problem.full, place),
        "n_selection_images": evidence.n_images,
        "macs_left": 1.0,
        "parameters_left": 1.0,
        "latency_left": None if problem.latency_of is None else 1.0,
    }
    if step is not None:
        facts |= {
            "estimate": step.cut.estimate,
            "selection_value": step.value,
            "selection_difference": step.difference,
            "selection_error_rate": None if place is None else step.error_rate,
            "macs_left": step.size.macs,
            "parameters_left": step.size.parameters,
            "latency_left": step.size.latency,
        }
    return tuple(facts.items())
