"""What stands around the axes of every figure: title, legend and caption, fitted to the width that was chosen.

Functions that draw say what is to be there. It is laid out when they are done (`styled`), by the widths that its
words have in print: texts are broken where they would be cut, and the figure grows in height by the lines that this
adds, so that the axes keep theirs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from itertools import pairwise
from typing import Any, ParamSpec
from weakref import WeakKeyDictionary

import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator

from unravelnet.errors import FigureError
from unravelnet.escaping import LONGEST_NAME
from unravelnet.figures import style
from unravelnet.figures.look import Choice, Colours, Look, checked, drawable, named, plain
from unravelnet.figures.wrapping import broken, glyphs_may_be_missing, inches
from unravelnet.wording import unbroken

# Panels beside each other are put under each other where they would be narrower, in inches.
_NARROWEST_PANEL = 2.6
# How much of the width the names of rows may take, and the inches that a further line of them adds to a row.
_NAMES_SHARE, _NAME_LINE = 0.42, 0.08
# Inches from the edges to the texts, and from the top to the legend below a title of one line.
_LEFT, _TITLE_AT, _LEGEND_AT = 0.085, 0.09, 0.34
# Inches that a further line of a text takes, and a row of the legend.
_TITLE_LINE, _SMALL_LINE, _LEGEND_ROW = 0.175, 0.125, 0.165
# Ems: what stands before a word of the legend, and between its columns.
_HANDLE, _HANDLE_GAP, _COLUMN_GAP = 1.8, 0.6, 1.6
_EM = style.SMALL / 72
# Characters of the line below the axes, and of the title of a panel; more would leave no room for the axes.
_LONGEST_CAPTION, _LONGEST_TITLE = 1000, 100
_LEGEND: dict[str, Any] = {
    "loc": "upper left",
    "handlelength": _HANDLE,
    "columnspacing": _COLUMN_GAP,
    "handletextpad": _HANDLE_GAP,
    "borderpad": 0.0,
    "borderaxespad": 0.0,
    "labelspacing": 0.35,
}

Parameters = ParamSpec("Parameters")


@dataclass(slots=True)
class _Frame:
    """What is to stand around the axes. `height`: in inches, of the figure as wide as usual."""

    choice: Choice
    usual_width: float
    height: float
    title: str
    below: str = ""
    entries: list[tuple[Artist, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Lines:
    """The texts of a frame, broken for one width."""

    title: str
    below: str
    labels: tuple[str, ...]
    n_columns: int

    @property
    def legend_at(self) -> float:
        return _LEGEND_AT + _TITLE_LINE * self.title.count("\n") if self.title else _TITLE_AT

    @property
    def above(self) -> float:
        """Inches from the top to the axes."""
        columns = np.array_split(
            [_LEGEND_ROW + _SMALL_LINE * text.count("\n") for text in self.labels], self.n_columns
        )
        return self.legend_at + (max(map(sum, columns)) + 0.03 if self.labels else 0)

    @property
    def inches(self) -> float:
        return self.above + _SMALL_LINE * (self.below.count("\n") + 1 if self.below else 0)


_FRAMES: WeakKeyDictionary[Figure, _Frame] = WeakKeyDictionary()


def styled(draw: Callable[Parameters, Figure]) -> Callable[Parameters, Figure]:
    """Make a function that draws do so in the one look, whatever the caller's settings are, and lay out the result."""

    @wraps(draw)
    def draw_in_style(*args: Parameters.args, **options: Parameters.kwargs) -> Figure:
        if args:
            _check_named(draw, args[0])
        with glyphs_may_be_missing(), matplotlib.style.context(["default", style.SETTINGS]):
            figure = draw(*map(_named, args), **{name: _named(value) for name, value in options.items()})
            _lay_out(figure, _FRAMES.pop(figure))
        return figure

    draw_in_style.__signature__ = _signature_with_look(draw)  # type: ignore[attr-defined]
    return draw_in_style


def _named(value: Any) -> Any:
    """Give the series of a mapping names that a legend shows."""
    if not isinstance(value, Mapping):
        return value
    return {named(name) if isinstance(name, str) else name: _named(part) for name, part in value.items()}


def _check_named(draw: Callable[..., Figure], given: object) -> None:
    """Raise FigureError for a lone table where a figure takes tables by name."""
    name, first = next(iter(inspect.signature(draw).parameters.items()))
    if str(first.annotation).startswith("Mapping[") and not isinstance(given, Mapping):
        raise FigureError(
            f"{name} is a {type(given).__name__}; expected {first.annotation}. Give a dict with the names of the "
            'legend as keys, such as {"ResNet-110": ...}.'
        )


