"""The first or the last modules deleted together, and the middle ones in a random order: studies of transformers.

Sources: Gromov et al. (2024) and Men et al. (2024) cut layers at the end; Sun et al. (2024), "Transformer Layers as
Painters", shuffle those in the middle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from unravelnet.costs import MOST_ROUTES, at_most
from unravelnet.errors import RouteError
from unravelnet.papers import gromov, sun
from unravelnet.studies.blocks import Unit, in_units
from unravelnet.studies.drawn import checked_counts, generator_of
from unravelnet.studies.study import Draws, Study
from unravelnet.studies.subject import Network, deletable, full_route
from unravelnet.studies.trial import Trial, intact


def delete_first(net: Network, counts: Iterable[int] | None = None, *, unit: Unit = "module") -> list[Trial]:
    """Plan to delete the first modules: one, two, and so on.

    >>> from unravelnet.zoo import preact_resnet
    >>> [str(trial.route) for trial in delete_first(preact_resnet(depth=8))]
    ['0-2', '0s,1-2', '0-1s,2', '0-2s']

    `counts`: how many, of those that can be deleted; None: every number. `unit`: "block" deletes whole blocks. Raises
    RouteError for a number that there is not.
    """
    net, of_modules = in_units(net, unit)
    return of_modules(_cuts(net, "delete_first", counts, lambda modules, n: modules[:n]))


def delete_last(net: Network, counts: Iterable[int] | None = None, *, unit: Unit = "module") -> list[Trial]:
    """Plan to delete the last modules: one, two, and so on.

    >>> from unravelnet.zoo import preact_resnet
    >>> [str(trial.route) for trial in delete_last(preact_resnet(depth=8), [2])]
    ['0-2', '0,1-2s']

    `counts` and `unit`: as for `delete_first`. Raises RouteError for a number that there is not.
    """
    net, of_modules = in_units(net, unit)
    return of_modules(_cuts(net, "delete_last", counts, lambda modules, n: modules[len(modules) - n :]))


def shuffle_middle(
    net: Network, counts: Iterable[int], *, repeats: int, seed: int, unit: Unit = "module"
) -> list[Trial]:
    """Plan to visit the modules in the middle of the longest chain in a random order.

    >>> from unravelnet.zoo import preact_resnet
    >>> [trial.label for trial in shuffle_middle(preact_resnet(depth=20), [2], repeats=1, seed=0)]
    ['intact', '2 in the middle, draw 0']

    `counts`: how many modules in the middle, 2 or more. `repeats`: random orders of each, other ones than the original.
    The chain is the longest row of neighbours that keep one shape. `unit`: "block" shuffles whole blocks. Raises
    RouteError where the chain is shorter.
    """
    net, of_modules = in_units(net, unit)
    full, chain = full_route(net), _longest_chain(net)
    trials = [intact(full, "shuffle_middle")]
    for count in checked_counts(counts, repeats=repeats, seed=seed):
        if not 2 <= count <= len(chain):
            raise RouteError(
                f"{count} modules in the middle cannot be shuffled: the longest row of modules of one chain and shape "
                f"has {len(chain)}. Give counts of 2 to {len(chain)}."
            )
        start = (len(chain) - count) // 2
        middle = chain[start : start + count]
        for repeat in range(repeats):
            order = list(range(len(full)))
            order[middle[0] : middle[-1] + 1] = _another_order(middle, generator_of(seed, count, repeat))
            label = f"{count} in the middle, draw {repeat}"
            facts = (("first_module", middle[0]), ("last_module", middle[-1]))
            trials.append(Trial(full.permute(order), "shuffle_middle", label, repeat, facts))
    return of_modules(trials)


def _cuts(
    net: Network,
    study: str,
    counts: Iterable[int] | None,
    chosen: Callable[[Sequence[int], int], Sequence[int]],
) -> list[Trial]:
    full, modules = full_route(net), deletable(net)
    numbers = range(1, len(modules) + 1) if counts is None else at_most(counts, MOST_ROUTES, "counts")
    which = study.removeprefix("delete_")
    trials = [intact(full, study)]
    for count in checked_counts(numbers, repeats=1, seed=0):
        if not 1 <= count <= len(modules):
            raise RouteError(
                f"Cannot delete the {which} {count} of {len(modules)} modules that can be deleted. Give counts of 1 to "
                f"{len(modules)}."
            )
        trials.append(Trial(full.delete(*chosen(modules, count)), study, f"the {which} {count} deleted"))
    return trials


def _longest_chain(net: Network) -> list[int]:
    """List the longest row of neighbours of one chain that keep one shape."""

    def form(module: Any) -> tuple[Any, ...]:
        # What changes the shape stays alone.
        return module.chain, module.input_shape, module.output_shape, module.keeps_shape or module.index

    rows = [[module.index for module in group] for _, group in groupby(net.residual_modules, key=form)]
    return max(rows, key=len, default=[])


def _another_order(modules: Sequence[int], generator: np.random.Generator) -> list[int]:
    """Draw an order of two or more modules, until it is another than they have."""
    while True:
        order: list[int] = generator.permutation(modules).tolist()
        if order != list(modules):
            return order


def _plan_shuffles(net: Network, draws: Draws) -> list[Trial]:
    counts = [count for count in draws.allowed(len(_longest_chain(net))) if count > 1 or not draws.leaves_out]
    return shuffle_middle(net, counts, repeats=draws.repeats, seed=draws.seed)


DELETE_FIRST = Study(
    "delete_first",
    "Cutting the beginning",
    "How many of the first modules can go before a network fails?",
    plan=lambda net, _: delete_first(net),
    figure="delete_first",
)
DELETE_LAST = Study(
    "delete_last",
    "Cutting the end",
    "How many of the last modules can go before a network fails?",
    plan=lambda net, _: delete_last(net),
    figure="delete_last",
    paper=gromov.LATE_LAYERS.said_by,
)
SHUFFLE_MIDDLE = Study(
    "shuffle_middle",
    "Shuffling the middle",
    "Do modules in the middle do the same, so that their order does not matter?",
    plan=_plan_shuffles,
    figure="shuffle_middle",
    columns=("first_module", "last_module"),
    is_drawn=True,
    paper=sun.SHUFFLING.said_by,
)
