"""Zoo networks by name: "preact-resnet110", "resnet56", "plain20", "vgg15"."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from unravelnet.errors import ModelError, unknown_name
from unravelnet.network import UnraveledNetwork
from unravelnet.zoo.plain import plain, vgg15
from unravelnet.zoo.residual import preact_resnet, resnet

_FAMILIES: dict[str, Callable[..., UnraveledNetwork]] = {
    "preact-resnet": preact_resnet,
    "resnet": resnet,
    "plain": plain,
}
_SINGLE: dict[str, Callable[..., UnraveledNetwork]] = {"vgg15": vgg15}
_WELL_KNOWN_DEPTHS = {
    "preact-resnet": (20, 56, 110, 164, 1202),
    "resnet": (20, 32, 44, 56, 110, 1202),
    "plain": (20, 32, 44, 56, 110),
}
_NAME = re.compile(r"([a-z-]+?)([0-9]{1,9})")


def names() -> list[str]:
    """List the names of well-known networks; families take any depth that exists.

    >>> names()[-1]
    'vgg15'
    """
    return [f"{family}{d}" for family, depths in _WELL_KNOWN_DEPTHS.items() for d in depths] + list(_SINGLE)


def create(name: str, **options: Any) -> UnraveledNetwork:
    """Make a network by name.

    >>> len(create("preact-resnet20", n_classes=5, seed=0).residual_modules)
    9

    `options`: those of the function that makes it (`preact_resnet`, `resnet`, `plain`, `vgg15`), depth
    excepted. Raises UnknownNameError for a name, and ModelError for a depth or option, that does not exist.
    """
    match = _NAME.fullmatch(name)
    if name in _SINGLE:
        return _call(_SINGLE[name], name, options)
    if match is None or match[1] not in _FAMILIES:
        raise unknown_name("zoo network", name, names())
    return _call(_FAMILIES[match[1]], name, options, int(match[2]))


def _call(
    make: Callable[..., UnraveledNetwork], name: str, options: dict[str, Any], *depth: int
) -> UnraveledNetwork:
    known = [
        parameter.name
        for parameter in inspect.signature(make).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    for option in options:
        if option not in known:
            raise ModelError(f"{name} has no option {option!r}. Its options: {', '.join(known)}.")
    return make(*depth, **options)
