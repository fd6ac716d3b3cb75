"""Everything that goes to standard output: JSON, CSV, tables, sentences."""

from __future__ import annotations

import io
import json
import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from unravelnet import columns
from unravelnet.cli.streams import width, write
from unravelnet.escaping import for_json, for_terminal

if TYPE_CHECKING:
    from unravelnet.records.record import Table


def print_json(value: Any) -> None:
    """Print one JSON value; what JSON cannot express (NaN, infinities) is null."""
    text = json.dumps(plain_values(value), indent=2, ensure_ascii=False, allow_nan=False, default=str)
    write(f"{for_json(text)}\n")


def print_csv(table: Table) -> None:
    """Print a table as CSV with a header, as `Table.save` writes it but for control characters, written out."""
    from unravelnet.records.table_file import write_csv

    rows = [{_written_out(name): _written_out(value) for name, value in row.items()} for row in table]
    text = io.StringIO()
    write_csv(list(map(for_terminal, table.columns)), rows, text, line_end="\n")
    write(text.getvalue())


def heading(name: str) -> str:
    """Give the title of a column, with the unit where cells do not show it: shares have their %, and indices none.

    >>> heading("error_rate"), heading("loss")
    ('Error', 'Cross-entropy loss (nats)')
    """
    column = columns.find(name)
    return (
        columns.title(name) if column is None or column.is_share or column.unit == "index" else column.label
    )


def print_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a title and a table; columns whose cells start like numbers are aligned right.

    Headings take as many lines as it needs to leave the width to the cells.
    """
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    cells = [list(row) for row in rows]
    drawn = RichTable(box=None, pad_edge=False)
    for place, text in enumerate(headings):
        is_number = all(row[place][:1] in "0123456789+-" for row in cells)
        room = max((len(row[place]) for row in cells), default=0)
        drawn.add_column(
            Text(_broken(for_terminal(text), room)),
            justify="right" if is_number else "left",
            overflow="fold",
            vertical="bottom",
        )
    for row in cells:
        drawn.add_row(*(Text(for_terminal(cell)) for cell in row))
    page = io.StringIO()
    Console(file=page, width=width()).print(drawn)
    if title:
        print_line(title)
    # rich fills every line up to the width of the table.
    write("".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines()))


def _broken(text: str, room: int) -> str:
    """Break a heading into lines that are no wider than the cells below it, nor than its longest word."""
    longest = max(map(len, text.split()), default=1)
    return "\n".join(textwrap.wrap(text, max(room, longest), break_long_words=False))


def print_line(text: str = "") -> None:
    """Print a line; control characters in it are written out."""
    write(f"{for_terminal(text)}\n")


def _written_out(value: Any) -> Any:
    return for_terminal(value) if isinstance(value, str) else value


def plain_values(value: Any) -> Any:
    """Give a value in the types of JSON; what is not finite becomes null."""
    if isinstance(value, dict):
        return {str(name): plain_values(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
