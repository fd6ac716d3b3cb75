"""`--output` measures the head that it names: against the same model that returns that head alone."""

from __future__ import annotations

import json

import pytest

HEADS = """
import torch
from torch import nn


class Heads(nn.Module):
    def __init__(self, form):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.branch, self.form = nn.Conv2d(1, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 1, 1), form
        self.coarse, self.fine = nn.Linear(4, 3), nn.Linear(4, 10)

    def forward(self, image):
        x = self.stem(image)
        x = (x + self.branch(x).relu()).mean((2, 3))
        return self.form(self.coarse(x), self.fine(x))


def both():
    return Heads(lambda coarse, fine: {"coarse": coarse, "fine": fine})


def fine():
    return Heads(lambda coarse, fine: fine)
"""


@pytest.fixture
def heads(tmp_path):
    (tmp_path / "heads.py").write_text(HEADS)
    return tmp_path / "heads.py"


@pytest.mark.parametrize(("command", "study"), [("lesion", "delete_each"), ("paths", "path_gradients_exact")])
def test_the_output_that_is_named_is_measured(call, heads, command, study):
    def rows(model, *words):
        ran = call(command, f"{heads}:{model}", "--data", "digits", "--limit", 20, "--json", *words)
        assert ran.status == 0, ran.err
        return json.loads(ran.out)["studies"][study]

    named, alone = rows("both", "--output", "fine"), rows("fine")
    assert (named[0]["output"], alone[0]["output"]) == ("fine:1", "output:1")
    for row, expected in zip(named, alone, strict=True):
        own = {"output", "network", "network_name"}
        assert {k: v for k, v in row.items() if k not in own} == {
            k: v for k, v in expected.items() if k not in own
        }


def test_an_output_that_does_not_fit_the_data_or_is_not_there_is_told(call, heads):
    words = ("lesion", f"{heads}:both", "--data", "digits", "--limit", 20)
    ran = call(*words)
    assert (ran.status, ran.out) == (2, "")
    assert "3 outputs and digits has 10 classes" in ran.err
    ran = call(*words, "--output", "finer")
    assert (ran.status, ran.out) == (2, "")
    assert "There is no output 'finer'. Did you mean 'fine'? Known: coarse, fine." in ran.err


def test_inspect_lists_the_outputs(call, heads):
    ran = call("inspect", f"{heads}:both", "--input-shape", "1,8,8")
    assert "returns several tensors: coarse (3), fine (10). --output chooses one." in ran.out
    ran = call("inspect", f"{heads}:both", "--input-shape", "1,8,8", "--json")
    assert json.loads(ran.out)["outputs"] == {"coarse": [3], "fine": [10]}
