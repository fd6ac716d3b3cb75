"""Cases sorted into strata by how much their values are expected to differ, and taken in turn from each.

Where values hardly differ, a few cases tell the mean. So most of the work goes where they differ much (Neyman 1934).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_Array = np.ndarray[Any, Any]
_N_STRATA = 5


@dataclass(frozen=True, slots=True)
class StratifiedOrder:
    """An order in which to measure cases. `places`: of the cases, in this order; `strata`: the stratum of each."""

    places: _Array
    strata: _Array

    @classmethod
    def of(cls, spread: ArrayLike, *, seed: int, n_strata: int = _N_STRATA) -> StratifiedOrder:
        """Make the order: the first cases of it, however many, hold the same share of each stratum's spread.

        >>> order = StratifiedOrder.of([0.0] * 80 + [1.0] * 20, seed=0, n_strata=2)
        >>> int(sum(order.places[:20] >= 80)), sorted(set(order.strata.tolist()))
        (10, [0, 1])

        `spread`: how much the value of each case may differ from its prediction, in any unit. Half of the cases are
        taken by their spread, and half as if all had the same, since a spread may be foreseen wrongly. Within a stratum
        the order is random. Strata that would be empty are left out.
        """
        sizes = np.asarray(spread, dtype=np.float64)
        sizes = np.where(np.isfinite(sizes), sizes, 0)
        sizes = sizes + (sizes.mean() or 1)
        rng = np.random.default_rng(seed)
        ranked = np.argsort(sizes, kind="stable")
        ends = np.cumsum(sizes[ranked]) / sizes.sum()
        strata = np.empty(len(sizes), dtype=np.int64)
        strata[ranked] = np.ceil(ends * n_strata - 1e-9).clip(1, n_strata) - 1
        strata = np.unique(strata, return_inverse=True)[1]
        turn = np.empty(len(sizes))
        for stratum in range(strata.max() + 1):
            cases = rng.permutation(np.flatnonzero(strata == stratum))
            turn[cases] = (np.arange(len(cases)) + 0.5) / sizes[cases].sum()
        places = np.argsort(turn, kind="stable")
        return cls(places, strata[places])
