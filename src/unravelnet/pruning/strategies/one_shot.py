"""All modules in the order of one score, which is measured once, before anything is gone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial

from unravelnet.pruning.importance import importance
from unravelnet.pruning.strategy import Cut, Problem, Strategy
from unravelnet.registry import SCORES

DELETION = "deletion"
# Scores that are large where a branch points against what the loss asks of it: these go first.
_HARMFUL = ("gradient_cosine",)


def one_shot(score: str = DELETION) -> Strategy:
    """Make the strategy that goes by a score, the module with the smallest first; of equal ones the first.

    `score`: "deletion" is what deleting the module alone changes of the metric; the others are those of `importance`,
    from `registry.SCORES`. Raises UnknownNameError for another.
    """
    is_usual = score == DELETION
    if not is_usual:
        SCORES.find(score)
    return Strategy(
        "one_shot" if is_usual else f"one_shot:{score}",
        "One shot" if is_usual else f"One shot by {score.replace('_', ' ')}",
        partial(_search, score=score),
        estimate=f"the score {score} of the module",
        with_option=one_shot,
    )


def _search(problem: Problem, *, score: str) -> Iterator[Cut]:
    values = deletion_effects(problem) if score == DELETION else _scores(problem, score)
    gone: list[int] = []
    for candidate in sorted(problem.candidates, key=lambda candidate: (values[candidate], candidate)):
        gone.append(candidate)
        yield Cut(problem.without(*gone), problem.modules(candidate), values[candidate])


def _scores(problem: Problem, score: str) -> Mapping[int, float]:
    """Measure a score, of a block the sum over its modules; where one has none the candidate comes last."""
    evidence = problem.evidence
    table = importance(
        problem.net,
        evidence.part,
        methods=[score],
        output=evidence.output,
        batch_size=evidence.batch_size,
        device=evidence.bench.device,
    )
    sign = -1.0 if score in _HARMFUL else 1.0
    values = [math.inf if row[score] is None else sign * row[score] for row in table]
    return {c: sum(values[module] for module in problem.modules(c)) for c in problem.candidates}


def deletion_effects(problem: Problem) -> Mapping[int, float]:
    """Measure what deleting each candidate alone changes of the metric."""
    evidence, routes = problem.evidence, {c: problem.without(c) for c in problem.candidates}
    evidence.measure(routes.values(), evidence.n_images)
    intact = evidence.cost(problem.full)
    return {candidate: evidence.cost(route) - intact for candidate, route in routes.items()}


ONE_SHOT = one_shot()
