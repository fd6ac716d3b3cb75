"""Wide residual networks for small images: few modules, each several times as wide as in a ResNet.

A module that changes channels normalises and rectifies the stream before both its branch and its skip. That step is on
every path, so it stands before the module: in the stem, or in the transition that leads to the stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

from unravelnet.errors import ModelError
from unravelnet.network import UnraveledNetwork
from unravelnet.zoo.layout import CIFAR_SHAPE, WIDTHS, check_depth, check_dropout, check_geometry, places
from unravelnet.zoo.parts import (
    activation,
    branch_convolutions,
    conv_layer,
    convolution,
    pooling_head,
    preactivated_module,
    seeded,
)
from unravelnet.zoo.recipe import Recipe, assemble


def wide_resnet(
    depth: int = 28,
    width: int = 10,
    *,
    dropout: float = 0.0,
    n_classes: int = 10,
    input_shape: Sequence[int] = CIFAR_SHAPE,
    seed: int | None = None,
) -> UnraveledNetwork:
    """Make the wide residual network WRN-depth-width.

    >>> net = wide_resnet(16, 4)
    >>> len(net.residual_modules), sum(parameter.numel() for parameter in net.parameters())
    (6, 2748890)

    `depth`: convolutions, 6n + 4 for n modules in each of three stages; those of the three projections are counted.
    `width`: channels of each stage as a multiple of 16, 32 and 64. `dropout`: probability that a value between the two
    convolutions of a branch is dropped in training; the authors use 0.3. Other arguments as for `preact_resnet`.
    Raises ModelError for an impossible depth, width, dropout or input shape.

    Source: Zagoruyko and Komodakis 2016, and their code: a projection reads the stream behind normalisation and ReLU.
    """
    n_per_stage = check_depth("wide-resnet", depth, 6, n_others=4)
    if not isinstance(width, Integral) or width < 1:
        raise ModelError(f"The width {width!r} is no multiple. Give a whole number of 1 or more, such as 10.")
    check_dropout(dropout)
    widths = [base * width for base in WIDTHS]
    check_geometry(widths, n_classes, input_shape)
    options = {"dropout": dropout, "n_classes": n_classes, "input_shape": list(input_shape)}
    n_stem = WIDTHS[0]
    with seeded(seed):
        return assemble(
            Recipe(f"wide-resnet{depth}-{width}", options),
            # At width 1 the first module has no projection, and normalises in its branch.
            convolution(input_shape[0], n_stem, 3) if width == 1 else conv_layer(input_shape[0], n_stem),
            [
                preactivated_module(
                    branch_convolutions("basic", place.n_in, place.width, place.stride),
                    name=place.name,
                    chain=place.stage - 1,
                    dropout=dropout,
                )
                for place in places(n_per_stage, widths, n_in=n_stem)
            ],
            pooling_head(widths[-1], n_classes, normalisation=True),
            input_shape=input_shape,
            transitions=[activation(n_in) for n_in in widths[:-1]],
        )
