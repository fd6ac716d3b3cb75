"""Reading random draws of lesions: which of them delete certain modules, and how many paths they leave."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from unravelnet.routes.route import Route


def deletes_any(draws: pd.DataFrame, modules: Sequence[int]) -> pd.Series | None:
    """Tell of each draw whether it deletes any of some modules; None where routes or modules are not known.

    >>> draws = pd.DataFrame({"route": ["0-2", "0,1s,2"]})
    >>> deletes_any(draws, [1]).tolist()
    [False, True]
    """
    if "route" not in draws or not modules:
        return None
    wanted = set(modules)
    deleted = [
        {step.module for step in Route.parse(str(route)).visits if step.mode == "skip"}
        for route in draws["route"]
    ]
    return pd.Series([not found.isdisjoint(wanted) for found in deleted], index=draws.index)


def halvings(lesions: pd.DataFrame, n_modules: int) -> pd.Series | None:
    """Give how often a lesion halves the number of paths, of which the intact network has 2^n.

    >>> halvings(pd.DataFrame({"route": ["0-2", "0,1s,2", "0,1b,2s"]}), 3).tolist()
    [0.0, 1.0, 2.0]

    None where routes are not known.
    """
    if "route" not in lesions:
        return None
    counts = [Route.parse(str(route)).path_count for route in lesions["route"]]
    return pd.Series([n_modules - math.log2(count) for count in counts], index=lesions.index)
