"""Every column of every table, once: its name, title, unit, type and meaning.

Titles above cells, beside axes and in notebooks, and docs/glossary.md (`columns.glossary`), are read from here. Most
names mean the same wherever they stand. A few do not: which of their meanings holds is told by the columns beside
them (`Column.beside`).
"""

from __future__ import annotations

from collections.abc import Collection

from unravelnet.columns import gradients, importance, measurements, networks, searches, trainings
from unravelnet.columns.column import Column

__all__ = ["COLUMNS", "Column", "find", "label", "title"]

COLUMNS: tuple[Column, ...] = (
    *networks.STRUCTURE,
    *networks.PATHS,
    *measurements.LESIONS,
    *measurements.METRICS,
    *measurements.FACTS,
    *measurements.ENSEMBLES,
    *searches.SEARCHES,
    *gradients.GRADIENTS,
    *gradients.MODULES,
    *gradients.OVER_TRAINING,
    *importance.SCORES,
    *trainings.TRAINING,
    *trainings.TRAINED_NETWORKS,
)
"""All columns but those that `Column.family` adds."""

_BY_NAME: dict[str, list[Column]] = {}
for _column in COLUMNS:
    for _member in _column.family():
        _BY_NAME.setdefault(_member.name, []).append(_member)


def find(name: str, beside: Collection[str] = ()) -> Column | None:
    """Find what a column is, in a table that has the columns `beside`; None for a name that no table of ours has.

    >>> find("share").title, find("share", beside=["n_deleted"]).title
    ('Share of all paths', 'Share of paths left')
    >>> find("error_rate_difference").unit
    'percentage points'
    >>> find("height")
    """
    known = _BY_NAME.get(name, [])
    special = [column for column in known if not set(column.beside).isdisjoint(beside)]
    return next(iter(special or (column for column in known if not column.beside)), None)


def title(name: str, beside: Collection[str] = ()) -> str:
    """Give the title of a column, or its name in words where no table of ours has it.

    >>> title("error_rate"), title("my_measure")
    ('Error', 'my measure')
    """
    column = find(name, beside)
    return name.replace("_", " ") if column is None else column.title


def label(name: str, beside: Collection[str] = ()) -> str:
    """Give the title of a column with its unit, shares being read in percent.

    >>> label("error_rate"), label("length"), label("my_measure")
    ('Error (%)', 'Path length (modules entered)', 'my measure')
    """
    column = find(name, beside)
    return name.replace("_", " ") if column is None else column.label
