"""What results/imagenet says of EfficientNet-Lite: every number on the page is one in its tables."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import median

import pytest

from unravelnet.records.record import load_table

FOLDER = Path(__file__).parents[1] / "results" / "imagenet"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
NETWORKS = sorted(path.parent.name for path in FOLDER.glob("*/run.json"))
# By the definition: a block has a skip where it repeats the shape of the one before it.
REPEATS = {"efficientnet-lite0": (1, 2, 2, 3, 3, 4, 1), "efficientnet-lite1": (1, 3, 3, 4, 4, 5, 1)}


def facts_of(name):
    return json.loads((FOLDER / name / "run.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NETWORKS)
def test_modules_are_those_of_the_definition(name):
    repeats = REPEATS[name]
    places = [sum(repeats[:stage]) + block for stage, n in enumerate(repeats) for block in range(1, n)]
    assert facts_of(name)["modules"] == [f"_blocks.{place}" for place in places]
    rows = load_table(FOLDER / name / "delete_each.csv")
    assert [row["module"] for row in rows] == [None, *range(len(places))]


@pytest.mark.parametrize("name", NETWORKS)
def test_deletions_are_those_of_forward_hooks_and_exports_give_the_same(name):
    facts = facts_of(name)
    assert len(facts["hooks"]) == len(facts["modules"])
    assert max(facts["hooks"].values()) < 1e-5
    assert facts["has_uncommitted_changes"] is False
    assert facts["exports"]["relative_differences"].keys() == {"pt2", "onnx", "original"}
    assert max(facts["exports"]["relative_differences"].values()) < 1e-4


@pytest.mark.parametrize("name", NETWORKS)
def test_the_page_has_the_numbers_of_the_tables(name):
    intact, *deleted = load_table(FOLDER / name / "delete_each.csv")
    (line,) = re.findall(rf"^\| `{name}` \|.*\|$", PAGE, flags=re.MULTILINE)
    changes = sorted(row["error_rate_difference"] for row in deleted)
    expected = [
        *(str(len(deleted)), interval(intact, "error_rate"), interval(intact, "top5_error_rate")),
        f"{100 * median(changes):+.1f}",
        f"{100 * changes[-1]:+.1f}",
        chosen_of(load_table(FOLDER / name / "pruning.csv")),
    ]
    assert [cell.strip() for cell in line.strip("|").split("|")][1:] == expected


def chosen_of(steps):
    row = next(row for row in steps if row["is_chosen"])
    ends = ("", "_low", "_high")
    change, low, high = (f"{100 * row[f'error_rate_difference{end}']:+.1f}" for end in ends)
    return f"{change} [{low}, {high}]"


def interval(row, name):
    return f"{100 * row[name]:.1f} [{100 * row[f'{name}_low']:.1f}, {100 * row[f'{name}_high']:.1f}]"
