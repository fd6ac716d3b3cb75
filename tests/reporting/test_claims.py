"""Claims and verdicts on tables whose truth is known, on both sides of every threshold."""

from functools import partial
from math import comb

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from tests.figures import gradient_tables, tables
from tests.reporting import runs
from unravelnet.readers.spectrum import contributions
from unravelnet.records.record import Table
from unravelnet.reporting.contents import read_run_directory
from unravelnet.reporting.topics.judged import all_claims, untested
from unravelnet.reporting.topics.lesions.claims import (
    claim_downsampling_peaks,
    claim_plain_collapses,
    claim_single_deletions,
)
from unravelnet.reporting.topics.lesions.stochastic_depth import claim_more_resilient, claim_stochastic_depth
from unravelnet.reporting.topics.networks.claims import claim_error
from unravelnet.reporting.topics.orders.claims import claim_reorder
from unravelnet.reporting.topics.paths.claims import (
    claim_effective_share,
    claim_path_lengths,
    claim_path_survival,
    claim_sampled_share,
)
from unravelnet.reporting.topics.random_lesions.claims import (
    claim_delete_many,
    claim_later_deletions,
    claim_many_left,
)
from unravelnet.reporting.topics.skips.claims import claim_remove_skip
from unravelnet.reporting.topics.skips.surges import on_surges
from unravelnet.reporting.words.sentences import percent
from unravelnet.reporting.words.verdict import median_with_interval, rank_correlation

DOWN = (18, 36)
SMOOTH = {count: [0.06 + 0.02 * count + 0.002 * draw for draw in range(-5, 6)] for count in range(1, 21)}
RNG = np.random.default_rng(0)


# -- the error of the intact network --


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (0.061, "agrees"),
        (0.066, "agrees"),
        (0.072, "agrees in kind"),
        (0.055, "agrees"),
        (0.2, "does not agree"),
    ],
)
def test_the_error_is_compared_with_the_papers(error, verdict):
    table = tables.each([error], intact=error)
    claim = claim_error(table, n_modules=54, epochs=164)
    assert claim.verdict == verdict
    assert claim.why.endswith("Trained for 164 epochs, the paper's for 164.")


@pytest.mark.parametrize("data", ["digits/test", "cifar100/test", "cifar-100"])
def test_other_data_is_not_comparable(data):
    claim = claim_error(tables.each([0.061], intact=0.061, data_name=data), n_modules=54)
    why = f"The paper's number is of CIFAR-10 and 54 modules, this one of data {data}."
    assert (claim.verdict, claim.why) == ("not comparable", why)


def test_another_depth_is_not_comparable():
    claim = claim_error(tables.each([0.061], intact=0.061), n_modules=9)
    why = "The paper's number is of CIFAR-10 and 54 modules, this one of 9 modules."
    assert (claim.verdict, claim.why) == ("not comparable", why)


# -- deleting each module --


def test_few_images_do_not_make_the_error_agree():
    # Wilson's interval of 61 in 1,000 is 4.8 to 7.8 %, of 67 5.3 to 8.4 %: more than 2 points above 6.1 %.
    verdicts = [
        claim_error(tables.each([error], intact=error, n=1000), n_modules=54).verdict
        for error in (0.061, 0.067)
    ]
    assert verdicts == ["agrees", "not decided"]


def single(errors, *, intact=0.06, n=tables.N_IMAGES, n_classes=10):
    table = tables.each(errors, intact=intact, n=n)
    return claim_single_deletions(table, downsampling=DOWN, n_classes=n_classes, network="net")


def test_a_network_that_bears_every_deletion_agrees():
    claim = single(tables.resnet_like(peak=0.3))
    assert claim.verdict == "agrees"
    assert "52 modules, n = 10,000 images" in claim.measured
    # The largest rise between the down-sampling modules was put into module 53: 0.2 + 53 * 0.01 points.
    assert "at most +0.7 points" in claim.measured
    assert "at module 53" in claim.measured


@pytest.mark.parametrize(("rise", "verdict"), [(0.009, "agrees"), (0.011, "agrees in kind")])
def test_one_point_is_noticeable(rise, verdict):
    claim = single([0.06 + rise] * 54, n=1_000_000)
    assert claim.verdict == verdict
    assert f"{52 if rise < 0.01 else 0} rise by less than 1 point, 0 by 5 points or more" in claim.measured


