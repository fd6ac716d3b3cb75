"""Networks that draw a map of an image, as their authors write them: long skips around all that is deeper."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Convolutions(nn.Sequential):
    """Two convolutions with normalisations, as in most U-Nets."""

    def __init__(self, enter: int, leave: int) -> None:
        super().__init__(*_layer(enter, leave), *_layer(leave, leave))


def _layer(enter: int, leave: int, size: int = 3) -> tuple[nn.Module, ...]:
    return nn.Conv2d(enter, leave, size, padding=size // 2), nn.BatchNorm2d(leave), nn.ReLU()


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2)


class AttentionGate(nn.Module):
    """Lets a share of a long skip pass, by an additive attention to it and to the decoder's signal."""

    def __init__(self, skip: int, signal: int) -> None:
        super().__init__()
        self.of_skip = nn.Sequential(nn.Conv2d(skip, 2, 1), nn.BatchNorm2d(2))
        self.of_signal = nn.Sequential(nn.Conv2d(signal, 2, 1), nn.BatchNorm2d(2))
        self.share = nn.Sequential(nn.Conv2d(2, 1, 1), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, skip: Tensor, signal: Tensor) -> Tensor:
        """Let a share of a skip pass."""
        shared: Tensor = self.share((self.of_skip(skip) + self.of_signal(signal)).relu())
        return skip * shared


class AttentionUNet(nn.Module):
    """A U-Net of five levels; each gate reads the signal that it is put beside (Oktay et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 4, 5, 6, 7, 8)
        self.down = nn.ModuleList(Convolutions(*pair) for pair in pairwise(widths))
        pairs = list(pairwise(widths[1:]))
        self.rise = nn.ModuleList(nn.Sequential(*_layer(deep, flat)) for flat, deep in pairs)
        self.gates = nn.ModuleList(AttentionGate(flat, flat) for flat, _ in pairs)
        self.up = nn.ModuleList(Convolutions(2 * flat, flat) for flat, _ in pairs)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Segment images."""
        kept: list[Tensor] = []
        for level, layers in enumerate(self.down):
            x = layers(functional.max_pool2d(x, 2) if level else x)
            kept.append(x)
        for level in reversed(range(len(self.up))):
            x = self.rise[level](_doubled(x))
            x = self.up[level](torch.cat([self.gates[level](kept[level], x), x], dim=1))
        return self.head(x)


class GridAttention(nn.Module):
    """Attends on the grid of the coarser level, and projects what passes."""

    def __init__(self, skip: int, signal: int) -> None:
        super().__init__()
        self.of_skip = nn.Conv2d(skip, 2, 2, stride=2, bias=False)
        self.of_signal = nn.Conv2d(signal, 2, 1)
        self.share = nn.Sequential(nn.Conv2d(2, 1, 1), nn.Sigmoid())
        self.project = nn.Sequential(nn.Conv2d(skip, skip, 1), nn.BatchNorm2d(skip))

    def forward(self, skip: Tensor, signal: Tensor) -> Tensor:
        """Let a share of a skip pass."""
        share = self.share((self.of_skip(skip) + self.of_signal(signal)).relu())
        passed: Tensor = self.project(functional.interpolate(share, scale_factor=2, mode="bilinear") * skip)
        return passed


class GridAttentionUNet(AttentionUNet):
    """The first implementation: gates read the level below, and the flattest skip has none (Oktay et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (4, 5, 6, 7, 8)
        self.gates = nn.ModuleList(GridAttention(*pair) for pair in pairwise(widths[1:]))
        self.gating = nn.Sequential(*_layer(8, 8, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Segment images."""
        kept: list[Tensor] = []
        for level, layers in enumerate(self.down):
            x = layers(functional.max_pool2d(x, 2) if level else x)
            kept.append(x)
        signal = self.gating(x)
        for level in reversed(range(len(self.up))):
            skip = self.gates[level - 1](kept[level], signal) if level else kept[level]
            x = signal = self.up[level](torch.cat([skip, self.rise[level](_doubled(x))], dim=1))
        return self.head(x)


