"""All modules in the order of one score, which is measured once, before anything is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from unravelnet.pruning.strategy import Cut, Problem, Strategy

DELETION = "deletion"


def one_shot(score: str = DELETION) -> Strategy:
    """Make the strategy that goes by a score, the module with the smallest first; of equal ones the first.

    `score`: "deletion" is what deleting the module alone changes of the metric, on all images to choose on.
    """
    is_usual = score == DELETION
    return Strategy(
        "one_shot" if is_usual else f"one_shot:{score}",
        "One shot" if is_usual else f"One shot by {score.replace('_', ' ')}",
        partial(_search, score=score),
        estimate=f"the score {score} of the module",
        with_option=one_shot,
    )


def _search(problem: Problem, *, score: str) -> Iterator[Cut]:
    values = deletion_effects(problem)
    route = problem.full
    for module in sorted(problem.candidates, key=lambda module: (values[module], module)):
        route = route.delete(module)
        yield Cut(route, (module,), values[module])


def deletion_effects(problem: Problem) -> Mapping[int, float]:
    """Measure what deleting each module alone changes of the metric."""
    full, evidence = problem.full, problem.evidence
    evidence.measure([full.delete(module) for module in problem.candidates], evidence.n_images)
    intact = evidence.cost(full)
    return {module: evidence.cost(full.delete(module)) - intact for module in problem.candidates}


ONE_SHOT = one_shot()
