"""The figure of cuts: the error over how many of the first, or of the last, modules are deleted."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Unpack

from unravelnet import columns
from unravelnet.errors import EvaluationError
from unravelnet.figures import frame, style
from unravelnet.figures.look import Look
from unravelnet.figures.plot import Plot
from unravelnet.readers.rows import interval_text, is_share, measured, n_images_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from unravelnet.records.record import Table

_ALT = "A line over the number of deleted modules, with a band of its interval."


@frame.styled
def figure_cuts(
    table: Table,
    *,
    metric: str = "error_rate",
    title: str = "Error when cutting a network",
    **look: Unpack[Look],
) -> Figure:
    """Draw the error over the number of modules that are cut, the intact network first.

    >>> from unravelnet.records.record import Table
    >>> row = {"label": "the last 1 deleted", "n_deleted": 1, "error_rate": 0.2}
    >>> figure = figure_cuts(Table([row, {**row, "n_deleted": 2, "error_rate": 0.4}]))

    `table`: rows of the study delete_first or delete_last. Raises EvaluationError for a table without cuts.
    """
    study = measured(table, metric=metric, needs=["n_deleted"])
    if study.lesions.empty:
        raise EvaluationError(
            "The table holds no cut. Give the table of the study delete_first or delete_last."
        )
    rows = study.rows.sort_values("n_deleted", kind="stable")
    numbers = {name: rows[name].astype(float) for name in ("n_deleted", "value", "low", "high")}
    figure = frame.new_figure(title, **look)
    axes = figure.add_subplot()
    name = "network with a cut"
    colour = frame.colour(axes, name)
    axes.fill_between(
        numbers["n_deleted"], numbers["low"], numbers["high"], color=colour, alpha=0.2, linewidth=0
    )
    axes.plot(numbers["n_deleted"], numbers["value"], color=colour, marker="o", markersize=3, label=name)
    style.style_axes(axes, x=columns.label("n_deleted"), y=columns.label(metric))
    if is_share(metric):
        style.show_share_as_percent(axes)
        axes.set_ylim(bottom=0)
    frame.legend_above(axes)
    frame.caption(
        figure, f"{n_images_text(rows)} a point, {interval_text(rows, metric)}; 0 is the intact network."
    )
    return figure


def _draw(table: Table, *, title: str, n_classes: int | None = None) -> Figure:
    return figure_cuts(table, title=title)


_of_cuts = partial(Plot, alt=_ALT, draw=_draw)
DELETE_FIRST = _of_cuts(
    "delete_first",
    table="delete_first",
    title="Error when cutting the first modules",
    caption="Error over the number of first modules that are deleted.",
)
DELETE_LAST = _of_cuts(
    "delete_last",
    table="delete_last",
    title="Error when cutting the last modules",
    caption="Error over the number of last modules that are deleted.",
)
