"""Some of the examples of a data set, drawn at random: the same ones for the same seed."""

from __future__ import annotations

import torch
from torch import Tensor

from unravelnet.costs import check_seed
from unravelnet.errors import DataError


def draw(n: int, limit: int, seed: int, *, unit: str, name: str) -> Tensor:
    """Draw `limit` of n positions without replacement, in rising order; a smaller limit gives a part.

    >>> draw(10, 3, 0, unit="images", name="digits").tolist()
    [1, 4, 7]

    `unit`: what is drawn, and `name`: what from, for messages.
    Raises DataError where there are fewer, CostError for a seed out of range.
    """
    check_seed(seed)
    check_count(limit, "limit")
    if not 1 <= limit <= n:
        raise DataError(f"{limit} {unit} of {name} were asked for, and it has {n}; ask for 1 to {n}.")
    return torch.randperm(n, generator=torch.Generator().manual_seed(int(seed)))[:limit].sort().values


def check_count(number: object, name: str) -> None:
    """Raise DataError unless this is a whole number.

    >>> check_count(2.5, "batch_size")
    Traceback (most recent call last):
    unravelnet.errors.DataError: batch_size is 2.5; give a whole number, 1 or more.
    """
    if isinstance(number, bool) or not hasattr(number, "__index__"):
        raise DataError(f"{name} is {number!r}; give a whole number, 1 or more.")
