"""`inspect` says of a model what its library and closed forms say."""

from __future__ import annotations

import json

import pytest

from unravelnet import zoo

FILE = """
import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.stride, self.extra = stride, n_out - n_in

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.extra:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.extra // 2, self.extra // 2))
        return F.relu(x + y)


class Cifar(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(16)
        widths = [16] * n + [32] * n + [64] * n
        before = [16, *widths]
        self.layers = nn.Sequential(*[Block(a, b, 1 if a == b else 2) for a, b in zip(before, widths)])
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layers(F.relu(self.bn(self.conv(x))))
        return self.fc(x.mean((2, 3)))


def resnet20():
    return Cifar(3)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "theirs.py"
    path.write_text(FILE)
    return path


def test_a_file_somebody_else_wrote(call, file):
    ran = call("inspect", f"{file}:resnet20", "--json")
    found = json.loads(ran.out)
    assert ran.status == 0
    # He et al. (2015), option A: 9 modules, 269,722 parameters; zero-padded shortcuts at the 4th and 7th.
    assert found["n_modules"] == 9
    assert found["parameters"] == 269_722
    assert [module["kind"] for module in found["modules"]] == ["identity"] * 3 + (
        ["projection"] + ["identity"] * 2
    ) * 2
    assert [module["name"] for module in found["modules"]] == [f"layers.{n}" for n in range(9)]
    assert found["unexplained"] == []
    assert "equals the model's" in found["verified"]


def test_json_is_all_there_is_on_standard_output(call):
    ran = call("inspect", "zoo:preact-resnet20", "--json")
    found = json.loads(ran.out)
    net = zoo.preact_resnet(20)
    assert found["macs"] == net.total_macs
    assert sum(module["parameters"] for module in found["modules"]) < found["parameters"]
    assert found["chains"] == [list(range(9))]
    assert "random" in ran.err


def test_the_table_has_a_row_a_module(call, file):
    ran = call("inspect", f"{file}:resnet20", "--input-shape", "3,16,16")
    lines = ran.out.splitlines()
    rows = [line.split() for line in lines if line.split() and line.split()[0].isdecimal()]
    assert [row[0] for row in rows] == [str(n) for n in range(9)]
    # Three 3×3 convolutions' worth of channels by hand: 2 · 16 · 16 · 9 weights at 16×16 places.
    assert rows[0][:5] == ["0", "layers.0", "identity", "16×16×16", "16×16×16"]
    assert rows[0][7:9] == ["1.18", "M"]
    assert 2 * 16 * 16 * 9 * 16 * 16 == 1_179_648
    assert "Checked: the captured output equals the model's" in ran.out
    assert "Not understood: nothing." in ran.out
    assert "may be reordered: 0-8." in ran.out


def test_plain_networks_stand_by_themselves_in_chains(call):
    ran = call("inspect", "zoo:vgg15", "--data", "digits")
    assert "13 residual modules" in ran.out
    assert "plain" in ran.out
