"""Small trained networks and a way to call the command line inside this process."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from unravelnet import zoo
from unravelnet.cli.command_line import run

# A post-activation ResNet for CIFAR with zero-padded shortcuts, as people write it.
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


@dataclass
class Ran:
    status: int
    out: str
    err: str


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """Call the command line with words, in an empty directory; give its status and what it printed."""
    monkeypatch.chdir(tmp_path)

    def called(*words: object) -> Ran:
        capsys.readouterr()
        status = run([str(word) for word in words])
        printed = capsys.readouterr()
        return Ran(status, printed.out, printed.err)

    return called


def assert_one_sentence(ran: Ran) -> None:
    """Check that a call failed with one sentence on standard error, behind remarks at most, and nothing else."""
    *said, error = ran.err.splitlines()
    # A slow machine also says how far it is.
    remarks = [line for line in said if not line.endswith(" s so far")]
    assert error.startswith("unravelnet: "), ran.err
    assert error.endswith((".", "?")), ran.err
    assert all(remark.endswith(".") and not remark.startswith(("unravelnet: ", " ")) for remark in remarks), (
        ran.err
    )
    assert "Traceback" not in ran.err
    assert ran.out == ""


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A directory with a network for digits; its weights are random, its branches small so that it is no fool."""
    directory = tmp_path_factory.mktemp("trained") / "net"
    net = zoo.preact_resnet(14, input_shape=(1, 8, 8), seed=0)
    with torch.no_grad():
        for module in net.residual_modules:
            for parameter in module.branch.parameters():
                parameter.mul_(0.7)
    zoo.save(net, directory)
    return directory


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "theirs.py"
    path.write_text(FILE)
    return path
