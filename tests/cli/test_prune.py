"""`prune` prints and keeps what the library finds; the report tells of it."""

from __future__ import annotations

import csv
import io
import json

import pytest
from PIL import Image

from tests.cli.conftest import assert_one_sentence
from tests.reporting.pages import without_drawings
from unravelnet import zoo
from unravelnet.data import load
from unravelnet.pruning.search import prune
from unravelnet.records.record import load_table

FAST = ("--draws", 2, "--limit", 80, "--precision", "float32")


def test_the_result_is_that_of_the_library(call, trained):
    ran = call("prune", trained, "--data", "digits", "--n-deleted", 2, *FAST, "--json")
    assert ran.status == 0
    given = json.loads(ran.out)
    expected = prune(zoo.load(trained), load("digits", "test"), n_deleted=2, n_draws=2, limit=80)
    assert given["route"] == str(expected.route)
    assert [row["route"] for row in given["curve"]] == expected.curve["route"]
    assert given["after"]["error_rate"] == pytest.approx(expected.chosen["error_rate"])
    assert (given["n_selection_images"], given["n_images"]) == (40, 40)


def test_the_table_shows_every_step_and_the_result(call, trained):
    ran = call("prune", trained, "--data", "digits", "--n-deleted", 2, *FAST)
    lines = ran.out.splitlines()
    assert sum("the result" in line for line in lines) == 1
    assert any(line.startswith("route: ") for line in lines)
    assert "On 40 other images: error" in ran.out


def test_rows_go_to_csv(call, trained):
    ran = call("prune", trained, "--data", "digits", "--strategy", "span", "--n-deleted", 1, *FAST, "--csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert rows[0]["label"] == "intact"
    assert rows[-1]["strategy"] == "span"


def test_a_directory_has_tables_figure_and_receipt_and_the_report_tells_of_them(call, trained, tmp_path):
    out = tmp_path / "out"
    options = ("--n-deleted", 2, "--compare", "one_shot:block_influence", "--out", out)
    ran = call("prune", trained, "--data", "digits", *options, *FAST)
    assert ran.status == 0, ran.err
    receipt = json.loads((out / "pruned-net.json").read_text())
    steps = load_table(out / "tables" / "net" / "pruning.csv")
    assert receipt["route"] == steps["route"][-1]
    curve = load_table(out / "tables" / "net" / "pruning_curve.csv")
    assert set(curve["strategy"]) == {"intact", "greedy", "one_shot:block_influence", "random"}
    assert (out / "pruned-net.svg").exists()
    with without_drawings():
        assert call("report", out).status == 0
    page = (out / "report.html").read_text()
    assert "Which modules can go" in page
    assert "in the median, and" in page


def test_the_same_search_on_another_set_is_compared_with_the_first(call, trained, tmp_path):
    images = load("digits", "train")
    for number in range(120):
        folder = tmp_path / "others" / str(int(images.targets[number]))
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images.images[number, 0].numpy()).save(folder / f"{number}.png")
    options = ("--compare-data", "others", "--n-deleted", 3, "--draws", 1, "--precision", "float32")
    words = ("prune", trained, "--data", "digits", *options)
    given = json.loads(call(*words, "--json").out)
    net = zoo.load(trained)
    first, other = (
        prune(net, load(name, "test"), n_deleted=3, n_draws=0).route
        for name in ("digits", str(tmp_path / "others"))
    )
    assert (given["route"], given["compare_data"]) == (str(first), {"others": str(other)})
    gone = [{step.module for step in route.visits if step.mode == "skip"} for route in (first, other)]
    [row] = given["overlap"]
    assert (row["first_set"], row["second_set"], row["n_deleted"]) == ("digits", "others", 3)
    assert row["n_shared"] == len(gone[0] & gone[1])
    assert row["jaccard"] == pytest.approx(len(gone[0] & gone[1]) / len(gone[0] | gone[1]))
    # Six modules, three of them twice: 1, 9, 9 and 1 of 20 choices share 0, 1, 2 and 3.
    assert row["jaccard_by_chance"] == pytest.approx((9 / 5 + 9 / 2 + 1) / 20)

    ran = call(*words, "--out", "out")
    assert f"route on others: {other}" in ran.out
    assert load_table(tmp_path / "out" / "tables" / "net" / "pruning_overlap.csv")[0] == row
    with without_drawings():
        assert call("report", "out").status == 0
    assert f"3 on others, {row['n_shared']} are the same" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--macs", 2), "macs is 2.0; give the share that may be left"),
        (("--strategy", "gredy"), "gredy"),
        (("--report-data", "digits"), "are among those that modules are chosen on"),
        (("--compare-data", "digits"), "The calibration set digits is given twice"),
        (("--strategy", "evolutionary"), "searches among sets of one size"),
        (("--compare", "beam:x"), "takes a whole number of 1 or more"),
    ],
)
def test_wrong_use_is_one_sentence(call, trained, words, message):
    ran = call("prune", trained, "--data", "digits", *FAST, *words)
    assert ran.status == 2
    assert_one_sentence(ran)
    assert message in ran.err
