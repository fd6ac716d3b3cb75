"""The figures of the older lesion studies, by name. Where networks are compared, the report draws them together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unravelnet.figures.lesions import figure_delete_each, figure_delete_many, figure_reorder
from unravelnet.figures.plot import Plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from unravelnet.records.record import Table

_BOXES = "Box plots of the error over random draws, one box for each number of deleted modules."


def _draw_each(table: Table, **options: Any) -> Figure:
    return figure_delete_each({"this network": table}, **options)


DELETE_EACH = Plot(
    "delete_each",
    table="delete_each",
    title="Error when deleting each module",
    caption="Error after deleting each module.",
    alt="Error over the index of the deleted module.",
    draw=_draw_each,
)
DELETE_MANY = Plot(
    "delete_many",
    table="delete_many",
    title="Error when deleting many modules",
    caption="Error over the number of deleted modules.",
    alt=_BOXES,
    draw=figure_delete_many,
)
DELETE_MANY_SAME_SHAPE = Plot(
    "delete_many_same_shape",
    table="delete_many_same_shape",
    title="Error when deleting many modules that keep the shape",
    caption="Error over the number of deleted modules, only modules that keep the shape.",
    alt=_BOXES,
    draw=figure_delete_many,
)
REORDER = Plot(
    "reorder",
    table="reorder",
    title="Error when reordering modules",
    caption="Error over Kendall's τ between the new and the original order.",
    alt="Points, one an order, with a line of medians; the original order is at the left.",
    draw=figure_reorder,
)
REMOVE_SKIP_EACH = Plot(
    "remove_skip_each",
    table="remove_skip_each",
    title="Error when removing each skip",
    caption="Error after removing each skip.",
    alt="Error over the index of the module without skip.",
    draw=_draw_each,
)
MEAN_ABLATE_EACH = Plot(
    "mean_ablate_each",
    table="mean_ablate_each",
    title="Error with each branch at its mean",
    caption="Error with the mean of each branch in its place.",
    alt="Error over the index of the module whose branch is its mean.",
    draw=_draw_each,
)
SHUFFLE_MIDDLE = Plot(
    "shuffle_middle",
    table="shuffle_middle",
    title="Error when shuffling the modules in the middle",
    caption="Error over Kendall's τ between the new and the original order.",
    alt="Points, one an order, with a line of medians; the original order is at the left.",
    draw=figure_reorder,
)
