"""Tables as files: rows to CSV or Parquet and back, every value as it was.

Parquet keeps types. CSV has none, so they are read from the cells. Numbers and truth values are JSON, which gives
floats exactly; None is an empty cell. In a column with texts None is `null`, and a number stands in brackets: `[3]`.
A text is written as it is, with an apostrophe before it where it would be read as something else, or where a
spreadsheet would take it for a formula (`'=1+1`). `record` is the room to save and load tables in.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from unravelnet.errors import StoreError, first_line
from unravelnet.wording import counted

Value = str | int | float | bool | None
Row = dict[str, Any]

# In these columns a text such as "3" (a route) or "123e4567" (a fingerprint) stays a text.
TEXT_COLUMNS = frozenset(
    {
        "trial_id",
        "study",
        "label",
        "route",
        "network",
        "network_name",
        "data",
        "data_name",
        "precision",
        "name",
        "layer",
    }
)
_SUFFIXES = (".csv", ".parquet")
_MARK = "'"
# What a spreadsheet takes for the start of a formula, also in full width, and the white space it skips before one.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# Other programs put it at the start of a file.
_BYTE_ORDER_MARK = "\ufeff"
# A number or a truth value among texts.
_BOXED = re.compile(r"\[(true|false|NaN|-?Infinity|-?\d[\d.eE+-]*)\]")
# File names that are no UTF-8 hold halves of surrogate pairs.
_SURROGATES = "surrogatepass"
_LONGEST_TEXT = 2**31 - 1
# Python refuses to read whole numbers of more than 4,300 digits.
_MOST_BITS = 13_000


def check_suffix(path: Path) -> str:
    """Return the suffix if tables are stored under it. Raises StoreError for another one."""
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise StoreError(
            f"A table is stored as .csv or .parquet; the name {path.name!r} has neither suffix. "
            "Give a name such as table.csv."
        )
    return suffix


def write(columns: Sequence[str], rows: Sequence[Row], path: Path) -> None:
    """Write rows to a file of the format that its suffix names.

    Raises StoreError where the format cannot keep the values, OSError where the file cannot be written.
    """
    for row in rows:
        for name, value in row.items():
            _check_value(name, value)
    if check_suffix(path) == ".parquet":
        _write_parquet(columns, rows, path)
        return
    with path.open("w", encoding="utf-8", errors=_SURROGATES, newline="") as file:
        write_csv(columns, rows, file)


def _check_value(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, (str, int, float)):
        raise StoreError(
            f"The column {name!r} holds a {type(value).__name__}, which no table file can keep. A value is a text, a "
            "number, True, False or None."
        )
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise StoreError(
            f"The column {name!r} holds a whole number of more than 4,000 digits. Save it as a float."
        )


def read(path: Path) -> tuple[list[str], list[Row]]:
    """Read the columns and the rows of a file. Raises StoreError where it is not a table."""
    try:
        columns, rows = _read_csv(path) if check_suffix(path) == ".csv" else _read_parquet(path)
    except FileNotFoundError as error:
        raise StoreError(f"There is no table {path}.") from error
    except (OSError, ValueError, csv.Error) as error:
        raise StoreError(f"{path} cannot be read as a table: {first_line(error)}.") from error
    twice = [name for name, number in Counter(columns).items() if number > 1]
    if twice:
        raise StoreError(
            f"{path} has several columns named {twice[0]!r}. Give each column a name of its own."
        )
    return columns, rows


def fits_int64(values: Iterable[Value]) -> bool:
    """Tell whether all whole numbers among the values fit into 64 bits."""
    return all(-(2**63) <= value < 2**63 for value in values if isinstance(value, int))


def write_csv(columns: Sequence[str], rows: Sequence[Row], file: TextIO, *, line_end: str = "\r\n") -> None:
    """Write rows as CSV to an open file."""
    writer = csv.writer(file, lineterminator=line_end)
    writer.writerow([_MARK + name if _needs_mark(name) else name for name in columns])
    cells = [_cells(name, [row[name] for row in rows]) for name in columns]
    writer.writerows([column[i] for column in cells] for i in range(len(rows)))


def _cells(name: str, values: Sequence[Value]) -> list[str]:
    """Write a column so that `_values` gives the same values back."""
    if name not in TEXT_COLUMNS and not any(isinstance(value, str) for value in values):
        return ["" if value is None else json.dumps(value) for value in values]
    cells = [_cell_among_texts(value) for value in values]
    if name in TEXT_COLUMNS or not all(map(_is_read_as_number, cells)):
        return cells
    return [
        _MARK + cell if isinstance(value, str) else cell for value, cell in zip(values, cells, strict=True)
    ]


def _cell_among_texts(value: Value) -> str:
    if isinstance(value, str):
        return _MARK + value if _needs_mark(value) else value
    return "null" if value is None else f"[{json.dumps(value)}]"


def _needs_mark(text: str) -> bool:
    """Tell whether a text in a column of texts would be read as something else, here or by a spreadsheet."""
    if text.startswith(_MARK):
        core = text.lstrip(_MARK)
        return _is_read_as_number(core) or _needs_mark(core)
    return (
        text.startswith((*_FORMULAS, _BYTE_ORDER_MARK))
        or text == "null"
        or _BOXED.fullmatch(text) is not None
    )


def _read_csv(path: Path) -> tuple[list[str], list[Row]]:
    lines = _lines(path)
    if not lines:
        raise StoreError(f"{path} is empty; a table has at least a line with the names of its columns.")
    header = [_unmarked(name) for name in lines.pop(0)]
    for number, cells in enumerate(lines, start=1):
        if len(cells) != len(header):
            raise StoreError(
                f"Row {number} of {path} has {counted(len(cells), 'cell')}, and its header {len(header)}. The file may "
                "have been cut off; write it again."
            )
    columns = {name: _values(name, [cells[i] for cells in lines]) for i, name in enumerate(header)}
    return header, [{name: columns[name][i] for name in header} for i in range(len(lines))]


def _lines(path: Path) -> list[list[str]]:
    # Texts may be longer than the limit that the module has by default for all its users.
    limit = csv.field_size_limit(_LONGEST_TEXT)
    try:
        with path.open(encoding="utf-8-sig", errors=_SURROGATES, newline="") as file:
            lines = list(csv.reader(file, strict=True))
    finally:
        csv.field_size_limit(limit)
    # Blank lines are no rows, unless a table has no columns.
    return [cells for cells in lines if cells or not lines[0]]


def _values(name: str, cells: list[str]) -> list[Value]:
    """Read a column as numbers or truth values if all its cells are such, else as texts."""
    if name not in TEXT_COLUMNS and all(map(_is_read_as_number, cells)):
        return [None if cell == "" else json.loads(cell) for cell in cells]
    return [_value_among_texts(cell) for cell in cells]


def _value_among_texts(cell: str) -> Value:
    if cell == "null":
        return None
    boxed = _BOXED.fullmatch(cell)
    return json.loads(boxed[1]) if boxed else _unmarked(cell)


def _unmarked(cell: str) -> str:
    # An apostrophe that stands before anything else belongs to the text.
    is_marked = cell.startswith(_MARK) and (_is_read_as_number(cell[1:]) or _needs_mark(cell[1:]))
    return cell[1:] if is_marked else cell


def _is_read_as_number(cell: str) -> bool:
    """Tell whether a cell is a number, a truth value or nothing."""
    if cell.lstrip().startswith(("[", "{", '"')):
        return False  # and not parsed: lists may be nested deeper than the parser can go
    try:
        json.loads(cell or "null")
    except ValueError:
        return False
    return True


def _write_parquet(columns: Sequence[str], rows: Sequence[Row], path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({name: _array(name, [row[name] for row in rows]) for name in columns}), path)


def _array(name: str, values: list[Value]) -> Any:
    import pyarrow as pa

    advice = f"Parquet cannot keep the column {name!r}; save the table as .csv."
    if not fits_int64(values):
        raise StoreError(f"Whole numbers beyond 64 bits: {advice}")
    if any(isinstance(value, float) for value in values) and not _fit_float64(values):
        raise StoreError(f"Whole numbers that a float cannot hold beside floats: {advice}")
    try:
        return pa.array(values)
    except (pa.ArrowException, ValueError) as error:
        raise StoreError(f"{first_line(error)}: {advice}") from error


def _fit_float64(values: Iterable[Value]) -> bool:
    return all(float(value) == value for value in values if isinstance(value, int))


def _read_parquet(path: Path) -> tuple[list[str], list[Row]]:
    from pyarrow import parquet

    table = parquet.read_table(path)
    return table.column_names, table.to_pylist()
