"""What a user chooses of a figure: its width, the colours of its series, its texts, and the line below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from numbers import Real
from typing import TypedDict

from matplotlib.colors import is_color_like, to_hex

from unravelnet.errors import FigureError
from unravelnet.escaping import LONGEST_NAME, shortened, visible

NARROWEST, WIDEST = 3.0, 40.0
"""Inches: below, words do not fit beside an axis; above, pictures do not fit in memory."""

NAMELESS = "(without a name)"
# Cannot be seen, and changes nothing around it.
_WORD_JOINER = "\u2060"

Colours = Mapping[str, str] | Sequence[str]


class Look(TypedDict, total=False):
    """The options that every figure function takes.

    `width`: in inches, 7.2 without it. `colours`: by the name of the series, or in the order of the series.
    `labels`: new texts by the texts that they replace. `caption`: the line below the axes; "" leaves it out.
    """

    width: float | None
    colours: Colours | None
    labels: Mapping[str, str] | None
    caption: str | None


@dataclass(slots=True)
class Choice:
    """A look that was checked. `series`: names of the series that asked for their colour so far."""

    width: float
    caption: str | None = None
    colours: Mapping[str, str] | Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    series: list[str] = field(default_factory=list)

    def colour(self, series: str, default: str, place: int) -> str:
        """Give the colour of a series, the first of which has place 0."""
        self.series.append(series)
        if isinstance(self.colours, Mapping):
            return self.colours.get(series, default)
        return self.colours[place % len(self.colours)] if self.colours else default

    def check_names(self, texts: Sequence[str]) -> None:
        """Refuse names of series and texts that the drawn figure does not have."""
        if isinstance(self.colours, Mapping):
            _check_known(self.colours, self.series, "colours", "series")
        _check_known(self.labels, texts, "labels", "text")


def checked(
    *,
    usual_width: float,
    width: float | None,
    colours: Colours | None,
    labels: Mapping[str, str] | None,
    caption: str | None,
) -> Choice:
    """Check what was chosen. Raises FigureError for what no figure can be drawn with."""
    if not isinstance(caption, str | None):
        raise FigureError(f"The caption of a figure is a text, not {str(caption)[:80]!r}; '' leaves it out.")
    return Choice(
        usual_width if width is None else _checked_width(width),
        caption,
        () if colours is None else _checked_colours(colours),
        {} if labels is None else _checked_labels(labels),
    )


def drawable(text: str, *, longest: int = LONGEST_NAME) -> str:
    r"""Make a text one that can be drawn: not too long, and with what cannot be seen written out.

    >>> drawable("a\x1bb"), len(drawable("a" * 5000))
    ('a\\x1bb', 199)
    """
    return shortened(visible(text), longest=longest)


def named(series: str) -> str:
    """Give a series a name that a legend shows: it leaves out empty ones, and those that begin with an underscore."""
    if not series.strip():
        return NAMELESS
    return f"{_WORD_JOINER}{series}" if series.startswith("_") else series


def plain(text: str) -> str:
    r"""Write a text in one line with single spaces, by which `labels` knows it.

    >>> plain("Error\nof 5\xa0%")
    'Error of 5 %'
    """
    return " ".join(drawable(text).removeprefix(_WORD_JOINER).split())


def _checked_width(width: object) -> float:
    is_number = isinstance(width, Real) and not isinstance(width, bool) and isfinite(width)
    if not is_number or not NARROWEST <= float(width) <= WIDEST:  # type: ignore[arg-type]
        raise FigureError(
            f"The width of a figure is a number of inches from {NARROWEST:g} to {WIDEST:g}, not {str(width)[:80]!r}. "
            "A column of a paper has about 3.4."
        )
    return float(width)  # type: ignore[arg-type]


def _checked_colours(colours: object) -> Colours:
    if isinstance(colours, Mapping):
        return {named(str(series)): _checked_colour(colour) for series, colour in colours.items()}
    if isinstance(colours, Sequence) and not isinstance(colours, str) and colours:
        return [_checked_colour(colour) for colour in colours]
    raise FigureError(
        f"colours is a mapping from the names of series to colours, or a list of colours, not {str(colours)[:80]!r}. "
        'Give for example colours={"ResNet-110": "black"} or colours=["black", "#d55e00"].'
    )


def _checked_colour(colour: object) -> str:
    if not isinstance(colour, str | tuple) or not is_color_like(colour):
        raise FigureError(
            f"{str(colour)[:80]!r} is no colour. Give a name as 'black' or a value as '#d55e00'; matplotlib lists them."
        )
    return to_hex(colour)


def _checked_labels(labels: object) -> Mapping[str, str]:
    if not isinstance(labels, Mapping) or not all(
        isinstance(text, str) for pair in labels.items() for text in pair
    ):
        raise FigureError(
            f"labels is a mapping from texts of the figure to other texts, not {str(labels)[:80]!r}. "
            'Give for example labels={"Error (%)": "Test error (%)"}.'
        )
    return {plain(old): new for old, new in labels.items()}


def _check_known(chosen: Mapping[str, str], known: Sequence[str], option: str, noun: str) -> None:
    for name in chosen:
        if name not in known:
            has = ", ".join(repr(text) for text in dict.fromkeys(known)) or "none"
            raise FigureError(f"This figure has no {noun} {name!r}, which {option} names; it has {has}.")
