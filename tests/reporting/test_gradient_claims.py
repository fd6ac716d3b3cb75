"""Claims about gradients on tables whose truth is known, on both sides of every threshold."""

import numpy as np
import pytest
from scipy.stats import binom

from tests.figures import gradient_tables as tables
from unravelnet.paths import effective_lengths, share_within
from unravelnet.records.record import Table
from unravelnet.reporting.topics.effective_depth.claims import claim_over_deepened
from unravelnet.reporting.topics.ensembles.claims import claim_ensemble, claim_ensemble_is_whole
from unravelnet.reporting.topics.gradients.claims import (
    claim_decay,
    claim_effective_lengths,
    claim_exact_lengths,
    claim_long_paths,
)
from unravelnet.reporting.topics.over_training.claims import claim_deepening
from unravelnet.reporting.words.sentences import percent

RISING = [0.1, 0.12, 0.14, 0.16, 0.18, 0.2, 0.22, 0.24, 0.26]


# -- the decay --


def bent(r_squared, n_lengths=55):
    """Mean norms around a falling line that explains exactly this share of the variance of their logarithm."""
    lengths = np.arange(n_lengths)
    centred = lengths - lengths.mean()
    other = np.cos(np.pi * lengths)
    other -= other.mean()
    other -= centred * (other @ centred) / (centred @ centred)
    other *= np.sqrt((centred @ centred) / (other @ other))
    logs = -np.sqrt(r_squared) * centred + np.sqrt(1 - r_squared) * other
    rows = list(tables.sampled(54))[:n_lengths]
    return Table(
        {**row, "path_gradient_norm": float(norm)} for row, norm in zip(rows, np.exp(0.1 * logs), strict=True)
    )


@pytest.mark.parametrize(
    ("r_squared", "verdict"),
    [
        (1.0, "agrees"),
        (0.951, "agrees"),
        (0.949, "agrees in kind"),
        (0.801, "agrees in kind"),
        (0.799, "does not agree"),
    ],
)
def test_a_straight_line_is_an_exponential_decay(r_squared, verdict):
    claim = claim_decay(bent(r_squared))
    assert claim.verdict == verdict
    assert f"R² = {r_squared:.3f}" in claim.measured


@pytest.mark.parametrize(("bend", "verdict"), [(0.0, "agrees"), (0.002, "agrees"), (0.005, "agrees in kind")])
def test_a_decay_that_slows_down_is_exponential_in_kind_only(bend, verdict):
    # log norm = -2 k + bend k²; the slope of a line through a stretch is that of the parabola at its middle.
    lengths = np.arange(55)
    norms = np.exp(-2.0 * lengths + bend * lengths**2)
    rows = [{**row, "path_gradient_norm": float(n)} for row, n in zip(tables.sampled(54), norms, strict=True)]
    claim = claim_decay(Table(rows), network="net")
    middles = (9, 27.5, 45.5)
    rates = [f"{np.exp(-2.0 + 2 * bend * middle):.3g}" for middle in middles]
    assert f"by thirds {rates[0]} over lengths 0 to 18, {rates[1]} over" in claim.measured
    assert claim.verdict == verdict


@pytest.mark.parametrize(
    ("decay", "verdict"),
    [(0.2, "agrees"), (0.35, "agrees in kind"), (0.38, "not decided"), (0.6, "does not agree")],
)
def test_long_paths_carry_nothing_or_something(decay, verdict):
    # Binomial(54, r / (1 + r)) above 20.
    held = binom.sf(20, 54, decay / (1 + decay))
    claim = claim_long_paths(tables.sampled(54, decay), n_modules=54)
    assert claim.measured.startswith(f"{percent(held)} (")
    assert claim.verdict == verdict


def test_the_decay_is_told_with_its_interval_and_n():
    claim = claim_decay(tables.sampled(54, 0.26), network="net")
    assert claim.measured.startswith(
        "A factor r = 0.26 (0.26 to 0.26) with every module, R² = 1.000; by thirds 0.26 over lengths 0 to 18"
    )
    assert "; 55 lengths, n = 128 images, 1,000 random paths of each length" in claim.measured


@pytest.mark.parametrize(
    ("per", "at", "words"),
    [
        ("image", "stem", "of each length, norms of single images at the stem's output."),
        (
            "batch",
            "input",
            "norms of whole batches, 1,000 random paths of each length at the network's input.",
        ),
    ],
)
def test_what_the_norms_are_of_is_told(per, at, words):
    table = Table([{**row, "per": per, "at": at} for row in tables.sampled(54, 0.26)])
    assert words in claim_decay(table).measured
    assert words.removesuffix(".") in claim_effective_lengths(table, n_modules=54).measured


def test_a_norm_that_grows_does_not_decay():
    claim = claim_decay(tables.sampled(54, 1.1))
    assert (claim.verdict, claim.why) == ("does not agree", "The norm surely grows with the length.")


def test_a_few_lengths_say_little():
    assert claim_decay(tables.sampled(4, 0.3)).verdict == "not decided"
    assert claim_decay(tables.sampled(5, 0.3)).verdict == "agrees"


