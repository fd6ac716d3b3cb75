"""The figure of scores of importance beside what deletions cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import pandas as pd

from unravelnet import columns
from unravelnet.figures import frame, style
from unravelnet.figures.look import Look
from unravelnet.figures.marks import ring
from unravelnet.figures.plot import Plot
from unravelnet.readers.importance import Compared, comparisons
from unravelnet.readers.rows import n_images_text
from unravelnet.wording import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from unravelnet.records.record import Table

_TITLE = "Scores of importance beside the effect of a deletion"


@frame.styled
def figure_importance(
    table: Table,
    *,
    truth: str | None = None,
    by_rank: bool = True,
    title: str = _TITLE,
    **look: Unpack[Look],
) -> Figure:
    """Draw each score over what deleting the module costs, a panel a score, a point a module.

    >>> from unravelnet.records.record import Table
    >>> rows = [{"module": i, "deletion": 0.1 * i, "block_influence": 0.2 * i**2} for i in range(5)]
    >>> figure = figure_importance(Table(rows))

    `table`: what `importance` returned. `truth`: the column of the effect; the first that the table has if None.
    `by_rank`: draw the places of the modules in either order, where perfect foresight is the diagonal; else the
    values. The best score by Spearman's correlation comes first. Raises EvaluationError for a table without effects of
    deletions, or without scores.
    """
    found = comparisons(table, truth=truth)
    figure = frame.new_figure(title, height=1.3 + 2.1 * -(-len(found) // 3), **look)
    panels = frame.panels(figure, len(found), columns=3)
    for axes, compared in zip(panels, found, strict=True):
        _draw(axes, compared, by_rank=by_rank)
    frame.legend_above(panels[0])
    n_modules = counted(max(len(compared.rows) for compared in found), "module")
    meaning = "Rank 1 is the smallest; on the line a score foresees the order. " if by_rank else ""
    frame.caption(
        figure,
        f"{n_modules}, {n_images_text(table.to_pandas().reindex(columns=['n_images', 'data_unit']))}. {meaning}"
        "ρ: rank correlation of Spearman.",
    )
    return figure


def _draw(axes: Axes, compared: Compared, *, by_rank: bool) -> None:
    rows, end = compared.rows, "_rank" if by_rank else ""
    colour = frame.colour(axes, "module")
    axes.plot(
        rows[f"score{end}"], rows[f"truth{end}"], linestyle="none", marker="o", markersize=3.4, color=colour,
        markeredgewidth=0, label="module",
    )  # fmt: skip
    points = pd.DataFrame({"module": rows[f"score{end}"], "value": rows[f"truth{end}"]})
    ring(axes, points[rows["keeps_shape"] == False])  # noqa: E712  # it may hold texts
    if by_rank:
        axes.plot([1, len(rows)], [1, len(rows)], color=style.MUTED, linewidth=0.8)
    rho = f"{compared.spearman:.2f}".replace("-", "\u2212")
    frame.title_panel(axes, f"{columns.title(compared.score)}, ρ = {rho}")
    x, y = (
        ("Rank by the score", "Rank by the deletion") if by_rank else ("Score", columns.label(compared.truth))
    )
    style.style_axes(axes, x=x, y=y)


def _draw_table(table: Table, *, title: str, n_classes: int | None = None) -> Figure:
    return figure_importance(table, title=title)


IMPORTANCE = Plot(
    "importance",
    table="importance",
    title=_TITLE,
    caption="Rank of each module by each score, over its rank by what deleting it costs.",
    alt="A panel for each score with a point for each module, and the diagonal.",
    draw=_draw_table,
)
