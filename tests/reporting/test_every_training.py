"""Lesions of several trainings: the sample is seeds, and what a run cannot say stays unsaid."""

import math

import numpy as np
import pytest
from scipy import stats

from tests.figures import tables
from tests.reporting import runs
from tests.reporting.several import (
    DOWN,
    RISES,
    claims_of,
    errors,
    network,
    run_of,
    several,
    student,
    trainings,
)
from unravelnet.readers.single_lesions import single_lesions
from unravelnet.records.record import Table
from unravelnet.reporting.pages.markdown import render_markdown
from unravelnet.reporting.topics.across.chapter import every_training
from unravelnet.reporting.topics.across.claims import judge
from unravelnet.reporting.topics.across.groups import lesioned_groups
from unravelnet.reporting.topics.chapters import all_chapters
from unravelnet.reporting.topics.summary import summary


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("several"), several())


def test_networks_stand_in_groups_from_shallow_to_deep(run):
    found = [(group.title, group.n_modules, len(group.networks)) for group in lesioned_groups(run)]
    assert found == [
        ("resnet20", 9, 3),
        ("preact-resnet56", 27, 3),
        ("preact-resnet56-exactly11", 27, 3),
        ("resnet", 54, 1),
    ]


def test_usual_modules_first_module_and_peaks_are_read_from_the_table():
    table = tables.each(errors(9, 0.05, peak=0.4, first=0.5))
    lesions = single_lesions(table, DOWN[9])
    usual = [0.5, *(0.05 + 0.0002 * (module - 4) for module in (1, 2, 4, 5, 7, 8))]
    assert lesions.median == pytest.approx(np.median(usual))
    assert lesions.excess == pytest.approx(0.4 - np.median(usual))
    assert (lesions.largest["module"], lesions.first["module"]) == (0, 0)
    assert lesions.first["value"] == pytest.approx(0.5)


def test_the_first_module_may_be_one_that_down_samples():
    lesions = single_lesions(tables.each([0.5, 0.1, 0.08]), [0])
    assert lesions.first["value"] == pytest.approx(0.44)


def test_the_interval_of_a_claim_is_students_over_seeds(run):
    claim = claims_of(run)["Deleting one module changes little, whatever the seed"]
    low, high = student(RISES["preact-resnet56"])
    assert f"+2.6 points (+{100 * low:.1f} to +{100 * high:.1f}) in the mean of 3 trainings" in claim.measured
    # ResNet-20 loses 6.5 points, whose interval lies above 5.
    assert student(RISES["resnet20"])[0] > 0.05
    assert claim.verdict == "does not agree"
    assert claim.source == "this project"


@pytest.mark.parametrize(
    ("rises", "verdict"),
    [
        ((0.002, 0.003, 0.004), "agrees"),
        ((0.024, 0.026, 0.028), "agrees in kind"),
        ((0.06, 0.061, 0.062), "does not agree"),
        # All three lie below 5 points, and the interval over seeds does not.
        ((0.02, 0.03, 0.045), "not decided"),
    ],
)
def test_verdicts_on_usual_modules_follow_from_seeds(tmp_path, rises, verdict):
    found = claims_of(run_of(tmp_path, trainings("preact-resnet56", 27, rises)))
    assert found["Deleting one module changes little, whatever the seed"].verdict == verdict


@pytest.mark.parametrize(("peak", "verdict"), [(0.3, "agrees"), (0.001, "does not agree")])
def test_verdicts_on_peaks_follow_from_seeds(tmp_path, peak, verdict):
    found = claims_of(run_of(tmp_path, trainings("resnet20", 9, (0.06, 0.062, 0.061), peak=peak)))
    assert found["Down-sampling modules matter more, whatever the seed"].verdict == verdict


def test_random_routes_are_compared_with_trainings_on_all_modules_by_seed(run):
    claim = claims_of(run)["Random routes make deletions cost less"]
    full, part = RISES["preact-resnet56"], (0.004, 0.005, 0.003)
    test = stats.ttest_ind(part, full, equal_var=False).confidence_interval(0.95)
    ends = [f"{100 * end:.1f}".replace("-", "\u2212") for end in (test.low, test.high)]
    assert (
        f"\u22122.2 points ({ends[0]} to {ends[1]}) (Welch's interval, 3 trainings against 3)"
        in claim.measured
    )
    assert claim.verdict == "agrees"
    assert len(claim.rows) == 6


def test_one_training_each_is_told_and_not_judged(tmp_path):
    pair = [
        network("resnet", 54, 0.003, role="resnet", zoo_name="preact-resnet110"),
        network(
            "other", 54, 0.001, role="stochastic-depth", zoo_name="preact-resnet110", routes="exactly:23"
        ),
    ]
    claim = claims_of(run_of(tmp_path, [*several()[1:7], *pair]))["Random routes make deletions cost less"]
    assert "other +0.1 against +0.3, each trained once, so this pair is not judged" in claim.measured
    assert "1 of 1 pairs" in claim.why