# -- the lengths that the gradient comes from --


# paper_facts: of Binomial(54, r / (1 + r)), 5 to 17 hold 95.7 % for r = 0.20, 94.2 % for 0.30, 86 % for 0.35.
@pytest.mark.parametrize(
    ("decay", "verdict"),
    [(0.2, "agrees"), (0.25, "agrees"), (0.29, "agrees"), (0.3, "agrees in kind"), (0.6, "agrees in kind")],
)
def test_lengths_of_the_paper_carry_almost_all(decay, verdict):
    claim = claim_effective_lengths(tables.sampled(54, decay, half=0.0), n_modules=54)
    assert claim.verdict == verdict
    held = binom.cdf(17, 54, decay / (1 + decay)) - binom.cdf(4, 54, decay / (1 + decay))
    assert (held >= 0.95) == (verdict == "agrees")
    assert f"lengths 5 to 17 hold {percent(held)}" in claim.measured
    assert (f"hold only {percent(held)}" in claim.why) == (verdict != "agrees")


# Shorter than 27 of 54: 95 % of Binomial(54, r / (1 + r)) lie there up to r of about 0.61.
@pytest.mark.parametrize(
    ("decay", "verdict"), [(0.60, "agrees in kind"), (0.64, "does not agree"), (1.0, "does not agree")]
)
def test_longer_paths_do_not_agree(decay, verdict):
    held = binom.cdf(26, 54, decay / (1 + decay))
    assert (held >= 0.95) == (verdict == "agrees in kind")
    assert claim_effective_lengths(tables.sampled(54, decay, half=0.0), n_modules=54).verdict == verdict


def test_wide_intervals_decide_less():
    # 5 to 17 hold 97.5 %: with norms known to 30 % at best 0.7 / (0.7 + 1.3 / 39).
    sharp, wide = (tables.sampled(54, 0.25, half=half) for half in (0.05, 0.5))
    assert claim_effective_lengths(sharp, n_modules=54).verdict == "agrees"
    missed = claim_effective_lengths(wide, n_modules=54)
    assert (missed.verdict, "but less than 95 % if each length lies at the worse end" in missed.why) == (
        "agrees in kind",
        True,
    )
    edge = tables.sampled(54, 0.61, half=0.3)
    assert claim_effective_lengths(edge, n_modules=54).verdict == "not decided"


@pytest.mark.parametrize("n_modules", [9, 27, 110])
def test_another_depth_agrees_in_kind_at_best(n_modules):
    claim = claim_effective_lengths(tables.sampled(n_modules, 0.2), n_modules=n_modules)
    assert claim.verdict == "agrees in kind"
    low, high = effective_lengths(binom.pmf(range(n_modules + 1), n_modules, 1 / 6).tolist())
    held = percent(share_within(n_modules, low, high))
    assert claim.measured.startswith(
        f"95 % comes from lengths {low} to {high} of 0 to {n_modules}, {held} of"
    )
    assert "5 to 17 hold" not in claim.measured
    long = claim_effective_lengths(tables.sampled(n_modules, 1.0), n_modules=n_modules)
    assert long.verdict == "does not agree"


@pytest.mark.parametrize(("coherent", "verdict"), [(True, "agrees"), (False, "agrees in kind")])
def test_the_exact_sums_are_judged_by_themselves(coherent, verdict):
    # Both have the same norms on paths; independent directions leave 5 to 17 far less.
    table = tables.exact(54, 0.25, coherent=coherent)
    claim = claim_exact_lengths(table, n_modules=54)
    assert claim.verdict == verdict
    assert claim.paper.startswith("Not measured")
    assert claim_effective_lengths(table, n_modules=54).verdict == "agrees"


@pytest.mark.parametrize("judge", [claim_effective_lengths, claim_exact_lengths])
def test_lengths_that_were_not_measured_leave_it_open(judge):
    claim = judge(Table(list(tables.exact(54))[:26]), n_modules=54)
    assert (claim.verdict, claim.why) == ("not decided", "The other lengths were not measured.")


# -- over training --


@pytest.mark.parametrize(
    ("decays", "lengths", "verdict"),
    [
        (RISING, None, "agrees"),
        (RISING[::-1], None, "does not agree"),
        (RISING, [5.0] * 9, "agrees in kind"),
        ([0.2] * 9, list(range(9)), "agrees in kind"),
        ([0.2] * 9, [5.0] * 9, "not decided"),
        (RISING, list(range(9, 0, -1)), "does not agree"),
        (RISING[::-1], list(range(9)), "does not agree"),
    ],
)
def test_the_virtual_ensemble_deepens_or_not(decays, lengths, verdict):
    claim = claim_deepening({"A": tables.over_training(decays, mean_lengths=lengths)})
    assert claim.verdict == verdict
    assert claim.why.endswith("One training.")


