"""Maps of cells: one value for each pair of modules, as a colour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from unravelnet import columns
from unravelnet.figures import style
from unravelnet.wording import counted

HEIGHT = 4.6


def draw_cells(
    figure: Figure,
    axes: Axes,
    cells: pd.DataFrame,
    *,
    x: str,
    y: str,
    value: str,
    colours: Sequence[str],
    limits: tuple[float, float],
    label: str,
    is_share: bool,
) -> None:
    """Draw the values of cells as colours, with a scale beside the axes.

    `cells`: a row for each cell, with the columns `x`, `y` and `value`; where its `unit` is "block", a cell covers all
    modules of its blocks. `colours`: from the lowest to the highest value. `limits`: those values; cells beyond have
    the colour of the end. `label`: of the scale.
    """
    covered = [_covered(cells, name) for name in (y, x)]
    side = 1 + max(places[-1] for of_axis in covered for places in of_axis.values())
    values = np.full((side, side), np.nan)
    for row, column, found in zip(cells[y], cells[x], cells[value], strict=True):
        values[np.ix_(covered[0][int(row)], covered[1][int(column)])] = found
    scale = LinearSegmentedColormap.from_list("cells", list(colours))
    # As an image, which is a hundredth of as many rectangles in a page.
    image = axes.imshow(
        np.ma.masked_invalid(values),
        cmap=scale,
        norm=Normalize(*limits),
        origin="lower",
        aspect="auto",
        interpolation="none",
    )
    style.style_axes(axes, x=columns.label(x), y=columns.label(y))
    axes.grid(visible=False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=30, extend=_extended(cells[value], limits))
    if bar.solids is not None:
        bar.solids.set_rasterized(True)
    style.style_axes(bar.ax, x="", y=label)
    bar.ax.grid(visible=False)
    bar.outline.set_visible(False)
    if is_share:
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g}"))


def units_of(cells: pd.DataFrame) -> str:
    """Say what cells are about: "blocks" or "modules"."""
    return "blocks" if "unit" in cells and (cells["unit"] == "block").all() else "modules"


def end_of_scale(values: pd.Series, start: float) -> float:
    """Choose where colours end: at the largest value, or where 95 % of the cells end if others are far beyond.

    >>> end_of_scale(pd.Series([1.0, 2.0, 3.0]), start=0.0), end_of_scale(pd.Series([1.0] * 99 + [50.0]), start=0.0)
    (3.0, 1.0)

    Else a few cells would leave one colour to all others.
    """
    largest, usual = float(values.max()), float(values.quantile(0.95))
    return usual if usual > start and largest - start > 2 * (usual - start) else largest


def beyond_text(values: pd.Series, limits: tuple[float, float]) -> str:
    """Say how many cells are beyond the scale of colours; empty where none is."""
    n = int(((values < limits[0]) | (values > limits[1])).sum())
    return f"; {counted(n, 'cell')} beyond the scale" if n else ""


def _extended(values: pd.Series, limits: tuple[float, float]) -> str:
    """Say at which ends of the scale there are values beyond it, in matplotlib's words."""
    ends = (bool((values < limits[0]).any()), bool((values > limits[1]).any()))
    return {(False, False): "neither", (True, False): "min", (False, True): "max"}.get(ends, "both")


def _covered(cells: pd.DataFrame, name: str) -> dict[int, Sequence[int]]:
    """Say which modules a cell covers along an axis: its own, or all of its block."""
    known = sorted({int(number) for number in cells[name]})
    if len(known) < 2 or units_of(cells) == "modules":
        return {number: [number] for number in known}
    sizes = np.diff(known).tolist()
    if name.startswith("last"):
        sizes = [sizes[0], *sizes]
        return {
            number: range(number - size + 1, number + 1) for number, size in zip(known, sizes, strict=True)
        }
    sizes = [*sizes, sizes[-1]]
    return {number: range(number, number + size) for number, size in zip(known, sizes, strict=True)}


def draw_key(axes: Axes, colour: str, label: str) -> None:
    """Put a square of a colour into the legend."""
    axes.plot([], [], linestyle="none", marker="s", markersize=6, color=colour, label=label)
