"""Numbers as people write them: with their nouns, in percent, as exponents."""

from __future__ import annotations

import re

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# Not "ch" alone: an epoch ends in a k.
_ENDINGS_WITH_ES = ("s", "x", "nch", "tch", "sh")


def counted(number: int, noun: str) -> str:
    """Write a number with its noun.

    >>> counted(1, "module"), counted(2000, "image"), counted(0, "branch"), counted(4, "epoch")
    ('1 module', '2,000 images', '0 branches', '4 epochs')
    """
    ending = "" if number == 1 else "es" if noun.endswith(_ENDINGS_WITH_ES) else "s"
    return f"{number:,} {noun}{ending}"


def with_article(noun: str) -> str:
    """Write a noun with its indefinite article.

    >>> with_article("image"), with_article("sequence")
    ('an image', 'a sequence')
    """
    return f"{'an' if noun.startswith(tuple('aeiou')) else 'a'} {noun}"


def superscript(number: int) -> str:
    """Write a whole number as an exponent.

    >>> superscript(-12)
    '⁻¹²'
    """
    return str(number).translate(_SUPERSCRIPTS)


def percent(share: float) -> str:
    """Write a share in percent, with more digits where it is small.

    >>> percent(0.5), percent(0.0045), percent(2.8e-9)
    ('50.0 %', '0.45 %', '2.8·10⁻⁷ %')
    """
    if share == 0 or abs(share) >= 0.0095:
        return f"{100 * share:.1f} %".replace("-", "\u2212")
    if abs(share) >= 1e-5:
        return f"{100 * share:.2g} %".replace("-", "\u2212")
    digits, exponent = f"{100 * share:.1e}".split("e")
    power = superscript(int(exponent))
    return f"{digits}·10{power} %".replace("-", "\u2212")


def unbroken(text: str) -> str:
    r"""Keep a number and its unit, and n or R² and its number, in one line.

    >>> unbroken("n = 5 images, 3 %").split(" ")
    ['n\xa0=\xa05', 'images,', '3\xa0%']
    """
    return re.sub(
        r"(?<=[\d⁰-⁹]) (?=%)|(?<=\bn) (?== ?\d)|(?<=\bn =) (?=\d)|(?<=R²) (?==)|(?<=R² =) (?=\d)|(?<=\bFig\.) (?=\d)",
        "\u00a0",
        text,
    )