def new_figure(
    title: str,
    *,
    height: float = 3.7,
    usual_width: float = style.WIDTH,
    width: float | None = None,
    colours: Colours | None = None,
    labels: Mapping[str, str] | None = None,
    caption: str | None = None,
) -> Figure:
    """Make an empty figure with a title.

    `height`: in inches, for a figure of the usual width. The others: `look.Look`, which is also where errors are told.
    """
    choice = checked(usual_width=usual_width, width=width, colours=colours, labels=labels, caption=caption)
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06)
    figure = Figure(figsize=(choice.width, height), layout=layout, facecolor=style.PAPER)
    _FRAMES[figure] = _Frame(choice, usual_width, height, title)
    return figure


def panels(
    figure: Figure,
    n_panels: int,
    *,
    columns: int = 1,
    sharey: bool = False,
    ratios: Sequence[float] | None = None,
    heights: Sequence[float] | None = None,
) -> list[Axes]:
    """Make axes in rows, or all under each other where a row would make them too narrow.

    `ratios`: of the widths in a row. `heights`: in inches, of axes under each other; without it as in a row.
    """
    frame, columns = _FRAMES[figure], min(columns, n_panels)
    rows = -(-n_panels // columns)
    if columns > 1 and frame.choice.width / columns < _NARROWEST_PANEL:
        row_height = (frame.height - 1.3) / rows
        heights = [row_height] * n_panels if heights is None else heights
        frame.height += sum(heights) - rows * row_height
        axes = figure.subplots(n_panels, 1, squeeze=False, sharey=sharey, height_ratios=heights)
    else:
        axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey, width_ratios=ratios)
    for unused in axes.flat[n_panels:]:
        unused.remove()
    return list(axes.flat[:n_panels])


