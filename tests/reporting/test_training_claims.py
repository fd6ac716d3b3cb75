"""Claims about trainings on tables whose truth is known, on both sides of every threshold."""

import numpy as np
import pytest
from scipy import stats

from tests.reporting.trainings import responses, trained, whole_table
from unravelnet.mathematics.comparisons import (
    difference_of_trainings,
    margin_of_seeds,
    newcombe_interval,
    typical_difference,
    welch_interval,
)
from unravelnet.readers.groups import group_of, pairs_of, trained_groups
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run
from unravelnet.reporting.topics.responses.claims import claim_deeper_responses, claim_smaller_responses
from unravelnet.reporting.topics.trainings.claims import (
    claim_deeper_residual,
    claim_degradation,
    claim_effective_training,
    claim_residual_beats_plain,
    claim_stochastic_training,
)
from unravelnet.reporting.topics.trainings.claims import judge as judge_run
from unravelnet.reporting.topics.trainings.findings import on_cost
from unravelnet.reporting.words.claim import OWN, VEIT

CLAIMS_OF_TRAININGS = [
    claim_effective_training,
    claim_stochastic_training,
    claim_degradation,
    claim_deeper_residual,
    claim_residual_beats_plain,
]


def groups(*rows):
    return trained_groups(Table([row for part in rows for row in part]))


# -- intervals --


@pytest.mark.parametrize("seed", range(5))
def test_welchs_interval_is_scipys(seed):
    generator = np.random.default_rng(seed)
    a, b = generator.normal(0.08, 0.002, 3 + seed), generator.normal(0.07, 0.004, 4)
    ours = welch_interval(a, b)
    theirs = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_the_pooled_interval_is_scipys(seed):
    generator = np.random.default_rng(seed)
    a, b = generator.normal(0.08, 0.002, 3 + seed), generator.normal(0.07, 0.002, 4)
    theirs = stats.ttest_ind(a, b, equal_var=True).confidence_interval(0.95)
    assert margin_of_seeds([a, b], [len(a), len(b)]) == pytest.approx(
        (theirs.high - theirs.low) / 2, rel=1e-10
    )


def test_a_further_training_lies_in_its_interval_as_often_as_it_says():
    generator, inside, n = np.random.default_rng(0), 0, 2000
    for _ in range(n):
        several, others, one = (generator.normal(size=size) for size in (3, 2, 1))
        inside += abs(several.mean() - one[0]) < margin_of_seeds([several, others, one], [3, 1])
    assert inside / n == pytest.approx(0.95, abs=4 * np.sqrt(0.05 * 0.95 / n))


def test_the_interval_of_two_shares_is_newcombes():
    # Newcombe (1998), Table II, method 10: 56/70 - 48/80, 9/10 - 3/10 and 10/10 - 0/10.
    for (a, n), (b, m), ends in (
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((10, 10), (0, 10), (0.6075, 1.0)),
    ):
        interval = newcombe_interval(a / n, n, b / m, m)
        assert (interval.low, interval.high) == pytest.approx(ends, abs=5e-5)


@pytest.mark.parametrize("sizes", [(19, 19), (55, 19), (6, 8)])
def test_the_typical_difference_holds_what_mann_and_whitney_do_not_reject(sizes):
    generator = np.random.default_rng(sum(sizes))
    a, b = generator.gamma(2, 0.3, sizes[0]), generator.gamma(2, 0.6, sizes[1])
    difference = typical_difference(a.tolist(), b.tolist())
    assert difference.value == pytest.approx(np.median([x - y for x in a for y in b]))

    def p_value(shift):
        return stats.mannwhitneyu(a - shift, b, method="asymptotic", use_continuity=True).pvalue

    for end, outward in ((difference.interval.low, -1e-9), (difference.interval.high, 1e-9)):
        assert p_value(end - outward) > 0.05 >= p_value(end + outward)


