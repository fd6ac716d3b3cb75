"""The figure of studies of spans: the error over the first and the last module of the span."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Unpack

import pandas as pd

from unravelnet import columns
from unravelnet.errors import EvaluationError
from unravelnet.figures import frame, style
from unravelnet.figures.cells import HEIGHT, beyond_text, draw_cells, draw_key, end_of_scale, units_of
from unravelnet.figures.look import Look
from unravelnet.figures.plot import Plot
from unravelnet.readers.rows import is_share, measured, n_images_text
from unravelnet.wording import counted, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from unravelnet.records.record import Table

_ENDS = ["first_module", "last_module"]
_ALT = "A map over the first and the last module of the span, coloured by the error; the numbers are in the data."


@frame.styled
def figure_spans(
    table: Table,
    *,
    metric: str = "error_rate",
    title: str = "Error when changing spans of modules",
    **look: Unpack[Look],
) -> Figure:
    """Draw the error of each span over its first and its last module, as a map of colours.

    >>> from unravelnet.records.record import Table
    >>> row = {"label": "modules 0 to 1 twice", "first_module": 0, "last_module": 1, "error_rate": 0.5}
    >>> figure = figure_spans(Table([row, {**row, "last_module": 2, "error_rate": 0.7}]))

    `table`: rows of a study of spans, such as repeat_spans. Raises EvaluationError for a table without spans.
    """
    study = measured(table, metric=metric, needs=_ENDS)
    spans = study.lesions
    if spans.empty:
        raise EvaluationError("The table holds no span of modules. Give the table of a study of spans.")
    spans[_ENDS] = spans[_ENDS].apply(pd.to_numeric)
    figure = frame.new_figure(title, height=HEIGHT, **look)
    axes = figure.add_subplot()
    name = f"one span of {units_of(spans)}"
    colour = frame.colour(axes, name)
    intact = None if study.intact is None else float(study.intact["value"])
    lowest = min(float(spans["value"].min()), spans["value"].max() if intact is None else intact)
    limits = (lowest, max(end_of_scale(spans["value"], lowest), lowest + 1e-6))
    draw_cells(
        figure,
        axes,
        spans,
        x=_ENDS[0],
        y=_ENDS[1],
        value="value",
        colours=(style.tinted(colour, 0.06), colour),
        limits=limits,
        label=columns.label(metric),
        is_share=is_share(metric),
    )
    draw_key(axes, colour, name)
    frame.legend_above(axes)
    frame.caption(
        figure,
        f"{counted(len(spans), 'span')}, {n_images_text(spans)} each{_on_intact(intact, metric)}"
        f"{beyond_text(spans['value'], limits)}.",
    )
    return figure


def _on_intact(intact: float | None, metric: str) -> str:
    if intact is None:
        return ""
    return f"; intact network: {percent(intact) if is_share(metric) else f'{intact:.4g}'}"


def draw_spans(table: Table, *, title: str, n_classes: int | None = None) -> Figure:
    """Draw a study of spans as a `Plot` does."""
    return figure_spans(table, title=title)


_of_spans = partial(Plot, alt=_ALT, draw=draw_spans)
REPEAT_SPANS = _of_spans(
    "repeat_spans",
    table="repeat_spans",
    title="Error when passing spans of modules twice",
    caption="Error when the modules from the first to the last are passed twice.",
)
REVERSE_SPANS = _of_spans(
    "reverse_spans",
    table="reverse_spans",
    title="Error when passing spans of modules backwards",
    caption="Error when the modules from the first to the last are passed backwards.",
)
PARALLEL_SPANS = _of_spans(
    "parallel_spans",
    table="parallel_spans",
    title="Error when putting spans of modules side by side",
    caption="Error when the modules from the first to the last read one input.",
)
