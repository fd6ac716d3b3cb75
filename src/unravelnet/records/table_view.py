"""Tables as people look at them: a short form for terminals and one for notebooks.

Of many columns those are shown in which rows differ: what is the same in every row tells them apart least. Columns
stand under their names, by which code takes them; notebooks have room for title and unit below.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from unravelnet import columns
from unravelnet.escaping import for_terminal, visible

if TYPE_CHECKING:
    import pandas as pd

_MOST_COLUMNS, _MOST_ROWS = 10, 20


def as_text(frame: pd.DataFrame) -> str:
    """Draw at most 10 columns and 20 rows as text, with a note of what is not shown."""
    shown = _shown(frame).map(_escaped).rename(columns=for_terminal)
    text = shown.to_string(max_rows=_MOST_ROWS, show_dimensions=False)
    return "\n".join([text, *_note(frame, shown)])


def as_html(frame: pd.DataFrame) -> str:
    """Draw at most 10 columns and 20 rows as HTML, with a note of what is not shown."""
    shown = _shown(frame).map(_escaped).rename(columns=visible)
    drawn = shown.to_html(max_rows=_MOST_ROWS, show_dimensions=False, escape=True)
    for name in shown:
        if column := columns.find(name):
            title = f"<small>{html.escape(column.raw_label)}</small>"
            drawn = drawn.replace(f"<th>{name}</th>", f"<th>{name}<br>{title}</th>", 1)
    return "\n".join([drawn, *(f"<p>{html.escape(line)}</p>" for line in _note(frame, shown))])


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    """Choose columns, those in which rows differ first, and leave them in their order."""
    by_interest = sorted(frame, key=lambda name: len(set(map(repr, frame[name]))) <= 1)
    chosen = set(by_interest[:_MOST_COLUMNS])
    return frame[[name for name in frame if name in chosen]]


def _note(frame: pd.DataFrame, shown: pd.DataFrame) -> list[str]:
    """Say how many rows and columns are not shown."""
    hidden = [
        f"{number:,} of {whole:,} {things}"
        for number, whole, things in (
            (len(frame) - _MOST_ROWS, len(frame), "rows"),
            (frame.shape[1] - shown.shape[1], frame.shape[1], "columns"),
        )
        if number > 0
    ]
    return [f"Not shown: {' and '.join(hidden)}. to_pandas() shows everything."] if hidden else []


def _escaped(value: object) -> object:
    return for_terminal(value) if isinstance(value, str) else value
