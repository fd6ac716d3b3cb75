"""Networks without skips: He's plain networks, and the VGG of Veit et al. (2016).

Each weight layer with its normalisation and ReLU is a residual module of kind "plain". To delete it means to
put the identity in its place, possible where shapes agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count

import torch
from torch import nn

from unravelnet.network import ResidualModule, UnraveledNetwork
from unravelnet.zoo.layout import CIFAR_SHAPE, WIDTHS, check_depth, check_geometry, places
from unravelnet.zoo.parts import conv_layer, linear_layer, pooling_head, seeded
from unravelnet.zoo.recipe import Recipe, assemble

VGG_WIDTH = 128
VGG_CONVOLUTIONS = (2, 2, 3, 3, 3)


def plain(
    depth: int = 20,
    *,
    widths: Sequence[int] = WIDTHS,
    n_classes: int = 10,
    input_shape: Sequence[int] = CIFAR_SHAPE,
    seed: int | None = None,
) -> UnraveledNetwork:
    """Make a plain network: the `resnet` of the same depth without its skips.

    >>> sum(parameter.numel() for parameter in plain(20).parameters())
    269722

    `depth`: weight layers, 6n + 2 with three stages; the residual modules are the 6n between stem and head.
    Other arguments as for `preact_resnet`. Source: He et al. 2015, section 4.2.
    """
    check_geometry(widths, n_classes, input_shape)
    n_per_stage = 2 * check_depth("plain network", depth, 2 * len(widths))
    options = {"widths": list(widths), "n_classes": n_classes, "input_shape": list(input_shape)}
    with seeded(seed):
        modules = [
            ResidualModule(conv_layer(place.n_in, place.width, stride=place.stride), None, name=place.name)
            for place in places(n_per_stage, widths)
        ]
        return assemble(
            Recipe(f"plain{depth}", options),
            conv_layer(input_shape[0], widths[0]),
            modules,
            pooling_head(widths[-1], n_classes, normalisation=False),
            input_shape=input_shape,
        )


def vgg15(
    *,
    normalisation: bool = True,
    n_classes: int = 10,
    input_shape: Sequence[int] = CIFAR_SHAPE,
    seed: int | None = None,
) -> UnraveledNetwork:
    """Make the VGG of Veit et al. (2016): 13 convolutions and 2 linear layers, 128 channels everywhere.

    >>> net = vgg15()
    >>> len(net.residual_modules), len(net.transitions)
    (13, 5)

    The first convolution is the stem and the last linear layer the head; the 13 weight layers between are
    plain modules, all of which keep their shape. Pooling between groups stands in the transitions, and is
    left out where the map is 1×1 already. `normalisation`: whether batch normalisation follows each layer;
    the paper does not say, and without it the learning rate must be low (0.01). Other arguments as for
    `preact_resnet`.
    """
    check_geometry((VGG_WIDTH,), n_classes, input_shape)
    options = {"normalisation": normalisation, "n_classes": n_classes, "input_shape": list(input_shape)}
    with seeded(seed):
        modules, transitions = _vgg_body(input_shape, normalisation=normalisation)
        stem = conv_layer(input_shape[0], VGG_WIDTH, normalisation=normalisation)
        net = assemble(
            Recipe("vgg15", options),
            stem,
            modules,
            nn.Linear(VGG_WIDTH, n_classes),
            input_shape=input_shape,
            transitions=transitions,
        )
    if not normalisation:
        _scale_to_map(stem, input_shape[1:])
        for module in modules:
            _scale_to_map(module.branch, module.input_shape[1:])
    return net


def _vgg_body(
    input_shape: Sequence[int], *, normalisation: bool
) -> tuple[list[ResidualModule], list[nn.Module]]:
    modules: list[ResidualModule] = []
    transitions: list[nn.Module] = []
    size = tuple(input_shape[1:])
    weight_layer = count(2)
    for group, n_convolutions in enumerate(VGG_CONVOLUTIONS):
        is_last = group == len(VGG_CONVOLUTIONS) - 1
        for _ in range(n_convolutions - (group == 0)):
            layer = conv_layer(VGG_WIDTH, VGG_WIDTH, normalisation=normalisation)
            name = f"conv{next(weight_layer)}"
            modules.append(ResidualModule(layer, None, name=name, chain=len(transitions)))
        pooling, size = _pooling(size)
        if is_last:
            transitions.append(_flattening(pooling, size))
        elif pooling:
            transitions.append(pooling[0])
    layer = linear_layer(VGG_WIDTH, VGG_WIDTH, normalisation=normalisation)
    name = f"linear{next(weight_layer)}"
    modules.append(ResidualModule(layer, None, name=name, chain=len(transitions)))
    return modules, transitions


def _pooling(size: tuple[int, ...]) -> tuple[list[nn.Module], tuple[int, ...]]:
    """Halve the map by maximum, rounding up; nothing where it is 1×1 already."""
    if max(size) == 1:
        return [], size
    return [nn.MaxPool2d(2, ceil_mode=True)], tuple(math.ceil(side / 2) for side in size)


def _flattening(pooling: list[nn.Module], size: tuple[int, ...]) -> nn.Module:
    """Lead from maps to the linear layers; maps of more than one pixel are averaged first."""
    average: list[nn.Module] = [] if max(size) == 1 else [nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*pooling, *average, nn.Flatten())


@torch.no_grad()
def _scale_to_map(layer: nn.Module, size: Sequence[int]) -> None:
    """Draw as from as many weights as a kernel has inside the map, not counting those that meet padding.

    On a map of 1×1 that is one of nine: with the usual variance each layer there would divide the signal by
    nine, and without normalisation six of them leave nothing to train on.
    """
    for part in layer.modules():
        if isinstance(part, nn.Conv2d):
            inside = math.prod(_weights_inside(side) for side in size)
            part.weight.mul_(math.sqrt(math.prod(part.kernel_size) / inside))


def _weights_inside(side: int) -> float:
    """Count the weights of a kernel of 3 that lie inside a map, on average over its places along one side."""
    return 1.0 if side == 1 else 3 - 2 / side
