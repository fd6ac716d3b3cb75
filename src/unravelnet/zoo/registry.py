"""Zoo networks by name: "preact-resnet110", "resnet56", "plain20", "vgg15", "wide-resnet28-10", "highway19", "unet"."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from inspect import Parameter
from typing import Any

from unravelnet.errors import ModelError, unknown_name
from unravelnet.network import UnraveledNetwork
from unravelnet.zoo.highway import highway
from unravelnet.zoo.imagenet import DEPTHS, imagenet_preact_resnet, imagenet_resnet
from unravelnet.zoo.plain import plain, vgg15
from unravelnet.zoo.residual import preact_resnet, resnet
from unravelnet.zoo.unet import unet
from unravelnet.zoo.wide import wide_resnet
from unravelnet.zoo.wide38 import wide_resnet38

_FAMILIES: dict[str, Callable[..., UnraveledNetwork]] = {
    "preact-resnet": preact_resnet,
    "resnet": resnet,
    "plain": plain,
    "wide-resnet": wide_resnet,
    "highway": highway,
    "imagenet-resnet": imagenet_resnet,
    "imagenet-preact-resnet": imagenet_preact_resnet,
}
_SINGLE: dict[str, Callable[..., UnraveledNetwork]] = {
    "vgg15": vgg15,
    "wide-resnet38": wide_resnet38,
    "unet": unet,
}
_WELL_KNOWN_SIZES: dict[str, tuple[int | str, ...]] = {
    "preact-resnet": (20, 56, 110, 164, 1202),
    "resnet": (20, 32, 44, 56, 110, 1202),
    "plain": (20, 32, 44, 56, 110),
    "wide-resnet": ("16-4", "16-8", "28-10", "40-4"),
    "highway": (19,),
    "imagenet-resnet": DEPTHS,
    "imagenet-preact-resnet": DEPTHS,
}
# The numbers of a family's name: its depth, and a width where it has one.
_NAME = re.compile(r"([a-z-]+?)([0-9]{1,9}(?:-[0-9]{1,9})*)")


def names() -> list[str]:
    """List the names of well-known networks; families take any size that exists.

    >>> names()[-1]
    'unet'
    """
    return [f"{family}{size}" for family, sizes in _WELL_KNOWN_SIZES.items() for size in sizes] + list(
        _SINGLE
    )


def create(name: str, **options: Any) -> UnraveledNetwork:
    """Make a network by name.

    >>> len(create("preact-resnet20", n_classes=5, seed=0).residual_modules)
    9

    `options`: those of the function that makes it (`preact_resnet`, `resnet`, `plain`, `vgg15`, `wide_resnet`,
    `wide_resnet38`, `highway`, `imagenet_resnet`, `imagenet_preact_resnet`, `unet`), but for the numbers in the name.
    Raises UnknownNameError for a name, and ModelError for a size or option, that does not exist.
    """
    make, sizes = _maker(name)
    known = [parameter.name for parameter in _parameters(make) if parameter.kind is Parameter.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            raise ModelError(f"{name} has no option {option!r}. Its options: {', '.join(known)}.")
    return make(*sizes, **options)


def _maker(name: str) -> tuple[Callable[..., UnraveledNetwork], list[int]]:
    """Find the function that makes a network, and the numbers in its name, which are its positional arguments."""
    if name in _SINGLE:
        return _SINGLE[name], []
    match = _NAME.fullmatch(name)
    if match is None or match[1] not in _FAMILIES:
        raise unknown_name("zoo network", name, names())
    family, sizes = match[1], [int(size) for size in match[2].split("-")]
    make = _FAMILIES[family]
    wanted = [
        parameter.name for parameter in _parameters(make) if parameter.kind is not Parameter.KEYWORD_ONLY
    ]
    if len(sizes) != len(wanted):
        raise ModelError(
            f"The name {name} has {len(sizes)} number{'s' if len(sizes) > 1 else ''}; that of a {family} gives its "
            f"{' and '.join(wanted)}, as in {family}{_WELL_KNOWN_SIZES[family][0]}."
        )
    return make, sizes


def _parameters(make: Callable[..., UnraveledNetwork]) -> list[Parameter]:
    return list(inspect.signature(make).parameters.values())
