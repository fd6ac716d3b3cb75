"""Numbers with their nouns, as people write them."""

from __future__ import annotations

# Not "ch" alone: an epoch ends in a k.
_ENDINGS_WITH_ES = ("s", "x", "nch", "tch", "sh")


def counted(number: int, noun: str) -> str:
    """Write a number with its noun.

    >>> counted(1, "module"), counted(2000, "image"), counted(0, "branch"), counted(4, "epoch")
    ('1 module', '2,000 images', '0 branches', '4 epochs')
    """
    ending = "" if number == 1 else "es" if noun.endswith(_ENDINGS_WITH_ES) else "s"
    return f"{number:,} {noun}{ending}"
