"""What is measured of a network's output, one value a prediction.

A metric turns outputs into one number a prediction; sums over predictions are all that `evaluate` keeps, and
ratios are taken last. Some need the right answers (targets), some only the output of the intact network, so
that they work without labels. A prediction is an image, or a token or pixel where outputs have positions. Which
tensor of what a model returns is measured, `output` says; what targets may be, `targets`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from unravelnet.data.targets import IGNORED_TARGET, class_targets
from unravelnet.errors import EvaluationError
from unravelnet.network.output import Output, tensors_of
from unravelnet.registry import METRICS


@dataclass(frozen=True)
class Outputs:
    """The outputs of one batch: `logits_NC`, `targets_N` and the intact network's logits, where known."""

    logits_NC: Tensor
    targets_N: Tensor | None = None
    intact_NC: Tensor | None = None


@dataclass(frozen=True)
class Metric:
    """A quantity with one value a prediction.

    `is_rate`: values are 0 or 1. `is_exponential`: what is said is the exponential of the mean. `needs_targets`,
    `needs_intact`: what must be known beside the logits. `needs_classes`: whether it compares the numbers of one
    prediction with each other, so that there must be several. `more_is_better`: whether a network is as it should be
    where the values are large.
    """

    name: str
    values: Callable[[Outputs], Tensor]
    is_rate: bool = False
    is_exponential: bool = False
    needs_targets: bool = False
    needs_intact: bool = False
    needs_classes: bool = True
    more_is_better: bool = False


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


def _accuracy(outputs: Outputs) -> Tensor:
    return ~_error_rate(outputs)


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


def _squared_error(outputs: Outputs) -> Tensor:
    return (outputs.logits_NC - _intact(outputs)).square().mean(dim=1)


def _is_finite(logits_NC: Tensor) -> Tensor:
    return logits_NC.isfinite().all(dim=1)


ERROR_RATE = Metric("error_rate", _error_rate, is_rate=True, needs_targets=True)
TOP5_ERROR_RATE = Metric("top5_error_rate", _top5_error_rate, is_rate=True, needs_targets=True)
ACCURACY = Metric("accuracy", _accuracy, is_rate=True, needs_targets=True, more_is_better=True)
LOSS = Metric("loss", _loss, needs_targets=True)
NLL = Metric("nll", _loss, needs_targets=True)
PERPLEXITY = Metric("perplexity", _loss, is_exponential=True, needs_targets=True)
AGREEMENT = Metric("agreement", _agreement, is_rate=True, needs_intact=True, more_is_better=True)
KL_DIVERGENCE = Metric("kl_divergence", _kl_divergence, needs_intact=True)
COSINE = Metric("cosine", _cosine, needs_intact=True, more_is_better=True)
SQUARED_ERROR = Metric("squared_error", _squared_error, needs_intact=True, needs_classes=False)


def find_metrics(names: Iterable[str]) -> tuple[Metric, ...]:
    """Look metrics up by name.

    >>> [metric.is_rate for metric in find_metrics(["error_rate", "loss"])]
    [True, False]

    error_rate: share of wrong predictions. top5_error_rate: target not among the five best. accuracy: share of right
    predictions; of a text, of next tokens. loss: cross entropy in nats. nll: the same, as it is called for language
    models. perplexity: its exponential. agreement: share of predictions equal to the intact network's.
    kl_divergence: from the intact network's distribution to this one, in nats. cosine: of the outputs and the intact
    network's. squared_error: squared difference to the intact network's output, the mean over the numbers
    of a prediction. Raises UnknownNameError, EvaluationError where no metric is named, and ExtensionError where the
    metric of a package cannot be used.
    """
    names = list(names)
    if not names:
        raise EvaluationError(
            f"Nothing is to be measured. Name at least one metric: {', '.join(METRICS.names())}."
        )
    return tuple(map(METRICS.find, names))


def check_outputs(metrics: Sequence[Metric], n_outputs: int, output: Output) -> None:
    """Raise EvaluationError where metrics compare classes and the output has only one number a prediction."""
    unfit = [metric.name for metric in metrics if metric.needs_classes]
    if n_outputs < 2 and unfit:
        raise EvaluationError(
            f"The output {str(output)!r} is one number a prediction, so there are no classes for {', '.join(unfit)}. "
            'Measure squared_error, or choose another output, or dimension of classes: output="NAME:DIMENSION".'
        )


def as_outputs(
    returned: Any,
    targets: Tensor | None,
    intact_NC: Tensor | None = None,
    *,
    output: Output | None = None,
    name: str = "the data",
    needs_targets: bool = True,
) -> Outputs:
    """Bring what a model returns, and its targets, into the form of one row a prediction.

    Logits of shape (batch, positions, classes), or (batch, classes, height, width) as in segmentation, give one
    prediction a position; positions whose target is -100 are left out. `output`: which tensor, and which of its
    dimensions counts classes; chosen automatically if None. `name`: what the data is called. `needs_targets`: whether
    targets are compared with; without, they say no more than which positions count. Raises EvaluationError where
    shapes do not fit, DataError where a target is no class.
    """
    output = Output().chosen_from(tensors_of(returned)) if output is None else output
    logits_NC = output.rows(returned)
    if targets is not None and not needs_targets:
        logits_NC, targets = _where_counted(logits_NC, targets), None
    if targets is None:
        return Outputs(logits_NC, None, intact_NC)
    targets_N = class_targets(targets, name=name, n_classes=logits_NC.shape[1], may_be_ignored=True).reshape(
        -1
    )
    if len(targets_N) != len(logits_NC):
        raise EvaluationError(
            f"Logits of shape {tuple(output.pick(returned).shape)} do not fit targets of shape {tuple(targets.shape)}. "
            "Expected (batch, classes) and (batch), (batch, positions, classes) and (batch, positions), or (batch, "
            "classes, height, width) and (batch, height, width). Another tensor, or another dimension of classes, is "
            'chosen with output="NAME:DIMENSION".'
        )
    has_target = targets_N != IGNORED_TARGET
    if not has_target.all():
        logits_NC, targets_N = logits_NC[has_target], targets_N[has_target]
    return Outputs(logits_NC, targets_N, intact_NC)


def _where_counted(logits_NC: Tensor, targets: Tensor) -> Tensor:
    """Leave out the predictions of positions that are marked as being without a target, such as padding."""
    can_be_marked = not targets.is_floating_point() and targets.dtype not in (torch.uint8, torch.bool)
    if targets.numel() != len(logits_NC) or not can_be_marked:
        return logits_NC
    counts = targets.reshape(-1) != IGNORED_TARGET
    return logits_NC if counts.all() else logits_NC[counts]


def values_of(metrics: Iterable[Metric], outputs: Outputs) -> Tensor:
    """Compute all metrics of a batch: shape (metrics, predictions), float32."""
    return torch.stack([metric.values(outputs).float() for metric in metrics])
