"""The one look of all figures: colours, sizes, axes, and the line below that says n and the interval.

Figures are plain `matplotlib.figure.Figure` objects; nothing here touches pyplot or leaves settings behind.
Colours are those of Okabe and Ito (2008), which readers with any common colour vision can tell apart; series
differ by marker too. Text, lines and paper have their own colours, so that a page may exchange them when it
is read in the dark.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from functools import wraps
from math import log10
from typing import Any, ParamSpec, TypeVar

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, NullFormatter

INK = "#1c2128"
MUTED = "#59636e"
FAINT = "#c9ced4"
GRID = "#e4e7eb"
PAPER = "#ffffff"

BLUE, VERMILLION, GREEN = "#0072b2", "#d55e00", "#009e73"
PURPLE, ORANGE, SKY = "#cc79a7", "#e69f00", "#56b4e9"
SERIES_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
SERIES_MARKERS = ("o", "s", "^", "D", "v", "P")

WIDTH = 7.2
"""Inches: the text width of a printed page."""
SMALL, NORMAL, LARGE = 7.5, 8.5, 10.5
"""Sizes of letters in points."""

_CAPTION_LETTERS_PER_INCH = 17.5
_LEGEND_LETTERS = 115
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# Inches from the top to the title and the legend, and the height of a row of the legend.
_TITLE_AT, _LEGEND_AT, _LEGEND_ROW = 0.09, 0.34, 0.165
_LEGEND: dict[str, Any] = {
    "loc": "upper left",
    "handlelength": 1.8,
    "columnspacing": 1.6,
    "handletextpad": 0.6,
    "borderpad": 0.0,
    "borderaxespad": 0.0,
    "labelspacing": 0.35,
}
_SETTINGS: dict[str, Any] = {
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

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def styled(draw: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Make a function that draws do so in this look, whatever the caller's settings are."""

    @wraps(draw)
    def draw_in_style(*args: Parameters.args, **options: Parameters.kwargs) -> Result:
        with matplotlib.style.context(["default", _SETTINGS]):
            return draw(*args, **options)

    return draw_in_style


def new_figure(title: str, *, height: float = 3.7, width: float = WIDTH) -> Figure:
    """Make an empty figure with its title at the top left.

    `height`, `width`: inches.
    """
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06)
    figure = Figure(figsize=(width, height), layout=layout, facecolor=PAPER)
    figure.suptitle(
        title,
        x=_left(figure),
        y=1 - _TITLE_AT / height,
        ha="left",
        va="top",
        fontsize=LARGE,
        fontweight="bold",
    )
    _keep_free(figure, _LEGEND_AT)
    return figure


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
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g}"))


def show_powers_of_ten(axes: Axes) -> None:
    """Make the y axis logarithmic, with its powers written as plain text."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"10{superscript(round(log10(value)))}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


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
    r"""Keep a number and its unit, and n and its number, in one line.

    >>> unbroken("n = 5 images, 3 %").split(" ")
    ['n\xa0=\xa05', 'images,', '3\xa0%']
    """
    return re.sub(r"(?<=\d) (?=%)|(?<=\bn) (?== ?\d)|(?<=\bn =) (?=\d)|(?<=\bFig\.) (?=\d)", "\u00a0", text)


def caption(figure: Figure, text: str) -> None:
    """Write the line below the axes: n, the interval, and what the marks mean."""
    width = int(figure.get_size_inches()[0] * _CAPTION_LETTERS_PER_INCH)
    figure.supxlabel(
        textwrap.fill(unbroken(text), width), x=_left(figure), ha="left", fontsize=SMALL, color=MUTED
    )


def legend_above(axes: Axes, *, last: Sequence[str] = ()) -> None:
    """Put the legend between the title and the axes, where it hides no data.

    `last`: labels that are moved behind the others.
    """
    entries = sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=lambda entry: entry[1] in last)
    if entries:
        handles, labels = zip(*entries, strict=True)
        figure, n_columns = _figure_of(axes), _columns(labels)
        at = (_left(figure), 1 - _LEGEND_AT / figure.get_size_inches()[1])
        figure.legend(handles, labels, ncols=n_columns, bbox_to_anchor=at, **_LEGEND).set_in_layout(False)
        _keep_free(figure, _LEGEND_AT + _LEGEND_ROW * -(-len(labels) // n_columns) + 0.03)


def _columns(labels: Sequence[str]) -> int:
    """Choose the number of columns so that the widest rows still fit the width of a figure."""
    for n_columns in range(len(labels), 1, -1):
        widths = [max(map(len, labels[place::n_columns])) + 6 for place in range(n_columns)]
        if sum(widths) <= _LEGEND_LETTERS:
            return n_columns
    return 1


def _keep_free(figure: Figure, inches: float) -> None:
    """Keep the axes away from the title and the legend, which the layout engine would put over each other."""
    layout = figure.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine)
    layout.set(rect=(0, 0, 1, 1 - inches / figure.get_size_inches()[1]))


def _left(figure: Figure) -> float:
    return 0.085 / float(figure.get_size_inches()[0])


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    return figure
