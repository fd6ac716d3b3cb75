"""Which modules matter: any scores of importance in one table, and how well each foresees what a deletion costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from unravelnet.data.batches import Batches, IndexedBatches
from unravelnet.errors import EvaluationError
from unravelnet.gradient.loss import LossName, LossOfOutput
from unravelnet.gradient.measurement import open_sample
from unravelnet.mathematics.strata import StratifiedOrder
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.runner import Progress, identity_of, tally
from unravelnet.measuring.sample import Sample, network_for
from unravelnet.network import UnraveledNetwork
from unravelnet.network.output import OutputName
from unravelnet.pruning.correlations import correlate
from unravelnet.pruning.estimates import Correcting, StoppingRule, expected_spread, foreseen
from unravelnet.pruning.scoring import INTACT_ERROR, INTACT_LOSS, Scoring, find_scores
from unravelnet.readers.importance import EFFECTS
from unravelnet.records.record import Table

METHODS = ("deletion", "deletion_error_rate", "first_order", "block_influence", "relative_magnitude")


class Importance(Table):
    """Scores of importance, one row a module, with how well each score orders the modules.

    `correlations` has a row for each score and effect of a deletion, without any where no deletion was measured: the
    rank correlations of Spearman and Kendall, and what either costs in forward passes an image (`passes`,
    `truth_passes`). Their intervals are of a bootstrap over images: they say how far other images of this kind would
    move them.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], correlations: Table) -> None:
        super().__init__(rows)
        self.correlations = correlations


def importance(
    net: UnraveledNetwork,
    data: Any,
    *,
    methods: Sequence[str] = METHODS,
    loss: LossName = None,
    output: OutputName = None,
    limit: int | None = None,
    batch_size: int | None = None,
    until_ci: float | None = None,
    until_decided: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Importance:
    """Score how much each residual module matters: one row a module, one column a method.

    >>> from unravelnet import zoo
    >>> net = zoo.preact_resnet(depth=8, input_shape=(1, 8, 8), seed=0)
    >>> table = importance(net, "digits", methods=["deletion", "block_influence"], limit=50)
    >>> table["module"], table.columns[4:7]
    ([0, 1, 2], ('deletion', 'deletion_low', 'deletion_high'))

    `methods`: names from `registry.SCORES`. A score is the mean over images, with the ends of its interval; images on
    which it is not defined are left out, and it is None where none is left, as for a plain layer that cannot be
    deleted. `deletion` is the rise of the loss without the module, and `deletion_error_rate` that of the error: exact,
    on routes. `first_order` estimates the first: minus the gradient of each image's loss at the junction times what the
    branch changes there. `first_order_odds` carries it on by the log odds of each prediction, which foresees large
    effects far better. `block_influence` and `angular_distance` say how far the stream turns, `relative_magnitude`
    how large the branch is beside the stream, `gradient_cosine` whether it points along the gradient, and
    `path_gradient_share` which share of the gradient goes back through it. All scores that read the stream or the
    gradient share one forward and one backward pass. On questions with options they are those of the network that
    chooses among these; what options are filled up with is a position like any other. `loss`, `output`: as for
    `path_gradients`, in nats for the cross entropy. `limit`, `seed`, `batch_size`, `device`: as for `Sample`, which
    `data` may be.

    `until_ci`, `until_decided`: estimate the effects of deletions instead of measuring them on all images.
    `first_order` is computed on the whole sample, and the exact effect batch by batch, until half the width of the
    interval of the first effect in `methods` is at most `until_ci`, or the interval lies on one side of the threshold
    `until_decided` (0.01 is one point of error), or the interval of all images will surely hold the threshold. Images
    are sorted into strata by how much deletions are expected to change them; more are taken of those that they may
    change much, in an order that `seed` draws. What the estimate misses is corrected where both are known
    (prediction-powered inference), so the intervals hold however wrong it is. `n_exact` says how many images were run
    without the module, and `decision` is "above", "below" or "open". Looks at a threshold are planned beforehand, each
    half as many images later, and intervals hold at all of them together (Bonferroni).

    Raises UnknownNameError for an unknown method, EvaluationError where the loss is not finite or an output does not
    fit, and ExtensionError where the score of a package cannot be used.
    """
    scores = find_scores(methods)
    names = [score.name for score in scores]
    effects = [name for name in names if name in EFFECTS]
    is_estimated = not (until_ci is None and until_decided is None)
    rule = StoppingRule(until_ci, until_decided, confidence)
    if is_estimated and not effects:
        raise EvaluationError(
            f"until_ci and until_decided stop the measurement of a deletion, and the methods are {', '.join(names)}. "
            f"Name {' or '.join(EFFECTS)} among them."
        )
    net = network_for(net, Sample.of(data).data)
    sample, batches = open_sample(
        data,
        is_shuffled=is_estimated,
        n_values=net.n_output_values,
        limit=limit,
        seed=seed,
        batch_size=batch_size,
        device=device,
    )
    measured = find_scores([*names, "first_order"] if is_estimated else names)
    if is_estimated:
        measured = tuple(score for score in measured if score.name not in EFFECTS)
    chosen = LossOfOutput.of(net, loss, output)
    scoring = Scoring(net, measured, chosen, sample.seed, confidence)
    bench, about = Bench(net, device=sample.device), identity_of(net, batches)
    tallies = tally(scoring, bench, batches, about, progress=progress)
    rows, sums = scoring.rows(tallies), tallies[net.full_route].sums
    if is_estimated:
        foreseen_effects = foreseen(
            sums.appended["first_order"],
            sums.appended[INTACT_LOSS],
            sums.appended[INTACT_ERROR],
            is_odds=sums.facts["loss"] == "cross_entropy",
        )
        batches, predictions, strata = _sorted(batches, foreseen_effects, effects[0], sample.seed)
        correcting = Correcting(net, chosen, effects, predictions, strata, rule, rows)
        rows = correcting.rows(tally(correcting, bench, batches, about, progress=progress))
    correlations = correlate(rows, sums, names, seed=sample.seed, confidence=confidence)
    return Importance([{**row, **about} for row in rows], Table([{**row, **about} for row in correlations]))


def _sorted(
    batches: Batches, predictions: Mapping[str, np.ndarray[Any, Any]], effect: str, seed: int
) -> tuple[Batches, Mapping[str, np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Put images and predictions into the order in which they are measured; give the stratum of each, too.

    A stream stays as it comes, in one stratum.
    """
    n_images = predictions[effect].shape[1]
    if not isinstance(batches, IndexedBatches):
        return batches, predictions, np.zeros(n_images, dtype=np.int64)
    order = StratifiedOrder.of(expected_spread(effect, predictions[effect]), seed=seed)
    reordered = {name: values[:, order.places] for name, values in predictions.items()}
    return batches.reordered(torch.from_numpy(order.places)), reordered, order.strata