@pytest.mark.parametrize(
    ("n_bad", "verdict"), [(1, "agrees in kind"), (5, "agrees in kind"), (6, "does not agree")]
)
def test_a_few_bad_modules_are_an_agreement_in_kind(n_bad, verdict):
    errors = tables.resnet_like()
    for module in range(1, 1 + n_bad):
        errors[module] = 0.4
    assert single(errors).verdict == verdict


def test_wide_intervals_decide_nothing():
    assert single([0.1] * 54, n=100).verdict == "not decided"
    assert single([0.1] * 54, n=100_000).verdict == "agrees in kind"
    assert single([0.12] * 54, n=100_000).verdict == "does not agree"


def test_a_network_that_learnt_little_cannot_lose():
    claim = single([0.85] * 54, intact=0.85)
    assert claim.verdict == "not decided"
    assert "guessing in 90.0 %" in claim.why
    # With two classes guessing errs in half of the cases, and 0.35 is near to it.
    assert single([0.35] * 54, intact=0.35, n_classes=2).verdict == "not decided"
    assert single([0.35] * 54, intact=0.35, n_classes=10).verdict == "agrees"


@pytest.mark.parametrize(
    ("peaks", "verdict"),
    [
        ((0.15, 0.15), "agrees"),
        ((0.15, 0.004), "agrees in kind"),
        ((0.004, 0.004), "not decided"),
        ((0.15, -0.03), "does not agree"),
    ],
)
def test_peaks_at_downsampling_modules(peaks, verdict):
    errors = tables.resnet_like()
    for module, peak in zip(DOWN, peaks, strict=True):
        errors[module] = 0.06 + peak
    claim = claim_downsampling_peaks(tables.each(errors), downsampling=DOWN)
    assert claim.verdict == verdict
    assert claim.measured.startswith("Module 18: ")


def test_without_downsampling_there_is_no_peak_to_judge():
    assert claim_downsampling_peaks(tables.each([0.1, 0.1]), downsampling=()).verdict == "not decided"


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ([0.9] * 14, "agrees"),
        ([0.9] * 13 + [0.86], "agrees"),
        ([0.9] * 13 + [0.82], "agrees in kind"),
        ([0.9] * 7 + [0.7] * 7, "agrees in kind"),
        ([0.9] * 13 + [0.3], "agrees in kind"),
        ([0.9] * 10 + [0.3] * 4, "does not agree"),
        ([0.07] * 14, "does not agree"),
    ],
)
def test_a_plain_network_collapses_or_not(errors, verdict):
    claim = claim_plain_collapses(tables.each(errors), n_classes=10)
    assert claim.verdict == verdict


def test_a_plain_network_that_never_learnt_did_not_collapse():
    claim = claim_plain_collapses(tables.each([0.9] * 14, intact=0.9), n_classes=10)
    assert claim.verdict == "not decided"
    assert "learnt too little" in claim.why
    assert claim_plain_collapses(tables.each([0.9] * 14), n_classes=None).verdict == "not decided"


@pytest.mark.parametrize(
    ("with_it", "verdict"),
    [
        ((0.02, 0.02), "agrees"),
        ((0.02, 0.15), "agrees in kind"),
        ((0.15, 0.15), "not decided"),
        ((0.02, 0.4), "does not agree"),
    ],
)
def test_stochastic_depth_shrinks_the_peaks_or_not(with_it, verdict):
    trained = tables.resnet_like()
    for module, peak in zip(DOWN, with_it, strict=True):
        trained[module] = 0.06 + peak
    plain = tables.each(tables.resnet_like(peak=0.15))
    claim = claim_stochastic_depth(plain, tables.each(trained), downsampling=DOWN)
    assert claim.verdict == verdict
    assert "One training each" in claim.why


# -- deleting many, reordering --


def test_a_smooth_growth_agrees():
    claim = claim_delete_many(tables.many(SMOOTH), n_classes=10)
    assert claim.verdict == "agrees"
    assert "Medians from 8.0 % to 46.0 %" in claim.measured
    assert "means from 8.0 % to 46.0 %" in claim.measured


