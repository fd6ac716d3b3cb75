"""The chapter about trained networks: there when it has something to show, without clutter elsewhere."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.figures import tables
from tests.reporting import runs, trainings
from tests.reporting.pages import Page, reported, without_drawings
from unravelnet.mathematics.comparisons import newcombe_interval
from unravelnet.readers.groups import trained_groups
from unravelnet.records.record import Table, load_table
from unravelnet.reporting import report
from unravelnet.reporting.contents import Run, StudiedNetwork, read_run_directory
from unravelnet.reporting.topics.chapter import Chapter
from unravelnet.reporting.topics.judged import all_claims
from unravelnet.reporting.topics.trainings.epochs import show_epochs, told_of_epochs
from unravelnet.reporting.topics.trainings.findings import tables_of_test_times
from unravelnet.reporting.topics.trainings.lengths import (
    on_equal_epochs,
    on_equal_operations,
    on_longer_trainings,
    on_warm_starts,
    on_whole_trainings,
    tables_of_equal_epochs,
)


def compared_networks():
    scales = {"plain20": 2.0, "plain56": 2.0, "resnet20": 1.0, "resnet56": 0.5}
    return [
        runs.compared(
            name, name.capitalize(), responses=trainings.responses([scale * 1.01**i for i in range(19)])
        )
        for name, scale in scales.items()
    ]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    effective = {"delete_each": tables.each(tables.resnet_like(peak=0.05))}
    networks = [*runs.whole_run(), (runs.EFFECTIVE, effective), *compared_networks()]
    path = tmp_path_factory.mktemp("trained") / "run"
    return runs.write(path, networks, trained_networks=trainings.whole_table())


@pytest.fixture(scope="module")
def page(directory):
    with without_drawings():
        return Page(report(directory).read_text(encoding="utf-8"))


def test_the_chapter_stands_behind_the_others(page):
    assert page.values("id", tag="section")[-3:] == ["trained-networks", "measuring", "provenance"]
    targets = {value for value in page.values("href", tag="a") if value.startswith("#")}
    assert targets <= {f"#{anchor}" for anchor in page.ids}


def test_its_figures_are_there_with_their_data(directory, page):
    figures = directory / "figures"
    assert load_table(figures / "trained_errors.csv") == trainings.whole_table()
    for name in ("degradation", "layer_responses_compared"):
        titles = {row["network_title"] for row in load_table(figures / f"{name}.csv")}
        assert titles == {"Plain20", "Plain56", "Resnet20", "Resnet56"}


def test_compared_networks_stand_in_no_other_chapter(directory, page):
    assert {row["network_title"] for row in load_table(directory / "figures" / "training.csv")} == {
        "ResNet-110",
        "ResNet-110, stochastic depth",
        "VGG-15",
    }
    assert "layer-responses" not in page.ids
    assert "Plain20" not in page.text[: page.text.rindex(" Trained networks ")]


def test_effective_paths_stand_beside_the_resnet(directory, page):
    for name in ("delete_each", "delete_each_residual"):
        titles = [row["network_title"] for row in load_table(directory / "figures" / f"{name}.csv")]
        assert titles[0] == "ResNet-110"
        assert "ResNet-110, exactly 23" in titles


def test_networks_are_listed_with_their_seeds(page):
    text = page.text.replace("\xa0", " ")
    # Put in: 8.0, 8.1 and 8.2 %, whose standard deviation is 0.1, half of that on training images; 3,000 seconds.
    assert (
        "Pre-activation ResNet-56 all modules 27 855,770 500 3 8.10 ± 0.10 % 8.10 ± 0.10 % 4.05 ± 0.05 % 1,000 50 one "
        "processor"
    ) in text
    assert "Pre-activation ResNet-110, exactly 23 exactly:23 54 855,770 500 1 7.50 %" in text


def test_test_times_are_told_apart(page):
    text = page.text.replace("\xa0", " ")
    # 8.05 - 12, 8.1 - 13 and 8.15 - 14: a mean of -4.9, a standard deviation of 0.95, t of 2 degrees of freedom 4.303.
    assert "scaling the branches changes the error by −4.90 points (−7.26 to −2.54)." in text
    assert "Pre-activation ResNet-110, exactly 23 1 11.00 % – 7.50 % – –" in text
    assert text.count("The better of both ways is judged") == 1
    assert "its training took 0.44 times the multiply-accumulate operations" in text


def test_every_way_of_testing_is_told():
    others = {"unscaled, re-estimated": 0.15, "scaled, re-estimated": 0.11, "random routes": 0.2}
    rows = trainings.trained("preact-resnet110", [0.5], routes="exactly:23", scaled=[0.12], others=others)
    (table,) = tables_of_test_times(trained_groups(Table(rows)))
    (shown,) = table.rows
    assert [cell.replace("\xa0", " ") for cell in shown[2:]] == [
        "50.00 %",
        "15.00 %",
        "12.00 %",
        "11.00 %",
        "20.00 %",
    ]


def test_every_claim_about_trainings_is_judged_as_put_in(directory):
    judged = all_claims(read_run_directory(directory))
    found = {claim.text[:45]: claim.verdict for claim in judged if claim.chapter == "trained-networks"}
    verdicts = [claim.verdict for claim in judged if claim.chapter == "trained-networks"]
    # Not put in: all networks of the run have one history, and stochastic depth saves more than a half.
    others = ["not decided", "does not agree"]
    assert verdicts == [*["agrees"] * 6, *others, *["agrees"] * 2], found
    # The paper has trained 54 modules so, and not 27.
    sources = [claim.source for claim in judged if claim.text.startswith("Trained on effective paths")]
    assert sources == ["Veit et al. (2016)", "this project"]


def test_trainings_are_told_with_their_recipes(page):
    assert "Recipes: epochs 500. The recipe of He et al., which Veit et al. followed: 164 epochs" in page.text


def test_claims_name_the_tables_that_they_were_judged_from(directory):
    judged = all_claims(read_run_directory(directory))
    assert all((directory / path).is_file() for claim in judged for path in claim.rows)
    without = [claim.text for claim in judged if not claim.rows]
    # Computed, and not measured.
    assert len(without) == 4


def test_seeds_are_said_to_be_there_or_not(tmp_path, page):
    assert "Every network was trained once." not in page.text
    assert "Every network was trained once." in reported(tmp_path, []).text


def test_a_run_without_comparisons_has_no_such_chapter_and_no_such_claims(tmp_path):
    assert "trained-networks" not in reported(tmp_path, runs.whole_run()[:1]).ids
    judged = all_claims(read_run_directory(tmp_path / "run"))
    assert all(claim.chapter != "trained-networks" for claim in judged)


def test_without_the_table_of_trainings_responses_are_still_compared(tmp_path):
    page = reported(tmp_path, compared_networks())
    assert "There is no table trained_networks, so this was not measured." in page.text
    assert {"figure-degradation-title", "figure-layer_responses_compared-title"} <= set(page.ids)


@pytest.mark.parametrize("table", [Table([]), Table([{"group": "a", "error_rate": 0.1}])])
def test_a_table_without_trainings_is_said(tmp_path, table):
    page = reported(tmp_path, [], trained_networks=table)
    assert "has no row with an error, so this was not measured." in page.text
    not_tested = page.text.partition("What was not tested")[2]
    assert not_tested.count("The table trained_networks is missing or has no such rows.") == 5


# -- what follows from removed skips --


def test_a_surge_without_skips_qualifies_the_ensemble_reading(page):
    assert "ResNet-110: at 54 of 54 modules the error surges without the skip" in page.text
    assert "leave equally many paths, 2^53 of 2^54, yet not the same error" in page.text


def test_skips_that_cost_no_more_qualify_nothing(tmp_path):
    study = {**runs.resnet_tables(), "remove_skip_each": tables.each([0.062] * 54, study="remove_skip_each")}
    assert "surges without the skip" not in reported(tmp_path, [(runs.RESNET, study)]).text


def run_with_epochs(whole=None):
    """A run of two networks, on all modules and on a part of them, with errors of 5 % plus a power of the epochs."""
    rows = [
        {"epoch": epoch, "test_error_rate": 0.05 + 0.5 / epoch + 0.001 * (-1) ** epoch}
        for epoch in range(1, 11)
    ]
    networks = [
        StudiedNetwork(
            routes, routes, "resnet", 54, zoo_name="preact-resnet110", routes=routes, tables={"history": t}
        )
        for routes, t in (("all", Table(rows)), ("exactly:23", Table(rows[:3])))
    ]
    return Run(Path(), {}, tuple(networks), whole_trainings=whole)


def test_the_curve_over_the_epochs_says_what_can_be_fitted_and_what_not():
    chapter = Chapter("a", "b", "c")
    show_epochs(chapter, run_with_epochs(trainings.whole_trainings()))
    assert [figure.name for figure in chapter.figures] == ["epochs"]
    text = "\n".join(chapter.findings)
    for phrase in (
        # 5 % plus 2 over the epochs was put in.
        "Whole trainings, Pre-activation ResNet-110, 10, 20, 40, 80 and 160 epochs: fitted, the error would end at 5.0",
        "The errors scatter around the curve as they should (chi-square 0.0, chance 1).",
        "How much trainings differ by their seed is not in the interval.",
        "Fitted to 10, 20, 40 and 80 epochs, the curve predicts 6.",
        "after 160, and 6.25 % was measured.",
        "Of 1 error held out, 1 lies in the 95 % interval of the prediction.",
        "Pre-activation ResNet-110, exactly 23, 40 and 80 epochs: 2 lengths are too few to fit a curve.",
        "its whole trainings do not say whether the gap between its curves would close.",
    ):
        assert phrase in text, phrase
    assert "within its training" not in text
    assert (
        "Within a training the error falls with the learning rate, so no curve is fitted there"
        in chapter.how[0]
    )


def with_parts(add, **facts):
    """Whole trainings on all modules, and as long ones on a part of them, whose errors are changed."""
    rows = list(trainings.whole_trainings().where(routes="all"))
    part = [{**row, "routes": "exactly:23", "error_rate": add(row["error_rate"]), **facts} for row in rows]
    return [*rows, *part]


def test_a_page_without_figures_says_as_much_of_whole_trainings():
    run = run_with_epochs(trainings.whole_trainings())
    shown = Chapter("a", "b", "c")
    show_epochs(shown, run)
    (told,) = told_of_epochs(run)
    assert (told.findings, told.how, told.figures) == (shown.findings, shown.how, [])
    assert told_of_epochs(run_with_epochs()) == []


def test_the_gap_of_two_curves_has_its_interval():
    text = on_whole_trainings(Table(with_parts(lambda error: error + 0.03)))[-1]
    begin = "At the end of its curve, Pre-activation ResNet-110, exactly 23 would err 3.0 points more ("
    assert text.startswith(begin)
    low, high = map(float, text.removeprefix(begin).split(")")[0].split(" to "))
    assert 0 < low < 3 < high


def test_a_gap_that_may_be_none_as_well_as_large_is_not_decided():
    few = with_parts(lambda error: error + 0.002)
    text = on_whole_trainings(Table({**row, "n_images": 500} for row in few))[-1]
    assert text.startswith(
        "Whether Pre-activation ResNet-110, exactly 23 would end above Pre-activation ResNet-110 is"
    )
    assert "holds 0 as well as more than 1 point." in text


def test_only_curves_of_one_network_and_of_the_same_image_sizes_are_compared():
    other = with_parts(lambda error: error + 0.03, zoo_name="resnet56")
    texts = on_whole_trainings(Table(other))
    assert len(texts) == 2  # two curves of two networks, and nothing to compare
    sizes = with_parts(lambda error: error + 0.03, image_sizes="16,32")
    assert on_whole_trainings(Table(sizes))[-1].endswith(
        "its whole trainings do not say whether the gap between its curves would close."
    )


def test_where_whole_trainings_have_one_length_that_is_said():
    rows = trainings.whole_trainings().where(epochs=80)
    (text,) = on_whole_trainings(rows)
    assert text.startswith("No network has whole trainings of two lengths")


def test_wide_predictions_decide_nothing_and_other_sizes_are_named():
    rows = list(trainings.whole_trainings().where(routes="all"))
    other = {**rows[0], "epochs": 14, "image_sizes": "16,32"}
    (text,) = on_whole_trainings(Table({**row, "n_images": 300} for row in (*rows, other)))
    assert "The interval is wider than ±1 point: the prediction is too vague to test the curve." in text
    assert "held out" not in text
    assert text.endswith(
        "It is not fitted to trainings of 14 epochs (image sizes 16,32): their images had other sizes."
    )


def test_errors_far_from_the_curve_are_said_to_be():
    rows = [
        {**row, "error_rate": row["error_rate"] + (0.03 if row["epochs"] == 40 else 0)}
        for row in trainings.whole_trainings().where(routes="all")
    ]
    (text,) = on_whole_trainings(Table(rows))
    assert "The errors scatter further around the curve than they should" in text
    assert "so its end is not to be trusted." in text


def test_networks_on_one_kind_of_routes_have_no_such_curve():
    run = run_with_epochs()
    chapter = Chapter("a", "b", "c")
    show_epochs(chapter, replace(run, networks=run.networks[:1]))
    assert not chapter.has_something


def test_networks_are_compared_at_equal_epochs():
    kept = "exactly:23,keep=downsampling"
    rows = [
        *trainings.whole_trainings(),
        *({**row, "routes": kept, "error_rate": 0.1, "image_sizes": "16,32"}
          for row in trainings.whole_trainings().where(routes="exactly:23", epochs=40)),
    ]  # fmt: skip
    found = on_equal_epochs(Table(rows))
    # 3 points were put in at 40 and at 80 epochs, where all modules err in 10 and 7.5 %.
    ends = [newcombe_interval(error + 0.03, 10_000, error, 10_000) for error in (0.1, 0.075)]
    gaps = [f"3.00 points more ({100 * low:.2f} to {100 * high:.2f})" for low, high in ends]
    name = "Pre-activation ResNet-110"
    assert found[0] == (
        f"After 40 epochs each, {name}, exactly 23 errs {gaps[0]} than {name}; after 80, {gaps[1]}; interval of the "
        "images, one training each. How much trainings differ by their seed is not in the interval. Whether the gap "
        "shrinks with the length is not decided: the intervals of the shortest and the longest trainings overlap. Its "
        "training takes 43.0 % of the multiply-accumulate operations of the other's forward passes."
    )
    # Beside all modules, and beside the same without keeping.
    assert len(found) == 3
    assert "with all down-sampling modules errs 0.00 points more" in found[1]
    assert "errs 3.00 points less (" in found[2]
    assert "one training each; the sizes of their images in training differ." in found[2]
    assert "operations" not in found[2]  # as many as without keeping


def test_equal_lengths_stand_in_a_table():
    (table,) = tables_of_equal_epochs(trainings.whole_trainings())
    # 5 % plus 2 over the epochs was put in, and 3 points more; 43 % of the operations.
    (low, high), name = newcombe_interval(0.13, 10_000, 0.1, 10_000), "Pre-activation ResNet-110"
    assert table.rows[0][:5] == (f"{name}, exactly 23", name, "40", "13.00 %", "10.00 %")
    assert table.rows[0][5] == f"3.00 points more ({100 * low:.2f} to {100 * high:.2f})"
    assert [row[2] for row in table.rows] == ["40", "80"]
    assert tables_of_equal_epochs(trainings.whole_trainings().where(routes="all")) == []


def test_networks_are_compared_at_equal_operations():
    # 40 epochs on a part cost 43 % of 40 on all modules, which is 17.2 epochs: 20 is the nearest.
    (text,) = on_equal_operations(trainings.whole_trainings())
    assert (
        "exactly 23 errs 13.00 % (40 epochs) against 15.00 % (20 epochs); 10.50 % (80 epochs) against 10.00"
        in text
    )
    unknown = Table(
        {n: v for n, v in row.items() if n != "training_macs"} for row in trainings.whole_trainings()
    )
    assert on_equal_operations(unknown) == []


def test_what_curves_predict_of_longer_trainings():
    rows = Table(with_parts(lambda error: error + 0.03))
    text = on_longer_trainings(rows, "preact-resnet110", "exactly:23", 400)
    # The closed form that was put in: 5 % plus 2 over the epochs.
    assert text.startswith(
        " Curves fitted to whole trainings of several lengths predict, after 400 epochs, 8.5 % ("
    )
    assert text.split(", and ")[1].startswith("5.5 % (")
    # Within the lengths that were trained nothing has to be predicted.
    assert on_longer_trainings(rows, "preact-resnet110", "exactly:23", 100) == ""
    assert on_longer_trainings(rows, "preact-resnet110", "stochastic-depth:0.5", 400) == ""


def test_a_training_that_stands_twice_is_one():
    rows = list(trainings.whole_trainings().where(epochs=80))
    assert on_equal_epochs(Table([*rows, *rows])) == on_equal_epochs(Table(rows))


def test_a_gap_that_turns_round_is_said_to():
    rows = with_parts(lambda error: error)
    part = {10: 0.03, 20: 0.0, 40: 0.0, 80: 0.0, 160: -0.03}
    changed = [
        {**row, "error_rate": row["error_rate"] + part[row["epochs"]]} if row["routes"] != "all" else row
        for row in rows
    ]
    (text,) = on_equal_epochs(Table(changed))
    assert "The gap surely turns round with the length." in text


def test_a_gap_that_surely_shrinks_or_grows_is_said_to():
    def gaps(part):
        rows = with_parts(lambda error: error)
        changed = [{**row, "error_rate": part(row["epochs"])} for row in rows if row["routes"] != "all"]
        (text,) = on_equal_epochs(Table([*(row for row in rows if row["routes"] == "all"), *changed]))
        return text

    # All modules err in 25 % after 10 epochs and in 6.25 % after 160.
    assert "The gap shrinks with the length" in gaps(lambda epochs: 0.07 + 4 / epochs)
    assert "The gap grows with the length" in gaps(lambda epochs: 0.27)


def test_a_second_seed_makes_a_gap_more_certain():
    seeds = [
        {**row, "zoo_name": "resnet20", "training_seed": seed, "error_rate": 0.1 + 0.002 * seed}
        for row in trainings.whole_trainings().where(routes="all", epochs=80)
        for seed in range(3)
    ]
    rows = [*trainings.whole_trainings().where(epochs=80), *seeds]
    again = {
        **next(iter(trainings.whole_trainings().where(routes="exactly:23", epochs=80))),
        "training_seed": 1,
    }
    widths = []
    for table in (Table(rows), Table([*rows, {**again, "error_rate": again["error_rate"] + 0.002}])):
        (text,) = on_equal_epochs(table)
        assert "interval of the images and the seeds of all networks" in text
        low, high = map(float, text.split("(")[1].split(")")[0].split(" to "))
        widths.append(high - low)
    assert widths[1] < widths[0]
    assert "2 trainings against 1." in text
    # By hand: a standard deviation of 0.2 points with 2 degrees of freedom, joined to Newcombe's.
    images = newcombe_interval(0.105, 10_000, 0.075, 10_000)
    margin = stats.t.ppf(0.975, 2) * 0.002 * np.sqrt(2)
    expected = np.hypot(0.03 - images.low, margin) + np.hypot(images.high - 0.03, margin)
    assert widths[0] == pytest.approx(100 * expected, abs=0.011)


def test_a_warm_start_is_said_apart_and_is_no_length():
    rows = trainings.whole_trainings().where(routes="exactly:23", epochs=40)
    warm = Table({**row, "start": "zoo:a", "error_rate": 0.0719} for row in rows)
    (text,) = on_warm_starts(warm)
    assert (
        text == "Pre-activation ResNet-110, exactly 23, started from zoo:a, errs 7.19 % after 40 more epochs."
    )
    # Beside the longest training from random weights: 8 times 40 epochs cost 8 times as much.
    longest = {**next(iter(rows)), "epochs": 320, "error_rate": 0.0919, "training_macs": 8e9}
    both = Table([*rows, longest, *({**row, "training_macs": 1e9} for row in warm)])
    (text,) = on_warm_starts(both)
    images = newcombe_interval(0.0719, 10_000, 0.0919, 10_000)
    ends = f"{-100 * images.high:.2f} to {-100 * images.low:.2f}"
    assert f"That is 2.00 points less ({ends}) than after 320 epochs from random weights" in text
    assert "interval of the images, one training each. How much trainings differ by their seed" in text
    assert "these epochs take 12.5 % of the operations of that training." in text
    # What it started from cost 20e9, so that both cost 21 of 8.
    origin = {**longest, "routes": "all", "group": "a", "training_seed": 0, "is_shipped": True}
    known = {"group": "b", "training_seed": 0, "is_shipped": False}
    (text,) = on_warm_starts(
        Table([{**row, **known} for row in both] + [{**origin, "error_rate": 0.05, "training_macs": 20e9}])
    )
    assert text.endswith("The network that it started from errs 5.00 % on all modules.")
    assert (
        "12.5 % of the operations of that training, and with the training that they started from 262.5 %"
        in text
    )
    assert on_warm_starts(rows) == []
    assert on_equal_epochs(Table([*trainings.whole_trainings().where(routes="all"), *warm])) == []
