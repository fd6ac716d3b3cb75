"""Inputs of any form, and shapes in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

from unravelnet.errors import DataError
from unravelnet.kinds import is_whole

Shape = tuple[int, ...]
Inputs = Tensor | tuple[Any, ...] | list[Any] | Mapping[str, Any]


def first_tensor(inputs: Inputs) -> Tensor:
    """Find the first tensor in inputs of any form; its first dimension is the batch.

    Raises DataError where there is none.
    """
    leaves = pytree.tree_leaves(dict(inputs) if isinstance(inputs, Mapping) else inputs)
    found = next((leaf for leaf in leaves if isinstance(leaf, Tensor)), None)
    if found is None:
        if leaves and all(map(is_whole, leaves)):
            raise DataError(
                f"The inputs {inputs!r} are numbers, as of a shape. Give a tensor that has this shape behind its "
                "batch dimension, such as torch.randn(2, 3, 32, 32)."
            )
        raise DataError(
            f"The inputs, a {type(inputs).__name__}, hold no tensor. Give a tensor, a tuple of positional or a dict "
            "of keyword inputs; numpy arrays become tensors by torch.as_tensor."
        )
    return found


def shape_text(shape: Shape) -> str:
    """Write a shape as in papers.

    >>> shape_text((16, 32, 32))
    '16×32×32'
    """
    return "×".join(map(str, shape)) or "scalar"