@pytest.mark.parametrize(
    ("function", "first", "second"),
    [
        (welch_interval, [0.1], [0.2, 0.3]),
        (welch_interval, [0.1, 0.1], [0.2, 0.2]),
    ],
)
def test_without_a_spread_there_is_no_interval(function, first, second):
    assert tuple(function(first, second)) == (-np.inf, np.inf)


@pytest.mark.parametrize("groups", [[], [[0.1], [0.2]], [[0.1, 0.1, 0.1], [0.2]]])
def test_without_a_spread_there_is_no_margin_of_seeds(groups):
    assert margin_of_seeds(groups, [1, 1]) == np.inf


def test_three_layers_a_side_give_no_interval():
    interval = typical_difference([1.0, 2.0, 3.0], [7.0, 8.0, 9.0]).interval
    assert tuple(interval) == (-np.inf, np.inf)


def test_the_interval_follows_from_how_often_was_trained():
    one, more = groups(trained("plain56", [0.13]), trained("plain20", [0.09, 0.091, 0.092]))
    single = difference_of_trainings(one.rows, one.rows)
    assert (single.how, single.knows_seeds) == ("interval of the images, one training each", False)
    # Wilson's interval of 1,300 in 10,000 is 12.355 to 13.674 %.
    assert tuple(single.interval) == pytest.approx((-0.00932, 0.00932), abs=1e-5)
    # The standard deviation 0.001 of 2 degrees of freedom, of a mean of three against one and of one against one.
    t = stats.t.ppf(0.975, 2) * 0.001
    mixed = difference_of_trainings(one.rows, more.rows)
    assert (mixed.how, mixed.knows_seeds) == (
        "interval of the images and the seeds, 1 training against 3",
        True,
    )
    images = newcombe_interval(0.13, 10_000, 0.091, 10_000)
    parts = [
        np.hypot(0.039 - images.low, t * np.sqrt(4 / 3)),
        np.hypot(images.high - 0.039, t * np.sqrt(4 / 3)),
    ]
    assert tuple(mixed.interval) == pytest.approx((0.039 - parts[0], 0.039 + parts[1]))
    borrowed = difference_of_trainings(one.rows, one.rows, others=one.neighbours)
    margin = np.hypot(0.00932, t * np.sqrt(2))
    assert tuple(borrowed.interval) == pytest.approx((-margin, margin), abs=1e-5)
    assert borrowed.how == "interval of the images and the seeds of all networks, one training each"
    # Another column has no part of the images.
    training = difference_of_trainings(one.rows, one.rows, column="train_error_rate", others=one.neighbours)
    assert tuple(training.interval) == pytest.approx((-t * np.sqrt(2), t * np.sqrt(2)))
    several = difference_of_trainings(more.rows, more.rows)
    assert several.how == "Welch's interval, 3 trainings against 3"


# -- effective paths --


def effective(full, part, **columns):
    pair = groups(
        trained("preact-resnet56", full, **columns),
        trained("preact-resnet56", part, routes="exactly:11", **columns),
    )
    return claim_effective_training(*pair)


