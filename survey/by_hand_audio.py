"""Networks that write sound, as their authors write them: each block adds to the stream and to a sum beside it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS, BESIDE = 4, 3


class Dilated(nn.Module):
    """A block of WaveNet: a causal convolution, a gated unit, and two layers behind it."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(CHANNELS, 2 * CHANNELS, 2, dilation=dilation, padding=dilation)
        self.into, self.aside = nn.Conv1d(CHANNELS, CHANNELS, 1), nn.Conv1d(CHANNELS, BESIDE, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute what is added to the stream, and what is added beside it."""
        a, b = self.conv(x)[:, :, : x.shape[2]].chunk(2, dim=1)
        z = a.tanh() * b.sigmoid()
        return self.into(z), self.aside(z)


class WaveNet(nn.Module):
    """Four blocks; the sum beside the stream is what the network predicts from (van den Oord et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv1d(1, CHANNELS, 1)
        self.blocks = nn.ModuleList(Dilated(2**number) for number in range(4))
        self.head = nn.Sequential(nn.ReLU(), nn.Conv1d(BESIDE, 5, 1), nn.ReLU(), nn.Conv1d(5, 5, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Predict the next sample at every place."""
        x = self.enter(x)
        beside: Any = 0
        for block in self.blocks:
            into, aside = block(x)
            x, beside = x + into, beside + aside
        return self.head(beside)


class ScaledWaveNet(WaveNet):
    """Sums of the stream keep their variance, and the list of what stands beside it is summed in the end."""

    def forward(self, x: Tensor) -> Tensor:
        """Predict the next sample at every place."""
        x = self.enter(x)
        beside = []
        for block in self.blocks:
            into, aside = block(x)
            x = (x + into) * 0.5**0.5
            beside.append(aside)
        return self.head(torch.stack(beside).sum(0) / len(beside) ** 0.5)


class DiffusionStep(nn.Module):
    """A block of DiffWave, which splits one value into what it adds to the stream and what it adds beside it."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.time = nn.Linear(6, CHANNELS)
        self.conv = nn.Conv1d(CHANNELS, 2 * CHANNELS, 3, dilation=dilation, padding=dilation)
        self.leave = nn.Conv1d(CHANNELS, 2 * CHANNELS, 1)

    def forward(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Refine a sound at a time."""
        gate, filtered = self.conv(x + self.time(time)[:, :, None]).chunk(2, dim=1)
        into, aside = self.leave(gate.sigmoid() * filtered.tanh()).chunk(2, dim=1)
        return (x + into) / 2**0.5, aside


class DiffWave(nn.Module):
    """Three blocks that remove noise, at a time that is a second input (Kong et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv1d(1, CHANNELS, 1)
        self.time = nn.Sequential(nn.Linear(2, 6), nn.SiLU())
        self.blocks = nn.ModuleList(DiffusionStep(2**number) for number in range(3))
        self.behind, self.head = nn.Conv1d(CHANNELS, CHANNELS, 1), nn.Conv1d(CHANNELS, 1, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Estimate the noise in x."""
        x, time = self.enter(x).relu(), self.time(time)
        beside = None
        for block in self.blocks:
            x, aside = block(x, time)
            beside = aside if beside is None else beside + aside
        return self.head(functional.relu(self.behind(beside / len(self.blocks) ** 0.5)))
