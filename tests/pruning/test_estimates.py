"""Effects of deletions estimated from few of them, against all of them; and how scores order the modules."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import unravelnet as un
from tests.shipped_networks import shipped_place
from unravelnet import zoo
from unravelnet.errors import CostError, EvaluationError
from unravelnet.gradient.linearised import fixed
from unravelnet.gradient.loss import LossOfOutput
from unravelnet.mathematics.prediction_powered import powered_mean
from unravelnet.mathematics.ranks import kendall, spearman
from unravelnet.mathematics.strata import StratifiedOrder
from unravelnet.pruning.estimates import expected_spread, foreseen
from unravelnet.pruning.scoring import INTACT_ERROR, INTACT_LOSS, Scoring, find_scores
from unravelnet.registry import SCORES

__all__ = ["shipped_place"]

EFFECTS = ["deletion_error_rate", "deletion"]


@pytest.fixture(scope="module")
def net(shipped_place):
    return zoo.load(shipped_place / "tiny")


@pytest.fixture(scope="module")
def truth(net):
    """Every effect on all images of the digits."""
    return un.importance(
        net, "digits", methods=[*EFFECTS, "first_order", "first_order_odds", "block_influence"]
    )


def test_intervals_hold_on_a_real_network(net):
    loss = LossOfOutput.of(net, None, None)
    scoring = Scoring(net, find_scores([*EFFECTS, "first_order"]), loss, 0, 0.95)
    inputs, targets = un.data.load("digits", "test").batch(torch.arange(360))
    with fixed(net):
        values = scoring.values(net, (inputs, targets), loss.find(has_targets=True)[1])
    predicted = foreseen(values["first_order"], values[INTACT_LOSS], values[INTACT_ERROR], is_odds=True)
    rng, n_draws = np.random.default_rng(0), 500
    for effect in EFFECTS:
        held = narrower = 0
        for draw in range(n_draws):
            # As if the images were all that there are: others are drawn from them.
            module, drawn = draw % len(values[effect]), rng.integers(360, size=2000)
            exact, cheap = values[effect][module][drawn[:400]], predicted[effect][module][drawn]
            options = {"is_rate": effect == "deletion_error_rate"}
            order = StratifiedOrder.of(expected_spread(effect, predicted[effect][:, drawn]), seed=draw)
            first = values[effect][module][drawn[order.places[:400]]]
            found = powered_mean(first, cheap[order.places], strata=order.strata, **options).interval
            alone = powered_mean(exact, np.zeros(2000), **options).interval
            held += found.low <= values[effect][module].mean() <= found.high
            narrower += found.half_width < 0.98 * alone.half_width
        assert 0.93 <= held / n_draws <= 0.985
        assert narrower > n_draws / 2


def test_decisions_are_those_of_all_images_with_fewer_of_them(net, truth):
    n, threshold = truth[0]["n_images"], 0.1
    table = un.importance(net, "digits", methods=EFFECTS, until_decided=threshold, seed=5)
    for row, known in zip(table, truth, strict=True):
        surely = "open"
        if known["deletion_error_rate_low"] > threshold:
            surely = "above"
        if known["deletion_error_rate_high"] < threshold:
            surely = "below"
        assert row["decision"] in {surely, "open"} or surely == "open"
        assert row["n_images"] == n
    assert sum(table["n_exact"]) < 0.8 * n * len(table)
    assert {"above", "below"} <= set(table["decision"])


def test_an_effect_at_the_threshold_ends_as_open_before_all_images_are_run(net, truth):
    """As the interval of all images says, which holds the threshold."""
    row = max(truth, key=lambda row: row["deletion_error_rate_high"] - row["deletion_error_rate_low"])
    threshold = row["deletion_error_rate"]
    estimated = un.importance(net, "digits", methods=EFFECTS, until_decided=threshold)[row["module"]]
    assert estimated["decision"] == "open"
    assert estimated["n_exact"] < estimated["n_images"]
    assert row["deletion_error_rate_low"] < threshold < row["deletion_error_rate_high"]


def test_a_stream_is_measured_as_it_comes(net):
    """Of a stream the first images are measured; of the same images in memory those that may change."""
    batches = list(un.data.as_batches("digits", batch_size=50))
    streamed, known = (
        un.importance(net, data, methods=["deletion"], until_ci=0.05, seed=3)
        for data in (batches, un.data.load("digits"))
    )
    for row, other in zip(streamed, known, strict=True):
        overlap = min(row["deletion_high"], other["deletion_high"]) - max(
            row["deletion_low"], other["deletion_low"]
        )
        assert overlap > 0
    assert sum(known["n_exact"]) <= sum(streamed["n_exact"])


def test_an_estimate_ends_where_its_interval_is_narrow(net, truth):
    table = un.importance(net, "digits", methods=["deletion"], until_ci=0.05, seed=5)
    narrow = [row for row in table if row["n_exact"] < row["n_images"]]
    assert narrow
    for row in narrow:
        assert (row["deletion_high"] - row["deletion_low"]) / 2 <= 0.05
        assert row["deletion_low"] - 0.05 < truth[row["module"]]["deletion"] < row["deletion_high"] + 0.05


def test_where_it_never_ends_the_estimate_is_exact(net, truth):
    table = un.importance(net, "digits", methods=EFFECTS, until_ci=1e-6)
    for row, known in zip(table, truth, strict=True):
        assert row["n_exact"] == row["n_images"]
        assert [row[name] for name in EFFECTS] == pytest.approx([known[name] for name in EFFECTS], abs=1e-6)
    assert table["prediction_weight"] == [0.0] * len(table)


def test_correlations_are_of_the_columns(truth):
    assert [(row["score"], row["truth"]) for row in truth.correlations] == [
        (score, effect)
        for effect in EFFECTS
        for score in ("first_order", "first_order_odds", "block_influence")
    ]
    for row in truth.correlations:
        columns = truth[row["score"]], truth[row["truth"]]
        assert row["spearman"] == pytest.approx(spearman(*columns))
        assert row["kendall"] == pytest.approx(kendall(*columns))
        assert -1 <= row["spearman_low"] <= row["spearman_high"] <= 1
        assert row["n_modules"] == len(truth)


def test_log_odds_foresee_large_effects_where_the_loss_is_flat(truth):
    rho = {row["score"]: row["spearman"] for row in truth.correlations if row["truth"] == "deletion"}
    assert rho["first_order_odds"] > rho["first_order"]


def test_costs_are_counted_in_forward_passes(net, truth):
    (row,) = un.importance(net, "digits", methods=["deletion", "block_influence"], limit=8).correlations
    assert row["passes"] == pytest.approx(1, abs=0.01)
    # With module i deleted all behind it run anew, and all before it once: as counted from the definition.
    macs = [module.macs for module in net.residual_modules]
    skips = [
        0 if module.kind == "identity" else np.prod(module.output_shape) * module.input_shape[0]
        for module in net.residual_modules
    ]
    head = 10 * net.residual_modules[-1].output_shape[0]
    behind = sum(sum(macs[i + 1 :]) + head for i in range(len(macs)))
    assert row["truth_passes"] == pytest.approx(
        1 + behind / net.total_macs, abs=0.02 + sum(skips) / net.total_macs
    )
    cost = {row["score"]: row["passes"] for row in truth.correlations}
    assert 1.8 < cost["first_order"] < 2.3


def test_estimates_need_a_deletion(net):
    with pytest.raises(
        EvaluationError, match="stop the measurement of a deletion, and the methods are first_order"
    ):
        un.importance(net, "digits", methods=["first_order"], until_ci=0.1)


def test_a_threshold_is_a_number(net):
    with pytest.raises(EvaluationError, match=r"give a finite threshold, such as 0\.01"):
        un.importance(net, "digits", until_decided=float("nan"))


def test_a_width_that_nobody_can_mean_is_refused(net):
    with pytest.raises(CostError, match="half"):
        un.importance(net, "digits", until_ci=-1.0)


def test_a_network_without_order_has_no_correlation():
    two = zoo.preact_resnet(8, input_shape=(1, 8, 8), widths=(2, 2, 4), seed=0)
    table = un.importance(two, torch.zeros(4, 1, 8, 8), methods=SCORES.names())
    for row in table.correlations:
        assert row["truth"] in EFFECTS
        assert row["spearman"] is None or row["truth"] == "deletion"