def title_panel(axes: Axes, title: str) -> None:
    """Write a title over one of several panels."""
    place = axes.get_subplotspec()
    columns = 1 if place is None else place.get_gridspec().ncols
    # Less what the labels of the y axis take.
    room = _FRAMES[_figure_of(axes)].choice.width / columns - 0.8
    axes.set_title(
        broken(drawable(title, longest=_LONGEST_TITLE), room, style.NORMAL), loc="left", fontsize=style.NORMAL
    )


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Let the y axis name what stands at 0, 1, 2 ..., in as many lines as each name takes."""
    frame = _FRAMES[_figure_of(axes)]
    texts = [broken(drawable(name), _NAMES_SHARE * frame.choice.width, style.SMALL) for name in names]
    n_lines = max((text.count("\n") + 1 for text in texts), default=1)
    frame.height += len(names) * (n_lines - 1) * _NAME_LINE
    axes.yaxis.set_major_locator(FixedLocator(range(len(names))))
    axes.yaxis.set_major_formatter(FixedFormatter(texts))
    # Made now, while a dollar in a name is a dollar.
    axes.yaxis.get_major_ticks(len(names))


def is_leftmost(axes: Axes) -> bool:
    """Tell whether axes stand at the left, where those that share their y axis need its label."""
    place = axes.get_subplotspec()
    return place is None or place.is_first_col()


def colour(axes: Axes, series: str, place: int = 0) -> str:
    """Give the colour of a series, as chosen or by its place among the series."""
    default = style.SERIES_COLOURS[place % len(style.SERIES_COLOURS)]
    return _FRAMES[_figure_of(axes)].choice.colour(series, default, place)


def caption(figure: Figure, text: str) -> None:
    """Write the line below the axes: n, the interval, and what the marks mean."""
    frame = _FRAMES[figure]
    chosen = frame.choice.caption
    frame.below = unbroken(text) if chosen is None else chosen


def legend_above(axes: Axes, *, last: Sequence[str] = ()) -> None:
    """Put the legend between the title and the axes, where it hides no data.

    `last`: labels that are moved behind the others.
    """
    entries = zip(*axes.get_legend_handles_labels(), strict=True)
    _FRAMES[_figure_of(axes)].entries = sorted(entries, key=lambda entry: entry[1] in last)


def _signature_with_look(draw: Callable[..., Figure]) -> inspect.Signature:
    """Show the options of the look by name, where `**look` takes them."""
    signature = inspect.signature(draw)
    own = [part for part in signature.parameters.values() if part.kind is not inspect.Parameter.VAR_KEYWORD]
    chosen = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in Look.__annotations__.items()
    ]
    return signature.replace(parameters=[*own, *chosen])


# -- after drawing --


def _lay_out(figure: Figure, frame: _Frame) -> None:
    _relabel(figure, frame)
    width = frame.choice.width
    lines, usual = _lines(frame, width), _lines(frame, frame.usual_width)
    height = frame.height + lines.inches - usual.inches
    figure.set_size_inches(width, height)
    look: dict[str, Any] = {"x": _LEFT / width, "ha": "left"}
    figure.suptitle(
        lines.title, y=1 - _TITLE_AT / height, va="top", fontsize=style.LARGE, fontweight="bold", **look
    )
    figure.supxlabel(lines.below, fontsize=style.SMALL, color=style.MUTED, **look)
    if frame.entries:
        at = (_LEFT / width, 1 - lines.legend_at / height)
        handles = [handle for handle, _ in frame.entries]
        legend = figure.legend(handles, lines.labels, ncols=lines.n_columns, bbox_to_anchor=at, **_LEGEND)
        legend.set_in_layout(False)
    layout = figure.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine)
    # The layout engine would put the title, the legend and the axes over each other.
    layout.set(rect=(0, 0, 1, 1 - lines.above / height))
    if width != frame.usual_width or frame.choice.labels:
        _fit_axes(figure)


def _lines(frame: _Frame, width: float) -> _Lines:
    """Break the texts of a frame, and put its legend into as many columns as fit."""
    room, beside = width - 2 * _LEFT, (_HANDLE + _HANDLE_GAP) * _EM
    labels = tuple(broken(label, room - beside, style.SMALL) for _, label in frame.entries)
    widths = [max(inches(line, style.SMALL) for line in label.split("\n")) + beside for label in labels]
    n_columns = 1
    for n in range(len(labels), 1, -1):
        columns = [max(column) for column in np.array_split(widths, n)]
        if sum(columns) + (n - 1) * _COLUMN_GAP * _EM <= room:
            n_columns = n
            break
    title = broken(frame.title, room, style.LARGE, weight="bold")
    return _Lines(title, broken(frame.below, room, style.SMALL), labels, n_columns)


def _relabel(figure: Figure, frame: _Frame) -> None:
    """Exchange the texts that the user gives others for, wherever they stand; write out what no font has."""
    seen: list[str] = []

    def exchanged(text: str, *, longest: int = LONGEST_NAME) -> str:
        seen.append(plain(text))
        return drawable(frame.choice.labels.get(plain(text), text), longest=longest)

    frame.title, frame.below = exchanged(frame.title), exchanged(frame.below, longest=_LONGEST_CAPTION)
    entries = [(handle, exchanged(label)) for handle, label in frame.entries]
    frame.entries = [entry for entry in entries if entry[1]]
    for axes in figure.axes:
        ticks = [tick for axis in (axes.xaxis, axes.yaxis) for tick in axis.get_majorticklabels()]
        for text in axes.findobj(Text):
            if isinstance(text, Text) and text not in ticks and text.get_text():
                text.set_text(exchanged(text.get_text()))
        for axis in (axes.xaxis, axes.yaxis):
            formatter = axis.get_major_formatter()
            if isinstance(formatter, FixedFormatter):
                room = _NAMES_SHARE * frame.choice.width
                formatter.seq = [broken(exchanged(text), room, style.SMALL) for text in formatter.seq]
    frame.choice.check_names([text for text in seen if text])


def _fit_axes(figure: Figure) -> None:
    """Break the labels of axes that are longer than their axes, and leave out ticks that would collide."""
    figure.draw_without_rendering()
    for axes in figure.axes:
        box = axes.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
        axes.set_xlabel(broken(axes.get_xlabel(), box.width, style.NORMAL))
        axes.set_ylabel(broken(axes.get_ylabel(), box.height, style.NORMAL))
        if title := axes.get_title(loc="left"):
            axes.set_title(broken(title, box.width, style.NORMAL), loc="left", fontsize=style.NORMAL)
    figure.draw_without_rendering()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if not isinstance(axis.get_major_formatter(), FixedFormatter):
                _thin_ticks(axis)


def _thin_ticks(axis: Axis) -> None:
    low, high = sorted(axis.get_view_interval())
    ticks = [
        (tick.get_loc(), tick.label1.get_window_extent().padded(1.5))
        for tick in axis.get_major_ticks()
        if low <= tick.get_loc() <= high and tick.label1.get_visible() and tick.label1.get_text()
    ]
    for step in range(1, len(ticks) + 1):
        if not any(one[1].overlaps(other[1]) for one, other in pairwise(ticks[::step])):
            break
    if len(ticks) > 1 and step > 1:
        axis.set_major_locator(FixedLocator([place for place, _ in ticks[::step]]))


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    return figure
