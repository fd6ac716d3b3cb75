"""Figures of single modules and layers: effective depth, what branches do to the stream, layer responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Unpack

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from unravelnet import columns
from unravelnet.errors import EvaluationError
from unravelnet.figures import frame, style
from unravelnet.figures.look import Look
from unravelnet.figures.marks import RING_LABEL, draw_with_bars, ring, set_index_axis
from unravelnet.readers.rows import interval_text, n_images_text, ordered, with_interval
from unravelnet.wording import counted

if TYPE_CHECKING:
    from unravelnet.records.record import Table

_MEASURES = ("branch_to_stream", "branch_stream_cosine", "branch_gradient_cosine", "gradient_gain")
_RATIOS = ("branch_to_stream", "gradient_gain")
_NORMALISED = "normalisation"
# Responses that differ by a larger factor are drawn on a logarithmic axis.
_WIDE = 10


@frame.styled
def figure_effective_depths(
    table: Table,
    *,
    title: str = "Effective depth of each module, and the modules behind it",
    **look: Unpack[Look],
) -> Figure:
    """Draw how many later modules the gradient of each module comes through, and how many there are.

    >>> from unravelnet.records.record import Table
    >>> row = {"module": 0, "n_after": 9, "effective_depth": 4, "depth_share": 0.95, "is_deeper": True}
    >>> figure = figure_effective_depths(Table([row]))

    `table`: what `effective_depths` returned for one network. A filled marker is a module with more modules behind
    it than its effective depth: there the network is over-deepened in the sense of Wu, Shen and van den Hengel
    (2016). Raises EvaluationError for a table without such rows.
    """
    needs = ["n_after", "effective_depth", "depth_share", "is_deeper"]
    rows = ordered(table, by="module", needs=needs, wants=["mean_length"])
    figure = frame.new_figure(title, **look)
    axes = figure.add_subplot()
    axes.plot(
        rows["module"], rows["n_after"], color=style.INK, linewidth=1.0, linestyle=(0, (4, 2.5)),
        label="modules behind it",
    )  # fmt: skip
    colour = frame.colour(axes, "effective depth")
    axes.plot(rows["module"], rows["effective_depth"], color=colour, linewidth=0.8, alpha=0.45)
    is_deeper = rows["is_deeper"] > 0
    for part, filled, label in (
        (rows[is_deeper], True, "effective depth, less than the modules behind"),
        (rows[~is_deeper], False, "effective depth, all of the modules behind"),
    ):
        if not part.empty:
            points = with_interval(part, "effective_depth")
            draw_with_bars(
                axes, part["module"], points, colour=colour, marker="o", label=label, is_filled=filled
            )
    if rows["mean_length"].notna().any():
        name = "mean length of its gradient's paths"
        axes.plot(
            rows["module"], rows["mean_length"], color=frame.colour(axes, name, 2), linewidth=1.0,
            linestyle=(0, (1, 1.5)), label=name,
        )  # fmt: skip
    style.style_axes(axes, x=columns.label("module"), y=columns.label("n_after"))
    axes.set_ylim(bottom=-0.02 * rows["n_after"].max() - 0.05)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    set_index_axis(axes, int(rows["module"].max()))
    frame.legend_above(axes)
    frame.caption(
        figure,
        f"{n_images_text(rows)}. Effective depth: paths through at most this many later modules carry "
        f"{100 * rows['depth_share'].iloc[0]:g} % of the gradient of a module. {int(is_deeper.sum())} of {len(rows)} "
        "modules have more behind them.",
    )
    return figure


@frame.styled
def figure_module_measures(
    tables: Mapping[str, Table],
    *,
    title: str = "What each branch does to the stream and to the gradient",
    **look: Unpack[Look],
) -> Figure:
    """Draw the size and direction of each branch, in panels over the index of the module.

    >>> from unravelnet.records.record import Table
    >>> row = {"module": 0, "keeps_shape": True, "branch_to_stream": 0.3, "gradient_gain": 0.2}
    >>> figure = figure_module_measures({"a ResNet": Table([row])})

    `tables`: what `module_measures` returned, by the name of the network. Columns that no table has get no panel;
    modules that change the shape get a ring. Raises EvaluationError where no table has any of the measures.
    """
    measures = [name for name in _MEASURES if any(name in table.columns for table in tables.values())]
    if not measures:
        raise EvaluationError(
            f"No table has any of the columns {', '.join(_MEASURES)}; give the tables that module_measures returned."
        )
    figure = frame.new_figure(title, height=1.5 + 1.75 * -(-len(measures) // 2), **look)
    panels = frame.panels(figure, len(measures), columns=2)
    drawn = {name: ordered(table, by="module", wants=measures) for name, table in tables.items()}
    for axes, measure in zip(panels, measures, strict=True):
        for place, (name, rows) in enumerate(drawn.items()):
            _draw_measure(axes, rows[rows[measure].notna()], measure, name=name, place=place)
        style.style_axes(axes, x=columns.label("module"), y=columns.label(measure))
        set_index_axis(axes, max(int(rows["module"].max()) for rows in drawn.values()))
        _set_measure_axis(axes, measure)
    frame.legend_above(panels[0], last=(RING_LABEL,))
    every = pd.concat(drawn.values())
    frame.caption(
        figure,
        f"{n_images_text(every)} a point; bars: {interval_text(every, 'branch_to_stream')}. g: gradient of the loss "
        "at the junction; a negative cosine with it: the branch goes downhill.",
    )
    return figure


@frame.styled
def figure_layer_responses(
    tables: Mapping[str, Table], *, title: str = "How strongly each layer responds", **look: Unpack[Look]
) -> Figure:
    """Draw the standard deviation of the responses of each layer: Fig. 7 of He et al. (2015).

    >>> from unravelnet.records.record import Table
    >>> row = {"position": 0, "response_std": 1.2, "measured_after": "normalisation"}
    >>> figure = figure_layer_responses({"a ResNet": Table([row])})

    `tables`: what `layer_responses` returned, by the name of the network. Above in the order of the layers, below
    sorted by magnitude. Hollow markers: no normalisation follows the layer, so that the layer itself was measured.
    Responses more than ten times apart are drawn on a logarithmic axis. Raises EvaluationError for a table without
    such rows.
    """
    if not tables:
        raise EvaluationError("No table was given; give the rows of at least one network.")
    drawn = {
        name: ordered(table, by="position", needs=["response_std"], keeps=["measured_after"])
        for name, table in tables.items()
    }
    figure = frame.new_figure(title, height=4.9, **look)
    in_order, by_size = frame.panels(figure, 2)
    for place, (name, rows) in enumerate(drawn.items()):
        _draw_responses(in_order, rows, name=name, place=place, is_sorted=False)
        falling = rows.sort_values("response_std", ascending=False, kind="stable")
        falling["position"] = range(len(falling))
        _draw_responses(by_size, falling, name=name, place=place, is_sorted=True)
    every = pd.concat(drawn.values())
    last = int(every["position"].max())
    for axes, x in ((in_order, columns.label("position")), (by_size, "Layers, largest response first")):
        style.style_axes(axes, x=x, y=style.in_two_lines(columns.label("response_std")))
        _set_response_axis(axes, every["response_std"])
        set_index_axis(axes, last)
    frame.legend_above(in_order)
    n_after = int((every["measured_after"] == _NORMALISED).sum())
    frame.caption(
        figure,
        f"{n_images_text(every)}; over all images, channels and places. Filled: measured after the normalisation "
        f"that follows ({n_after} of {counted(len(every), 'layer')}); hollow: none follows, measured after the layer.",
    )
    return figure


def _draw_measure(axes: Axes, rows: pd.DataFrame, measure: str, *, name: str, place: int) -> None:
    colour = frame.colour(axes, name, place)
    marker = style.SERIES_MARKERS[place % len(style.SERIES_MARKERS)]
    points = with_interval(rows, measure)
    axes.plot(rows["module"], points["value"], color=colour, linewidth=0.8, alpha=0.45)
    draw_with_bars(axes, rows["module"], points, colour=colour, marker=marker, label=name, size=3.0)
    if "keeps_shape" in rows:
        changes = rows["keeps_shape"].map({False: True}).fillna(False).astype(bool)
        ring(axes, points.assign(module=rows["module"])[changes])


def _set_measure_axis(axes: Axes, measure: str) -> None:
    if measure in _RATIOS:
        axes.set_ylim(0, 1.08 * axes.dataLim.y1 or 1)
    else:
        axes.axhline(0, color=style.MUTED, linewidth=0.8)


def _set_response_axis(axes: Axes, responses: pd.Series) -> None:
    """Take a logarithmic axis where the classifier, which no normalisation follows, would flatten all others."""
    if responses.min() > 0 and responses.max() > _WIDE * responses.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(bottom=0)


def _draw_responses(axes: Axes, rows: pd.DataFrame, *, name: str, place: int, is_sorted: bool) -> None:
    colour = frame.colour(axes, name, place)
    marker = style.SERIES_MARKERS[place % len(style.SERIES_MARKERS)]
    is_normalised = rows["measured_after"] == _NORMALISED
    parts = [rows[is_normalised], rows[~is_normalised]]
    # In their order, lines join like with like: in pre-activation networks every other layer is normalised.
    for part in [rows] if is_sorted else parts:
        axes.plot(part["position"], part["response_std"], color=colour, linewidth=0.8, alpha=0.45)
    for part, is_filled in zip(parts, (True, False), strict=True):
        is_first = is_filled or not is_normalised.any()
        axes.plot(
            part["position"], part["response_std"], linestyle="none", marker=marker, markersize=3.2,
            color=colour, markerfacecolor=colour if is_filled else style.PAPER,
            markeredgewidth=0 if is_filled else 0.9, label=name if is_first and len(part) else None,
        )  # fmt: skip
