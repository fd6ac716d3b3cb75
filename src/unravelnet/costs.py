"""What nobody can mean: sizes beyond any use of this package, refused before they are begun, with what they cost.

The limits are generous: a thousand times what the paper needed, or more. The largest that are known: 5,400 routes in a
study, 1,202 layers, 164 epochs, images of 2,048 × 1,024, 21,843 classes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

from unravelnet.errors import CostError
from unravelnet.kinds import is_whole

MOST_ROUTES = 1_000_000
MOST_DRAWS = 1_000_000
MOST_SWAPS = 10_000
MOST_EPOCHS = 100_000
MOST_MODULES = 100_000
MOST_LAYERS = 20_000
MOST_CLASSES = 1_000_000
MOST_CHANNELS = 16_384
MOST_EXAMPLES_AT_A_TIME = 2**24
# The height of an image, or what is put around one.
MOST_PIXELS = 16_384
# One gibibyte as float32.
MOST_VALUES = 2**28
LARGEST_SEED = 2**63 - 1
LARGEST_LEARNING_RATE = 1_000.0
# An interval of a rate that is half as wide as this would need 10^12 images.
NARROWEST_HALF_WIDTH = 1e-6

_ROUTES_PER_SECOND = 1_000
_BYTES_PER_VALUE = 4
_Item = TypeVar("_Item")


def check_routes(n_routes: int) -> None:
    """Refuse a plan of more routes than can be measured.

    >>> check_routes(3_000_000_000)
    Traceback (most recent call last):
    unravelnet.errors.CostError: 3,000,000,000 routes are too many: at a thousandth of a second each, one image would
    take 35 days. Give at most 1,000,000, with fewer draws or fewer counts.
    """
    _check_whole(n_routes, "number of routes")
    if n_routes > MOST_ROUTES:
        time = duration(n_routes // _ROUTES_PER_SECOND)
        raise CostError(
            f"{_text(n_routes)} routes are too many: at a thousandth of a second each, one image would take {time}. "
            f"Give at most {MOST_ROUTES:,}, with fewer draws or fewer counts."
        )


def at_most(items: Iterable[_Item], most: int, what: str) -> list[_Item]:
    """List what an iterable gives. Raises CostError where it does not end after so many.

    >>> at_most(itertools.count(), 10, "routes")
    Traceback (most recent call last):
    unravelnet.errors.CostError: There are more than 10 routes. Give at most 10.
    """
    listed = list(itertools.islice(items, most + 1))
    if len(listed) > most:
        raise CostError(f"There are more than {most:,} {what}. Give at most {most:,}.")
    return listed


def check_number(number: int, most: int, what: str) -> None:
    """Refuse a number of something that is larger than can be meant.

    >>> check_number(10**12, MOST_SWAPS, "swaps in one route")
    Traceback (most recent call last):
    unravelnet.errors.CostError: 1,000,000,000,000 swaps in one route are too many. Give at most 10,000.
    """
    _check_whole(number, f"number of {what}")
    if number > most:
        raise CostError(f"{_text(number)} {what} are too many. Give at most {most:,}.")


def check_shape(shape: Sequence[int]) -> None:
    """Refuse an input of this shape, without the batch, where it does not fit into memory.

    >>> check_shape((3, 100_000, 100_000))
    Traceback (most recent call last):
    unravelnet.errors.CostError: One input of 3×100000×100000 has 30,000,000,000 values, 111.7 GiB as float32. Give a
    shape of at most 268,435,456 values, 1 GiB.
    """
    if not isinstance(shape, Sequence) or not all(is_whole(side) and side > 0 for side in shape):
        raise CostError(
            f"{shape!r} is no shape of an input. Give whole numbers above 0, such as (3, 224, 224)."
        )
    n_values = math.prod(shape)
    if n_values > MOST_VALUES:
        raise CostError(
            f"One input of {'×'.join(map(_plain_text, shape))} has {_text(n_values)} values, {_gibibytes(n_values)} as "
            f"float32. Give a shape of at most {MOST_VALUES:,} values, {_gibibytes(MOST_VALUES)}."
        )


def check_seed(seed: int) -> None:
    """Refuse a seed that random generators do not take.

    >>> check_seed(2**64)
    Traceback (most recent call last):
    unravelnet.errors.CostError: The seed 18,446,744,073,709,551,616 is out of range. Give a whole number from 0 to
    9,223,372,036,854,775,807.
    """
    if not is_whole(seed):
        raise CostError(f"The seed {seed!r} is no int. Give a whole number from 0 to {LARGEST_SEED:,}.")
    if not 0 <= seed <= LARGEST_SEED:
        raise CostError(
            f"The seed {_text(seed)} is out of range. Give a whole number from 0 to {LARGEST_SEED:,}."
        )


def check_half_width(half_width: float | None) -> None:
    """Refuse to wait until half an interval is narrower than any number of images makes it; None waits for nothing.

    >>> check_half_width(0.0)
    Traceback (most recent call last):
    unravelnet.errors.CostError: No route stops when half its interval is at most 0.0. Give a number of 1e-06 or more,
    such as 0.005.
    """
    if half_width is not None and not NARROWEST_HALF_WIDTH <= half_width < math.inf:
        raise CostError(
            f"No route stops when half its interval is at most {half_width}. Give a number of {NARROWEST_HALF_WIDTH:g} "
            "or more, such as 0.005."
        )


def duration(seconds: int) -> str:
    """Write a time in its largest unit.

    >>> duration(90), duration(3 * 86_400), duration(10**9)
    ('2 minutes', '3 days', '32 years')
    """
    for unit, length in (("year", 31_557_600), ("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            # Rounded in integers: a number of 400 digits has no float.
            number = (2 * seconds + length) // (2 * length)
            return f"{_text(number)} {unit}{'' if number == 1 else 's'}"
    return f"{seconds} seconds"


def _check_whole(number: object, what: str) -> None:
    if not is_whole(number):
        raise CostError(f"The {what} is {number!r}; give a whole number.")


def _gibibytes(n_values: int) -> str:
    # Integers, since a number of twenty digits may have a product that no float holds.
    tenths = n_values * _BYTES_PER_VALUE * 10 // 2**30
    return f"{_text(tenths // 10)}{f'.{tenths % 10}' if tenths % 10 else ''} GiB"


def _text(number: int) -> str:
    return f"{number:,}" if abs(number) < 10**24 else f"about 10^{_digits(number)}"


def _plain_text(number: int) -> str:
    return str(number) if abs(number) < 10**24 else f"10^{_digits(number)}"


def _digits(number: int) -> int:
    # Without writing it out, which Python refuses from 4,300 digits on.
    return int(math.log10(abs(number)))
