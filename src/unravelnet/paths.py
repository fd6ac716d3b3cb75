"""Mathematics of paths: how many there are, how long they are, and which survive deletion.

A network of n residual modules has 2^n paths, since each module is entered or passed by. The *length* of a
path is the number of modules it enters, 0 to n; stem and head are on every path and are not counted. Counts
are exact Python integers. What the paths carry is measured in `gradient`; what a route leaves of them is
`Route.path_count`.

Source of all definitions: Veit, Wilber and Belongie (2016), sections 3, 5 and 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from math import comb, isfinite
from typing import TYPE_CHECKING

import numpy as np

from unravelnet.costs import MOST_LAYERS, check_number
from unravelnet.errors import EvaluationError, RouteError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def path_count(n_modules: int, length: int) -> int:
    """Count the paths of one length.

    >>> path_count(54, 27)
    1946939425648112

    `length`: modules entered; no path is longer than the network, and the count is then 0.
    Raises RouteError for negative numbers.
    """
    _check_count(n_modules, "residual modules")
    _check_count(length, "modules entered")
    return comb(n_modules, length)


def path_counts(n_modules: int) -> list[int]:
    """Count the paths of each length.

    >>> path_counts(3)
    [1, 3, 3, 1]

    Index = length in modules. Raises RouteError for a negative number of modules.
    """
    _check_count(n_modules, "residual modules")
    counts = [1]
    for length in range(n_modules):
        # Exact, for the product is C(n, k + 1) · (k + 1); each count by itself would take n times as long.
        counts.append(counts[-1] * (n_modules - length) // (length + 1))
    return counts


def length_distribution(n_modules: int) -> NDArray[np.float64]:
    """Give the share of all paths that each length has: Binomial(n, 1/2), Fig. 6a of the paper.

    >>> length_distribution(3).tolist()
    [0.125, 0.375, 0.375, 0.125]

    Index = length in modules. Each share is the exact one, rounded once. A network that is trained on exactly
    m modules at a time has the distribution of m. Raises RouteError for a negative number of modules.
    """
    # Integers divide exactly at any size; 2**1202 as a float would overflow.
    return np.array([count / 2**n_modules for count in path_counts(n_modules)])


def share_within(n_modules: int, shortest: int, longest: int) -> float:
    """Give the share of all paths whose length lies between two lengths, both included.

    >>> f"{share_within(54, 5, 17):.3%}"
    '0.454%'

    That is the share of the effective paths of the paper. Raises RouteError for negative numbers.
    """
    _check_count(shortest, "modules entered")
    _check_count(longest, "modules entered")
    return sum(path_counts(n_modules)[shortest : longest + 1]) / 2**n_modules


def surviving_share(n_modules: int, n_deleted: int, length: int) -> float:
    """Give the share of the paths of one length that is left after modules were deleted, Fig. 7 of the paper.

    >>> round(surviving_share(54, 10, 5), 3)
    0.343

    A path is left if it enters none of the deleted modules: C(n - d, x) of C(n, x). Raises RouteError where
    more modules are deleted, or entered, than there are.
    """
    for number, what in ((n_deleted, "deleted"), (length, "entered by a path")):
        _check_count(number, f"modules {what}")
        if number > n_modules:
            raise RouteError(f"Of {n_modules} residual modules, {number} cannot be {what}.")
    return path_count(n_modules - n_deleted, length) / path_count(n_modules, length)


def surviving_gradient_share(decay: float, n_deleted: int) -> float:
    """Give the share of the gradient that deletions leave if it decays geometrically with path length.

    >>> f"{surviving_gradient_share(0.25, 10):.1%}"
    '10.7%'

    `decay`: norm of the gradient on a path over that on a path one module shorter. The share is
    (1 + decay)^-d, whatever the number of modules, because sum_x C(n, x) decay^x = (1 + decay)^n. It adds
    norms, as Fig. 6c of the paper does. Raises RouteError for negative numbers.
    """
    _check_count(n_deleted, "deleted modules")
    if not (isfinite(decay) and decay >= 0):
        raise RouteError(f"The decay of the gradient per module must be a number of 0 or more; got {decay}.")
    return float((1 + decay) ** -n_deleted)


def effective_lengths(weights: Sequence[float], *, share: float = 0.95) -> tuple[int, int]:
    """Find the shortest interval of lengths that carries a share of the total weight.

    >>> effective_lengths([1, 10, 80, 9, 0])
    (1, 3)
    >>> effective_lengths(path_counts(54))
    (20, 34)

    `weights`: one a length, index = length in modules; counts, or contributions to the gradient. `share`:
    in (0, 1]. Returns the shortest and the longest length, both included. Of equally short intervals the one
    that carries most is taken; of those that carry the same, the one of the shorter lengths. Sums are exact,
    so that rounding decides nothing. Raises EvaluationError where the weights are negative, not finite or all
    zero, or the share is not in (0, 1].
    """
    sums = _running_sums(weights)
    if not 0 < share <= 1:
        raise EvaluationError(f"A share must be above 0 and at most 1; got {share}.")
    # The share as it is written: the double nearest to 0.1 is a little more than a tenth.
    needed = Fraction(str(float(share))) * sums[-1]
    for n_lengths in range(1, len(sums)):
        carried = [after - before for before, after in zip(sums, sums[n_lengths:], strict=False)]
        most = max(carried)
        if most >= needed:
            shortest = carried.index(most)
            return shortest, shortest + n_lengths - 1
    raise AssertionError("the interval of all lengths carries all the weight")


def _running_sums(weights: Sequence[float]) -> list[Fraction]:
    values = [weight if isinstance(weight, int) else float(weight) for weight in weights]
    for length, value in enumerate(values):
        if value < 0 or not isfinite(value):
            raise EvaluationError(f"The weight of length {length} is {value}; expected 0 or more.")
    sums = list(accumulate((Fraction(value) for value in values), initial=Fraction(0)))
    if sums[-1] == 0:
        raise EvaluationError("No length carries any weight, so no interval carries a share of it.")
    return sums


def _check_count(number: int, what: str) -> None:
    check_number(number, MOST_LAYERS, what)
    if number < 0:
        raise RouteError(f"The number of {what} must be 0 or more; got {number}.")
