"""Residual networks for small images: pre-activation and post-activation, basic and bottleneck.

All follow He et al. 2015, section 4.2: a 3×3 stem, stages of equally many modules whose first one (but for
the first stage) halves the map, global average pooling and a linear classifier. Depth counts weight layers:
6n + 2 with two convolutions a module and three stages, 9n + 2 with the three of a bottleneck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from torch import nn

from unravelnet.errors import ModelError
from unravelnet.network import ResidualModule, UnraveledNetwork
from unravelnet.zoo.layout import (
    CIFAR_SHAPE,
    WIDTHS,
    Place,
    check_choice,
    check_depth,
    check_geometry,
    places,
)
from unravelnet.zoo.parts import (
    CONVOLUTIONS,
    EXPANSION,
    Block,
    Shortcut,
    branch_convolutions,
    conv_layer,
    convolution,
    pooling_head,
    postactivated,
    preactivated,
    seeded,
    skip_for,
    start_at_the_skips,
)
from unravelnet.zoo.recipe import Recipe, assemble


def preact_resnet(
    depth: int = 110,
    *,
    shortcut: Shortcut = "B",
    widths: Sequence[int] = WIDTHS,
    n_classes: int = 10,
    input_shape: Sequence[int] = CIFAR_SHAPE,
    block: Block = "basic",
    zero_init_residual: bool = False,
    seed: int | None = None,
) -> UnraveledNetwork:
    """Make a pre-activation residual network: normalisation and ReLU lead every convolution of a branch.

    >>> net = preact_resnet(20)
    >>> len(net.residual_modules), net.residual_modules[3].kind
    (9, 'projection')

    A projection is a 1×1 convolution without bias that reads the raw stream. `depth`: weight layers.
    `shortcut`: "A" zero padding, "B" projections where shapes change, "C" projections everywhere. `widths`:
    channels of each stage. `input_shape`: channels, height, width. `zero_init_residual`: every branch starts at zero,
    so that before its training the network is its skips. `seed`: draw the weights from it and leave
    the global generator alone. Depth 110 has 1,730,522 parameters and the 54 modules of Veit et al. (2016).
    Source: He et al. 2016. Raises ModelError for an impossible depth, width or input shape.
    """
    plan = _Plan("preact-resnet", depth, shortcut, widths, n_classes, input_shape, block)
    with seeded(seed):
        stem = convolution(plan.input_shape[0], plan.widths[0], 3)
        net = assemble(
            plan.recipe(),
            stem,
            [_preact_module(plan, place) for place in plan.places()],
            pooling_head(plan.n_features, n_classes, normalisation=True),
            input_shape=plan.input_shape,
        )
        if zero_init_residual:
            start_at_the_skips(stem, [module.branch for module in net.residual_modules])
        return net


def resnet(
    depth: int = 20,
    *,
    shortcut: Shortcut = "A",
    widths: Sequence[int] = WIDTHS,
    n_classes: int = 10,
    input_shape: Sequence[int] = CIFAR_SHAPE,
    block: Block = "basic",
    seed: int | None = None,
) -> UnraveledNetwork:
    """Make a post-activation residual network: the last ReLU of a module stands after its junction.

    >>> sum(parameter.numel() for parameter in resnet(20).parameters())
    269722

    A projection is a 1×1 convolution with batch normalisation. Other arguments as for `preact_resnet`.
    Source: He et al. 2015, whose networks for CIFAR-10 have shortcut "A".
    """
    plan = _Plan("resnet", depth, shortcut, widths, n_classes, input_shape, block)
    with seeded(seed):
        return assemble(
            plan.recipe(),
            conv_layer(plan.input_shape[0], plan.widths[0]),
            [_postact_module(plan, place) for place in plan.places()],
            pooling_head(plan.n_features, n_classes, normalisation=False),
            input_shape=plan.input_shape,
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """The checked options of a residual network."""

    family: str
    depth: int
    shortcut: Shortcut
    widths: Sequence[int]
    n_classes: int
    input_shape: Sequence[int]
    block: Block

    def __post_init__(self) -> None:
        check_choice("shortcut", self.shortcut, get_args(Shortcut))
        check_choice("block", self.block, get_args(Block))
        check_geometry(self.widths, self.n_classes, self.input_shape)
        if self.shortcut == "A" and list(self.widths) != sorted(self.widths):
            raise ModelError(
                f'The shortcut "A" fills new channels with zeros and cannot take any away, but the widths '
                f'{tuple(self.widths)} fall. Take shortcut "B", or widths that rise.'
            )
        self.places()

    def places(self) -> list[Place]:
        layers_per_step = CONVOLUTIONS[self.block] * len(self.widths)
        n_per_stage = check_depth(self.family, self.depth, layers_per_step)
        return places(n_per_stage, self.widths, expansion=EXPANSION[self.block])

    @property
    def n_features(self) -> int:
        return self.widths[-1] * EXPANSION[self.block]

    def recipe(self) -> Recipe:
        options: dict[str, Any] = {
            "shortcut": self.shortcut,
            "widths": list(self.widths),
            "n_classes": self.n_classes,
            "input_shape": list(self.input_shape),
            "block": self.block,
        }
        return Recipe(f"{self.family}{self.depth}", options)

    def skip(self, place: Place, *, normalisation: bool) -> nn.Module:
        n_out = place.width * EXPANSION[self.block]
        return skip_for(self.shortcut, place.n_in, n_out, place.stride, normalisation=normalisation)

    def convolutions(self, place: Place) -> list[nn.Conv2d]:
        return branch_convolutions(self.block, place.n_in, place.width, place.stride)


def _preact_module(plan: _Plan, place: Place) -> ResidualModule:
    branch = preactivated(plan.convolutions(place))
    return ResidualModule(branch, plan.skip(place, normalisation=False), name=place.name)


def _postact_module(plan: _Plan, place: Place) -> ResidualModule:
    branch = postactivated(plan.convolutions(place))
    # Not in place: where the branch is deleted, the stream that arrives belongs to other routes too.
    return ResidualModule(branch, plan.skip(place, normalisation=True), nn.ReLU(), name=place.name)
