"""The page of architectures says what its rows say, and its rows are those of the survey."""

from __future__ import annotations

from pathlib import Path

import pytest

from survey.measure import expected
from survey.members import MEMBERS
from survey.page import VERDICTS, page, write_page
from unravelnet.records.record import Table, load_table

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rows():
    return list(load_table(ROOT / "results" / "architectures.csv"))


def test_the_page_is_up_to_date(rows):
    written = (ROOT / "docs" / "architectures.md").read_text(encoding="utf-8")
    assert written == page(rows), "run: python -m survey --page"


def test_every_member_has_a_row_of_its_present_definition(rows):
    told = {(row["library"], row["model"]): row for row in rows}
    assert len(told) == len(rows)
    for member in MEMBERS:
        row = told.pop((member.library, member.model), None)
        assert row is not None, f"{member.model} has no row: run make architectures"
        for name, value in expected(member).items():
            assert row[name] == value, f"{member.model}: run make architectures"
    assert told == {}


def test_a_reason_is_told_of_all_that_is_not_right(rows):
    for row in rows:
        assert row["verdict"] in VERDICTS
        assert bool(row["reason"]) == (row["verdict"] != "right")


def a_row(model, verdict, **others):
    row = {
        "library": "by hand", "family": "blocks", "model": model, "verdict": verdict, "n_modules": 3,
        "n_modules_expected": 3, "n_nested": 0, "n_nested_expected": 0, "junctions": "3 add",
        "junctions_expected": "3 add", "n_unexplained": 0, "difference": 0.0, "capture_seconds": 1.0,
        "forward_seconds": 0.5, "capture_mib": 10.0, "weights_mib": 1.0, "reason": "", "definition": "Counted.",
        "hardware": "a machine", "versions": "torch 2", "commit": "abc",
    }  # fmt: skip
    return row | others


SOME = [
    a_row("a", "right", capture_seconds=1.0),
    a_row("b", "right", capture_seconds=3.0, weights_mib=300.0, capture_mib=350.0, forward_seconds=2.0),
    a_row("c", "wrong", n_modules=2, capture_seconds=2.0, reason="Two were found."),
    a_row(
        "d",
        "refused as expected",
        n_modules=None,
        n_nested=None,
        junctions=None,
        capture_seconds=None,
        reason="It has none.",
    ),
]


def test_the_page_counts():
    text = page(SOME)
    assert (
        "75.0% are captured and right, or refused for the reason that their definition gives (3 of 4)" in text
    )
    assert "Half of the captures take less than 2.0 seconds" in text
    assert "| by hand | 4 | 1 | 2 | 1 | 1 | 0 | 0 |" in text
    # 3 · 2 s + 5 s, and 1.3 · 300 MiB.
    assert "| `b` of by hand | 300 | 2.0 | 3.0 | 11.0 | 350 | 390 |" in text
    assert "| blocks | `c` | wrong | 2 instead of 3 | 0 | 3 add | 2.0 | Counted. |" in text
    assert "| blocks | `d` | refused as expected | – | – | – | – | Counted. |" in text
    reasons = text.partition("## Reasons\n\n")[2].splitlines()
    assert reasons == [
        "- `c` of by hand, wrong: Two were found.",
        "- `d` of by hand, refused as expected: It has none.",
    ]


def test_the_page_is_written_from_the_rows(tmp_path):
    for name in ("results", "docs"):
        (tmp_path / name).mkdir()
    Table(SOME).save(tmp_path / "results" / "architectures.csv")
    assert write_page(tmp_path) == "4 models: docs/architectures.md"
    assert (tmp_path / "docs" / "architectures.md").read_text(encoding="utf-8") == page(SOME)
