"""The one look of all figures: colours, sizes and axes. What stands around the axes is in `figures.frame`.

Figures are plain `matplotlib.figure.Figure` objects; nothing here touches pyplot or leaves settings behind.
Colours are those of Okabe and Ito (2008), which readers with any common colour vision can tell apart; series
differ by marker too. Text, lines and paper have their own colours, so that a page may exchange them when it
is read in the dark.
"""

from __future__ import annotations

from math import log10
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.ticker import FuncFormatter, NullFormatter

from unravelnet.wording import superscript

INK = "#1c2128"
MUTED = "#59636e"
FAINT = "#c9ced4"
GRID = "#e4e7eb"
PAPER = "#ffffff"

BLUE, VERMILLION, GREEN = "#0072b2", "#d55e00", "#009e73"
PURPLE, ORANGE, SKY = "#cc79a7", "#e69f00", "#56b4e9"
SERIES_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
SERIES_MARKERS = ("o", "s", "^", "D", "v", "P")
_FAINT_OF = {BLUE: SKY}

WIDTH = 7.2
"""Inches: the text width of a printed page."""
SMALL, NORMAL, LARGE = 7.5, 8.5, 10.5
"""Sizes of letters in points."""

# Letters of a label that are too many for a line beside the axis of a small panel.
_LONG = 30
SETTINGS: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": NORMAL,
    "text.color": INK,
    "text.usetex": False,
    # A dollar in the name of a network is a dollar.
    "text.parse_math": False,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": NORMAL,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "lines.linewidth": 1.2,
    "patch.linewidth": 0.8,
}


def style_axes(axes: Axes, *, x: str, y: str, grid: str = "y") -> None:
    """Give axes their labels, with units, and faint lines behind the data.

    `grid`: "x", "y" or "both".
    """
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, axis=grid, color=GRID, linewidth=0.6)  # type: ignore[arg-type]
    # Ticks are made when the figure is drawn, after the settings above have gone out of force.
    axes.tick_params(labelsize=SMALL, labelcolor=INK, color=MUTED, width=0.7, labelfontfamily="DejaVu Sans")


def show_share_as_percent(axes: Axes) -> None:
    """Let the y axis count in percent, while the data stays a share in [0, 1]."""
    axes.yaxis.set_major_formatter(as_percent())


def as_percent() -> FuncFormatter:
    """Make a formatter that writes a share in percent."""
    return FuncFormatter(lambda share, _: f"{100 * share:.4g}")


def show_powers_of_ten(axes: Axes) -> None:
    """Make the y axis logarithmic, with its powers written as plain text."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"10{superscript(round(log10(value)))}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def fainter(colour: str) -> str:
    """Give the colour of what belongs to a series and stands back behind it.

    >>> fainter(BLUE) == SKY, fainter("#000000")
    (True, '#8c8c8c')
    """
    return _FAINT_OF.get(colour, tinted(colour, 0.45))


def tinted(colour: str, share: float) -> str:
    """Mix a colour with white paper.

    >>> tinted(BLUE, 0.16)
    '#d6e8f3'
    """
    red, green, blue = (share * part + 1 - share for part in to_rgb(colour))
    return to_hex((red, green, blue))


def in_two_lines(text: str) -> str:
    """Break a long label where its lines become as equal as they can.

    >>> in_two_lines("Standard deviation of the responses")
    'Standard deviation\\nof the responses'
    """
    places = [place for place, letter in enumerate(text) if letter == " "]
    if not places or len(text) <= _LONG:
        return text
    middle = min(places, key=lambda place: abs(2 * place + 1 - len(text)))
    return f"{text[:middle]}\n{text[middle + 1 :]}"
