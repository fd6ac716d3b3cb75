"""`importance` prints what `un.importance` measures, and the report reads what it wrote."""

from __future__ import annotations

import csv
import io
import json

import pytest

import unravelnet as un
from tests.reporting.pages import Page, without_drawings
from unravelnet import zoo
from unravelnet.records.record import load_table


@pytest.fixture
def net(tmp_path):
    made = zoo.preact_resnet(14, input_shape=(1, 8, 8), widths=(2, 2, 4), seed=0)
    zoo.save(made, tmp_path / "net", data="digits")
    return made


def test_json_is_the_table(call, net):
    ran = call("importance", "net", "--data", "digits", "--limit", 40, "--seed", 3, "--json")
    assert ran.status == 0, ran.err
    printed = json.loads(ran.out)
    methods = ["deletion_error_rate", "deletion", "first_order", "first_order_odds", "block_influence"]
    table = un.importance(net, "digits", methods=[*methods, "relative_magnitude"], limit=40, seed=3)
    assert printed["n_modules"] == len(table) == len(printed["modules"])
    for row, known in zip(printed["modules"], table, strict=True):
        assert [row[name] for name in methods] == pytest.approx([known[name] for name in methods])
    assert [row["spearman"] for row in printed["correlations"]] == pytest.approx(
        table.correlations["spearman"]
    )


def test_a_page_is_written_from_what_it_saved(call, net, tmp_path):
    words = ("importance", "net", "--data", "digits", "--limit", 300, "--until-decided", 0.05, "--out", "run")
    ran = call(*words)
    assert ran.status == 0, ran.err
    table = load_table(tmp_path / "run/tables/net/importance.csv")
    assert set(table["decision"]) <= {"above", "below", "open"}
    assert "Decision" in ran.out
    correlations = load_table(tmp_path / "run/tables/net/importance_correlations.csv")
    assert correlations["n_modules"] == [len(table)] * len(correlations)
    with without_drawings():
        assert call("report", "run").status == 0
    text = " ".join(Page((tmp_path / "run/report.html").read_text(encoding="utf-8")).texts)
    assert "which score knows without deleting them?" in text
    assert "with the threshold 0.05" in text
    assert "rank correlation of Spearman" in text


def test_csv_holds_the_modules_and_names_take_dashes(call, net):
    ran = call("importance", "net", "--data", "digits", "--limit", 9, "--methods", "block-influence", "--csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [row["module"] for row in rows] == [str(module) for module in range(len(net.residual_modules))]
    assert {"block_influence", "block_influence_low"} <= set(rows[0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--methods", "magic"), "There is no score 'magic'"),
        (("--methods", "first-order", "--until-ci", "0.1"), "stop the measurement of a deletion"),
        (("--until-ci", "-1"), "half"),
        (("--methods", ","), "give one or several of deletion"),
    ],
)
def test_wrong_use_is_told(call, net, words, said):
    ran = call("importance", "net", "--data", "digits", "--limit", 9, *words)
    assert ran.status == 2
    assert said in ran.err
