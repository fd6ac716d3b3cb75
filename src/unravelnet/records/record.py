"""Rows and tables, in memory and as files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np

from unravelnet.errors import StoreError, one_line, unknown_name
from unravelnet.records import table_file, table_view
from unravelnet.records.files import reason, replacing, replacing_directory, usable_path
from unravelnet.records.table_file import Row, Value, fits_int64
from unravelnet.wording import counted

if TYPE_CHECKING:
    import pandas as pd


class Table:
    """Rows with named columns, in a fixed order.

    >>> table = Table([{"study": "delete_each", "module": 3, "error_rate": 0.25}, {"study": "reorder"}])
    >>> table.where(study="delete_each")[0]["error_rate"]
    0.25
    >>> table.columns
    ('study', 'module', 'error_rate')
    >>> table["module"]
    [3, None]

    A value is a text, an int, a float, a bool or None. The columns are those of all rows; a row that lacks
    one has None there. Iterating gives rows. `table[3]` is the row at position 3, a dict; `table["error_rate"]`
    is a column, a list; `table[:10]` is a table of the first ten rows. Two tables are equal if they have the same
    columns and values; NaN equals NaN. Terminals and notebooks show a short form, which says what it leaves out.
    Raises StoreError for rows that are no mappings of texts.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
        given = list(rows)
        for row in given:
            _check_row(row)
        found = dict.fromkeys(name for row in given for name in row)
        self.columns: tuple[str, ...] = tuple(found if columns is None else columns)
        self.rows: tuple[Row, ...] = tuple(
            {name: _plain(row.get(name)) for name in self.columns} for row in given
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @overload
    def __getitem__(self, key: SupportsIndex) -> Row: ...
    @overload
    def __getitem__(self, key: str) -> list[Any]: ...
    @overload
    def __getitem__(self, key: slice) -> Table: ...
    def __getitem__(self, key: SupportsIndex | str | slice) -> Row | list[Any] | Table:
        if isinstance(key, str):
            self._check_column(key)
            return [row[key] for row in self]
        if isinstance(key, slice):
            return Table(self.rows[key], self.columns)
        try:
            return self.rows[key]
        except IndexError:  # what ends a loop over positions, so the class stays
            raise IndexError(
                f"There is no row {key}: the table has {counted(len(self), 'row')}, from 0."
            ) from None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Table):
            return NotImplemented
        return self.columns == other.columns and list(map(_comparable, self)) == list(map(_comparable, other))

    __hash__ = None  # type: ignore[assignment]  # rows are dicts

    def __repr__(self) -> str:
        return table_view.as_text(self.to_pandas())

    def _repr_html_(self) -> str:
        return table_view.as_html(self.to_pandas())

    def where(self, **values: Value) -> Table:
        """Keep the rows that have these values in these columns.

        >>> len(Table([{"module": 1}, {"module": 2}, {"module": None}]).where(module=None))
        1

        Raises UnknownNameError for a column that the table does not have.
        """
        for name in values:
            self._check_column(name)
        kept = [row for row in self if all(row[name] == value for name, value in values.items())]
        return Table(kept, self.columns)

    def sort(self, by: str, *, descending: bool = False) -> Table:
        """Order the rows by a column; rows that are equal there keep their order.

        >>> Table([{"module": 0, "loss": 0.5}, {"module": 1}, {"module": 2, "loss": 2.0}]).sort(
        ...     "loss", descending=True
        ... )["module"]
        [2, 0, 1]

        Numbers come before texts. None and NaN come last, whichever the direction. Raises UnknownNameError for a
        column that the table does not have.
        """
        self._check_column(by)
        known = [row for row in self if not _is_missing(row[by])]
        known.sort(key=lambda row: (isinstance(row[by], str), row[by]), reverse=descending)
        return Table([*known, *(row for row in self if _is_missing(row[by]))], self.columns)

    def head(self, n: int = 5) -> Table:
        """Keep the first `n` rows.

        >>> len(Table([{"module": 1}, {"module": 2}, {"module": 3}]).head(2))
        2
        """
        return self[:n]

    def _check_column(self, name: str) -> None:
        if name not in self.columns:
            raise unknown_name("column", name, self.columns)

    def to_pandas(self) -> pd.DataFrame:
        """Make a data frame; whole numbers stay whole beside missing ones (pandas' Int64)."""
        import pandas as pd

        index = pd.RangeIndex(len(self))
        columns = {name: [row[name] for row in self] for name in self.columns}
        series = {name: pd.Series(values, index, _pandas_type(values)) for name, values in columns.items()}
        return pd.DataFrame(series, index)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the table to a .csv or .parquet file, whole or not at all, and return its path.

        `load_table` gives an equal table back. Raises StoreError for another suffix and where the file cannot
        be written.
        """
        target = usable_path(path)
        table_file.check_suffix(target)
        with whole_file(target) as temporary:
            table_file.write(self.columns, self.rows, temporary)
        return target


def load_table(path: str | os.PathLike[str]) -> Table:
    """Read a table that `Table.save` wrote, or any other .csv or .parquet file with a header.

    In a CSV file of another program an empty cell is the empty text in a column of texts, in other columns None.
    Raises StoreError where there is no such file, or it cannot be read as a table.
    """
    columns, rows = table_file.read(usable_path(path))
    return Table(rows, columns)


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Replace a file whole or not at all, as `files.replacing` does, with errors in sentences.

    >>> with whole_file(directory / "result.txt") as temporary:
    ...     _ = temporary.write_text("complete")
    >>> (directory / "result.txt").read_text()
    'complete'

    Raises StoreError where the system refuses to write.
    """
    try:
        with replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise StoreError(
            f"{os.fspath(path)} cannot be written: {reason(error)} Nothing half-written was left behind."
        ) from error


