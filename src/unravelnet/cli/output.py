"""Everything that goes to standard output: JSON, CSV, tables, sentences."""

from __future__ import annotations

import io
import json
import math
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from unravelnet.cli.streams import printable, write

if TYPE_CHECKING:
    from unravelnet.record import Table

# Where nobody looks at a terminal, lines may be as long as they are.
_UNLIMITED = 10_000


def print_json(value: Any) -> None:
    """Print one JSON value; what JSON cannot express (NaN, infinities) is null."""
    text = json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False, default=str)
    write(f"{text}\n")


def print_csv(table: Table) -> None:
    """Print a table as CSV with a header."""
    write(table.to_pandas().to_csv(index=False))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a title and a table; columns whose cells start like numbers are aligned right."""
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    cells = [list(row) for row in rows]
    drawn = RichTable(box=None, pad_edge=False)
    for place, column in enumerate(columns):
        is_number = all(row[place][:1] in "0123456789+-" for row in cells)
        drawn.add_column(Text(column), justify="right" if is_number else "left", overflow="fold")
    for row in cells:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _UNLIMITED
    text = io.StringIO()
    Console(file=text, width=width).print(drawn)
    if title:
        print_line(title)
    # rich fills every line up to the width of the table.
    print_line("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def print_line(text: str = "") -> None:
    """Print a line; control characters in it are written out."""
    write(f"{printable(text)}\n")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
