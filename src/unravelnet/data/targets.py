"""Whether targets are what they should be: classes, whole numbers from 0.

Whatever is measured or trained asks here, so that a label means the same everywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unravelnet.errors import DataError

# What torch's cross entropy and language-model data sets mark a position without a target with.
IGNORED_TARGET = -100
_NEEDS_NO_TARGETS = "squared_error, which compares with the intact network, needs no targets"
# Each class has a name and an output; labels that would make more are no numbers of classes.
_MOST_CLASSES = 10_000_000


def class_targets(
    targets: Tensor,
    *,
    name: str,
    n_classes: int | None = None,
    may_be_ignored: bool = False,
    instead: str = _NEEDS_NO_TARGETS,
) -> Tensor:
    """Return targets as classes, int64, whatever whole numbers they are stored as.

    >>> class_targets(torch.tensor([156, 3], dtype=torch.uint8), name="my data", n_classes=200).tolist()
    [156, 3]

    `name`: what the data is called. `n_classes`: how many there are; None: not known. `may_be_ignored`: whether -100
    stands for a place without a target. `instead`: what takes targets that are no classes, for messages. Raises
    DataError for what is no class, with the first one.
    """
    _check_whole(targets, name, instead)
    # Before anything is compared: in uint8, -100 is 156.
    classes = targets.to(torch.int64)
    is_outside = classes < 0
    if n_classes is not None:
        is_outside |= classes >= n_classes
    if may_be_ignored:
        is_outside &= classes != IGNORED_TARGET
    if is_outside.any():
        raise _outside(targets, is_outside, name, n_classes)
    return classes


def numbered_classes(targets: Tensor, name: str) -> tuple[str, ...]:
    """Name classes by their numbers, from 0 to the largest target.

    >>> numbered_classes(torch.tensor([2, 0]), "my data")
    ('0', '1', '2')

    Raises DataError where that makes more than 10 million.
    """
    n_classes = 1 + int(class_targets(targets, name=name).max())
    if n_classes > _MOST_CLASSES:
        raise DataError(
            f"The largest label of {name} is {n_classes - 1}, which makes {n_classes:,} classes of "
            f"{len(targets.unique()):,} different labels. Number the classes from 0 without gaps."
        )
    return tuple(map(str, range(n_classes)))


def _check_whole(targets: Tensor, name: str, instead: str) -> None:
    if targets.is_floating_point():
        is_whole = bool((targets == targets.round()).all())
        way_out = "Give them as such: targets.long()." if is_whole else f"Give classes; {instead}."
        n_nan = int(targets.isnan().sum())
        found = f", {n_nan} of them NaN" if n_nan else ""
        raise DataError(
            f"The targets of {name} are real numbers ({_kind(targets)}{found}), and classes are whole numbers from 0. "
            f"{way_out}"
        )
    if targets.is_complex() or targets.dtype == torch.bool or targets.is_quantized:
        raise DataError(f"The targets of {name} are {_kind(targets)}; expected whole numbers, the classes.")


def _outside(targets: Tensor, is_outside: Tensor, name: str, n_classes: int | None) -> DataError:
    place = int(is_outside.reshape(len(is_outside), -1).any(dim=1).nonzero()[0]) if is_outside.dim() else 0
    value = targets[is_outside][0].item()
    known = "labels start at 0" if n_classes is None else f"classes are numbered 0 to {n_classes - 1}"
    meant = ", and a negative one stands for a missing label" if value < 0 else ""
    return DataError(
        f"The label of image {place} of {name} is {value}; {known}{meant}. Leave such images out, or give data with "
        "the classes that the network has outputs for."
    )


def _kind(targets: Tensor) -> str:
    return str(targets.dtype).removeprefix("torch.")
