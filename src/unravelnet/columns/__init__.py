"""Every column of every table, once: its name, title, unit, type and meaning.

Titles above cells, beside axes and in notebooks, and docs/glossary.md (`columns.glossary`), are read from here. A name
means the same in every table.
"""

from __future__ import annotations

from unravelnet.columns import (
    architectures,
    gradients,
    importance,
    measurements,
    networks,
    searches,
    trainings,
)
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
    *importance.ESTIMATES,
    *importance.CORRELATIONS,
    *trainings.TRAINING,
    *trainings.TRAINED_NETWORKS,
    *architectures.ARCHITECTURES,
)
"""All columns but those that `Column.family` adds."""

_BY_NAME = {member.name: member for column in COLUMNS for member in column.family()}


def find(name: str) -> Column | None:
    """Find what a column is; None for a name that no table of ours has.

    >>> find("error_rate_difference").unit
    'percentage points'
    >>> find("height")
    """
    return _BY_NAME.get(name)


def title(name: str) -> str:
    """Give the title of a column, or its name in words where no table of ours has it.

    >>> title("error_rate"), title("my_measure")
    ('Error', 'my measure')
    """
    column = find(name)
    return name.replace("_", " ") if column is None else column.title


def label(name: str) -> str:
    """Give the title of a column with its unit, shares being read in percent.

    >>> label("error_rate"), label("length"), label("my_measure")
    ('Error (%)', 'Path length (modules entered)', 'my measure')
    """
    column = find(name)
    return name.replace("_", " ") if column is None else column.label
