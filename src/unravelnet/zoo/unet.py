"""The U-Net: an encoder and a decoder with long skips between them, one at each resolution.

A long skip goes around everything that is deeper. So it is a residual module whose branch halves the map, encodes it,
holds the module of the next resolution, decodes, and doubles the map again. The modules are nested in one another: the
network has one, and `inner` of each is the next. Routes lead into them: `0[0[0s]]` deletes the third.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal, get_args

from torch import Tensor, nn

from unravelnet.errors import ModelError
from unravelnet.network import Add, Concatenate, ResidualModule, Row, UnraveledNetwork
from unravelnet.zoo.layout import check_choice, check_geometry
from unravelnet.zoo.parts import seeded
from unravelnet.zoo.recipe import Recipe, assemble

UNET_WIDTHS = (64, 128, 256, 512, 1024)
UNET_SHAPE = (1, 256, 256)

LongSkip = Literal["concatenate", "add"]


class Crop(nn.Module):
    """Cut a margin off each side of a map.

    >>> import torch
    >>> Crop(2)(torch.zeros(1, 1, 6, 5)).shape
    torch.Size([1, 1, 2, 1])
    """

    def __init__(self, margin: int) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, x: Tensor) -> Tensor:
        return x[..., self.margin : -self.margin, self.margin : -self.margin]


def unet(
    *,
    junction: LongSkip = "concatenate",
    padded: bool = True,
    widths: Sequence[int] = UNET_WIDTHS,
    n_classes: int = 2,
    input_shape: Sequence[int] = UNET_SHAPE,
    seed: int | None = None,
) -> UnraveledNetwork:
    """Make a U-Net, which gives every pixel logits of its own: shape classes × height × width.

    >>> net = unet(widths=(4, 8, 16), input_shape=(1, 8, 8))
    >>> [module.name for module in (net.residual_modules[0], *net.residual_modules[0].inner)]
    ['long0', 'long1']

    `junction`: how long skips are joined: "concatenate", as in the paper, or "add". `padded`: whether 3×3 convolutions
    keep the map, as most do today; without, as in the paper, each takes a pixel off every side, and skips are cropped.
    `widths`: channels at each resolution, one more than there are long skips. With 64 to 1,024 channels and two classes
    it has 31,030,658 parameters. Two 3×3 convolutions with ReLU at each resolution, maxima over 2×2 pixels downwards,
    transposed 2×2 convolutions upwards; no normalisation, and no dropout. Other arguments as for `preact_resnet`.
    Raises ModelError for widths, or an input shape, that do not go together: every map that is halved must be even.

    Source: Ronneberger, Fischer and Brox 2015; `unet(padded=False, input_shape=(1, 572, 572))` is theirs.
    """
    check_geometry(widths, n_classes, input_shape)
    check_choice("junction", junction, get_args(LongSkip))
    if len(widths) < 2:
        raise ModelError(f"A U-Net needs two widths or more; got {tuple(widths)}.")
    parts = _Parts(junction, padded, tuple(widths), _maps(input_shape, len(widths), padded=padded))
    options = {
        "junction": junction,
        "padded": padded,
        "widths": list(widths),
        "n_classes": n_classes,
        "input_shape": list(input_shape),
    }
    with seeded(seed):
        net = assemble(
            Recipe("unet", options),
            parts.convolutions(input_shape[0], widths[0]),
            [parts.long_skip(0)],
            nn.Sequential(OrderedDict(decode=parts.decoder(0), classify=nn.Conv2d(widths[0], n_classes, 1))),
            input_shape=input_shape,
        )
        _initialise(net)
        return net


class _Parts:
    """Makes the parts of a U-Net."""

    def __init__(self, junction: LongSkip, padded: bool, widths: Sequence[int], maps: Sequence[_Map]) -> None:
        self.junction, self.padded, self.widths, self.maps = junction, padded, widths, maps

    def convolutions(self, n_in: int, width: int) -> nn.Sequential:
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        for number, n in enumerate((n_in, width), start=1):
            parts[f"conv{number}"] = nn.Conv2d(n, width, 3, padding=int(self.padded))
            parts[f"relu{number}"] = nn.ReLU(inplace=True)
        return nn.Sequential(parts)

    def decoder(self, level: int) -> nn.Sequential:
        return self.convolutions(self._n_joined(level), self.widths[level])

    def long_skip(self, level: int) -> ResidualModule:
        """Make the residual module of one resolution, with those of the deeper ones inside."""
        width, deeper, sides = self.widths[level], self.widths[level + 1], self.maps[level]
        down = OrderedDict(pool=nn.MaxPool2d(2), encode=self.convolutions(width, deeper))
        branch: nn.Module
        if level + 2 < len(self.widths):
            inner = self.long_skip(level + 1)
            up = OrderedDict(
                decode=self.decoder(level + 1), up=nn.ConvTranspose2d(deeper, width, 2, stride=2)
            )
            branch = Row(nn.Sequential(down), [inner], nn.Sequential(up))
        else:
            up = OrderedDict(up=nn.ConvTranspose2d(deeper, width, 2, stride=2))
            branch = nn.Sequential(OrderedDict(**down, **up))
        return ResidualModule(
            branch,
            Crop(sides.margin) if sides.margin else nn.Identity(),
            junction=Concatenate(width, width) if self.junction == "concatenate" else Add(),
            name=f"long{level}",
        )

    def _n_joined(self, level: int) -> int:
        return self.widths[level] * (2 if self.junction == "concatenate" else 1)


@dataclass(frozen=True, slots=True)
class _Map:
    """Height and width at one resolution: behind the encoder, and where the long skip is joined."""

    encoded: tuple[int, int]
    joined: tuple[int, int]

    @property
    def margin(self) -> int:
        """How much is cut off each side of the skip."""
        return (self.encoded[0] - self.joined[0]) // 2


def _maps(input_shape: Sequence[int], n_levels: int, *, padded: bool) -> list[_Map]:
    """Give the maps of all long skips. Raises ModelError where a map cannot be halved, or nothing is left of it."""
    _, *sides = input_shape
    found = [_sides(side, n_levels, padded=padded) for side in sides]
    heights, widths = found
    if heights is None or widths is None:
        fitting = [next(n for n in count(side) if _sides(n, n_levels, padded=padded)) for side in sides]
        raise ModelError(
            f"A U-Net of {n_levels} resolutions{'' if padded else ' without padding'} does not fit images of "
            f"{sides[0]}×{sides[1]}: a map that is halved must be even, and something must be left of it. The next "
            f"size that fits is {fitting[0]}×{fitting[1]}."
        )
    pairs = zip(heights, widths, strict=True)
    return [_Map((high[0], wide[0]), (high[1], wide[1])) for high, wide in pairs]


def _sides(side: int, n_levels: int, *, padded: bool) -> list[tuple[int, int]] | None:
    """Follow one side of the image down and up: at each long skip, behind the encoder and where it is joined.

    >>> _sides(572, 5, padded=False)
    [(568, 392), (280, 200), (136, 104), (64, 56)]
    >>> _sides(12, 4, padded=True) is None
    True
    """
    lost = 0 if padded else 4
    encoded = []
    for level in range(n_levels):
        side -= lost
        if side < 1 or (side % 2 and level < n_levels - 1):
            return None
        encoded.append(side)
        side //= 2
    decoded, joined = encoded.pop(), []
    for _ in encoded:
        joined.append(2 * decoded)
        decoded = 2 * decoded - lost
        if decoded < 1:
            return None
    return list(zip(encoded, reversed(joined), strict=True))


def _initialise(net: nn.Module) -> None:
    """Draw weights as in the paper: normal, with the variance 2 / N for N numbers that arrive at one of the outputs."""
    for part in net.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            # A stride of 2 with a kernel of 2 brings one place of the input to each of the output.
            n_places = 1 if isinstance(part, nn.ConvTranspose2d) else math.prod(part.kernel_size)
            nn.init.normal_(part.weight, std=math.sqrt(2 / (part.in_channels * n_places)))
            assert part.bias is not None
            nn.init.zeros_(part.bias)
