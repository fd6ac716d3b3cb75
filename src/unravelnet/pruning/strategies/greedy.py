"""One module after the other: the one that costs least, given what is gone already."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from unravelnet.pruning.race import Race
from unravelnet.pruning.strategy import Cut, Problem, Strategy

_Z = 3.0


def greedy(*, z: float = _Z) -> Strategy:
    """Make the greedy strategy.

    `z`: a candidate is measured no further once it is worse than the best by so many standard errors; with infinity
    every candidate is measured on all images at every step.
    """
    return Strategy(
        "greedy",
        "Greedy",
        partial(_search, z=z),
        estimate="the change of the metric by this step, estimated on as many images as the choice took",
        paper="FinerCut (Zhang et al. 2024) for language models.",
    )


def _search(problem: Problem, *, z: float) -> Iterator[Cut]:
    race = Race[int](problem.evidence, z)
    gone, left = list[int](), list(problem.candidates)
    while left:
        grown = {candidate: problem.without(*gone, candidate) for candidate in left}
        [(chosen, estimate)] = race.best(problem.without(*gone), left, grown.__getitem__)
        gone.append(chosen)
        left.remove(chosen)
        yield Cut(grown[chosen], problem.modules(chosen), estimate)


def without_racing(n_modules: int, n_steps: int) -> tuple[int, int]:
    """Count what a greedy search takes for each image if every candidate is run by itself: routes, and branches.

    >>> without_racing(54, 27)
    (1107, 45918)

    `n_modules`: all of them candidates. With `d` modules gone, n - d candidates are left, which run n - d - 1 branches
    each.
    """
    left = range(n_modules, n_modules - n_steps, -1)
    return sum(left), sum(n * (n - 1) for n in left)


GREEDY = greedy()