def test_a_collapse_of_the_mean_alone_does_not_agree():
    # The median stays, and two fifths of the draws fall to guessing at once.
    few = [0.06 + 0.002 * draw for draw in range(60)]
    claim = claim_delete_many(
        tables.many({1: [0.07] * 100, 2: [*few, *[0.89] * 40], 3: [*few, *[0.9] * 40]}), n_classes=10
    )
    assert claim.verdict == "does not agree"
    assert "By the means: One step is surely a collapse" in claim.why


def test_a_collapse_does_not_agree():
    draws = {1: [0.07] * 11, 2: [0.08] * 11, 3: [0.8] * 11}
    claim = claim_delete_many(tables.many(draws), n_classes=10)
    assert claim.verdict == "does not agree"
    assert "surely a collapse" in claim.why


def test_a_collapse_at_the_first_deletion_counts():
    draws = {1: [0.8] * 11, 2: [0.82] * 11, 3: [0.84] * 11}
    assert claim_delete_many(tables.many(draws), n_classes=10).verdict == "does not agree"


def test_an_error_that_falls_does_not_agree():
    draws = {count: [0.3 - 0.01 * count] * 11 for count in range(1, 10)}
    claim = claim_delete_many(tables.many(draws), n_classes=10)
    assert (claim.verdict, claim.why) == ("does not agree", "The error surely falls.")


def test_an_error_that_does_not_move_is_not_decided():
    draws = {count: RNG.normal(0.06, 0.003, 11).tolist() for count in range(1, 5)}
    draws[4] = draws[1]
    assert claim_delete_many(tables.many(draws), n_classes=10).verdict == "not decided"


def test_too_few_draws_agree_in_kind_only():
    draws = {count: errors[3:8:2] for count, errors in SMOOTH.items()}
    claim = claim_delete_many(tables.many(draws), n_classes=10)
    assert (claim.verdict, "not sure" in claim.why) == ("agrees in kind", True)


def test_growth_cannot_be_judged_without_the_level_of_chance():
    assert claim_delete_many(tables.many(SMOOTH), n_classes=None).verdict == "not decided"


@pytest.mark.parametrize(
    ("error", "spread", "verdict"),
    [
        (0.2, 0.01, "agrees"),
        (0.33, 0.05, "agrees in kind"),
        (0.42, 0.01, "agrees in kind"),
        (0.48, 0.05, "not decided"),
        (0.7, 0.01, "does not agree"),
    ],
)
def test_ten_of_54_leave_most_or_not(error, spread, verdict):
    # Learnt is 0.06 to 0.9: a third is lost at 0.34, half at 0.48.
    table = tables.many({10: [error + spread * draw / 5 for draw in range(-5, 6)]})
    assert claim_many_left(table, n_modules=54, n_classes=10).verdict == verdict


def test_ten_of_54_is_in_proportion_for_other_depths():
    table = tables.many({2: [0.2] * 11})
    claim = claim_many_left(table, n_modules=9, n_classes=10)
    assert (claim.verdict, "deleting 2 of 9 modules" in claim.text) == ("agrees", True)
    assert claim_many_left(table, n_modules=54, n_classes=10).why == "No draw deletes 10."


def test_draws_that_hit_a_downsampling_module_are_counted():
    rows = list(tables.many({10: [0.2] * 11}))
    routes = ["0-53", "0-8,9-18s,19-53", "0-17,18s,19-35,36s,37-53"] + ["0-9,10-17s,18-53"] * 9
    table = Table([{**row, "route": route} for row, route in zip(rows, routes, strict=True)])
    many = partial(claim_many_left, table, n_modules=54, n_classes=10)
    told = (
        "2 of them delete module 18 or 36; their median is 20.0 % and their mean 20.0 %, those of the others 20.0 % "
        "and 20.0 %."
    )
    assert told in many(downsampling=DOWN).measured
    assert "of them delete" not in many(keeps_shape=True).measured
    assert "none of them down-sampling," in many(keeps_shape=True).text
    assert "mean 20.0 %" in many().measured


