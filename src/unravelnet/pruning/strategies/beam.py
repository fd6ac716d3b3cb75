"""Several sets of modules at a time: of all that one more deletion makes of them, the best go on."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from functools import partial

from unravelnet.pruning.race import Race, Standing
from unravelnet.pruning.strategy import Cut, Problem, Strategy, whole_option

_WIDTH = 4
_Z = 3.0

_Set = frozenset[int]


def beam(width: int | str = _WIDTH, *, z: float = _Z) -> Strategy:
    """Make the strategy that keeps `width` sets; one set is the greedy strategy.

    `z`: as of `greedy`. Raises ArgumentError for a width that is none.
    """
    width = whole_option("beam", str(width), 1)
    return Strategy(
        "beam" if width == _WIDTH else f"beam:{width}",
        f"Beam of {width}",
        partial(_search, width=width, z=z),
        estimate="the change of the metric against the intact network, estimated on as many images as the choice took",
        with_option=beam,
    )


def _search(problem: Problem, *, width: int, z: float) -> Iterator[Cut]:
    race = Race[_Set](problem.evidence, z)
    kept = [frozenset[int]()]
    for _ in problem.candidates:
        grown = [
            deleted | {module} for deleted in kept for module in problem.candidates if module not in deleted
        ]
        children = list(dict.fromkeys(grown))
        expected = {child: _forecast(problem, race.forecasts, kept, child) for child in children}
        race.forecasts = {child: found for child, found in expected.items() if found is not None}
        ranked = race.best(problem.full, children, lambda deleted: problem.without(*deleted), width)
        # Every set that goes on is known on all images, as is what the next ones are compared with.
        kept = sorted((deleted for deleted, _ in ranked), key=partial(_cost, problem))
        estimates = dict(ranked)
        best = kept[0]
        yield Cut(problem.without(*best), problem.modules(*best), estimates[best])


def _cost(problem: Problem, deleted: _Set) -> float:
    return problem.evidence.cost(problem.without(*deleted))


def _forecast(
    problem: Problem, known: Mapping[_Set, Standing], parents: Collection[_Set], child: _Set
) -> Standing | None:
    """Expect that adding a module costs beside one set what it cost beside the set that this one came from."""
    evidence = problem.evidence
    for parent in parents:
        for last in sorted(parent) if parent < child else ():
            before = parent - {last}
            sibling = before | (child - parent)
            route = problem.without(*before)
            if sibling in known and evidence.n_known(route) == evidence.n_images:
                step = evidence.values(problem.without(*parent)) - evidence.values(route)
                return dataclasses.replace(known[sibling], completed=known[sibling].completed + step)
    return None


BEAM = beam()