@pytest.mark.parametrize(
    ("shift", "spread", "verdict"),
    [
        (0.0, 0.001, "agrees"),
        (0.001, 0.001, "agrees"),
        (0.005, 0.001, "agrees in kind"),
        (-0.005, 0.001, "agrees in kind"),
        (-0.05, 0.001, "agrees in kind"),
        (0.0, 0.01, "not decided"),
        (0.009, 0.001, "not decided"),
        (-0.009, 0.01, "not decided"),
        (0.02, 0.001, "does not agree"),
        (0.02, 0.02, "not decided"),
    ],
)
def test_effective_paths_with_several_seeds(shift, spread, verdict):
    full = 0.08 + spread * np.array([-1.0, 0.0, 1.0])
    interval = stats.ttest_ind(full + shift, full, equal_var=False).confidence_interval(0.95)
    expected = "not decided"
    if max(abs(interval.low), abs(interval.high)) <= 0.01:
        expected = "agrees" if interval.low <= 0 <= interval.high else "agrees in kind"
    elif interval.high < 0:
        expected = "agrees in kind"
    elif interval.low > 0.01:
        expected = "does not agree"
    assert expected == verdict
    claim = effective(full.tolist(), (full + shift).tolist())
    assert claim.verdict == verdict
    assert "Welch's interval, 3 trainings against 3" in claim.measured
    assert "exactly 11 of its 27 modules" in claim.text
    assert "One training each" not in claim.why


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        # Newcombe's interval of 7 % in 10,000 images is half a difference of 0.7 points wide on each side.
        ((0.07, 0.07), "agrees"),
        ((0.07, 0.072), "agrees"),
        ((0.07, 0.078), "not decided"),
        ((0.07, 0.09), "does not agree"),
        ((0.07, 0.06), "agrees in kind"),
    ],
)
def test_effective_paths_with_one_training_each(errors, verdict):
    claim = effective(*([error] for error in errors))
    assert claim.verdict == verdict
    assert "One training each" in claim.why
    assert "n = 10,000 images" in claim.measured


@pytest.mark.parametrize(("spread", "verdict"), [(0.0005, "agrees"), (0.01, "not decided")])
def test_seeds_of_other_networks_count_where_there_is_one_training_each(spread, verdict):
    found = groups(
        trained("preact-resnet110", [0.07]),
        trained("preact-resnet110", [0.07], routes="exactly:23"),
        trained("plain20", [0.09 - spread, 0.09, 0.09 + spread]),
    )
    assert claim_effective_training(*found[:2]).verdict == verdict


@pytest.mark.parametrize(("scaled", "unscaled", "better"), [(0.07, 0.49, "scaled"), (0.49, 0.07, "unscaled")])
def test_the_way_of_testing_that_errs_less_is_judged(scaled, unscaled, better):
    others = {"scaled, re-estimated": 0.06}
    rows = trained("preact-resnet110", [unscaled], routes="exactly:23", scaled=[scaled], others=others)
    pair = groups(trained("preact-resnet110", [0.07]), rows)
    claim = claim_effective_training(*pair)
    # What is measured anew stands beside it, and decides nothing.
    assert claim.verdict == "agrees"
    assert claim.measured.startswith(f"Effective paths, {better}, 7.00 %, all modules 7.00 %")
    worse = "unscaled" if better == "scaled" else "scaled"
    assert f"Tested otherwise: {worse} 49.00 %; scaled, re-estimated 6.00 %" in claim.measured
    assert claim.paper.startswith("Not measured at 27 modules. 5.96 %")


def test_without_either_way_of_testing_nothing_is_judged():
    rows = [{**row, "test_time": "random routes"} for row in trained("resnet56", [0.2], routes="exactly:11")]
    pair = groups(trained("resnet56", [0.07]), rows)
    assert claim_effective_training(*pair).verdict == "not measured"


def test_recipes_that_differ_are_named():
    pair = groups(
        trained("resnet20", [0.08], epochs=14, image_sizes="16,32", weight_decay=5e-4),
        trained("resnet56", [0.07], epochs=20, image_sizes="16,24,32", weight_decay=5e-4),
    )
    why = claim_deeper_residual(*pair).why
    assert "Trained for 14 and 20 epochs, the paper's for 164." in why
    assert "Their recipes differ in epochs (20 and 14) and image sizes (16,24,32 and 16,32)." in why
    assert "recipes differ" not in claim_deeper_residual(pair[0], pair[0]).why


def test_more_images_decide_what_few_leave_open():
    assert effective([0.07], [0.075], n=10_000).verdict == "not decided"
    assert effective([0.07], [0.075], n=1_000_000).verdict == "agrees in kind"


