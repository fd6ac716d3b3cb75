"""A figure by name: what it shows of one table, as one value, which the report finds in `registry.FIGURES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure that is drawn from one table of a network.

    >>> from unravelnet import figures
    >>> plot = Plot(
    ...     "delete_many",
    ...     table="delete_many",
    ...     title="Error when deleting several modules",
    ...     caption="Error over the number of deleted modules.",
    ...     alt="Box plots.",
    ...     draw=figures.figure_delete_many,
    ... )

    `name`: of its files. `table`: the study whose table it is drawn from. `caption`: what it shows. `alt`: what is to
    be seen, for those who do not see it. `draw`: called as draw(table, title=..., n_classes=...), where n_classes may
    be None; it raises EvaluationError for a table that it cannot draw.
    """

    name: str
    table: str
    title: str
    caption: str
    alt: str
    draw: Callable[..., Figure]
