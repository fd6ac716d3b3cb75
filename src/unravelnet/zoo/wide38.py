"""Model A of Wu, Shen and van den Hengel: 17 wide residual modules for images of ImageNet, and its variants.

Six levels follow the stem, B2 to B7 in the paper. The first module of each changes channels: its branch and its skip
read the stream behind normalisation and ReLU, which stand in the stem and in the transitions, for they are on every
path. The variants differ in how maps become smaller, and have the same weights.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

from unravelnet.errors import ModelError
from unravelnet.network import ResidualModule, UnraveledNetwork
from unravelnet.zoo.layout import check_choice, check_dropout, check_geometry
from unravelnet.zoo.parts import activation, convolution, pooling_head, preactivated_module, seeded
from unravelnet.zoo.recipe import Recipe, assemble

Variant = Literal["A", "A1", "A1-dilated"]

IMAGENET_SHAPE = (3, 224, 224)
_STEM_WIDTH = 64
# Modules of the levels 2 to 7, and channels behind each of their convolutions.
_LEVELS = (
    (3, (128, 128)),
    (3, (256, 256)),
    (6, (512, 512)),
    (3, (512, 1024)),
    (1, (512, 1024, 2048)),
    (1, (1024, 2048, 4096)),
)
_KERNELS = {2: (3, 3), 3: (1, 3, 1)}
_FEATURES = _LEVELS[-1][1][-1]
# Levels before which maps of the dilated variant keep their size.
_DILATED_LEVELS = (5, 6)
_LAST_LEVEL = 7


def wide_resnet38(
    *,
    variant: Variant = "A",
    dropout: Sequence[float] = (0.0, 0.0),
    n_classes: int = 1000,
    input_shape: Sequence[int] = IMAGENET_SHAPE,
    seed: int | None = None,
) -> UnraveledNetwork:
    """Make Model A of Wu et al., of 38 weight layers and 17 residual modules, or one of its variants.

    >>> import torch
    >>> with torch.device("meta"):  # shapes and counts without weights
    ...     net = wide_resnet38()
    >>> len(net.residual_modules), sum(parameter.numel() for parameter in net.parameters())
    (17, 109167912)

    `variant`: "A" halves maps by maximum pooling before each of the levels 2 to 6; "A1" by a stride in the first
    convolution of the level; "A1-dilated" does so in the levels 2 to 4, and dilates convolutions from there on, so that
    the stream before the head has an eighth of the height and width. `dropout`: the probabilities in the modules of
    the levels 6 and 7, before their last convolutions; the authors use 0.3 and 0.5 for segmentation.
    Other arguments as for `preact_resnet`. Building it takes some seconds on a CPU. Raises ModelError or
    UnknownNameError for options that no network can be built for.

    Source: Wu, Shen and van den Hengel 2016, "Wider or Deeper: Revisiting the ResNet Model for Visual Recognition",
    and their code.
    """
    check_choice("variant", variant, get_args(Variant))
    check_geometry((_FEATURES,), n_classes, input_shape)
    _check_dropouts(dropout)
    options = {
        "variant": variant,
        "dropout": list(dropout),
        "n_classes": n_classes,
        "input_shape": list(input_shape),
    }
    with seeded(seed):
        levels = list(_levels(variant, dropout))
        return assemble(
            Recipe("wide-resnet38", options),
            _entrance(levels[0], conv=convolution(input_shape[0], _STEM_WIDTH, 3)),
            [module for level in levels for module in _modules(level)],
            pooling_head(_FEATURES, n_classes, normalisation=True),
            input_shape=input_shape,
            transitions=[_entrance(level) for level in levels[1:]],
        )


@dataclass(frozen=True, slots=True)
class _Level:
    """A level: its modules, the channels that arrive and those behind each convolution, and what resizes maps.

    `stride` and `first_dilation` are of the first convolution in the level, `dilation` is of all others.
    """

    number: int
    n_modules: int
    n_in: int
    channels: tuple[int, ...]
    dropout: float
    is_pooled: bool
    stride: int
    first_dilation: int
    dilation: int


def _levels(variant: Variant, dropout: Sequence[float]) -> Iterator[_Level]:
    n_in, dilation = _STEM_WIDTH, 1
    probabilities = [0.0] * (len(_LEVELS) - len(dropout)) + list(dropout)
    for number, (n_modules, channels) in enumerate(_LEVELS, start=2):
        is_dilated = variant == "A1-dilated" and number in _DILATED_LEVELS
        halves = number < _LAST_LEVEL and not is_dilated
        first_dilation, dilation = dilation, 2 * dilation if is_dilated else dilation
        yield _Level(
            number=number,
            n_modules=n_modules,
            n_in=n_in,
            channels=channels,
            dropout=probabilities[number - 2],
            is_pooled=halves and variant == "A",
            stride=2 if halves and variant != "A" else 1,
            first_dilation=first_dilation,
            dilation=dilation,
        )
        n_in = channels[-1]


def _entrance(level: _Level, **parts: nn.Module) -> nn.Sequential:
    """Make what leads to a level: the parts that are given, pooling in Model A, normalisation and ReLU."""
    if level.is_pooled:
        parts["pool"] = nn.MaxPool2d(3, stride=2, padding=1)
    return nn.Sequential(OrderedDict([*parts.items(), *activation(level.n_in).named_children()]))


def _modules(level: _Level) -> Iterator[ResidualModule]:
    for index in range(level.n_modules):
        yield preactivated_module(
            _convolutions(level, is_first=index == 0),
            name=f"level{level.number}.{index}",
            chain=level.number - 2,
            dropout=level.dropout,
        )


def _convolutions(level: _Level, *, is_first: bool) -> list[nn.Conv2d]:
    n_in = level.n_in if is_first else level.channels[-1]
    stride, dilation = (level.stride, level.first_dilation) if is_first else (1, level.dilation)
    made = []
    for size, n_out in zip(_KERNELS[len(level.channels)], level.channels, strict=True):
        # A kernel of one weight has no distances to dilate.
        made.append(convolution(n_in, n_out, size, stride=stride, dilation=dilation if size > 1 else 1))
        n_in, stride, dilation = n_out, 1, level.dilation
    return made


def _check_dropouts(dropout: Sequence[float]) -> None:
    if not isinstance(dropout, Sequence) or len(dropout) != 2:
        raise ModelError(
            f"The dropout {dropout!r} is not one of two levels. Give the probabilities in the levels 6 and 7, such as "
            "(0.3, 0.5)."
        )
    for probability in dropout:
        check_dropout(probability)
