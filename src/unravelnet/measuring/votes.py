"""What members of an ensemble get wrong, together and each by itself, from sums over predictions.

Shapes: E members, N predictions, C classes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unravelnet.costs import MOST_ROUTES, at_most
from unravelnet.errors import EvaluationError
from unravelnet.kinds import is_whole
from unravelnet.mathematics.intervals import rate_interval
from unravelnet.records.record import Row
from unravelnet.wording import counted


class Subsets:
    """Subsets of some members, by their sizes.

    >>> Subsets(3, [1, 2], repeats=10, seed=0).by_size[2]
    [[0, 1], [0, 2], [1, 2]]

    Sizes above the number of members are left out. `repeats`: how many subsets of a size are drawn by `seed` where
    there are more. Raises EvaluationError where there are none, CostError for too many sizes.
    """

    def __init__(self, n_members: int, sizes: Iterable[int], repeats: int, seed: int) -> None:
        sizes = at_most(sizes, MOST_ROUTES, "sizes") if isinstance(sizes, Iterable) else [sizes]
        fitting = [size for size in sizes if is_whole(size) and 1 <= size <= n_members]
        if not fitting or repeats < 1:
            given = ", ".join(map(str, sizes[:8])) or "not given"
            raise EvaluationError(
                f"Ensembles cannot be made of {counted(n_members, 'member')} in sizes {given} with "
                f"{counted(repeats, 'repeat')}. Give "
                "sizes from 1 to the number of members, and repeats=1 or more."
            )
        self.n_members = n_members
        self.by_size = {size: draw_subsets(n_members, size, repeats, seed) for size in fitting}

    def count(self, probabilities_ENC: Tensor, targets_N: Tensor) -> dict[str, Any]:
        """Count what members get wrong in a batch, together and each by itself."""
        targets_N = targets_N.to(probabilities_ENC.device)
        predicted_EN = _predicted(probabilities_ENC)
        wrong_EN = (predicted_EN != targets_N).double()
        n_wrong = [
            sum(
                int((_predicted(probabilities_ENC[subset].mean(dim=0)) != targets_N).sum())
                for subset in subsets
            )
            for subsets in self.by_size.values()
        ]
        return {
            "n": len(targets_N),
            "both_wrong": (wrong_EN @ wrong_EN.T).cpu(),
            # One member at a time: all pairs at once would need the square of the memory.
            "n_agreeing": sum(int((predicted_EN == predicted_N).sum()) for predicted_N in predicted_EN),
            "n_wrong": n_wrong,
        }


@dataclass(frozen=True)
class Votes:
    """What members get wrong in `n` predictions: each pair of them, and all subsets of a size together."""

    by_size: Mapping[int, list[list[int]]]
    n: int
    both_wrong: NDArray[np.float64]
    n_agreeing: int
    n_wrong: NDArray[np.int64]

    @classmethod
    def of(cls, subsets: Subsets, counts: Mapping[str, Any]) -> Votes:
        """Make them of what `Subsets.count` gave, added up over batches."""
        n, n_agreeing = int(counts["n"]), int(counts["n_agreeing"])
        return cls(subsets.by_size, n, counts["both_wrong"], n_agreeing, counts["n_wrong"])

    @property
    def n_members(self) -> int:
        """How many members there are."""
        return len(self.both_wrong)

    @property
    def member_error_rate(self) -> float:
        """The mean error of single members."""
        return float(np.trace(self.both_wrong)) / (self.n_members * self.n)

    @property
    def disagreement(self) -> float | None:
        """The share of predictions on which two members differ, the mean over all pairs; None without any."""
        n_ordered_pairs = self.n_members * (self.n_members - 1)
        if not n_ordered_pairs:
            return None
        return 1 - (self.n_agreeing - self.n_members * self.n) / (n_ordered_pairs * self.n)

    @property
    def error_correlation(self) -> float | None:
        """The phi coefficient of the errors of two members, the mean over the pairs that have one."""
        both_wrong_EE = torch.from_numpy(self.both_wrong)
        wrong_E = both_wrong_EE.diagonal()
        spread_E = (wrong_E * (self.n - wrong_E)).sqrt()
        covariance_EE = self.n * both_wrong_EE - wrong_E[:, None] * wrong_E
        phi_EE = covariance_EE / (spread_E[:, None] * spread_E)
        above = torch.triu_indices(self.n_members, self.n_members, offset=1)
        phi = phi_EE[above[0], above[1]]
        defined = phi[phi.isfinite()]
        return float(defined.mean()) if len(defined) else None

    def rows(self, confidence: float) -> Iterator[Row]:
        """Make one row a size."""
        if not self.n:
            raise EvaluationError("The data holds no predictions. Give data with at least one batch.")
        for (size, subsets), n_wrong in zip(self.by_size.items(), self.n_wrong.tolist(), strict=True):
            mean_wrong = n_wrong / len(subsets)
            low, high = rate_interval(mean_wrong, self.n, confidence)
            yield {
                "n_members": size,
                "n_sets": len(subsets),
                "error_rate": mean_wrong / self.n,
                "error_rate_low": low,
                "error_rate_high": high,
                "member_error_rate": self.member_error_rate,
                "disagreement": self.disagreement,
                "error_correlation": self.error_correlation,
            }


def _predicted(probabilities: Tensor) -> Tensor:
    """Give the most probable class of each prediction; -1 where a member has no probabilities."""
    return probabilities.argmax(dim=-1).where(~probabilities[..., 0].isnan(), -1)


def draw_subsets(n_members: int, size: int, repeats: int, seed: int) -> list[list[int]]:
    """Give all subsets of a size, or random ones where there are more than `repeats`."""
    if math.comb(n_members, size) <= repeats:
        return [list(subset) for subset in itertools.combinations(range(n_members), size)]
    generator = np.random.default_rng((seed, size))
    return [generator.choice(n_members, size, replace=False).tolist() for _ in range(repeats)]
