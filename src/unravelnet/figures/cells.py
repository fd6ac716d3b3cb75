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

    `cells`: a row for each cell, with the columns `x`, `y` and `value`. `colours`: from the lowest to the highest
    value. `limits`: those values. `label`: of the scale.
    """
    last = int(cells[[x, y]].to_numpy().max())
    values = np.full((last + 1, last + 1), np.nan)
    values[cells[y].astype(int), cells[x].astype(int)] = cells[value]
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
    bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=30)
    if bar.solids is not None:
        bar.solids.set_rasterized(True)
    style.style_axes(bar.ax, x="", y=label)
    bar.ax.grid(visible=False)
    bar.outline.set_visible(False)
    if is_share:
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g}"))


def draw_key(axes: Axes, colour: str, label: str) -> None:
    """Put a square of a colour into the legend."""
    axes.plot([], [], linestyle="none", marker="s", markersize=6, color=colour, label=label)