def test_numbers_stand_beside_the_verdict():
    claim = effective([0.080, 0.081, 0.082], [0.079, 0.080, 0.081])
    assert claim.measured.startswith(
        "Effective paths, scaled, 8.00 ± 0.10 % (3 trainings: 7.90, 8.00 and 8.10), all modules 8.10 ± 0.10 %"
    )
    # Welch by hand: 2.776 standard errors of 0.1 points * sqrt(2 / 3).
    assert "difference −0.10 points (−0.33 to +0.13)" in claim.measured


# -- stochastic depth, plain and residual, deep and shallow --


@pytest.mark.parametrize(
    ("error", "verdict"), [(0.052, "agrees"), (0.063, "not decided"), (0.08, "does not agree")]
)
def test_stochastic_depth_gives_a_lower_error_or_not(error, verdict):
    pair = groups(
        trained("preact-resnet110", [0.064]),
        trained("preact-resnet110", [0.2], routes="stochastic-depth:0.5", scaled=[error]),
    )
    claim = claim_stochastic_training(*pair)
    assert claim.verdict == verdict
    assert "Trained for 500 epochs, the paper's for 500." in claim.why
    assert "In the last epoch of training it errs in 20.00 %" in claim.why
    assert "One training each" in claim.why


@pytest.mark.parametrize(
    ("test", "training", "verdict"),
    [
        (0.13, 0.11, "agrees"),
        (0.13, 0.0905, "agrees in kind"),
        (0.0905, 0.0905, "not decided"),
        (0.13, 0.05, "does not agree"),
        (0.05, 0.05, "does not agree"),
    ],
)
def test_degradation_is_judged_in_training_and_test(test, training, verdict):
    pair = groups(
        trained("plain20", [0.09, 0.091, 0.092]), trained("plain56", [test], train_errors=[training])
    )
    claim = claim_degradation(*pair)
    assert claim.verdict == verdict
    assert f"plain-56 {100 * training:.2f} %" in claim.measured


def test_one_training_each_has_no_interval_of_the_training_error():
    pair = groups(trained("plain20", [0.09]), trained("plain56", [0.13]))
    claim = claim_degradation(*pair)
    assert claim.verdict == "agrees in kind"
    assert "no interval, one training each" in claim.measured
    lacking = groups(trained("plain20", [0.09]), trained("plain56", [0.13], train_errors=[None]))
    assert claim_degradation(*lacking).why == "There is no training error."


@pytest.mark.parametrize(
    ("error", "verdict"), [(0.07, "agrees"), (0.0845, "not decided"), (0.1, "does not agree")]
)
def test_the_deeper_residual_network_is_better_or_not(error, verdict):
    pair = groups(trained("resnet20", [0.084, 0.085, 0.086]), trained("resnet56", [error]))
    assert claim_deeper_residual(*pair).verdict == verdict


@pytest.mark.parametrize(
    ("error", "verdict"), [(0.07, "agrees"), (0.128, "not decided"), (0.2, "does not agree")]
)
def test_the_residual_network_beats_the_plain_one_or_not(error, verdict):
    pair = groups(trained("plain56", [0.13]), trained("resnet56", [error]))
    claim = claim_residual_beats_plain(*pair)
    assert claim.verdict == verdict
    assert claim.measured.startswith("ResNet-56 ")


@pytest.mark.parametrize("judge", CLAIMS_OF_TRAININGS)
def test_a_network_that_is_missing_decides_nothing(judge):
    (group,) = groups(trained("plain20", [0.09]))
    for pair in ((None, None), (group, None), (None, group)):
        claim = judge(*pair)
        assert (claim.verdict, claim.measured) == ("not measured", "Not measured.")


# -- layer responses --


def curve(scale, n_layers=19):
    return responses([scale * (1 + 0.3 * np.sin(layer)) for layer in range(n_layers)])


