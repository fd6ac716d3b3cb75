"""Pairs of modules deleted together: does losing both cost what losing each alone costs together?"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from unravelnet.costs import check_seed
from unravelnet.studies.blocks import Unit, in_units
from unravelnet.studies.study import MOST_TRIALS, Study, checked_most, note_left_out
from unravelnet.studies.subject import Network, deletable, full_route
from unravelnet.studies.trial import Trial, intact

_STUDY = "delete_pairs"


def delete_pairs(
    net: Network, *, most: int = MOST_TRIALS, seed: int = 0, unit: Unit = "module"
) -> list[Trial]:
    """Plan to delete each pair of modules, and each module by itself.

    >>> from unravelnet.zoo import preact_resnet
    >>> [str(trial.route) for trial in delete_pairs(preact_resnet(depth=8))]
    ['0-2', '0s,1-2', '0,1s,2', '0-1,2s', '0-1s,2', '0s,1,2s', '0,1-2s']

    The interaction of two modules is what the pair costs minus what each costs alone (`readers.pairs`). `most`: where
    there are more pairs, so many of them are drawn at random, by `seed`. 54 modules have 1,431 pairs, which cost as
    much as 487 forward passes of each image. `unit`: "block" deletes whole blocks. Raises RouteError for a number that
    is none.
    """
    net, of_modules = in_units(net, unit)
    most = checked_most(most)
    check_seed(seed)
    full, modules = full_route(net), deletable(net)
    singles = [Trial(full.delete(m), _STUDY, f"module {m}", facts=(("first_module", m),)) for m in modules]
    pairs = [
        Trial(
            full.delete(first, second),
            _STUDY,
            f"modules {first} and {second}",
            facts=(("first_module", first), ("second_module", second)),
        )
        for first, second in _drawn(modules, most, seed)
    ]
    return of_modules([intact(full, _STUDY), *singles, *pairs])


def _drawn(modules: list[int], most: int, seed: int) -> list[tuple[int, int]]:
    n_pairs = len(modules) * (len(modules) - 1) // 2
    if n_pairs <= most:
        return list(combinations(modules, 2))
    note_left_out(_STUDY, most, n_pairs, "pairs, drawn at random")
    chosen = set(np.random.default_rng(seed).choice(n_pairs, size=most, replace=False).tolist())
    return [pair for number, pair in enumerate(combinations(modules, 2)) if number in chosen]


DELETE_PAIRS = Study(
    _STUDY,
    "Deleting pairs of modules",
    "Does deleting two modules cost what deleting each of them costs, added up?",
    plan=lambda net, draws: delete_pairs(net, seed=draws.seed),
    figure=_STUDY,
    columns=("first_module", "second_module"),
    has_many_trials=True,
)
