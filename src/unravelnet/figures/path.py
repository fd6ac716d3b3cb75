"""Figures of the mathematics of paths: their lengths, and which survive deletion (Figs. 6a and 7 of the
paper).

Nothing is measured here; the numbers are exact and come from `unravelnet.paths`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Unpack

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unravelnet import columns
from unravelnet.figures import frame, style
from unravelnet.figures.look import Look
from unravelnet.papers import veit
from unravelnet.paths import (
    effective_lengths,
    length_distribution,
    path_counts,
    share_within,
    surviving_share,
)
from unravelnet.wording import counted, percent, superscript

_SMALLEST_SHARE = 1e-16


def path_length_rows(n_modules: int) -> pd.DataFrame:
    """Give the number and the share of paths of each length.

    >>> path_length_rows(2).values.tolist()
    [[0.0, 1.0, 0.25], [1.0, 2.0, 0.5], [2.0, 1.0, 0.25]]

    Columns: length (modules entered), path_count (exact), share.
    """
    counts = pd.Series(path_counts(n_modules), dtype=object if n_modules > 60 else int)
    return pd.DataFrame(
        {"length": range(n_modules + 1), "path_count": counts, "path_share": length_distribution(n_modules)}
    )


def path_survival_rows(n_modules: int, *, deleted: Sequence[int] | None = None) -> pd.DataFrame:
    """Give the share of the paths of each length that is left after modules were deleted.

    >>> path_survival_rows(54, deleted=[10]).query("length == 5").round(3).values.tolist()
    [[10.0, 5.0, 0.343]]

    Columns: n_deleted, length (modules entered), share. `deleted`: see `figure_path_survival`.
    """
    rows = [
        {"n_deleted": count, "length": length, "surviving_share": surviving_share(n_modules, count, length)}
        for count in _deleted_counts(n_modules, deleted)
        for length in range(n_modules + 1)
    ]
    return pd.DataFrame(rows)


@frame.styled
def figure_path_lengths(
    n_modules: int, *, share: float = 0.95, title: str = "How long the paths are", **look: Unpack[Look]
) -> Figure:
    """Draw the distribution of path lengths: Fig. 6a of the paper.

    >>> figure = figure_path_lengths(54)

    Marked are the mean, one standard deviation and the shortest range of lengths that holds `share` of all
    paths; for 54 modules also the lengths that the paper found to carry the gradient.
    """
    rows = path_length_rows(n_modules)
    low, high = effective_lengths(path_counts(n_modules), share=share)
    inside = rows["length"].between(low, high)
    figure = frame.new_figure(title, **look)
    axes = figure.add_subplot()
    dark = frame.colour(axes, "paths")
    colours = [dark if is_inside else style.fainter(dark) for is_inside in inside]
    axes.bar(rows["length"], rows["path_share"], width=0.82, color=colours)
    style.style_axes(axes, x=columns.label("length"), y=columns.label("path_share"))
    style.show_share_as_percent(axes)
    axes.set_ylim(0, 1.2 * rows["path_share"].max())
    _mark_mean(axes, n_modules, rows["path_share"].max())
    if n_modules == veit.N_MODULES.count:
        shade_effective(axes)
    frame.legend_above(axes)
    held = f"{share_within(n_modules, low, high):.1%}".replace("%", " %")
    frame.caption(
        figure,
        f"Exact: 2{superscript(n_modules)} paths of {counted(n_modules, 'module')}, Binomial({n_modules}, ½). "
        f"Dark bars: lengths {low} to {high} hold {held} of the paths.",
    )
    return figure


@frame.styled
def figure_path_survival(
    n_modules: int,
    *,
    deleted: Sequence[int] | None = None,
    title: str = "Which paths survive deletion",
    **look: Unpack[Look],
) -> Figure:
    """Draw the share of paths left after deletion, over their length: Fig. 7 of the paper.

    >>> figure = figure_path_survival(54, deleted=(1, 10, 20))

    `deleted`: numbers of deleted modules; without it those of the paper (1, 10 and 20 of 54), in proportion
    for smaller networks. Raises RouteError where more are deleted than there are.
    """
    rows = path_survival_rows(n_modules, deleted=deleted)
    figure = frame.new_figure(title, **look)
    axes = figure.add_subplot()
    for place, (count, part) in enumerate(rows[rows["surviving_share"] > 0].groupby("n_deleted")):
        label = f"{count} of {n_modules} deleted"
        colour, marker = frame.colour(axes, label, place), style.SERIES_MARKERS[place % 6]
        axes.plot(
            part["length"], part["surviving_share"], color=colour, marker=marker, markersize=3.2, label=label
        )
    style.style_axes(axes, x=columns.label("length"), y=columns.title("surviving_share"), grid="both")
    style.show_powers_of_ten(axes)
    axes.set_xlim(-0.02 * n_modules, 1.02 * n_modules)
    axes.set_ylim(max(_SMALLEST_SHARE, rows.loc[rows["surviving_share"] > 0, "surviving_share"].min()) / 3, 3)
    if n_modules == veit.N_MODULES.count:
        shade_effective(axes)
    frame.legend_above(axes, last=[paper_label()])
    frame.caption(
        figure,
        f"Exact: C(n − d, x) / C(n, x) of the paths of length x are left after deleting d of n = {n_modules} "
        "modules. A path is left if it enters none of them.",
    )
    return figure


def _deleted_counts(n_modules: int, deleted: Sequence[int] | None) -> list[int]:
    if deleted is not None:
        return list(deleted)
    scale = min(1.0, n_modules / veit.N_MODULES.count)
    return list(dict.fromkeys(max(1, round(count * scale)) for count in veit.DELETED_COUNTS if n_modules))


def _mark_mean(axes: Axes, n_modules: int, highest: float) -> None:
    mean, deviation = n_modules / 2, sqrt(n_modules) / 2
    height = 1.1 * highest
    axes.plot(
        [mean, mean], [0, height], color=style.INK, linewidth=1.0, linestyle=(0, (4, 2.5)),
        label=f"mean {mean:g}, standard deviation {deviation:.3g}",
    )  # fmt: skip
    axes.annotate(
        "", (mean - deviation, height), (mean + deviation, height),
        arrowprops={"arrowstyle": "|-|, widthA=0.25, widthB=0.25", "color": style.INK, "linewidth": 1.0,
                    "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip


def shade_effective(axes: Axes) -> None:
    """Shade the lengths that carried the gradient in the paper, with `paper_label` for the legend."""
    low, high = veit.EFFECTIVE_LENGTHS
    axes.axvspan(
        low - 0.5, high + 0.5, color=style.ORANGE, alpha=0.16, linewidth=0, zorder=0, label=paper_label()
    )


def paper_label() -> str:
    """Name the lengths that carried the gradient in the paper."""
    low, high = veit.EFFECTIVE_LENGTHS
    held = percent(share_within(veit.N_MODULES.count, low, high))
    return f"effective in the paper: {low} to {high}, {held} of all paths"
