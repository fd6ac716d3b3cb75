"""The figure of pairs of deleted modules: a matrix of their interactions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from unravelnet import columns
from unravelnet.figures import frame, style
from unravelnet.figures.cells import HEIGHT, beyond_text, draw_cells, draw_key, end_of_scale, units_of
from unravelnet.figures.look import Look
from unravelnet.figures.plot import Plot
from unravelnet.readers.pairs import interactions
from unravelnet.readers.rows import is_share, n_images_text
from unravelnet.wording import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from unravelnet.records.record import Table

_TITLE = "Interactions of pairs of modules"


@frame.styled
def figure_delete_pairs(
    table: Table, *, metric: str = "error_rate", title: str = _TITLE, **look: Unpack[Look]
) -> Figure:
    """Draw the interaction of each pair of modules as a matrix.

    >>> from unravelnet.records.record import Table
    >>> rise = "error_rate_difference"
    >>> alone = [{"label": f"module {i}", "first_module": i, rise: 0.1} for i in range(2)]
    >>> pair = {"label": "modules 0 and 1", "first_module": 0, "second_module": 1, rise: 0.5}
    >>> figure = figure_delete_pairs(Table([*alone, pair]))

    `table`: rows of the study delete_pairs. The interaction is what deleting both modules costs minus what deleting
    each costs, added up. Raises EvaluationError for a table without pairs.
    """
    found = interactions(table, metric=metric)
    figure = frame.new_figure(title, height=HEIGHT, **look)
    axes = figure.add_subplot()
    less, more = (frame.colour(axes, name, place) for place, name in enumerate(_NAMES))
    largest = end_of_scale(found["interaction"].abs(), 0.0) or 1.0
    limits = (-largest, largest)
    draw_cells(
        figure,
        axes,
        found,
        x="first_module",
        y="second_module",
        value="interaction",
        colours=(less, style.PAPER, more),
        limits=limits,
        label=_label(metric),
        is_share=is_share(metric),
    )
    for name, colour in zip(_NAMES, (less, more), strict=True):
        draw_key(axes, colour, name)
    frame.legend_above(axes)
    frame.caption(
        figure,
        f"{counted(len(found), 'pair')} of {units_of(found)}, {n_images_text(found)} each"
        f"{beyond_text(found['interaction'], limits)}.",
    )
    return figure


_NAMES = ("costs less than the sum", "costs more than the sum")


def _label(metric: str) -> str:
    if metric == "error_rate":
        return columns.label("interaction")
    change = columns.label(f"{metric}_difference")
    return f"Interaction: {change[0].lower()}{change[1:]}"


def _draw(table: Table, *, title: str, n_classes: int | None = None) -> Figure:
    return figure_delete_pairs(table, title=title)


DELETE_PAIRS = Plot(
    "delete_pairs",
    table="delete_pairs",
    title=_TITLE,
    caption="What deleting two modules costs minus what deleting each of them costs, added up.",
    alt="A matrix of the pairs of modules, coloured by their interaction; the numbers are in the data.",
    draw=_draw,
)
