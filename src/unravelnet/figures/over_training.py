"""Figures of checkpoints: whether the virtual ensemble deepens while a network is trained.

The theory drawn beside the measurements is that of Littwin and Wolf (2016), with the measured decay in the place
of their beta; it knows nothing of the network but that and the number of modules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unravelnet import columns
from unravelnet.errors import EvaluationError
from unravelnet.figures import frame, style
from unravelnet.figures.look import Look
from unravelnet.figures.marks import draw_with_bars, set_epoch_axis, set_index_axis
from unravelnet.papers import littwin
from unravelnet.readers.rows import interval_text, n_images_text, ordered, with_interval
from unravelnet.wording import counted

if TYPE_CHECKING:
    from unravelnet.records.record import Table

_MOST_CURVES = 5
_X = columns.label("epoch")


@frame.styled
def figure_over_training(
    table: Table, *, title: str = "Path lengths over training", **look: Unpack[Look]
) -> Figure:
    """Draw decay, path lengths and branch sizes at the checkpoints of a training.

    >>> from unravelnet.records.record import Table
    >>> lengths = {"mean_length": 4.0, "length_low": 2, "length_high": 7, "dominating_length": 4}
    >>> rows = [{"epoch": epoch, "decay": 0.2, "predicted_length": 9.0, **lengths} for epoch in (0, 1)]
    >>> figure = figure_over_training(Table(rows))

    `table`: what `over_training` returned. Panels: the decay of the path norm with its interval, beside the gain of
    a gradient in a branch; the mean length with the range of 90 %; the dominating length beside the predicted one;
    branch to stream. What the table lacks is left out. Raises EvaluationError where it lacks all of it.
    """
    wanted = {name for _, names in _PANELS for name in names}
    rows = ordered(table, by="epoch", wants=sorted(wanted))
    panels = [draw for draw, names in _PANELS if rows[list(names)].notna().any(axis=None)]
    if not panels:
        raise EvaluationError(
            "The table has no column decay, mean_length, dominating_length or branch_to_stream with a number; give "
            "the table that over_training returned."
        )
    n_rows = -(-len(panels) // 2)
    figure = frame.new_figure(title, height=1.0 + 2.2 * n_rows, **look)
    places = frame.panels(figure, len(panels), columns=2)
    for axes, draw in zip(places, panels, strict=True):
        style.style_axes(axes, x=_X, y=columns.label(draw(axes, rows)))
        set_epoch_axis(axes, [int(epoch) for epoch in rows["epoch"]])
        # Each panel has quantities of its own, so that one legend for all would not say which is where; it
        # stands in the room above the points.
        axes.set_ylim(0, 1.4 * axes.dataLim.y1 or 1)
        axes.legend(loc="upper left", fontsize=style.SMALL)
    frame.caption(
        figure,
        f"{n_images_text(rows)} at each of {counted(len(rows), 'checkpoint')} of one training; bars: "
        f"{interval_text(rows, 'decay')}. Epoch 0: before training.",
    )
    return figure


@frame.styled
def figure_spectra_over_training(
    table: Table,
    *,
    epochs: Sequence[int] | None = None,
    title: str = "Shares of the path lengths over training",
    **look: Unpack[Look],
) -> Figure:
    """Draw the share of each path length at some checkpoints, beside the weights that theory expects.

    >>> from unravelnet.records.record import Table
    >>> rows = [{"epoch": 0, "length": k, "length_share": s, "theory_weight": s} for k, s in enumerate((0.7, 0.3))]
    >>> figure = figure_spectra_over_training(Table(rows))

    `table`: the spectra that `over_training` returned. `epochs`: which; without it five, from the first to the
    last. Raises EvaluationError where the table lacks the shares, or one of these epochs.
    """
    rows = ordered(table, by="length", needs=["epoch", "length_share"], wants=["theory_weight"])
    chosen = _chosen(rows, epochs)
    has_theory = bool(rows["theory_weight"].notna().any())
    figure = frame.new_figure(title, height=3.5, **look)
    panels = frame.panels(figure, 1 + has_theory, columns=2, sharey=True)
    for axes, column in zip(panels, ("length_share", "theory_weight"), strict=False):
        _draw_curves(axes, rows, column, chosen, x="length")
        style.style_axes(axes, x=columns.label("length"), y=columns.label(column))
        style.show_share_as_percent(axes)
        set_index_axis(axes, int(rows["length"].max()))
    # The panels share their scale, which is not known before all is drawn.
    panels[0].set_ylim(0, 1.05 * max(axes.dataLim.y1 for axes in panels) or 1)
    frame.legend_above(panels[0])
    theory = f" Theory: ε² of {littwin.PAPER.authors}, with the fitted decay as β." if has_theory else ""
    frame.caption(figure, f"{n_images_text(rows)} at each checkpoint of one training.{theory}")
    return figure


@frame.styled
def figure_normalisation_scales(
    table: Table,
    *,
    epochs: Sequence[int] | None = None,
    title: str = "Scales of normalisation over training",
    **look: Unpack[Look],
) -> Figure:
    """Draw the mean |γ| of each normalisation layer at some checkpoints.

    >>> from unravelnet.records.record import Table
    >>> figure = figure_normalisation_scales(Table([{"epoch": 0, "position": 0, "scale": 1.0}]))

    `table`: the scales that `over_training` returned. `epochs`: as in figure_spectra_over_training. Where
    convolutions follow, a second panel shows |γ| times their norm: their scale counts too. Raises EvaluationError
    where the table lacks the scales, or one of these epochs.
    """
    rows = ordered(table, by="position", needs=["epoch", "scale"], wants=["scaled_norm"])
    chosen = _chosen(rows, epochs)
    shown = [column for column in ("scale", "scaled_norm") if rows[column].notna().any()]
    figure = frame.new_figure(title, height=1.1 + 1.9 * len(shown), **look)
    for axes, column in zip(frame.panels(figure, len(shown)), shown, strict=True):
        _draw_curves(axes, rows, column, chosen, x="position", size=2.6)
        style.style_axes(axes, x=columns.label("position"), y=style.in_two_lines(columns.label(column)))
        set_index_axis(axes, int(rows["position"].max()))
    frame.legend_above(figure.axes[0])
    n_layers = rows["position"].nunique()
    frame.caption(
        figure,
        f"{counted(n_layers, 'layer')}, means over channels, of one training. Parameters, not measured on data.",
    )
    return figure


# -- panels over epochs --


# Each draws its panel and names the column that the y axis is labelled by.


def _draw_decay(axes: Axes, rows: pd.DataFrame) -> str:
    _draw_with_line(axes, rows, "decay", "decay of the path norm, r", place=0)
    if rows["gradient_gain"].notna().any():
        _draw_with_line(axes, rows, "gradient_gain", "gain of a branch, mean of modules", place=1)
    return "decay"


def _draw_mean_length(axes: Axes, rows: pd.DataFrame) -> str:
    name = "mean by the exact sums"
    axes.fill_between(
        rows["epoch"], rows["length_low"], rows["length_high"], color=style.fainter(frame.colour(axes, name)),
        alpha=0.3, linewidth=0, label="range with 90 %",
    )  # fmt: skip
    _draw_with_line(axes, rows, "mean_length", name, place=0)
    return "length"


def _draw_dominating_length(axes: Axes, rows: pd.DataFrame) -> str:
    _draw_with_line(axes, rows, "dominating_length", "largest exact sum", place=0)
    if rows["predicted_length"].notna().any():
        _draw_with_line(axes, rows, "predicted_length", "predicted: n·r / (1 + r)", place=1)
    return "dominating_length"


def _draw_branch_to_stream(axes: Axes, rows: pd.DataFrame) -> str:
    _draw_with_line(axes, rows, "branch_to_stream", "geometric mean of modules", place=0)
    return "branch_to_stream"


_PANELS: tuple[tuple[Callable[[Axes, pd.DataFrame], str], tuple[str, ...]], ...] = (
    (_draw_decay, ("decay", "gradient_gain")),
    (_draw_mean_length, ("mean_length", "length_low", "length_high")),
    (_draw_dominating_length, ("dominating_length", "predicted_length")),
    (_draw_branch_to_stream, ("branch_to_stream",)),
)


def _draw_with_line(axes: Axes, rows: pd.DataFrame, column: str, label: str, *, place: int) -> None:
    colour, marker = frame.colour(axes, label, place), style.SERIES_MARKERS[place]
    axes.plot(rows["epoch"], rows[column], color=colour, linewidth=0.9, alpha=0.6)
    draw_with_bars(
        axes, rows["epoch"], with_interval(rows, column), colour=colour, marker=marker, label=label, size=4.0
    )


# -- curves of checkpoints --


def _draw_curves(
    axes: Axes, rows: pd.DataFrame, column: str, epochs: Sequence[int], *, x: str, size: float = 3.2
) -> None:
    for place, epoch in enumerate(epochs):
        curve = rows[(rows["epoch"] == epoch) & rows[column].notna()]
        name = f"epoch {epoch}"
        axes.plot(
            curve[x], curve[column], color=frame.colour(axes, name, place), linewidth=1.0, markersize=size,
            marker=style.SERIES_MARKERS[place % 6], markeredgewidth=0, label=name,
        )  # fmt: skip


def _chosen(rows: pd.DataFrame, epochs: Sequence[int] | None) -> list[int]:
    """Choose which checkpoints are drawn: those asked for, or as many as can be told apart."""
    known = sorted({int(epoch) for epoch in rows["epoch"]})
    if epochs is None:
        places = np.linspace(0, len(known) - 1, min(_MOST_CURVES, len(known))).round().astype(int)
        return [known[place] for place in places]
    missing = [epoch for epoch in epochs if epoch not in known]
    if missing:
        raise EvaluationError(
            f"The table has no checkpoint of epoch {missing[0]}; it has those of {', '.join(map(str, known))}."
        )
    return list(epochs)
