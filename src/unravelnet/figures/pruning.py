"""The figure of a search for modules to delete: what is lost over what is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from unravelnet import columns
from unravelnet.figures import frame, style
from unravelnet.figures.look import Look
from unravelnet.readers.pruning import RANDOM, trade_off
from unravelnet.readers.rows import is_share, n_images_text
from unravelnet.wording import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from unravelnet.records.record import Table


@frame.styled
def figure_pruning(
    curve: Table,
    *,
    metric: str = "error_rate",
    size: str = "macs_left",
    title: str = "What pruning costs",
    **look: Unpack[Look],
) -> Figure:
    """Draw a metric over the size of what is left, a line for each strategy, beside random orders.

    >>> from unravelnet.records.record import Table
    >>> intact = {"strategy": "intact", "n_deleted": 0, "macs_left": 1.0, "error_rate": 0.1}
    >>> figure = figure_pruning(Table([intact, {**intact, "strategy": "greedy", "n_deleted": 1, "macs_left": 0.8}]))

    `curve`: of `prune`. `size`: "macs_left", "parameters_left" or "n_deleted". Raises EvaluationError for another
    table.
    """
    found = trade_off(curve, metric=metric, size=size)
    figure = frame.new_figure(title, **look)
    axes = figure.add_subplot()
    strategies = sorted(found["strategy"].unique(), key=lambda name: name == RANDOM)
    for place, strategy in enumerate(strategies):
        rows = found[found["strategy"] == strategy].sort_values("n_deleted")
        name = "random order" if strategy == RANDOM else strategy.replace("_", " ")
        colour = style.MUTED if strategy == RANDOM else frame.colour(axes, name, place)
        marker = style.SERIES_MARKERS[place % len(style.SERIES_MARKERS)]
        axes.fill_between(rows["size"], rows["low"], rows["high"], color=colour, alpha=0.16, linewidth=0)
        axes.plot(rows["size"], rows["value"], color=colour, marker=marker, markersize=3.5, label=name)
    style.style_axes(axes, x=columns.label(size), y=columns.label(metric))
    if is_share(size):
        axes.xaxis.set_major_formatter(style.as_percent())
        axes.invert_xaxis()
    if is_share(metric):
        style.show_share_as_percent(axes)
        axes.set_ylim(bottom=0)
    frame.legend_above(axes)
    frame.caption(
        figure, f"{n_images_text(found)} that were not chosen on. Bands: {_bands(curve, strategies)}."
    )
    return figure


def _bands(curve: Table, strategies: list[str]) -> str:
    if RANDOM not in strategies:
        return "95 % intervals"
    n_draws = len({row["repeat"] for row in curve if row["strategy"] == RANDOM})
    return f"95 % intervals; 5 to 95 % of {counted(n_draws, 'random order')}"