class NestedUNet(nn.Module):
    """UNet++ of five levels: each value is made of all before it on its level and one below (Zhou et al. 2018)."""

    def __init__(self, widths: Sequence[int] = (3, 4, 5, 6, 7)) -> None:
        super().__init__()
        self.depth = len(widths)
        self.nodes = nn.ModuleDict()
        for level, width in enumerate(widths):
            for place in range(self.depth - level):
                before = widths[level - 1] if level else 3
                enter = place * width + widths[level + 1] if place else before
                self.nodes[f"{level}-{place}"] = Convolutions(enter, width)
        self.heads = nn.ModuleList(nn.Conv2d(widths[0], 2, 1) for _ in widths[1:])

    def of_level(self, x: Tensor) -> list[Tensor]:
        """Compute the values of the flattest level."""
        values: list[list[Tensor]] = []
        for level in range(self.depth):
            values.append([self.nodes[f"{level}-0"](x)])
            x = functional.max_pool2d(values[-1][0], 2)
            for place in range(1, level + 1):
                row, below = values[level - place], values[level - place + 1]
                beside = torch.cat([*row, _doubled(below[place - 1])], dim=1)
                row.append(self.nodes[f"{level - place}-{place}"](beside))
        return values[0]

    def forward(self, x: Tensor) -> Any:
        """Segment images."""
        return self.heads[-1](self.of_level(x)[-1])


class SupervisedNestedUNet(NestedUNet):
    """UNet++ with a head at every value of the flattest level, all of which are returned."""

    def forward(self, x: Tensor) -> Any:
        """Segment images four times."""
        pairs = zip(self.heads, self.of_level(x)[1:], strict=True)
        return [head(value) for head, value in pairs]


class AveragedNestedUNet(SupervisedNestedUNet):
    """UNet++ in its accurate mode, which averages the heads."""

    def forward(self, x: Tensor) -> Tensor:
        """Segment images."""
        return torch.stack(super().forward(x)).mean(0)