@contextmanager
def whole_directory(path: str | os.PathLike[str], mark: str) -> Iterator[Path]:
    """Replace a directory whole or not at all, as `whole_file` does a file.

    >>> with whole_directory(directory / "made", "receipt.json") as temporary:
    ...     _ = (temporary / "receipt.json").write_text("{}")

    `mark`: the file by which a directory is known that may be replaced. Raises StoreError where there is a file, or a
    directory that holds others, and where the system refuses to write.
    """
    target = Path(path)
    check_replaceable(target, mark)
    try:
        with replacing_directory(target) as temporary:
            yield temporary
    except OSError as error:
        raise StoreError(
            f"{target} cannot be written: {reason(error)} Nothing half-written was left behind."
        ) from error


def check_replaceable(target: Path, mark: str) -> None:
    """Raise StoreError where `whole_directory` would."""
    if target.exists() and not target.is_dir():
        raise StoreError(f"{target} is a file, and a directory is to be written. Give another name.")
    if target.is_dir() and any(target.iterdir()) and not (target / mark).is_file():
        raise StoreError(
            f"The directory {target} holds files and no {mark}, so it was not written here before. Give a new "
            "directory, so that nothing is lost."
        )


def read_json(path: Path) -> Any:
    """Read a file of JSON. Raises StoreError where it is damaged, FileNotFoundError where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(
            f"{path} cannot be read: {one_line(error)} Move it away, or write it anew."
        ) from error


# -- values --


def _plain(value: Any) -> Value:
    """Turn a numpy scalar into the Python value that it stands for."""
    return value.item() if isinstance(value, np.generic) else value


def _check_row(row: object) -> None:
    if not isinstance(row, Mapping):
        raise StoreError(
            f"A row of a table is a mapping of names to values, and not of type {type(row).__name__}."
        )
    for name in row:
        if not isinstance(name, str):
            raise StoreError(f"The name of a column is a text, and not {name!r}.")


def _is_missing(value: Value) -> bool:
    return value is None or value != value


def _comparable(row: Row) -> list[Value]:
    return ["NaN" if value != value else value for value in row.values()]


def _pandas_type(values: Sequence[Value]) -> str | None:
    """Choose the type of a column where pandas would not choose well by itself."""
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return "object"
    if None not in values:
        return None
    if kinds == {int}:
        return "Int64" if fits_int64(values) else "object"
    return "boolean" if kinds == {bool} else None