def test_the_mean_of_two_kinds_of_draws_is_judged_beside_their_median():
    # Learnt is 84 points. Seven of eleven draws lose 4 of them, four lose 80: the median 5 %, the mean 38 %.
    table = tables.many({10: [0.10] * 7 + [0.86] * 4})
    claim = claim_many_left(table, n_modules=54, n_classes=10)
    assert "By the median, it lost 5 %" in claim.why
    assert "By the mean, it lost 38 %" in claim.why
    assert claim.verdict == "not decided"


def test_later_deletions_may_hurt_more_by_their_median_only():
    # Medians 10 and 50 %, without doubt, since the 10th and 22nd of 31 draws are the same. Means 30.6 and 39.7 %: the
    # first rise is 15.5 points more than the second, and Student's interval reaches 25.7 points to either side.
    table = tables.many({10: [0.1] * 23 + [0.9] * 8, 20: [0.1] * 8 + [0.5] * 23})
    claim = claim_later_deletions(table, n_modules=54)
    assert (claim.verdict, claim.why[:6]) == ("agrees in kind", "1 of 2")


def test_late_skips_are_told_beside_the_median_of_all():
    skips = tables.each([0.86] * 36 + [0.26] * 17 + [0.16], study="remove_skip_each")
    claim = claim_remove_skip(skips, tables.each([0.06] * 54), n_classes=10)
    assert "+80.0 points in the median without the skip" in claim.measured
    assert (
        "without the skip of a late module, 36 to 53, +20.0 in the median and +10.0 at least"
        in claim.measured
    )


def test_a_smaller_rise_is_not_taken_for_a_smaller_error():
    # Without: 6 % intact and 7 % after each deletion. With: 10 % before and after, but for one module with 6.5 %.
    with_it = tables.each([0.10] * 53 + [0.065], intact=0.10)
    claim = claim_more_resilient(tables.each([0.07] * 54), with_it)
    assert claim.verdict == "agrees"
    assert "the error itself is lower with stochastic depth at 1 of 54 modules" in claim.measured


def test_routes_of_23_modules_are_effective():
    # math.comb: the sum of C(23, k) over 5 to 17, by 2^23.
    share = sum(comb(23, length) for length in range(5, 18)) / 2**23
    claim = claim_sampled_share()
    assert (claim.verdict, claim.measured) == ("agrees", f"Computed exactly: {100 * share:.1f} %.")
    assert claim.is_computed


def test_falls_of_the_median_are_told():
    draws = {1: [0.07] * 11, 2: [0.2] * 11, 3: [0.17] * 11, 4: [0.3] * 11}
    claim = claim_delete_many(tables.many(draws), n_classes=10)
    assert "with 1 fall on the way, the largest by 3.0 points" in claim.measured


def test_the_interval_of_draws_is_joined_with_that_of_their_images():
    # All draws alike: what is left open is Wilson's interval of 200 in 1,000, whose draws they share.
    table = Table([{**row, "n_images": 1000} for row in tables.many({10: [0.2] * 11})])
    claim = claim_many_left(table, n_modules=54, n_classes=10)
    low, high = binomtest(200, 1000).proportion_ci(0.95, method="wilson")
    assert f"Median 20.0 % ({100 * low:.1f} to {100 * high:.1f})" in claim.measured


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [(0.10, 0.40, "agrees"), (0.40, 0.50, "does not agree"), (0.20, 0.35, "not decided")],
)
def test_later_deletions_hurt_more_or_not(first, second, verdict):
    # Intact 6 %; draws spread over 2 points on each side.
    spread = np.linspace(-0.02, 0.02, 11)
    table = tables.many({10: (first + spread).tolist(), 20: (second + spread).tolist()})
    claim = claim_later_deletions(table, n_modules=54)
    assert claim.verdict == verdict
    # Of 11 values the 2nd and 10th bound the median: 1.6 points on each side, twice as many for the first rise.
    value = 100 * (2 * first - second - 0.06)
    margin = np.hypot(3.2, 1.6)
    assert f"{value:+.1f} points ({value - margin:+.1f} to {value + margin:+.1f})" in claim.measured.replace(
        "\u2212", "-"
    )


def test_later_deletions_are_as_many_as_the_first_at_any_depth():
    # An error that grows evenly, so that nothing can be decided.
    even = {count: (0.06 + 0.02 * count + np.linspace(-0.02, 0.02, 11)).tolist() for count in range(1, 25)}
    for n_modules, few in ((3, 1), (9, 2), (18, 3), (54, 10)):
        claim = claim_later_deletions(tables.many(even), n_modules=n_modules)
        assert f"from {few} to {2 * few} of {n_modules}" in claim.text
        assert claim.verdict == "not decided"


