"""Names that strangers chose, on standard output and standard error: no terminal obeys them."""

from __future__ import annotations

import csv
import io
import json
import logging

import pytest
import torch
from safetensors.torch import save_file

from tests.cli.conftest import assert_one_sentence
from unravelnet import zoo
from unravelnet.cli.output import print_csv, print_json, print_line, print_table
from unravelnet.cli.remarks import libraries_quiet
from unravelnet.records.record import Table

PAYLOAD = "\x1b[2J\x9b31m\u202egpj\r\nunravelnet: done"
SEEN = r"\x1b[2J\x9b31m\u202egpj\r\nunravelnet: done"
# torch.export does not take line breaks in the names of modules.
NAME = PAYLOAD.partition("\r")[0]
MODEL = f"""
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x):
        return x + self.layer(x)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module({NAME!r}, Block())

    def forward(self, x):
        return getattr(self, {NAME!r})(x)

Net.__name__ = {NAME!r}

def make():
    return Net()
"""


def assert_no_terminal_obeys(text):
    assert not {sign for sign in text if not sign.isprintable()} - {"\n"}


def test_every_way_to_print(capsys):
    rows = [{PAYLOAD: PAYLOAD, "formula": "=1+1", "number": -1}]
    print_line(PAYLOAD)
    print_table(PAYLOAD, [PAYLOAD, "b"], [[PAYLOAD, "c"]])
    printed = capsys.readouterr().out
    assert_no_terminal_obeys(printed)
    # A long heading breaks over lines.
    assert " ".join(printed.split()).count(SEEN) == 4
    print_json(rows)
    printed = capsys.readouterr().out
    assert_no_terminal_obeys(printed)
    assert json.loads(printed) == rows
    print_csv(Table(rows))
    printed = capsys.readouterr().out
    assert_no_terminal_obeys(printed)
    assert list(csv.DictReader(io.StringIO(printed))) == [{SEEN: SEEN, "formula": "'=1+1", "number": "-1"}]


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
def test_names_of_modules(form, call, tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    ran = call("inspect", tmp_path / "model.py:make", "--input-shape", "8", *form)
    assert_one_sentence(ran)
    assert ran.status == 2
    assert "u202egpj', which would be read as code" in ran.err
    assert_no_terminal_obeys(ran.err)


def test_names_of_tensors_and_paths_in_errors(call, trained, tmp_path):
    save_file({PAYLOAD: torch.zeros(2)}, tmp_path / "w.safetensors")
    for words in (
        ["inspect", "zoo:resnet20", "--weights", tmp_path / "w.safetensors"],
        ["inspect", "zoo:resnet20", "--weights", tmp_path / f"{PAYLOAD}.pt"],
        ["inspect", f"zoo:{PAYLOAD}"],
        ["lesion", trained, "--data", tmp_path / PAYLOAD],
        ["lesion", trained, "--data", "digits", "--study", PAYLOAD],
        ["report", tmp_path / PAYLOAD],
        ["report", tmp_path, f"--{PAYLOAD}"],
    ):
        ran = call(*words)
        assert ran.status == 2, words
        assert_one_sentence(ran)
        assert_no_terminal_obeys(ran.err)


def test_remarks(capsys):
    with libraries_quiet():
        logging.getLogger("unravelnet.somewhere").warning("The layer %s is odd.", PAYLOAD)
    assert capsys.readouterr().err == f"The layer {SEEN} is odd.\n"


def test_a_network_in_a_terminal():
    net = zoo.preact_resnet(8, input_shape=(1, 8, 8))
    net.name = net.residual_modules[1].name = PAYLOAD
    assert_no_terminal_obeys(repr(net))
    assert repr(net).count(SEEN.partition("\\r")[0]) == 2
