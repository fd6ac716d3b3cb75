"""Every column that a command prints has a heading of its own, the title of that column."""

from __future__ import annotations

import importlib

import pytest

from unravelnet.cli.output import print_table
from unravelnet.columns import COLUMNS

ON_DIGITS = ("--data", "digits", "--limit", 20)
TITLES = {member.title for column in COLUMNS for member in column.family()}


@pytest.fixture
def printed(monkeypatch):
    """The headings of every table that is printed."""
    seen = []

    def record(title, headings, rows):
        seen.append(list(headings))
        print_table(title, headings, rows)

    for room in ("inspect", "lesion_results", "path_results"):
        monkeypatch.setattr(importlib.import_module(f"unravelnet.cli.{room}"), "print_table", record)
    return seen


@pytest.mark.parametrize(
    ("words", "n_tables"),
    [
        (["inspect"], 1),
        (
            [
                "lesion",
                *ON_DIGITS,
                "--study",
                "delete-each,delete-many,remove-skip,reorder",
                "--metrics",
                "error_rate,loss,agreement",
                "--repeats",
                1,
            ],
            4,
        ),
        (["paths", *ON_DIGITS, "--method", "exact,rms,sampled", "--draws", 3, "--modules"], 5),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else None,
)
def test_headings_are_titles_and_stand_in_a_table_once(call, trained, printed, words, n_tables):
    command, *options = words
    ran = call(command, trained, *options)
    assert ran.status == 0, ran.err
    assert len(printed) == n_tables
    for headings in printed:
        assert len(set(headings)) == len(headings)
        assert all(text.removesuffix(", median (extremes)").partition(" (")[0] in TITLES for text in headings)


def test_a_heading_is_no_wider_than_cells_or_words_need(capsys):
    print_table("", ["Share of the gradient", "Name"], [["1%", "a"], ["10%", "b"]])
    assert capsys.readouterr().out.splitlines() == [
        "Share of",
        "     the",
        "gradient  Name",
        "      1%  a",
        "     10%  b",
    ]