def test_modules_that_stochastic_depth_makes_dearer_are_counted():
    without, with_it = [0.07] * 54, [0.065] * 53 + [0.09]
    claim = claim_more_resilient(tables.each(without), tables.each(with_it))
    assert "costs more with stochastic depth at 1, most at module 53 (+3.0 points" in claim.measured
    assert "6.0 % (5.6 to 6.5) intact, 6.5 % in the median" in claim.measured


def test_who_learnt_little_cannot_be_resilient():
    little, table = tables.each([0.85] * 54, intact=0.85), tables.each([0.2] * 54)
    for pair in ((little, table), (table, little)):
        assert claim_more_resilient(*pair, n_classes=10).verdict == "not decided"
        peaks = claim_stochastic_depth(*pair, downsampling=DOWN, n_classes=10)
        assert (peaks.verdict, "learnt too little" in peaks.why) == ("not decided", True)
    assert claim_downsampling_peaks(little, downsampling=DOWN, n_classes=10).why == peaks.why
    many = tables.many({10: [0.86] * 11, 20: [0.9] * 11}, intact=0.85)
    assert claim_later_deletions(many, n_modules=54, n_classes=10).verdict == "not decided"


def test_counts_that_were_not_drawn_decide_nothing_about_later_ones():
    claim = claim_later_deletions(tables.many({10: [0.2] * 11}), n_modules=54)
    assert (claim.verdict, claim.why) == ("not measured", "No draw deletes 10, or none 20.")


@pytest.mark.parametrize(
    ("shift", "verdict"), [(-0.002, "agrees"), (0.0, "not decided"), (0.002, "does not agree")]
)
def test_stochastic_depth_makes_most_modules_cheaper_or_not(shift, verdict):
    generator = np.random.default_rng(0)
    without = 0.07 + 0.001 * generator.normal(size=54)
    with_it = without + shift + 0.001 * generator.normal(size=54)
    claim = claim_more_resilient(tables.each(without.tolist()), tables.each(with_it.tolist()))
    assert claim.verdict == verdict
    assert "54 modules" in claim.measured
    assert "One training each" in claim.why


def test_reordering_that_hurts_by_and_by_agrees():
    pairs = [(1 - 0.001 * i, 0.06 + 0.003 * i) for i in range(1, 151)]
    assert claim_reorder(tables.orders(pairs), n_classes=10).verdict == "agrees"


def test_reordering_that_ruins_at_once_does_not_agree():
    pairs = [(1 - 0.001 * i, 0.8 + 0.0005 * i) for i in range(1, 151)]
    assert claim_reorder(tables.orders(pairs), n_classes=10).verdict == "does not agree"


# -- paths --


def test_path_lengths_are_settled_by_arithmetic():
    # paper_facts: 19 to 35 hold 0.9801656732719317 of the paths.
    claim = claim_path_lengths(54)
    assert (claim.verdict, "98.0 %" in claim.measured) == ("agrees", True)
    assert claim_path_lengths(3).verdict == "does not agree"


def test_the_share_of_effective_paths_is_the_papers():
    # paper_facts: 5 to 17 of 54 hold 0.004536670150778743 of the paths.
    assert binom.cdf(17, 54, 0.5) - binom.cdf(4, 54, 0.5) == pytest.approx(0.004536670150778743)
    claim = claim_effective_share()
    assert (claim.verdict, claim.measured) == ("agrees", "Computed exactly: 0.45 %.")


def test_many_surviving_paths_is_generous():
    # paper_facts: 34 % at length 5, 8 % at 11, 1.5 % at 17.
    claim = claim_path_survival(54)
    assert claim.verdict == "agrees in kind"
    assert "34.3 % at length 5, 8.0 % at 11, 1.5 % at 17" in claim.measured
    assert claim_path_survival(9).verdict == "not measured"
    # With r = 0.25 they leave 1.25^-10 of what the paths carry.
    weighted = claim_path_survival(54, contributions(gradient_tables.sampled(54, 0.25)))
    assert f"as measured, {percent(1.25**-10)} is on paths that are left" in weighted.measured
    assert weighted.is_computed


