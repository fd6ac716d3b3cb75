"""The figure of an ensemble of routes: what averaging predictions gains, and how much its members differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from unravelnet import columns
from unravelnet.figures import frame, style
from unravelnet.figures.look import Look
from unravelnet.figures.marks import draw_with_bars
from unravelnet.readers.rows import interval_text, n_images_text, ordered, with_interval

if TYPE_CHECKING:
    from unravelnet.records.record import Table

_NAMES = {"routes": "random routes of one network", "networks": "networks trained separately"}
_MEASURES = ("disagreement", "error_correlation")


@frame.styled
def figure_ensemble(
    table: Table, *, title: str = "Averaging the predictions of random routes", **look: Unpack[Look]
) -> Figure:
    """Draw the error against the number of averaged members, and how much two members differ.

    >>> from unravelnet.records.record import Table
    >>> row = {"n_members": 1, "members": "routes", "error_rate": 0.3, "disagreement": 0.2}
    >>> figure = figure_ensemble(Table([row, {**row, "n_members": 2, "error_rate": 0.25}]))

    `table`: what `ensemble_of_routes` returned, with networks that were trained separately where there are any. The
    dashed line is the intact network. Raises EvaluationError for a table without such rows.
    """
    wants = ["intact_error_rate", *_MEASURES]
    rows = ordered(table, by="n_members", needs=["error_rate"], wants=wants, keeps=["members"])
    parts = {str(kind): part for kind, part in rows.groupby("members", sort=False)}
    has_measures = bool(rows[list(_MEASURES)].notna().any(axis=None))
    figure = frame.new_figure(title, **look)
    panels = frame.panels(figure, 1 + has_measures, columns=2, ratios=[2, 1][: 1 + has_measures])
    for place, (kind, part) in enumerate(parts.items()):
        _draw_errors(panels[0], part, name=_NAMES.get(kind, kind), place=place)
    _finish_errors(panels[0], rows)
    if has_measures:
        _draw_differences(panels[1], {_NAMES.get(kind, kind): part for kind, part in parts.items()})
    frame.legend_above(panels[0])
    frame.caption(figure, f"{n_images_text(rows)}{_draws_text(rows)}; bars: {interval_text(rows)}.")
    return figure


def _draw_errors(axes: Axes, rows: pd.DataFrame, *, name: str, place: int) -> None:
    colour, marker = frame.colour(axes, name, place), style.SERIES_MARKERS[place % 6]
    axes.plot(rows["n_members"], rows["error_rate"], color=colour, linewidth=0.9, alpha=0.6)
    points = with_interval(rows, "error_rate")
    draw_with_bars(axes, rows["n_members"], points, colour=colour, marker=marker, label=name, size=4.4)


def _finish_errors(axes: Axes, rows: pd.DataFrame) -> None:
    intact = rows["intact_error_rate"].dropna()
    if len(intact):
        axes.axhline(
            intact.iloc[0], color=style.INK, linewidth=1.0, linestyle=(0, (4, 2.5)), label="intact network"
        )
    style.style_axes(axes, x=columns.label("n_members"), y=columns.label("error_rate"))
    style.show_share_as_percent(axes)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(rows["n_members"]))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    axes.set_ylim(0, 1.05 * max(axes.dataLim.y1, *intact, 0.0) or 1)


def _draw_differences(axes: Axes, parts: Mapping[str, pd.DataFrame]) -> None:
    """Draw bars, with their numbers, of how much two members differ."""
    width = 0.8 / len(parts)
    for place, (name, rows) in enumerate(parts.items()):
        # What is said of two members does not depend on how many are averaged; the largest set knows it best.
        values = [rows[measure].dropna().iloc[-1:] for measure in _MEASURES]
        heights = [float(value.iloc[0]) if len(value) else np.nan for value in values]
        x = np.arange(len(_MEASURES)) + (place - (len(parts) - 1) / 2) * width
        axes.bar(x, heights, width=0.9 * width, color=frame.colour(axes, name, place))
        for at, height in zip(x, heights, strict=True):
            if np.isfinite(height):
                axes.annotate(
                    f"{height:.2f}", (at, max(height, 0)), xytext=(0, 2), textcoords="offset points",
                    ha="center", va="bottom", fontsize=style.SMALL,
                )  # fmt: skip
    style.style_axes(axes, x="", y="Of two members")
    axes.axhline(0, color=style.MUTED, linewidth=0.8)
    axes.set_ylim(min(0.0, axes.dataLim.y0), 1)
    axes.set_xlim(-0.6, len(_MEASURES) - 0.4)
    axes.xaxis.set_major_locator(FixedLocator(range(len(_MEASURES))))
    names = [columns.title(measure).replace(" of", "\nof") for measure in _MEASURES]
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: names[round(at)]))


def _draws_text(rows: pd.DataFrame) -> str:
    draws = rows["n_sets"].dropna()
    if not len(draws):
        return ""
    low, high = int(draws.min()), int(draws.max())
    return f", means of {low if low == high else f'{low} to {high}'} sets of members a point"
