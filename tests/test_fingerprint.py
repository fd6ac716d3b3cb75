"""The fingerprint of a network is the same in another process, where its objects lie at other addresses.

The oracle is the process: what is made by the same lines is the same network, and what is made by others is not.
"""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import functools
from dataclasses import dataclass

import torch
from torch import nn
from unravelnet.network import ResidualModule, UnraveledNetwork

ballast = [object() for _ in range({ballast})]

class Scale:
    def __init__(self, factor):
        self.factor = factor
    def __call__(self, x):
        return self.factor(x) if callable(self.factor) else self.factor * x

class Partner(Scale):
    def __init__(self, factor):
        super().__init__(factor)
        self.itself = self

@dataclass
class Power:
    exponent: float
    def __call__(self, x):
        return x ** self.exponent

class Applied(nn.Module):
    def __init__(self, function, shows=False):
        super().__init__()
        self.function, self._shows = function, shows
    def forward(self, x):
        return self.function(x)
    def extra_repr(self):
        return str(self.function) if self._shows else ""

CALLABLES = [
    torch.relu, torch.ops.aten.relu.default, nn.functional.gelu,
    functools.partial(torch.clamp, min=0.0), functools.partial(torch.clamp, min=1.0),
    functools.partial(Scale(2.0)), functools.partial(Scale(3.0)),
    Scale(2.0), Scale(3.0), Scale(torch.ones(1)), Scale(torch.zeros(1)), Scale(Scale(2.0)), Partner(2.0),
    Scale(2.0).__call__, Power(1.0), Power(2.0),
]
for shows in (False, True):
    for function in CALLABLES:
        module = ResidualModule(Applied(function, shows), nn.Identity())
        print(UnraveledNetwork(nn.Identity(), [module], nn.Identity(), example=torch.ones(1, 1)).fingerprint())
"""


def program(ballast: int) -> str:
    return PROGRAM.replace("{ballast}", str(ballast))


def test_callables_without_a_name_have_the_same_fingerprint_in_every_process(capsys) -> None:
    exec(program(ballast=0), {"__name__": "__main__"})
    here = capsys.readouterr().out.split()
    elsewhere = [sys.executable, "-c", program(ballast=100_000)]
    assert subprocess.run(elsewhere, capture_output=True, text=True, check=True).stdout.split() == here
    assert len(set(here)) == len(here) == 32
