"""Residual networks for photographs of 224 × 224 pixels, post-activation and pre-activation, with 18 to 200 layers.

A 7×7 convolution with stride 2 and a maximum over 3×3 pixels with stride 2 make the stem; four stages follow, whose
widths double and whose maps halve. Depths up to 34 have two 3×3 convolutions in a module, larger ones the three of a
bottleneck, whose 3×3 one has the stride.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, get_args

from torch import nn

from unravelnet.errors import ModelError
from unravelnet.network import ResidualModule, UnraveledNetwork
from unravelnet.zoo.layout import Place, check_choice, check_geometry, places
from unravelnet.zoo.parts import (
    EXPANSION,
    Block,
    Shortcut,
    branch_convolutions,
    pooling_head,
    postactivated,
    preactivated,
    seeded,
    skip_for,
)
from unravelnet.zoo.recipe import Recipe, assemble

IMAGENET_SHAPE = (3, 224, 224)
_WIDTHS = (64, 128, 256, 512)
# Modules in each stage. Sources: He et al. 2015, table 1; for 200, He et al. 2016 and the code of Gross and Wilber.
_STAGES: dict[int, tuple[Block, tuple[int, ...]]] = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
    200: ("bottleneck", (3, 24, 36, 3)),
}
DEPTHS = tuple(_STAGES)


def imagenet_resnet(
    depth: int = 50,
    *,
    shortcut: Shortcut = "B",
    widths: Sequence[int] = _WIDTHS,
    n_classes: int = 1000,
    input_shape: Sequence[int] = IMAGENET_SHAPE,
    seed: int | None = None,
) -> UnraveledNetwork:
    """Make a post-activation residual network for ImageNet.

    >>> net = imagenet_resnet(18, input_shape=(3, 64, 64))
    >>> len(net.residual_modules), sum(parameter.numel() for parameter in net.parameters())
    (8, 11689512)

    `depth`: 18, 34, 50, 101, 152 or 200 weight layers. `shortcut`, `widths`, `input_shape`, `seed`: as for `resnet`.
    With the shortcut "B" it computes what torchvision's `resnet50` does. Source: He et al. 2015. Raises ModelError
    for another depth and impossible widths, classes or inputs, and UnknownNameError for another shortcut.
    """
    return _make("imagenet-resnet", depth, shortcut, widths, n_classes, input_shape, seed)


def imagenet_preact_resnet(
    depth: int = 200,
    *,
    shortcut: Shortcut = "B",
    widths: Sequence[int] = _WIDTHS,
    n_classes: int = 1000,
    input_shape: Sequence[int] = IMAGENET_SHAPE,
    seed: int | None = None,
) -> UnraveledNetwork:
    """Make a pre-activation residual network for ImageNet; of depth 200 it is the network of Fig. 4 of Veit et al.

    >>> net = imagenet_preact_resnet(18, widths=(4, 4, 8, 8), input_shape=(3, 64, 64))
    >>> net.stages, net.downsampling
    ([0, 2, 4, 6], [2, 4, 6])
    >>> net.residual_modules[2].input_shape
    (4, 16, 16)

    Arguments as for `imagenet_resnet`. A projection reads the raw stream, as that of `preact_resnet`. Source: He et al.
    2016. Raises as `imagenet_resnet`.
    """
    return _make("imagenet-preact-resnet", depth, shortcut, widths, n_classes, input_shape, seed)


def _make(
    family: str,
    depth: int,
    shortcut: Shortcut,
    widths: Sequence[int],
    n_classes: int,
    input_shape: Sequence[int],
    seed: int | None,
) -> UnraveledNetwork:
    if depth not in _STAGES:
        raise ModelError(f"There is no {family} of depth {depth}. Depths are {', '.join(map(str, DEPTHS))}.")
    check_choice("shortcut", shortcut, get_args(Shortcut))
    check_geometry(widths, n_classes, input_shape)
    if len(widths) != len(_WIDTHS):
        raise ModelError(
            f"An {family} has {len(_WIDTHS)} stages, and widths are given for {len(widths)}: one each."
        )
    block, counts = _STAGES[depth]
    options: dict[str, Any] = {
        "shortcut": shortcut,
        "widths": list(widths),
        "n_classes": n_classes,
        "input_shape": list(input_shape),
    }
    is_preactivated = family == "imagenet-preact-resnet"
    make = _preactivated if is_preactivated else _postactivated
    found = places(counts, widths, expansion=EXPANSION[block])
    with seeded(seed):
        return assemble(
            Recipe(f"{family}{depth}", options),
            _stem(input_shape[0], widths[0]),
            [make(place, block, shortcut) for place in found],
            pooling_head(widths[-1] * EXPANSION[block], n_classes, normalisation=is_preactivated),
            input_shape=input_shape,
        )


def _stem(n_in: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(n_in, width, 7, stride=2, padding=3, bias=False),
            norm=nn.BatchNorm2d(width),
            relu=nn.ReLU(inplace=True),
            pool=nn.MaxPool2d(3, stride=2, padding=1),
        )
    )


def _postactivated(place: Place, block: Block, shortcut: Shortcut) -> ResidualModule:
    branch = postactivated(branch_convolutions(block, place.n_in, place.width, place.stride))
    skip = skip_for(shortcut, place.n_in, place.width * EXPANSION[block], place.stride, normalisation=True)
    # Not in place: where the branch is deleted, the stream that arrives belongs to other routes too.
    return ResidualModule(branch, skip, nn.ReLU(), name=place.name)


def _preactivated(place: Place, block: Block, shortcut: Shortcut) -> ResidualModule:
    branch = preactivated(branch_convolutions(block, place.n_in, place.width, place.stride))
    skip = skip_for(shortcut, place.n_in, place.width * EXPANSION[block], place.stride, normalisation=False)
    return ResidualModule(branch, skip, name=place.name)
