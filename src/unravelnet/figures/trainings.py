"""The figure of single lesions of many trained networks, those that differ in their seed only side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Unpack

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unravelnet import columns
from unravelnet.errors import EvaluationError
from unravelnet.figures import frame, style
from unravelnet.figures.look import Look
from unravelnet.readers.rows import interval_text, n_images_text, ordered
from unravelnet.readers.single_lesions import SingleLesions, single_lesions

if TYPE_CHECKING:
    from unravelnet.records.record import Table

_USUAL, _FIRST, _PEAK = "median of the modules that keep the shape", "first module", "down-sampling module"
# Place among the colours, and mark.
_MARKS = {_USUAL: (0, "o"), _FIRST: (1, "s"), _PEAK: (2, "^")}


@frame.styled
def figure_lesions_of_trainings(
    trainings: Mapping[str, Sequence[Table]],
    *,
    downsampling: Mapping[str, Sequence[int]] | None = None,
    title: str = "One module deleted, in every training",
    **look: Unpack[Look],
) -> Figure:
    """Draw by how much the deletion of one module raises the error, in each training of each network.

    >>> from unravelnet.records.record import Table
    >>> row = {"label": "module 0", "module": 0, "error_rate_difference": 0.3}
    >>> table = Table([row, {**row, "label": "module 1", "module": 1, "error_rate_difference": 0.01}])
    >>> figure = figure_lesions_of_trainings({"ResNet-20": [table]})

    `trainings`: rows of the study delete_each, a table a seed, by the name of the network. `downsampling`: indices of
    the modules that change the shape, by the same names. Raises EvaluationError for a table without such rows.
    """
    if not trainings:
        raise EvaluationError("No table was given; give the rows of at least one network.")
    read = {
        name: [single_lesions(table, (downsampling or {}).get(name, ())) for table in tables]
        for name, tables in trainings.items()
    }
    figure = frame.new_figure(title, height=1.35 + 0.34 * len(read), **look)
    axes = figure.add_subplot()
    frame.name_rows(axes, list(read))
    for place, lesions in enumerate(read.values()):
        for number, training in enumerate(lesions):
            _draw(axes, training, place + 0.2 * (number - (len(lesions) - 1) / 2))
    axes.set_ylim(len(read) - 0.4, -0.6)
    axes.axvline(0, color=style.MUTED, linewidth=0.8)
    style.style_axes(axes, x=columns.label("error_rate_difference"), y="", grid="x")
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:g}")
    frame.legend_above(axes)
    rows = pd.concat([ordered(table, by="module") for tables in trainings.values() for table in tables])
    frame.caption(
        figure,
        f"One row of marks a training, {n_images_text(rows)}; bars: {interval_text(rows, 'error_rate_difference')} of "
        "the difference to the intact network.",
    )
    return figure


def _draw(axes: Axes, lesions: SingleLesions, y: float) -> None:
    """Draw the median, the first module and the down-sampling modules of one training."""
    median = pd.Series({"value": lesions.median, "low": float("nan"), "high": float("nan")})
    parts = [
        (_USUAL, median),
        (_FIRST, lesions.first),
        *((_PEAK, row) for _, row in lesions.peaks.iterrows()),
    ]
    for name, row in parts:
        place, marker = _MARKS[name]
        colour = frame.colour(axes, name, place)
        axes.hlines(y, row["low"], row["high"], color=colour, linewidth=1, alpha=0.55)
        label = None if name in axes.get_legend_handles_labels()[1] else name
        axes.plot(
            row["value"], y, linestyle="none", marker=marker, markersize=4, color=colour, markeredgewidth=0,
            label=label,
        )  # fmt: skip