@pytest.mark.parametrize(
    ("skip_errors", "verdict"),
    [
        ([0.065] * 54, "agrees"),
        ([0.065] * 50 + [0.6] * 4, "agrees in kind"),
        ([0.065] * 40 + [0.6] * 14, "does not agree"),
        ([0.8] * 54, "does not agree"),
        # A skip that costs much less than its branch does not cost the same.
        ([0.01] * 54, "does not agree"),
    ],
)
def test_removing_skips_costs_the_same_or_not(skip_errors, verdict):
    skips, branches = tables.each(skip_errors, study="remove_skip_each"), tables.each([0.075] * 54)
    claim = claim_remove_skip(skips, branches, n_classes=10)
    assert claim.verdict == verdict
    assert ("not the number of paths alone" in claim.why) == (verdict == "does not agree")
    n_dearer, n_cheaper = skip_errors.count(0.6) + skip_errors.count(0.8), skip_errors.count(0.01)
    assert f"the skip dearer at {n_dearer}, the branch at {n_cheaper}" in claim.measured
    assert ("(module 0: −5.0 and +1.5; module 1" in claim.measured) == (n_cheaper > 0)


def surges(skips, branches=None, *args, **options):
    branches = tables.each([0.065] * 54) if branches is None else branches
    return on_surges(skips, branches, *args, n_modules=54, n_classes=10, **options)


def test_surges_are_told_where_something_was_learnt():
    skips = tables.each([0.6] * 3 + [0.07] * 51, study="remove_skip_each")
    assert surges(skips).startswith("the residual network: at 3 of 54 modules the error surges")
    without = Table(
        [{name: value for name, value in row.items() if "difference" not in name} for row in skips]
    )
    for table in (None, Table([]), without, tables.each([0.065] * 54, study="remove_skip_each")):
        assert surges(table) == ""
    assert surges(skips, without) == ""
    assert surges(skips, tables.each([0.8] * 54, intact=0.8)) == ""


def test_paths_are_weighted_with_the_gradient_of_their_lengths():
    skips = tables.each([0.8] * 54, study="remove_skip_each")
    # With r = 0.25 a module's branch has r / (1 + r) of it; seven deletions leave 1.25^-7, eight 1.25^-8.
    spectrum = contributions(gradient_tables.sampled(54, 0.25))
    draws = tables.many({7: [0.16] * 3, 8: [0.5] * 3})
    told = surges(skips, None, draws, spectrum)
    assert "80.0 % of it is on paths through a module's skip and 20.0 % on those through its branch" in told
    assert "The paper's effective paths predict" in told
    assert f"deleting 7 modules at random leaves paths with {percent(1.25**-7)} of it" in told
    assert "by 10.0 points in the median of the draws; removing a skip raises it by 74.0" in told
    assert "at random" not in surges(skips, None, None, spectrum)
    # Where long paths carry most, the branch would be the greater loss.
    long = contributions(gradient_tables.sampled(54, 3.0))
    assert "do not predict which of the two costs more" in surges(skips, None, draws, long)


# -- missing and odd tables --


MISSING = [
    lambda table: claim_error(table, n_modules=54),
    lambda table: claim_single_deletions(table, n_classes=10),
    lambda table: claim_downsampling_peaks(table),
    lambda table: claim_plain_collapses(table, n_classes=10),
    lambda table: claim_stochastic_depth(table, table),
    lambda table: claim_more_resilient(table, table),
    lambda table: claim_delete_many(table, n_classes=10),
    lambda table: claim_many_left(table, n_modules=54, n_classes=10),
    lambda table: claim_reorder(table, n_classes=10),
    lambda table: claim_later_deletions(table, n_modules=54),
    lambda table: claim_remove_skip(table, table, n_classes=10),
]


@pytest.mark.parametrize("judge", MISSING)
@pytest.mark.parametrize("table", [None, Table([]), Table([{"label": "module 0", "error_rate": None}])])
def test_a_table_without_numbers_decides_nothing(judge, table):
    claim = judge(table)
    assert claim.verdict == "not measured"
    assert claim.measured == "Not measured."


