"""Metrics against scikit-learn, scipy and hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sklearn_metrics

from unravelnet.errors import DataError, UnknownNameError
from unravelnet.measuring.metrics import as_outputs, find_metrics, values_of
from unravelnet.registry import METRICS


def measured(
    name: str, logits: torch.Tensor, targets: torch.Tensor | None, intact: torch.Tensor | None = None
) -> np.ndarray:
    outputs = as_outputs(logits, targets, intact)
    return values_of(find_metrics([name]), outputs)[0].numpy()


def example() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits, intact = torch.randn(2, 64, 10, generator=generator)
    return logits, torch.randint(0, 10, (64,), generator=generator), intact


def test_against_scikit_learn() -> None:
    logits, targets, _ = example()
    probabilities, y = logits.softmax(1).double().numpy(), targets.numpy()
    accuracy = sklearn_metrics.accuracy_score(y, logits.argmax(1))
    top5 = sklearn_metrics.top_k_accuracy_score(y, probabilities, k=5, labels=range(10))
    assert measured("error_rate", logits, targets).mean() == pytest.approx(1 - accuracy)
    assert measured("top5_error_rate", logits, targets).mean() == pytest.approx(1 - top5)
    expected = sklearn_metrics.log_loss(
        y, probabilities / probabilities.sum(1, keepdims=True), labels=range(10)
    )
    assert measured("loss", logits, targets).mean() == pytest.approx(expected, rel=1e-5)


def test_against_scipy() -> None:
    logits, _, intact = example()
    p, q = intact.softmax(1).numpy(), logits.softmax(1).numpy()
    assert measured("kl_divergence", logits, None, intact) == pytest.approx(
        stats.entropy(p, q, axis=1), rel=1e-3
    )
    norms = np.linalg.norm(logits, axis=1) * np.linalg.norm(intact, axis=1)
    assert measured("cosine", logits, None, intact) == pytest.approx(
        (logits * intact).sum(1).numpy() / norms, rel=1e-4
    )
    assert measured("agreement", logits, None, intact).mean() == (p.argmax(1) == q.argmax(1)).mean()
    expected = [sklearn_metrics.mean_squared_error(a, b) for a, b in zip(logits, intact, strict=True)]
    assert measured("squared_error", logits, None, intact) == pytest.approx(expected, rel=1e-5)


def test_outputs_that_are_not_finite_are_wrong() -> None:
    logits = torch.tensor([[torch.nan, 1.0], [1.0, torch.inf], [1.0, 0.0]])
    assert measured("error_rate", logits, torch.tensor([0, 1, 0])).tolist() == [1, 1, 0]


def test_tokens_without_target_do_not_count() -> None:
    logits = torch.eye(3)[None].repeat(2, 1, 1)
    targets = torch.tensor([[0, 1, -100], [-100, 0, 2]])
    assert measured("error_rate", logits, targets).tolist() == [0, 0, 1, 0]


def test_segmentation_has_a_prediction_a_pixel() -> None:
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 2, 0, 0] = logits[0, 1, 1, 1] = 1.0
    targets = torch.tensor([[[2, -100], [0, 0]]])
    assert measured("error_rate", logits, targets).tolist() == [0, 0, 1]


def test_a_label_outside_is_named() -> None:
    with pytest.raises(
        DataError, match="The label of image 1 of the data is -1; classes are numbered 0 to 3"
    ):
        as_outputs(torch.zeros(2, 4), torch.tensor([3, -1]))


def test_unknown_metrics_name_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'error_rate'"):
        find_metrics(["error rate"])


def test_every_metric_states_what_it_needs() -> None:
    logits, targets, intact = example()
    for metric in METRICS:
        needed = (targets if metric.needs_targets else None, intact if metric.needs_intact else None)
        values = measured(metric.name, logits, *needed)
        assert values.shape == (64,)
        assert not metric.is_rate or set(values) <= {0.0, 1.0}
