"""How well scores foresee deletions, and how many deletions a decision needs: each image measured once, then replayed.

Every image is run without every module, so that the conclusions of all deletions on all images are known. The rule of
`importance(..., until_decided=...)` then goes through the same images, in the orders of several seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.measure import Row
from unravelnet.data import Batches
from unravelnet.gradient.linearised import fixed
from unravelnet.gradient.loss import LossOfOutput
from unravelnet.mathematics.looks import decide
from unravelnet.mathematics.prediction_powered import powered_mean
from unravelnet.mathematics.ranks import kendall, spearman
from unravelnet.mathematics.strata import StratifiedOrder
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.sums import Sums
from unravelnet.network import UnraveledNetwork
from unravelnet.pruning.estimates import Correcting, StoppingRule, expected_spread, foreseen
from unravelnet.pruning.scoring import INTACT_ERROR, INTACT_LOSS, Scoring, find_scores

_Array = np.ndarray[Any, Any]
Values = Mapping[str, _Array]
SCORES = ("deletion", "deletion_error_rate", "first_order")
THRESHOLDS = {"deletion_error_rate": (0.01, 0.02, 0.05, 0.1), "deletion": (0.02, 0.1, 0.2)}
_SEEDS, _BATCH, _CONFIDENCE = 3, 128, 0.95


def run(net: UnraveledNetwork, batches: Batches) -> Iterator[Row]:
    """Measure every image, and yield a row for each threshold, and for each estimate beside the truth."""
    yield from rows(net, measured(net, batches))


def measured(net: UnraveledNetwork, batches: Batches) -> dict[str, _Array]:
    """Measure deletions and estimates of every image: shape (modules, images)."""
    loss = LossOfOutput.of(net, None, None)
    scoring, bench = Scoring(net, find_scores(SCORES), loss, 0, _CONFIDENCE), Bench(net)
    with fixed(bench.net):
        of_each = loss.find(has_targets=True)[1]
        parts = [
            scoring.values(bench.net, (bench.place(inputs), targets), of_each) for inputs, targets in batches
        ]
    return {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}


def rows(net: UnraveledNetwork, values: Values) -> Iterator[Row]:
    """Make the rows of what was measured."""
    losses, errors = values[INTACT_LOSS], values[INTACT_ERROR]
    predictions = foreseen(values["first_order"], losses, errors, is_odds=True)
    truth = values["deletion"].mean(axis=1)
    for case, estimate in (("first_order", values["first_order"]), ("by log odds", predictions["deletion"])):
        found = estimate.mean(axis=1)
        yield {
            "benchmark": "importance",
            "case": f"{case} beside the deletion effect",
            "spearman": spearman(found, truth),
            "kendall": kendall(found, truth),
        }
    for effect, thresholds in THRESHOLDS.items():
        for threshold in thresholds:
            yield {
                "benchmark": "importance",
                "case": f"{effect}, until_decided={threshold:g}, {_SEEDS} orders",
                **_decisions(net, values, predictions, effect, threshold),
            }


def _decisions(
    net: UnraveledNetwork, values: Values, predictions: Values, effect: str, threshold: float
) -> Row:
    """Count the conclusions that differ from those of all deletions on all images, and what they took."""
    n_modules, n = values[effect].shape
    seen = contradicted = left_open = 0
    for seed in range(_SEEDS):
        order = StratifiedOrder.of(expected_spread(effect, predictions[effect]), seed=seed)
        exact, predicted = (part[effect][:, order.places] for part in (values, predictions))
        rule = StoppingRule(None, threshold, _CONFIDENCE)
        correcting = Correcting(
            net, LossOfOutput.of(net, None, None), [effect], {effect: predicted}, order.strata, rule, []
        )
        for module in range(n_modules):
            n_seen = _images_needed(correcting, effect, exact[module], module)
            seen += n_seen
            is_rate = effect == "deletion_error_rate"
            found, full = (
                powered_mean(
                    exact[module][:m], predicted[module], level, strata=order.strata, is_rate=is_rate
                )
                for m, level in ((n_seen, rule.level(n)), (n, _CONFIDENCE))
            )
            verdicts = {decide(one.interval, threshold) for one in (found, full)}
            contradicted += verdicts == {"above", "below"}
            left_open += len(verdicts) == 2 and "open" in verdicts
    return {
        "share_of_image_evaluations": seen / (_SEEDS * n_modules * n),
        "conclusions": _SEEDS * n_modules,
        "conclusions_changed": contradicted,
        "conclusions_open_in_one": left_open,
    }


def _images_needed(correcting: Correcting, effect: str, exact: _Array, module: int) -> int:
    for before in range(0, len(exact), _BATCH):
        n = min(len(exact), before + _BATCH)
        sums = Sums({"n_images": n}, {effect: exact[:n]}, {"module": module, "n_before": before})
        if correcting.is_known(sums):
            return n
    return len(exact)
