"""Whether data is that which a network was trained on."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from unravelnet.data import ImageData
from unravelnet.errors import DataError
from unravelnet.zoo import Description

_STATISTICS = ("mean", "standard deviation")


def check_data(test: ImageData, description: Description) -> None:
    """Raise unless these are images of the data that the network was trained on, normalised as there."""
    for what, given, expected in (
        ("name", test.name, description.data),
        ("classes", test.classes, description.classes),
        ("mean", test.mean, description.mean),
        ("standard deviation", test.std, description.std),
    ):
        if not (given == expected or (what in _STATISTICS and _are_near(given, expected))):
            raise DataError(
                f"The network was trained on {description.data}, whose {what} is {expected}; that of {test.name} is "
                f"{given}. Give the data that it was trained on."
            )


def _are_near(given: Any, expected: Any) -> bool:
    """Whether statistics are the same but for rounding, which an older training may have done otherwise."""
    return len(given) == len(expected) and all(map(partial(math.isclose, rel_tol=1e-6), given, expected))
