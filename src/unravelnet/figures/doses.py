"""The figure of scaled branches: dose and response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from unravelnet import columns
from unravelnet.figures import frame, style
from unravelnet.figures.look import Look
from unravelnet.figures.plot import Plot
from unravelnet.readers.doses import responses
from unravelnet.readers.rows import is_share, n_images_text
from unravelnet.wording import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from unravelnet.records.record import Table

_TITLE = "Error when scaling each branch"


@frame.styled
def figure_scale_each(
    table: Table, *, metric: str = "error_rate", title: str = _TITLE, **look: Unpack[Look]
) -> Figure:
    """Draw the error over the factor of one branch, a line for each module.

    >>> from unravelnet.records.record import Table
    >>> row = {"label": "module 0 times 0.5", "module": 0, "factor": 0.5, "error_rate": 0.2}
    >>> figure = figure_scale_each(Table([row, {**row, "factor": 2.0, "error_rate": 0.3}]))

    `table`: rows of the study scale_each. At the factor 1 every line is at the intact network. Raises EvaluationError
    for a table without scaled branches.
    """
    found = responses(table, metric=metric)
    figure = frame.new_figure(title, **look)
    axes = figure.add_subplot()
    names = ("one module", "median of the modules")
    thin, thick = (frame.colour(axes, name, place) for place, name in enumerate(names))
    for number, (_, rows) in enumerate(found.groupby("module")):
        label = None if number else names[0]
        axes.plot(rows["factor"], rows["value"], color=thin, linewidth=0.8, alpha=0.45, label=label)
    medians = found.groupby("factor")["value"].median()
    axes.plot(
        medians.index, medians, color=thick, linewidth=1.6, marker="s", markersize=4, label=names[1], zorder=4
    )
    style.style_axes(axes, x=columns.label("factor"), y=columns.label(metric))
    if is_share(metric):
        style.show_share_as_percent(axes)
        axes.set_ylim(bottom=0)
    frame.legend_above(axes)
    n_modules = counted(found["module"].nunique(), "module")
    frame.caption(
        figure, f"{n_modules}, one at a time, {n_images_text(found)} a point; 1 is the intact network."
    )
    return figure


def _draw(table: Table, *, title: str, n_classes: int | None = None) -> Figure:
    return figure_scale_each(table, title=title)


SCALE_EACH = Plot(
    "scale_each",
    table="scale_each",
    title=_TITLE,
    caption="Error over the number by which the branch of one module is multiplied.",
    alt="One line for each module over the factor of its branch, and a line of medians.",
    draw=_draw,
)
