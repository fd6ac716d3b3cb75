"""Tables as files: rows to CSV or Parquet and back, every value as it was.

Parquet keeps types. CSV has none, so they are read from the cells: texts are written as they are, None as an
empty cell and all else as JSON, which gives floats exactly. `record` is the room to save and load tables in.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from unravelnet.errors import StoreError

Value = str | int | float | bool | None
Row = dict[str, Any]

# In these columns a text such as "3" (a route) or "123e4567" (a fingerprint) stays a text.
_TEXT_COLUMNS = frozenset(
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


def check_suffix(path: Path) -> str:
    """Return the suffix if tables are stored under it. Raises StoreError for another one."""
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise StoreError(f"A table is stored as .csv or .parquet; the name {path.name!r} has neither suffix.")
    return suffix


def write(columns: Sequence[str], rows: Sequence[Row], path: Path) -> None:
    """Write rows to a file of the format that its suffix names.

    Raises StoreError where Parquet cannot keep the values, OSError where the file cannot be written.
    """
    (_write_csv if check_suffix(path) == ".csv" else _write_parquet)(columns, rows, path)


def read(path: Path) -> tuple[list[str], list[Row]]:
    """Read the columns and the rows of a file. Raises StoreError where it is not a table."""
    try:
        return _read_csv(path) if check_suffix(path) == ".csv" else _read_parquet(path)
    except FileNotFoundError as error:
        raise StoreError(f"There is no table {path}.") from error
    except (OSError, ValueError, csv.Error) as error:
        raise StoreError(f"{path} cannot be read as a table: {_first_line(error)}.") from error


def fits_int64(values: Iterable[Value]) -> bool:
    """Tell whether all whole numbers among the values fit into 64 bits."""
    return all(-(2**63) <= value < 2**63 for value in values if isinstance(value, int))


def _write_csv(columns: Sequence[str], rows: Sequence[Row], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([_cell(row[name]) for name in columns] for row in rows)


def _cell(value: Value) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _read_csv(path: Path) -> tuple[list[str], list[Row]]:
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, strict=True))
    if not lines:
        raise StoreError(f"{path} is empty; a table has at least a line with the names of its columns.")
    header = lines.pop(0)
    for number, cells in enumerate(lines, start=1):
        if len(cells) != len(header):
            raise StoreError(
                f"Row {number} of {path} has {len(cells)} cells, and its header {len(header)}. The file may "
                "have been cut off; write it again."
            )
    columns = {name: _typed(name, [cells[i] for cells in lines]) for i, name in enumerate(header)}
    return header, [{name: columns[name][i] for name in header} for i in range(len(lines))]


def _typed(name: str, cells: list[str]) -> Sequence[Value]:
    """Read a column as numbers or truth values if all its cells are such, else as text."""
    if name in _TEXT_COLUMNS:
        return cells
    try:
        values = [None if cell == "" else json.loads(cell) for cell in cells]
    except ValueError:
        return cells
    is_plain = all(value is None or isinstance(value, (bool, int, float)) for value in values)
    return values if is_plain else cells


def _write_parquet(columns: Sequence[str], rows: Sequence[Row], path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({name: _array(name, [row[name] for row in rows]) for name in columns}), path)


def _array(name: str, values: list[Value]) -> Any:
    import pyarrow as pa

    advice = f"Parquet cannot keep the column {name!r}; save the table as .csv."
    if not fits_int64(values):
        raise StoreError(f"Whole numbers beyond 64 bits: {advice}")
    try:
        return pa.array(values)
    except pa.ArrowException as error:
        raise StoreError(f"{_first_line(error)}: {advice}") from error


def _read_parquet(path: Path) -> tuple[list[str], list[Row]]:
    from pyarrow import parquet

    table = parquet.read_table(path)
    return table.column_names, table.to_pylist()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__