def test_intervals_of_the_decay_must_part():
    # 0.20 and 0.22 are apart with 4 % to either side, and not with 5 %: 0.2112 and 0.209 against 0.208 and 0.21.
    decays = [0.2] * 8 + [0.22]
    apart, together = (
        tables.over_training(decays, mean_lengths=[5.0] * 9, half=half) for half in (0.04, 0.05)
    )
    assert claim_deepening({"A": apart}).verdict == "agrees in kind"
    assert claim_deepening({"A": together}).verdict == "not decided"


@pytest.mark.parametrize(
    ("decays", "verdict"),
    [(RISING, "agrees"), ([0.2] * 9, "agrees in kind"), (RISING[::-1], "does not agree")],
)
def test_of_several_trainings_all_must_deepen(decays, verdict):
    other = tables.over_training(decays, mean_lengths=None if decays != [0.2] * 9 else [5.0] * 9)
    claim = claim_deepening({"A": tables.over_training(RISING), "B": other})
    assert claim.verdict == verdict
    assert claim.why.endswith("2 trainings, two numbers of each.")
    # A training whose checkpoints cannot be read says nothing about the others.
    assert claim_deepening({"A": tables.over_training(RISING), "B": Table([])}).why.endswith("One training.")


def test_a_mean_length_that_turns_is_told():
    turning = tables.over_training(RISING, mean_lengths=[5.0, 3.0, 4.0, 4.5, 4.6, 4.7, 4.8, 4.9, 4.9])
    claim = claim_deepening({"A": turning, "B": tables.over_training(RISING)})
    assert claim.why.endswith(
        "two numbers of each. In 1 of them the mean length first falls, and then grows."
    )


# -- effective depth --


@pytest.mark.parametrize(
    ("depth", "verdict"),
    [(26, "agrees"), (27, "agrees in kind"), (52, "agrees in kind"), (53, "does not agree")],
)
def test_a_network_is_deeper_than_its_effective_depth_or_not(depth, verdict):
    rows = list(tables.effective_depths(54))
    rows[0] = {**rows[0], "effective_depth": depth, "is_deeper": depth < 53}
    claim = claim_over_deepened(Table(rows))
    assert claim.verdict == verdict
    assert claim.measured.startswith(
        f"Paths through at most {depth} of the 53 modules behind module 0 carry 95 %"
    )


def test_a_single_module_has_nothing_behind_it():
    assert claim_over_deepened(tables.effective_depths(1)).verdict == "not decided"


# -- ensembles --


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ([0.3, 0.2, 0.15], "agrees"),
        ([0.3, 0.304, 0.15], "agrees"),
        ([0.3, 0.32, 0.15], "agrees in kind"),
        ([0.3, 0.296, 0.291], "not decided"),
        ([0.3, 0.295, 0.289], "agrees"),
        ([0.3, 0.31, 0.32], "does not agree"),
    ],
)
def test_an_ensemble_errs_less_than_one(errors, verdict):
    # Every error is known to 0.5 points.
    claim = claim_ensemble(tables.ensemble(errors))
    assert claim.verdict == verdict
    assert claim.measured.startswith("1 member: 30.0 % (29.5 to 30.5); 4 members: ")


def test_networks_are_no_routes():
    assert claim_ensemble(tables.ensemble([0.3, 0.2], members="networks")).measured == "Not measured."


@pytest.mark.parametrize(
    ("last", "verdict"),
    [(0.06, "agrees"), (0.062, "agrees"), (0.067, "not decided"), (0.09, "does not agree")],
)
def test_the_average_of_many_reaches_the_network_or_not(last, verdict):
    # Of 10,000 images each: Newcombe's interval at 6 % is 0.66 points on either side.
    claim = claim_ensemble_is_whole(tables.ensemble([0.3, last], routes="exactly:43"))
    assert claim.verdict == verdict
    assert "intact network: 6.0 %" in claim.measured
    assert "members of 43 modules each" in claim.measured


def test_an_average_without_an_intact_network_reaches_nothing():
    assert claim_ensemble_is_whole(tables.ensemble([0.3, 0.2], intact=None)).verdict == "not measured"


# -- missing and odd tables --


MISSING = [
    claim_decay,
    lambda table: claim_effective_lengths(table, n_modules=54),
    lambda table: claim_exact_lengths(table, n_modules=54),
    lambda table: claim_deepening({"A": table}),
    claim_over_deepened,
    claim_ensemble,
    claim_ensemble_is_whole,
]


@pytest.mark.parametrize("judge", MISSING)
@pytest.mark.parametrize(
    "table",
    [None, Table([]), Table([{"length": None, "epoch": 0, "module": 0, "n_members": 1, "error_rate": None}])],
)
def test_a_table_without_numbers_decides_nothing(judge, table):
    claim = judge(table)
    assert claim.verdict == "not measured"
    assert claim.measured == "Not measured."


@pytest.mark.parametrize("judge", MISSING[:3])
def test_without_intervals_shares_decide_nothing(judge):
    bare = [
        {name: value for name, value in row.items() if not name.endswith(("_low", "_high"))}
        for row in tables.exact(54)
    ]
    # The interval of the decay is that of the fit, which needs none of the norms'.
    expected = "agrees" if judge is claim_decay else "not decided"
    assert judge(Table(bare)).verdict == expected