@pytest.mark.parametrize(
    ("residual", "verdict"),
    [
        ((0.5, 0.3), "agrees"),
        ((0.5, 1.0), "agrees in kind"),
        ((1.0, 1.0), "not decided"),
        ((0.5, 2.0), "does not agree"),
    ],
)
def test_residual_layers_respond_less_or_not(residual, verdict):
    tables = {("plain", 20): curve(1.0), ("resnet", 20): curve(residual[0])}
    tables |= {("plain", 56): curve(1.0, 55), ("resnet", 56): curve(residual[1], 55)}
    claim = claim_smaller_responses(tables)
    assert claim.verdict == verdict
    # The head, which is no convolution and was put in at 99, counts nowhere.
    assert "in the median of 19 layers" in claim.measured
    assert "in the median of 55 layers" in claim.measured


@pytest.mark.parametrize(
    ("deeper", "verdict"), [(0.5, "agrees"), (1.0, "not decided"), (2.0, "does not agree")]
)
def test_the_deeper_network_responds_less_or_not(deeper, verdict):
    tables = {("resnet", 20): curve(1.0), ("resnet", 56): curve(deeper, 55), ("plain", 20): curve(9.0)}
    claim = claim_deeper_responses(tables)
    assert claim.verdict == verdict
    assert "n = 1,000 images, one training each" in claim.measured


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {("plain", 20): curve(1.0)},
        {("plain", 20): curve(1.0), ("resnet", 56): curve(1.0)},
        {("plain", 20): Table([]), ("resnet", 20): Table([]), ("resnet", 56): Table([])},
        {key: responses([1.0] * 9, measured_after="layer") for key in (("plain", 20), ("resnet", 20))},
    ],
)
def test_responses_of_one_kind_decide_nothing(tables):
    for judge in (claim_smaller_responses, claim_deeper_responses):
        claim = judge(tables)
        assert (claim.verdict, claim.measured) == ("not measured", "Not measured.")


# -- groups --


def test_seeds_of_one_recipe_are_a_group():
    found = trained_groups(whole_table())
    assert [len(group.rows) for group in found] == [1, 1, 1, 1, 3, 1, 3, 1, 3, 3]
    assert [group.title for group in found[:4]] == [
        "Pre-activation ResNet-110",
        "Pre-activation ResNet-110, exactly 23",
        "Pre-activation ResNet-110, stochastic depth",
        "VGG-15",
    ]
    stochastic = group_of(found, "preact-resnet110", "stochastic-depth:")
    assert stochastic.rows["error_rate"].tolist() == [0.06]
    assert stochastic.others["error_rate"].tolist() == [0.09]
    assert [(a.zoo_name, b.routes) for a, b in pairs_of(found, "exactly:")] == [
        ("preact-resnet110", "exactly:23"),
        ("preact-resnet56", "exactly:11"),
    ]


def test_variants_of_the_papers_training_are_claims_of_this_project(tmp_path):
    kept = "exactly:23,keep=downsampling"
    table = Table(
        [
            *trained("preact-resnet110", [0.075], n_modules=54),
            *trained("preact-resnet110", [0.11], routes="exactly:23", n_modules=54, start=""),
            *trained("preact-resnet110", [0.09], routes=kept, n_modules=54),
            *trained(
                "preact-resnet110", [0.08], routes="exactly:23", n_modules=54, start="zoo:a", group="warm"
            ),
        ]
    )
    claims = [
        claim
        for claim in judge_run(Run(tmp_path, {}, (), table))
        if claim.short.startswith("Training on effec")
    ]
    assert [(claim.source, claim.short.partition(", ")[2]) for claim in claims] == [
        (VEIT, ""),
        (OWN, "down-sampling modules kept"),
        (OWN, "warm start"),
    ]
    assert "exactly 23 of its 54 modules, the down-sampling ones always among them, in each" in claims[1].text
    titles = [group.title for group in trained_groups(table)]
    assert titles == [
        "Pre-activation ResNet-110",
        "Pre-activation ResNet-110, exactly 23",
        "Pre-activation ResNet-110, exactly 23 with all down-sampling modules",
        "Pre-activation ResNet-110, exactly 23, started from zoo:a",
    ]
    assert "beside the training of zoo:a before it; error" in on_cost(trained_groups(table))[2]
