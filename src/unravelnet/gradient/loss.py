"""Each image's own loss, whose gradient is split by path length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unravelnet.errors import EvaluationError, unknown_name
from unravelnet.metrics import IGNORED_TARGET, as_outputs, find_metrics, logits_of

Loss = Callable[[Any, Tensor | None], Tensor]
LossName = str | Loss | None


def cross_entropy(output: Any, targets: Tensor | None) -> Tensor:
    """Give the cross entropy of each image in nats, the mean over its positions where it has several."""
    if targets is None:
        raise EvaluationError(
            "The cross entropy needs targets, and the data has none. Give data as (inputs, targets), or "
            'loss="squared_norm".'
        )
    (metric,) = find_metrics(["loss"])
    values = metric.values(as_outputs(output, targets))
    # One row an image: which image does each prediction that has a target belong to?
    image = (targets != IGNORED_TARGET).reshape(len(targets), -1).nonzero()[:, 0]
    n_positions = torch.bincount(image, minlength=len(targets)).clamp(min=1)
    return values.new_zeros(len(targets)).index_add(0, image, values) / n_positions


def squared_norm(output: Any, targets: Tensor | None) -> Tensor:
    """Give half the squared norm of each image's output, the mean over its positions where it has several.

    It needs no targets: its gradient is that of the output along itself.
    """
    values = logits_of(output)
    # As in segmentation, where classes come before height and width.
    values = values.movedim(1, -1) if values.dim() > 3 else values
    positions = values.reshape(len(values), -1, values.shape[-1] if values.dim() > 1 else 1)
    return positions.square().sum(dim=-1).mean(dim=1) / 2


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "squared_norm": squared_norm}


def find_loss(loss: LossName, *, has_targets: bool) -> tuple[str, Loss]:
    """Look a loss up; without a name, cross entropy where there are targets and the squared norm elsewhere.

    >>> find_loss(None, has_targets=False)[0]
    'squared_norm'

    A function is called with output and targets, and returns one loss an image. Raises UnknownNameError.
    """
    if loss is None:
        loss = "cross_entropy" if has_targets else "squared_norm"
    if callable(loss):
        return getattr(loss, "__name__", type(loss).__name__), loss
    if loss not in LOSSES:
        raise unknown_name("loss", loss, LOSSES)
    return loss, LOSSES[loss]