@pytest.mark.parametrize("judge", MISSING[1:])
def test_only_the_intact_row_decides_nothing(judge):
    assert judge(tables.each([])).verdict == "not measured"


def test_a_table_without_the_intact_row_decides_nothing_about_loss():
    rows = [row for row in tables.many({10: [0.2] * 11}) if row["label"] != "intact"]
    assert claim_many_left(Table(rows), n_modules=54, n_classes=10).verdict == "not decided"


# -- statistics --


@pytest.mark.parametrize("n", [6, 7, 20, 51, 200])
def test_the_interval_of_the_median_has_its_coverage(n):
    interval = median_with_interval(np.arange(n))
    # The interval from the k-th smallest to the k-th largest misses the median if fewer than k lie on a side.
    k = int(interval["low"]) + 1
    assert interval["high"] == n - k
    assert 2 * binom.cdf(k - 1, n, 0.5) <= 0.05 < 2 * binom.cdf(k, n, 0.5)


def test_five_draws_give_no_interval_of_the_median():
    assert median_with_interval(np.arange(5.0)).tolist() == [2.0, -np.inf, np.inf]


def test_the_interval_of_the_rank_correlation_covers():
    generator, covered = np.random.default_rng(1), 0
    # Spearman's correlation of normal pairs with Pearson's 0.5 is (6 / pi) asin(0.25).
    truth = 6 / np.pi * np.arcsin(0.25)
    for _ in range(400):
        x = generator.normal(size=60)
        y = 0.5 * x + np.sqrt(0.75) * generator.normal(size=60)
        _, low, high = rank_correlation(x, y)
        covered += low < truth < high
    assert covered / 400 > 0.92


def test_too_little_to_rank_says_nothing():
    assert rank_correlation(np.arange(5.0), np.arange(5.0)) == (0.0, -1.0, 1.0)
    assert rank_correlation(np.ones(10), np.arange(10.0)) == (0.0, -1.0, 1.0)


# -- what the thresholds let through is told --


@pytest.mark.parametrize(("step", "verdict"), [(0.19, "agrees"), (0.23, "does not agree")])
def test_a_step_of_a_quarter_of_what_was_learnt_is_a_collapse(step, verdict):
    # Guessing errs in 90 %, the intact network in 6 %: a quarter of what was learnt is 21 points.
    draws = {1: [0.07] * 40, 2: [0.07 + step] * 40}
    claim = claim_delete_many(tables.many(draws), n_classes=10)
    assert claim.verdict == verdict
    assert "the threshold 21.0" in claim.why


def test_layers_that_leave_more_than_guessing_are_counted():
    # Wilson's interval of 88 % of 10,000 is 87.3 to 88.6 %; that of 90 % contains 90 %.
    table = tables.each([0.9] * 9 + [0.88] * 5)
    claim = claim_plain_collapses(table, n_classes=10)
    assert claim.verdict == "agrees"
    assert claim.measured.endswith("5 of 14 intervals lie wholly below guessing, 90.0 %.")


def test_the_highest_peak_is_told_as_a_share_of_what_was_learnt():
    # A rise of 42 points of the 84 between 6 and 90 %.
    errors = [0.48 if module in DOWN else 0.06 for module in range(54)]
    table = tables.each(errors, intact=0.06)
    claim = claim_downsampling_peaks(table, downsampling=DOWN, n_classes=10)
    assert claim.measured.endswith("The highest peak loses 50 % of what was learnt.")


@pytest.mark.parametrize(("n_classes", "place"), [(1000, "Fig. 4"), (10, "Fig. 3")])
def test_networks_of_imagenet_are_judged_by_the_figure_that_shows_one(tmp_path, n_classes, place):
    network = {**runs.RESNET, "n_classes": n_classes}
    directory = runs.write(tmp_path / "run", [(network, {"delete_each": tables.each(tables.resnet_like())})])
    run = read_run_directory(directory)
    papers = [claim.paper for claim in all_claims(run) if claim.chapter == "delete-each"]
    assert papers
    assert all(place in paper for paper in papers)
    # Without such a network, what the paper says of ImageNet is among what was not tested.
    assert any("(Fig. 4;" in sentence for sentence in untested(run)) is (place == "Fig. 3")