class BasicBlock(nn.Module):
    """A block of ResNet-18."""

    def __init__(self, enter: int, leave: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(enter, leave, 3, stride, padding=1)
        self.second = nn.Conv2d(leave, leave, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(leave) for _ in range(2))
        self.skip = nn.Identity() if stride == 1 else nn.Conv2d(enter, leave, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Refine a map."""
        y = self.norms[0](self.first(x)).relu()
        return (self.norms[1](self.second(y)) + self.skip(x)).relu()


class Encoder(nn.Module):
    """ResNet-18 up to its last map, and the maps of all sizes on the way."""

    widths = (4, 4, 5, 6, 7)

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(3, 4, 7, 2, padding=3), nn.BatchNorm2d(4), nn.ReLU())
        self.stages = nn.ModuleList(
            nn.Sequential(BasicBlock(enter, leave, 2 if stage else 1), BasicBlock(leave, leave, 1))
            for stage, (enter, leave) in enumerate(pairwise(self.widths))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute maps, the largest first."""
        maps = [self.enter(x)]
        for stage, blocks in enumerate(self.stages):
            maps.append(blocks(maps[-1] if stage else functional.max_pool2d(maps[-1], 3, 2, 1)))
        return maps


class ResNetUNet(nn.Module):
    """A U-Net on the maps of a ResNet, as libraries of segmentation build it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, widths = Encoder(), Encoder.widths
        self.up = nn.ModuleList(Convolutions(deep + flat, flat) for flat, deep in pairwise(widths))
        self.last, self.head = Convolutions(4, 4), nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Segment images."""
        *maps, x = self.encoder(x)
        for up, skip in zip(reversed(self.up), reversed(maps), strict=True):
            x = up(torch.cat([_doubled(x), skip], dim=1))
        return self.head(self.last(_doubled(x)))


class LinkNet(nn.Module):
    """A decoder that adds the maps of a ResNet (Chaurasia and Culurciello 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, widths = Encoder(), Encoder.widths[1:]
        self.up = nn.ModuleList(self.decoder(deep, flat) for flat, deep in pairwise((4, *widths)))
        self.head = nn.ConvTranspose2d(4, 2, 2, 2)

    @staticmethod
    def decoder(enter: int, leave: int) -> nn.Module:
        """Make layers that double the size of a map."""
        stride = 2 if enter != leave else 1
        rise = nn.ConvTranspose2d(4, 4, 3, stride, padding=1, output_padding=stride - 1)
        return nn.Sequential(*_layer(enter, 4, 1), rise, nn.BatchNorm2d(4), nn.ReLU(), *_layer(4, leave, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Segment images."""
        _, *maps, x = self.encoder(x)
        for up, skip in zip(reversed(self.up[1:]), reversed(maps), strict=True):
            x = up(x) + skip
        return self.head(_doubled(self.up[0](x)))


class FeaturePyramid(nn.Module):
    """A pyramid of the maps of a ResNet, whose levels are all read (Lin et al. 2017, Kirillov et al. 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, widths = Encoder(), Encoder.widths[1:]
        self.lateral = nn.ModuleList(nn.Conv2d(width, 4, 1) for width in widths)
        self.read = nn.ModuleList(nn.Sequential(*_layer(4, 4)) for _ in widths)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Segment images."""
        maps = self.encoder(x)[1:]
        x = self.lateral[-1](maps[-1])
        levels = [x]
        for lateral, skip in zip(reversed(self.lateral[:-1]), reversed(maps[:-1]), strict=True):
            x = _doubled(x) + lateral(skip)
            levels.append(x)
        of_one_size = [
            functional.interpolate(read(level), size=maps[0].shape[2:], mode="bilinear")
            for read, level in zip(reversed(self.read), levels, strict=True)
        ]
        return self.head(sum(of_one_size))


class VNet(nn.Module):
    """Volumes: a sum around the convolutions of each level, concatenations between levels (Milletari et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (4, 8, 16, 32, 64)
        self.enter, self.head = self.convolutions(1, 2, 1), nn.Conv3d(4, 2, 1)
        widths = (2, 4, 8, 16, 32)
        self.shrink = nn.ModuleList(
            nn.Sequential(nn.Conv3d(flat, deep, 2, 2), nn.BatchNorm3d(deep), nn.ELU())
            for flat, deep in pairwise(widths)
        )
        self.down = nn.ModuleList(
            self.convolutions(deep, deep, n) for deep, n in zip(widths[1:], (2, 3, 3, 3), strict=True)
        )
        self.rise = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose3d(enter, leave, 2, 2), nn.BatchNorm3d(leave), nn.ELU())
            for enter, leave in ((8, 2), (16, 4), (32, 8), (32, 16))
        )
        self.up = nn.ModuleList(
            self.convolutions(width, width, n) for width, n in ((4, 1), (8, 2), (16, 3), (32, 3))
        )

    @staticmethod
    def convolutions(enter: int, leave: int, n: int) -> nn.Module:
        """Make the convolutions of a level; the sum around them is followed by the last ELU."""
        layers = [
            (nn.Conv3d(a, leave, 5, padding=2), nn.BatchNorm3d(leave), nn.ELU())
            for a in (enter, *[leave] * (n - 1))
        ]
        return nn.Sequential(*[layer for three in layers for layer in three][:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Segment volumes."""
        x = functional.elu(self.enter(x) + torch.cat([x] * 2, dim=1))
        kept = [x]
        for shrink, convolutions in zip(self.shrink, self.down, strict=True):
            x = shrink(x)
            x = functional.elu(convolutions(x) + x)
            kept.append(x)
        for level in reversed(range(4)):
            x = torch.cat([self.rise[level](x), kept[level]], dim=1)
            x = functional.elu(self.up[level](x) + x)
        return self.head(x)
