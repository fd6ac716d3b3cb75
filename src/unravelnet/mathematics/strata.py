"""Cases sorted into strata by how much their values are expected to differ, and taken in turn from each.

Where values hardly differ, a few cases tell the mean. So most of the work goes where they differ much (Neyman 1934).
And what few cases change much is seen early, where a random order might show it late.
"""

from __future__ import annotations

from collections.abc import Sequence
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
        n_strata = n_strata if np.ptp(sizes) else 1
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


@dataclass(frozen=True, slots=True)
class StratifiedSample:
    """The first `n` cases of all, in strata.

    `strata`: the stratum of each case. `n_known`, `n_of`: how many cases of each stratum are known, and are there.
    """

    n: int
    strata: _Array
    n_known: _Array
    n_of: _Array

    @classmethod
    def of(cls, strata: _Array, n: int) -> StratifiedSample:
        """Take the first `n` cases.

        >>> sample = StratifiedSample.of(np.array([0, 1, 0, 0, 0]), 2)
        >>> sample.mean(np.array([1.0, 11.0]))
        3.0
        """
        n_strata = int(strata.max(initial=0)) + 1
        n_known, n_of = (np.bincount(labels, minlength=n_strata) for labels in (strata[:n], strata))
        return cls(n, strata, n_known, n_of)

    @property
    def known(self) -> _Array:
        """The stratum of each known case."""
        return self.strata[: self.n]

    def has(self, n: int) -> bool:
        """Whether `n` cases of each stratum are known, or all of it."""
        return bool((self.n_known >= np.minimum(n, self.n_of)).all())

    @property
    def freedoms(self) -> _Array:
        """The degrees of freedom of each stratum's spread."""
        freedoms: _Array = np.maximum(1, self.n_known - 1)
        return freedoms

    @property
    def parts(self) -> _Array:
        """What each square of a stratum adds to the variance of the mean; nothing where all cases are known."""
        lack = 1 / np.maximum(1, self.n_known) - 1 / np.maximum(1, self.n_of)
        parts: _Array = np.square(self.n_of / self.n_of.sum()) * lack / self.freedoms
        return parts

    def means(self, values: _Array) -> _Array:
        """Give the mean of the known cases of each stratum."""
        means: _Array = np.bincount(self.known, values, len(self.n_of)) / np.maximum(1, self.n_known)
        return means

    def mean(self, values: _Array) -> float:
        """Estimate the mean of all cases, by values of the known ones."""
        return float(self.n_of @ self.means(values)) / float(self.n_of.sum())

    def off(self, values: _Array) -> _Array:
        """Say by how much values differ from the mean of their stratum."""
        off: _Array = values - self.means(values)[self.known]
        return off

    def variances(self, values: _Array, *, n_added: int = 0) -> _Array:
        """Give what each stratum adds to the variance of the mean, since not all of its cases are known.

        `n_added`: squares that are added, spread over the strata. Infinite where a single case of several is known.
        """
        n_strata = len(self.n_of)
        squares = np.bincount(self.known, np.square(self.off(values)), n_strata) + n_added / n_strata
        variances: _Array = np.where(self.n_known < np.minimum(2, self.n_of), np.inf, self.parts * squares)
        return variances


def freedom_of_sum(variances: Sequence[float], freedoms: Sequence[float]) -> float:
    """Give the degrees of freedom of a sum of variances that were each estimated (Satterthwaite 1946).

    >>> freedom_of_sum([1.0, 1.0], [10, 10]), freedom_of_sum([1.0, 0.0], [10, 99])
    (20.0, 10.0)
    """
    squares = sum(variance**2 / freedom for variance, freedom in zip(variances, freedoms, strict=True))
    return float(sum(variances) ** 2 / squares) if squares > 0 else float(max(freedoms))
