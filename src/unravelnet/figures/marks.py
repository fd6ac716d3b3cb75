"""Marks that several figures share: points with their intervals, rings, and axes that count modules, epochs
or powers of ten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, floor, log10

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from unravelnet.figures import style

RING_LABEL = "down-sampling module"
_EPOCH_TICKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
# Checkpoints are kept at 0, 1, 2, 5, 10 ...: with gaps that differ more than this, early ones would coincide.
_UNEVEN = 4
_ROUNDING = 1e-3


def draw_with_bars(
    axes: Axes,
    x: pd.Series,
    rows: pd.DataFrame,
    *,
    colour: str,
    marker: str,
    label: str | None,
    size: float = 3.6,
    is_filled: bool = True,
) -> None:
    """Draw points with their intervals, where they have one.

    `rows`: columns value, low and high. `size`: of the markers, in points.
    """
    bounded = np.isfinite(rows["low"]) & np.isfinite(rows["high"])
    axes.vlines(
        x[bounded],
        rows.loc[bounded, "low"],
        rows.loc[bounded, "high"],
        color=colour,
        linewidth=1.0,
        alpha=0.55,
    )
    axes.plot(
        x, rows["value"], linestyle="none", marker=marker, markersize=size, color=colour,
        markerfacecolor=colour if is_filled else style.PAPER, markeredgewidth=0 if is_filled else 0.9,
        label=label,
    )  # fmt: skip


def ring(axes: Axes, rows: pd.DataFrame) -> None:
    """Put a ring around the points of down-sampling modules: columns module and value."""
    if rows.empty:
        return
    known = axes.get_legend_handles_labels()[1]
    axes.plot(
        rows["module"], rows["value"], linestyle="none", marker="o", markersize=9, markerfacecolor="none",
        markeredgecolor=style.INK, markeredgewidth=0.9, label=None if RING_LABEL in known else RING_LABEL,
    )  # fmt: skip


def set_index_axis(axes: Axes, last: int) -> None:
    """Let the x axis run over the indices 0 to `last`, with whole numbers only."""
    axes.set_xlim(-0.02 * last - 0.6, 1.02 * last + 0.6)
    axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]


def set_epoch_axis(axes: Axes, epochs: Sequence[int]) -> None:
    """Let the x axis run over epochs; as a logarithm from epoch 1 on where checkpoints grow apart."""
    gaps = np.diff(sorted(set(epochs)))
    if len(gaps) > 1 and max(gaps) > _UNEVEN * min(gaps):
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(min(epochs) - 0.2, max(epochs) * 1.15)
        ticks = [tick for tick in _EPOCH_TICKS if min(epochs) <= tick <= max(epochs)]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda epoch, _: f"{epoch:g}"))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))


def show_decades(axes: Axes, values: Iterable[float]) -> None:
    """Make the y axis logarithmic, from the power of ten below the values to the one above."""
    powers = [log10(value) for value in values if 0 < value < np.inf]
    style.show_powers_of_ten(axes)
    if powers:
        # A value beside a power of ten by rounding alone does not ask for another decade.
        low, high = floor(min(powers) + _ROUNDING), ceil(max(powers) - _ROUNDING)
        # A little room, so that a point on a power of ten is not cut by the frame.
        axes.set_ylim(10 ** (low - 0.15), 10 ** (max(high, low + 1) + 0.15))
