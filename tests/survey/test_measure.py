"""A member is measured against its definition: on networks whose modules are counted on one hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import unravelnet as un
from survey.measure import Row, called, difference, measure
from survey.member import Member
from survey.members import find
from survey.run import COLUMNS, Survey, facts_of_the_machine, measured
from unravelnet._extras import require
from unravelnet.columns import find as column
from unravelnet.errors import MissingExtraError
from unravelnet.records.record import load_table


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.fc(x).relu()


class Dense(Block):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.fc(x).relu()], dim=1)


def blocks() -> nn.Module:
    return nn.Sequential(Block(), Block(), Dense())


def a_member(modules: int, **others) -> Member:
    return Member(
        "by hand", "blocks", "blocks", blocks, lambda: torch.randn(2, 4), modules, "Counted.", **others
    )


KINDS = (("add", 2), ("concatenate", 1))


def test_what_is_found_is_held_against_the_definition():
    row = measure(a_member(3, kinds=KINDS))
    assert (row["verdict"], row["reason"], row["n_modules"], row["n_nested"]) == ("right", "", 3, 0)
    assert row["junctions"] == row["junctions_expected"] == "2 add, 1 concatenate"
    # Two layers of 4 × 4 weights and 4 biases and one more, in float32.
    assert row["weights_mib"] == pytest.approx(3 * 20 * 4 / 2**20)
    assert row["difference"] <= 1e-5
    assert row["capture_seconds"] > row["forward_seconds"] >= 0


def test_a_wrong_count_a_wrong_kind_and_modules_inside_are_told():
    row = measure(a_member(2, nested=1, kinds=KINDS))
    assert row["verdict"] == "wrong"
    assert (
        row["reason"]
        == "It was captured with modules: 3 instead of 2; modules inside others: 0 instead of 1."
    )
    row = measure(a_member(3))
    assert row["reason"] == "It was captured with junctions: 2 add, 1 concatenate instead of 3 add."


def test_a_model_that_should_be_refused_and_is_not_is_wrong():
    row = measure(a_member(0, refused="no residual module"))
    assert row["verdict"] == "wrong"
    assert row["reason"] == "It was captured, and expected to be refused with: no residual module."


class Side(nn.Module):
    """Two layers side by side, none of which is the input."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.a(x), self.b(x)], dim=1)


@pytest.mark.parametrize(
    ("refused", "modules", "verdict"),
    [
        ("has no residual module", 0, "refused as expected"),
        ("a gate", 0, "refused"),
        ("", 1, "refused"),
    ],
)
def test_a_refusal_is_expected_where_its_reason_is(refused, modules, verdict):
    row = measure(
        Member("by hand", "side", "side", Side, lambda: torch.randn(2, 4), modules, "None.", refused=refused)
    )
    assert row["verdict"] == verdict
    assert row["reason"].startswith("Side has no residual module that could be removed.")


def test_a_difference_of_outputs_is_seen():
    model = blocks().eval()
    net = un.unravel(model, torch.randn(2, 4))
    assert difference(model, net, torch.randn(2, 4)) <= 1e-6
    other = un.unravel(blocks(), torch.randn(2, 4))
    assert difference(model, other, torch.randn(2, 4)) > 1e-3


def test_inputs_are_given_as_the_model_takes_them():
    class Sum(nn.Module):
        def forward(self, a, b):
            return a + 2 * b

    a, b = torch.ones(2), torch.ones(2)
    for inputs in ((a, b), {"b": b, "a": a}):
        assert called(Sum(), inputs).tolist() == [3, 3]


def library(package: str):
    try:
        return require(package, "This test")
    except MissingExtraError as error:
        pytest.skip(str(error))


SMALL = find("timm", "test_nfnet")


def test_a_member_is_measured_in_a_process_of_its_own(tmp_path):
    library("timm")
    path = tmp_path / "rows.csv"
    told: list[Row] = []
    survey = Survey([SMALL], path)
    rows = survey.run(None, told.append)
    # Four stages of one block.
    assert [(row["verdict"], row["n_modules"]) for row in rows] == [("right", 4)]
    assert tuple(rows.columns) == COLUMNS
    assert all(column(name) for name in COLUMNS)
    assert load_table(path) == rows
    assert rows[0]["hardware"] == facts_of_the_machine()["hardware"]
    # What has a row is not measured again, unless that is asked for.
    assert survey.run(None, told.append) == rows
    assert survey.run("no such name", told.append) == rows
    assert len(told) == 1
    late = measured(SMALL, seconds=1)
    assert (late["verdict"], late["reason"]) == ("failed", "It took longer than 1 seconds of the processor.")
