"""What is measured of a network's output, one value a prediction.

A metric turns outputs into one number a prediction; sums over predictions are all that `evaluate` keeps, and
ratios are taken last. Some need the right answers (targets), some only the output of the intact network, so
that they work without labels. A prediction is an image, or a token where outputs have a position dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from unravelnet.errors import EvaluationError, unknown_name

# What torch's cross entropy and language-model data sets mark a position without a target with.
IGNORED_TARGET = -100


@dataclass(frozen=True)
class Outputs:
    """The outputs of one batch: `logits_NC`, `targets_N` and the intact network's logits, where known."""

    logits_NC: Tensor
    targets_N: Tensor | None = None
    intact_NC: Tensor | None = None


@dataclass(frozen=True)
class Metric:
    """A quantity with one value a prediction.

    `is_rate`: values are 0 or 1. `needs_targets`, `needs_intact`: what must be known beside the logits.
    """

    name: str
    values: Callable[[Outputs], Tensor]
    is_rate: bool = False
    needs_targets: bool = False
    needs_intact: bool = False


def _targets(outputs: Outputs) -> Tensor:
    assert outputs.targets_N is not None
    return outputs.targets_N


def _intact(outputs: Outputs) -> Tensor:
    assert outputs.intact_NC is not None
    return outputs.intact_NC


def _error_rate(outputs: Outputs) -> Tensor:
    is_wrong = outputs.logits_NC.argmax(dim=1) != _targets(outputs)
    # Where nothing is finite, argmax would still name a class.
    return is_wrong | ~_is_finite(outputs.logits_NC)


def _top5_error_rate(outputs: Outputs) -> Tensor:
    logits_NC = outputs.logits_NC
    best = logits_NC.topk(min(5, logits_NC.shape[1]), dim=1).indices
    is_missed = (best != _targets(outputs)[:, None]).all(dim=1)
    return is_missed | ~_is_finite(logits_NC)


def _loss(outputs: Outputs) -> Tensor:
    return functional.cross_entropy(outputs.logits_NC, _targets(outputs), reduction="none")


def _agreement(outputs: Outputs) -> Tensor:
    is_same = outputs.logits_NC.argmax(dim=1) == _intact(outputs).argmax(dim=1)
    return is_same & _is_finite(outputs.logits_NC)


def _kl_divergence(outputs: Outputs) -> Tensor:
    log_p = _intact(outputs).log_softmax(dim=1)
    log_q = outputs.logits_NC.log_softmax(dim=1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=1)


def _cosine(outputs: Outputs) -> Tensor:
    return functional.cosine_similarity(outputs.logits_NC, _intact(outputs), dim=1)


def _is_finite(logits_NC: Tensor) -> Tensor:
    return logits_NC.isfinite().all(dim=1)


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("error_rate", _error_rate, is_rate=True, needs_targets=True),
        Metric("top5_error_rate", _top5_error_rate, is_rate=True, needs_targets=True),
        Metric("loss", _loss, needs_targets=True),
        Metric("agreement", _agreement, is_rate=True, needs_intact=True),
        Metric("kl_divergence", _kl_divergence, needs_intact=True),
        Metric("cosine", _cosine, needs_intact=True),
    )
}


def find_metrics(names: Iterable[str]) -> tuple[Metric, ...]:
    """Look metrics up by name.

    >>> [metric.is_rate for metric in find_metrics(["error_rate", "loss"])]
    [True, False]

    error_rate: share of wrong predictions. top5_error_rate: target not among the five best. loss: cross
    entropy in nats. agreement: share of predictions equal to the intact network's. kl_divergence: from the
    intact network's distribution to this one, in nats. cosine: of the outputs and the intact network's.
    Raises UnknownNameError.
    """
    names = list(names)
    if not names:
        raise EvaluationError(f"Nothing is to be measured. Name at least one metric: {', '.join(METRICS)}.")
    for name in names:
        if name not in METRICS:
            raise unknown_name("metric", name, METRICS)
    return tuple(METRICS[name] for name in names)


def logits_of(output: Any) -> Tensor:
    """Find the logits in what a model returns: a tensor, an object or dict with logits, or a tuple.

    Raises EvaluationError where there is none.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        found = next((output[key] for key in ("logits", "out") if key in output), None)
        found = next(iter(output.values())) if found is None else found
    else:
        found = getattr(output, "logits", None)
        found = output[0] if found is None and isinstance(output, tuple | list) and output else found
    if isinstance(found, Tensor):
        return found
    raise EvaluationError(
        f"The model returns a {type(output).__name__} in which no logits were found. Expected a tensor, a tuple "
        "that starts with one, or an object or dict with `logits`; wrap the model so that it returns one of these."
    )


def as_outputs(output: Any, targets: Tensor | None, intact_NC: Tensor | None = None) -> Outputs:
    """Bring the output of a model and its targets into the form of one row a prediction.

    Logits of shape (batch, positions, classes), or (batch, classes, height, width) as in segmentation, give one
    prediction a position; positions whose target is -100 are left out. Raises EvaluationError where shapes do
    not fit or a target is no class.
    """
    found = logits_of(output)
    # Half precisions are too coarse to sum up; double stays double.
    logits = found.to(torch.promote_types(found.dtype, torch.float32))
    if logits.dim() > 3:
        logits = logits.movedim(1, -1)
    logits_NC = logits.reshape(-1, logits.shape[-1]) if logits.dim() > 2 else logits
    if targets is None:
        return Outputs(logits_NC, None, intact_NC)
    targets_N = targets.reshape(-1)
    if logits.dim() < 2 or len(targets_N) != len(logits_NC):
        raise EvaluationError(
            f"Logits of shape {tuple(logits.shape)} do not fit targets of shape {tuple(targets.shape)}. Expected "
            "(batch, classes) and (batch), (batch, positions, classes) and (batch, positions), or (batch, classes, "
            "height, width) and (batch, height, width)."
        )
    has_target = targets_N != IGNORED_TARGET
    if not has_target.all():
        logits_NC, targets_N = logits_NC[has_target], targets_N[has_target]
    _check_classes(targets_N, logits_NC.shape[1])
    return Outputs(logits_NC, targets_N, intact_NC)


def _check_classes(targets_N: Tensor, n_classes: int) -> None:
    outside = targets_N[(targets_N < 0) | (targets_N >= n_classes)]
    if len(outside):
        raise EvaluationError(
            f"The data has a label {int(outside[0])} and the network {n_classes} outputs, for the classes 0 "
            f"to {n_classes - 1}. Give data with the classes that the network was trained for."
        )


def values_of(metrics: Iterable[Metric], outputs: Outputs) -> Tensor:
    """Compute all metrics of a batch: shape (metrics, predictions), float32."""
    return torch.stack([metric.values(outputs).float() for metric in metrics])
