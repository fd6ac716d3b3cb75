"""Small trained networks and a way to call the command line inside this process."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from unravelnet import zoo
from unravelnet.cli.command_line import run


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
    """Check that a call failed with one line on standard error and nothing else."""
    lines = [line for line in ran.err.splitlines() if not line.startswith("The weights of")]
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("unravelnet: ")
    assert lines[0].endswith((".", "?"))
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
