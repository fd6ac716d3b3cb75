"""Studies with random draws: several modules deleted, or modules in another order.

They are determined by their seed. A draw depends on nothing but the seed, its count and its number, so that asking for
more counts or more draws later repeats the earlier ones exactly.

Source: Veit, Wilber and Belongie (2016), section 4.2. Where the paper leaves a choice open, the text says what was
chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np

from unravelnet.costs import MOST_ROUTES, MOST_SWAPS, at_most, check_number, check_routes, check_seed
from unravelnet.errors import RouteError, unknown_name
from unravelnet.kinds import is_whole
from unravelnet.papers import veit
from unravelnet.studies.blocks import Unit, in_units
from unravelnet.studies.study import Draws, Study
from unravelnet.studies.subject import Network, deletable, full_route, same_shape
from unravelnet.studies.trial import Trial, intact
from unravelnet.wording import counted

Eligible = Literal["all", "same-shape"]

_STUDY_OF_ELIGIBLE: dict[str, str] = {"all": "delete_many", "same-shape": "delete_many_same_shape"}


def delete_many(
    net: Network,
    counts: Iterable[int],
    *,
    repeats: int,
    seed: int,
    eligible: Eligible = "all",
    unit: Unit = "module",
) -> list[Trial]:
    """Plan to delete several modules at once, drawn at random: Fig. 5a of the paper.

    >>> from unravelnet.zoo import preact_resnet
    >>> net = preact_resnet(depth=20)
    >>> [trial.label for trial in delete_many(net, [2, 5], repeats=2, seed=0)]
    ['intact', '2 deleted, draw 0', '2 deleted, draw 1', '5 deleted, draw 0', '5 deleted, draw 1']

    `counts`: the numbers of modules to delete. `repeats`: independent draws for each. The paper does not say
    whether the modules that change the shape may be drawn: `eligible="all"` draws from all modules that can
    be deleted, as its path counts assume; "same-shape" spares those, and is a study of its own name,
    "delete_many_same_shape". `unit`: "block" deletes whole blocks. Raises RouteError where a count is larger than the
    number of eligible modules.
    """
    net, of_modules = in_units(net, unit)
    if eligible not in _STUDY_OF_ELIGIBLE:
        raise unknown_name("choice of eligible modules", eligible, _STUDY_OF_ELIGIBLE)
    full, study = full_route(net), _STUDY_OF_ELIGIBLE[eligible]
    pool = _pool(net, eligible)
    trials = [intact(full, study)]
    for count in checked_counts(counts, repeats=repeats, seed=seed):
        if count > len(pool):
            raise RouteError(
                f"Cannot delete {counted(count, 'module')}: {len(pool)} of {len(full)} are eligible. "
                f"Give counts of at most {len(pool)}."
            )
        for repeat in range(repeats):
            chosen = generator_of(seed, count, repeat).choice(pool, size=count, replace=False)
            label = f"{count} deleted, draw {repeat}"
            trials.append(Trial(full.delete(*chosen.tolist()), study, label, repeat))
    return of_modules(trials)


def n_eligible(net: Network, eligible: Eligible = "all") -> int:
    """Count the modules from which `delete_many` draws.

    >>> from unravelnet.zoo import preact_resnet
    >>> n_eligible(preact_resnet(depth=20)), n_eligible(preact_resnet(depth=20), "same-shape")
    (9, 7)
    """
    return len(_pool(net, eligible))


def reorder(
    net: Network, swaps: Iterable[int], *, repeats: int, seed: int, unit: Unit = "module"
) -> list[Trial]:
    """Plan to swap random pairs of compatible modules: Fig. 5b of the paper.

    >>> from unravelnet.zoo import preact_resnet
    >>> net = preact_resnet(depth=20)
    >>> [trial.label for trial in reorder(net, [1, 3], repeats=1, seed=0)]
    ['intact', '1 swap, draw 0', '3 swaps, draw 0']

    `swaps`: the numbers of swaps to make, one after another, each of a pair drawn from all admissible ones,
    so that a pair may come again. `repeats`: independent draws for each. Modules that change the shape stay
    where they are. A module moves as a unit, with its normalisation statistics. `Route.kendall_tau` tells how
    far the order then is from the original. `unit`: "block" swaps whole blocks. Raises RouteError where no two modules
    may be swapped.
    """
    net, of_modules = in_units(net, unit)
    full, study = full_route(net), "reorder"
    pairs = _swappable_pairs(net)
    trials = [intact(full, study)]
    for count in checked_counts(swaps, repeats=repeats, seed=seed):
        if count and not pairs:
            raise RouteError(
                f"No two of the {len(full)} residual modules may be swapped: none that keep their shape are "
                "compatible. `net.compatible_with(index)` lists what may stand in for a module."
            )
        check_number(count, MOST_SWAPS, "swaps in one route")
        label = f"{count} swap" if count == 1 else f"{count} swaps"
        for repeat in range(repeats):
            order = _swapped(len(full), pairs, count, generator_of(seed, count, repeat))
            trials.append(Trial(full.permute(order), study, f"{label}, draw {repeat}", repeat))
    return of_modules(trials)


def _swapped(
    n_modules: int, pairs: list[tuple[int, int]], n_swaps: int, generator: np.random.Generator
) -> list[int]:
    order = list(range(n_modules))
    for pair in generator.integers(len(pairs), size=n_swaps) if n_swaps else ():
        first, second = pairs[pair]
        # Places are exchanged, not modules by name: both sequences of swaps have the same distribution.
        order[first], order[second] = order[second], order[first]
    return order


def _swappable_pairs(net: Network) -> list[tuple[int, int]]:
    movable = set(same_shape(net))
    return [
        (first, second)
        for first in sorted(movable)
        for second in net.compatible_with(first)
        if first < second and second in movable
    ]


def _pool(net: Network, eligible: Eligible) -> list[int]:
    return deletable(net) if eligible == "all" else same_shape(net)


def checked_counts(counts: Iterable[int], *, repeats: int, seed: int) -> list[int]:
    """Return the counts, each once, or say which number cannot be meant."""
    given = at_most(counts, MOST_ROUTES, "counts") if isinstance(counts, Iterable) else [None]
    if not all(map(is_whole, [*given, repeats, seed])):
        raise RouteError(
            f"A random study cannot have counts={counts!r}, repeats={repeats!r} and seed={seed!r}. Give a list "
            "of whole numbers, such as [1, 2, 5], and whole numbers."
        )
    distinct = list(dict.fromkeys(map(int, given)))
    if repeats < 1 or seed < 0 or min(distinct, default=0) < 0:
        raise RouteError(
            "A random study needs counts of 0 or more, repeats of 1 or more and a seed of 0 or more; got "
            f"counts={distinct}, repeats={repeats}, seed={seed}."
        )
    check_seed(seed)
    check_routes(repeats * len(distinct))
    return distinct


def generator_of(seed: int, count: int, repeat: int) -> np.random.Generator:
    """Make the random numbers of one draw."""
    return np.random.default_rng((seed, count, repeat))


def _plan_deletions(net: Network, draws: Draws, eligible: Eligible) -> list[Trial]:
    counts = draws.allowed(n_eligible(net, eligible))
    return delete_many(net, counts, repeats=draws.repeats, seed=draws.seed, eligible=eligible)


DELETE_MANY = Study(
    "delete_many",
    "Deleting many modules",
    "How does the error grow when more and more modules, drawn at random, are deleted at once?",
    plan=lambda net, draws: _plan_deletions(net, draws, "all"),
    figure="delete_many",
    is_drawn=True,
    paper=f"{veit.MANY_DELETIONS.said} {veit.MANY_LEFT.said}",
)
DELETE_MANY_SAME_SHAPE = Study(
    "delete_many_same_shape",
    "Deleting many modules that keep the shape",
    "How does the error grow when only modules that keep the shape of the stream are deleted?",
    plan=lambda net, draws: _plan_deletions(net, draws, "same-shape"),
    figure="delete_many_same_shape",
    is_drawn=True,
    paper=f"{veit.MANY_DELETIONS.said} {veit.MANY_LEFT.said}",
)
REORDER = Study(
    "reorder",
    "Reordering modules",
    "If modules were steps that build on each other, another order would ruin the network. Does it?",
    plan=lambda net, draws: reorder(net, draws.counts, repeats=draws.repeats, seed=draws.seed),
    figure="reorder",
    is_drawn=True,
    paper=veit.REORDERING.said,
)