def test_two_trainings_against_one_are_told_and_not_judged(tmp_path):
    full = network("resnet", 54, 0.003, group="a", role="resnet", zoo_name="preact-resnet110")
    routes = {"routes": "exactly:23", "group": "b", "zoo_name": "preact-resnet110"}
    parts = [network(f"b{seed}", 54, 0.001, **routes) for seed in range(2)]
    claim = claims_of(run_of(tmp_path, [*several()[1:7], full, *parts]))[
        "Random routes make deletions cost less"
    ]
    assert (
        "b0 +0.1 and +0.1 against +0.3, one of them trained once, so this pair is not judged"
        in claim.measured
    )


def test_that_depths_were_trained_for_other_lengths_is_said(tmp_path):
    networks = several()
    (same,) = every_training(run_of(tmp_path / "same", networks))
    assert not any("length of the training" in found for found in same.findings)
    networks[0][0]["epochs"] = 100
    (chapter,) = every_training(run_of(tmp_path / "other", networks))
    assert (
        "These networks were trained for 20 and 100 epochs, so what differs between depths may also come from the "
        "length of the training." in chapter.findings
    )
    rows = chapter.tables[0].rows
    assert [row[chapter.tables[0].header.index("Epochs")] for row in rows] == ["20", "20", "20", "100"]


def test_seeds_that_disagree_more_than_images_allow_are_told(tmp_path):
    networks = [
        *trainings("resnet20", 9, (0.06,), first=0.57),
        *(
            network(f"p{seed}", 27, 0.025, group="p", title=f"P{seed}", first=first)
            for seed, first in enumerate((0.34, 0.05, 0.16))
        ),
    ]
    (chapter,) = every_training(run_of(tmp_path, networks))
    (sentence,) = [found for found in chapter.findings if "by seed" in found]
    assert sentence.startswith("P0: deleting module 0 costs +34.0, +5.0 and +16.0 points, by seed.")


def test_lesions_as_large_are_set_beside_each_other_by_depth(tmp_path):
    networks = several()
    for entry, studies in networks:
        if entry["n_modules"] > 9:
            ninth = entry["n_modules"] // 9
            draws = tables.many({ninth: [0.1, 0.2, 0.3], ninth + 1: [0.9] * 3})
            # The images of the draws are easier than those of single deletions.
            easier = [{**row, "error_rate": 0.04} for row in draws.where(label="intact")]
            studies["delete_many"] = Table([*easier, *(row for row in draws if row["label"] != "intact")])
    (chapter,) = every_training(run_of(tmp_path, networks))
    one, many = chapter.findings[:2]
    assert "resnet20 (9 modules) +6.0, +7.0 and +6.5; preact-resnet56 (27 modules) +2.4, +2.6 and +2.8" in one
    assert one.index("27 modules") < one.index("resnet (54 modules) +0.3")
    assert "exactly11" not in one
    assert "preact-resnet56 (intact 4.0 %) 20.0 %, 20.0 % and 20.0 %" in many
    assert "resnet (intact 4.0 %) 20.0 %" in many
    # Of 9 modules a ninth is one: the median over all of them, peaks included.
    assert f"{100 * np.median(errors(9, 0.06)):.1f} %" in many


def test_the_table_has_a_row_a_network_and_a_number_a_training(run):
    (chapter,) = every_training(run)
    (table,) = chapter.tables
    assert [row[0] for row in table.rows] == [group.title for group in lesioned_groups(run)]
    assert table.rows[0][6] == "+6.0, +7.0 and +6.5"
    assert table.rows[0][9] == "+30.0, +30.0 and +30.0"
    assert {len(row) for row in table.rows} == {len(table.header)}
    assert not chapter.missing


def test_the_page_has_a_section_of_it(run, tmp_path):
    page = render_markdown(run, tmp_path / "page.md")
    assert "## Every training: seeds and depths" in page
    assert "Path lengths" not in page.partition("## Every training")[2].partition("\n## ")[0]
    assert "have trainings as their sample" in page


def test_the_summary_sets_shallower_networks_beside_the_first(run):
    text = summary(run)
    assert "+6.5 points (resnet20, 9 modules) and +2.6 points (preact-resnet56, 27 modules)" in text


def test_a_network_that_learnt_too_little_is_left_out(tmp_path):
    bad = network("bad", 9, 0.001, intact=0.85, peak=0.01)
    bad[1]["delete_each"] = tables.each([0.86] * 9, intact=0.85)
    found = lesioned_groups(run_of(tmp_path, [bad, *trainings("resnet20", 9, (0.06, 0.07))]))
    assert [group.title for group in found] == ["resnet20"]


def test_without_networks_to_compare_nothing_is_said(tmp_path):
    run = run_of(tmp_path, runs.whole_run())
    assert not lesioned_groups(run)
    assert not every_training(run)
    assert not judge(run)
    assert "## Every training" not in render_markdown(run, tmp_path / "page.md")
    assert "every-training" not in [chapter.anchor for chapter in all_chapters(run)]


def test_one_seed_each_makes_no_claim_about_seeds(tmp_path):
    run = run_of(tmp_path, [network("a", 9, 0.05), network("b", 27, 0.02)])
    assert judge(run) == []
    (group, _) = lesioned_groups(run)
    assert math.isclose(group.lesions[0].median, 0.05, abs_tol=1e-3)
