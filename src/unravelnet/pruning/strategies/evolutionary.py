"""Sets of the whole size from the beginning, in which modules change places at random: the better set stays."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
from torch import fx

from unravelnet.errors import ArgumentError
from unravelnet.network import ResidualModule
from unravelnet.pruning.race import FEWEST_IMAGES
from unravelnet.pruning.strategy import Cut, Problem, Strategy, whole_option

_GENERATIONS = 100
_N_OFFSPRING = 16
# Shares of the images, and how many offspring go on to the next of them.
_STAGES = ((1 / 16, 4), (1 / 4, 1), (1.0, 1))
_MOST_TRIES = 1000

_Set = frozenset[int]


def evolutionary(generations: int | str = _GENERATIONS, *, n_offspring: int = _N_OFFSPRING) -> Strategy:
    """Make the strategy of so many generations.

    Each generation draws `n_offspring` sets, in which a few modules that are gone change places with others of their
    kind: attention with attention, and others with others. They are compared on more and more of the images, as fewer
    are left, and the last takes the place of its parent if it is better on all of them. Raises ArgumentError for a
    number that is none.
    """
    generations = whole_option("evolutionary", str(generations), 1)
    return Strategy(
        "evolutionary" if generations == _GENERATIONS else f"evolutionary:{generations}",
        "Evolutionary",
        partial(_search, generations=generations, n_offspring=n_offspring),
        estimate="the metric of the set on the few images of the first comparison",
        paper="EvoPress (Sieberling et al. 2025), (1 + lambda) with selection in stages.",
        grows=False,
        with_option=evolutionary,
    )


def _search(problem: Problem, *, generations: int, n_offspring: int) -> Iterator[Cut]:
    if not problem.budget.has_target:
        raise ArgumentError(
            "The evolutionary strategy searches among sets of one size. Say which: n_deleted, macs, parameters or "
            "latency."
        )
    random = np.random.default_rng(problem.seed)
    parent = min(_first_sets(problem, random), key=partial(_cost, problem))
    yield Cut(problem.without(*parent), problem.modules(*parent))
    for _ in range(generations):
        offspring = [_mutated(problem, parent, random) for _ in range(n_offspring)]
        best, estimate = _best_of(problem, list(dict.fromkeys(offspring)))
        if best != parent and _cost(problem, best) < _cost(problem, parent):
            parent = best
            yield Cut(problem.without(*parent), problem.modules(*parent), estimate)


def is_attention(module: ResidualModule) -> bool:
    """Whether a branch mixes positions by attention: it holds such a layer, or calls the operator.

    >>> from torch import nn
    >>> from unravelnet.network import ResidualModule
    >>> is_attention(ResidualModule(nn.MultiheadAttention(4, 1), nn.Identity()))
    True
    """
    for part in module.branch.modules():
        if "attention" in type(part).__name__.lower():
            return True
        if isinstance(part, fx.GraphModule) and any(
            "attention" in str(node.target) for node in part.graph.nodes
        ):
            return True
    return "attn" in module.name or "attention" in module.name


def _cost(problem: Problem, deleted: _Set) -> float:
    return problem.evidence.cost(problem.without(*deleted))


def _is_small_enough(problem: Problem, deleted: _Set) -> bool:
    return problem.budget.is_reached(problem.size(problem.without(*deleted)))


def _first_sets(problem: Problem, random: np.random.Generator, n_sets: int = 4) -> list[_Set]:
    """Draw sets that are as large as they have to be, and no larger; all modules where no set is large enough."""
    found = []
    for _ in range(n_sets):
        order = random.permutation(problem.candidates).tolist()
        n = next(
            (n for n in range(1, len(order)) if _is_small_enough(problem, frozenset(order[:n]))), len(order)
        )
        found.append(frozenset(order[:n]))
    return found


def _mutated(problem: Problem, parent: _Set, random: np.random.Generator) -> _Set:
    """Exchange one to three modules for others of their kind, so that the budget is still met."""
    kinds = _kinds(problem)
    for _ in range(_MOST_TRIES):
        child = set(parent)
        for _ in range(int(min(random.integers(1, 4), random.integers(1, 4)))):
            gone = int(random.choice(sorted(child)))
            others = [m for m in problem.candidates if m not in child and kinds[m] == kinds[gone]]
            if others:
                child.remove(gone)
                child.add(int(random.choice(others)))
        if child != parent and _is_small_enough(problem, frozenset(child)):
            return frozenset(child)
    return parent


def _kinds(problem: Problem) -> dict[int, bool]:
    modules = problem.net.residual_modules
    return {module: is_attention(modules[module]) for module in problem.candidates}


def _best_of(problem: Problem, offspring: list[_Set]) -> tuple[_Set, float]:
    """Compare sets on more and more images, as fewer are left."""
    evidence, estimate = problem.evidence, math.nan
    for share, n_left in _STAGES:
        n_images = min(evidence.n_images, max(FEWEST_IMAGES, math.ceil(share * evidence.n_images)))
        routes = {deleted: problem.without(*deleted) for deleted in offspring}
        evidence.measure(routes.values(), n_images)
        sample = evidence.first(n_images)
        means = {deleted: sample.mean(evidence.values(route)[:n_images]) for deleted, route in routes.items()}
        offspring = sorted(offspring, key=lambda deleted: means[deleted])[:n_left]
        estimate = means[offspring[0]] if math.isnan(estimate) else estimate
    return offspring[0], estimate


EVOLUTIONARY = evolutionary()
