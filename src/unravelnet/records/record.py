"""Rows, tables, and the results store that survives a crash.

A `Table` holds finished rows, in memory and as a file. A `ResultsStore` holds what a run has measured so far,
finished or not, in one SQLite file with a write-ahead log: a killed process loses at most what it had not
committed, and a finished trial is never measured twice. It keeps sums; ratios are taken when rows are made.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np

from unravelnet.errors import StoreError, one_line, unknown_name
from unravelnet.records import store_file, table_file, table_view
from unravelnet.records.files import reason, replacing, usable_path
from unravelnet.records.table_file import Row, Value, fits_int64
from unravelnet.routes.route import Route
from unravelnet.wording import counted

if TYPE_CHECKING:
    import pandas as pd


_log = logging.getLogger(__name__)

_REASON_OF_SQLITE_ERROR = {
    sqlite3.SQLITE_BUSY: "another process is writing to it; let that run end, or give this one its own",
    sqlite3.SQLITE_FULL: "the disk is full; free some space and run the same command again to go on",
    sqlite3.SQLITE_IOERR: "the disk did not take or give the data; check its space and health and run again",
    sqlite3.SQLITE_READONLY: "it is read-only; change its permissions or give another directory",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that the directory is there and may be written to",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite file; move it away to start anew",
    sqlite3.SQLITE_CORRUPT: "it is damaged; move it away to start anew",
}


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

        columns = {name: [row[name] for row in self] for name in self.columns}
        return pd.DataFrame(
            {name: pd.Series(values, dtype=_pandas_type(values)) for name, values in columns.items()},
            index=range(len(self)),
        )

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


@dataclass(frozen=True)
class TrialProgress:
    """What has been measured of one trial: sums over the images seen so far.

    `network` and `data` are fingerprints, `route` a text, `settings` the canonical text of everything else
    that the sums depend on (see `canonical_text`). `n_seen`: images seen. `complete`: no more will be.
    """

    trial_id: str
    network: str
    data: str
    route: str
    settings: str
    n_seen: int
    complete: bool
    sums: dict[str, float]


def canonical_text(settings: Mapping[str, Any]) -> str:
    """Write settings as the one JSON text that equal settings share.

    >>> canonical_text({"precision": "float32", "batch_size": 250})
    '{"batch_size":250,"precision":"float32"}'
    """
    return json.dumps(settings, sort_keys=True, separators=(",", ":"))


def trial_id(network: str, data: str, route: Route | str, settings: Mapping[str, Any] | str) -> str:
    """Name a trial by what determines its result: the same wherever and whenever it runs.

    >>> trial_id("net", "digits", Route.full(3), {"seed": 0})
    'cc3162db96aef1a1'

    `network` and `data` are fingerprints. `settings`: a mapping, or its `canonical_text`.
    """
    text = settings if isinstance(settings, str) else canonical_text(settings)
    return hashlib.sha256(json.dumps([network, data, str(route), text]).encode()).hexdigest()[:16]


class ResultsStore:
    """The file `results.sqlite` of a run: one row a trial, partial or complete.

    >>> done = TrialProgress("a1", "net", "digits", "0-2", "{}", 100, True, {"wrong": 7.0})
    >>> with ResultsStore(directory) as store:
    ...     store.commit([done])
    ...     store.progress(["a1", "a2"])["a1"].sums
    {'wrong': 7.0}

    `directory` is made if needed. `wait_seconds`: how long to wait for another process that writes. Others
    may read while one writes. Every row has a checksum. Raises StoreError where the file is damaged,
    locked, of another program or version, or the disk is full.
    """

    def __init__(self, directory: str | os.PathLike[str], *, wait_seconds: float = 30.0) -> None:
        self.path = usable_path(directory) / "results.sqlite"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"The directory {self.path.parent} cannot be made: {error.strerror}. Give another one."
            ) from error
        with self._explained():
            self._connection = sqlite3.connect(self.path, timeout=wait_seconds)
        try:
            with self._explained():
                store_file.prepare(self._connection, self.path)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> ResultsStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. What was committed stays."""
        self._connection.close()

    def progress(self, trial_ids: Iterable[str]) -> dict[str, TrialProgress]:
        """Look up what is known of these trials, by their ids; unknown and damaged ones are left out.

        Damaged ones are counted in a warning of the log.
        """
        # One JSON text for all ids: SQLite limits the number of separate parameters.
        wanted = [json.dumps(list(trial_ids))]
        with self._explained():
            rows = self._connection.execute(store_file.READ, wanted).fetchall()
            (n_damaged,) = self._connection.execute(store_file.COUNT_DAMAGED, wanted).fetchone()
            records = [_record(row) for row in rows]
        if n_damaged:
            _log.warning(
                "%s holds %d damaged %s, which will be measured again.",
                self.path,
                n_damaged,
                "result" if n_damaged == 1 else "results",
            )
        return {record.trial_id: record for record in records}

    def settings_of(self, network: str) -> list[str]:
        """List the different settings with which a network has been measured, by its fingerprint."""
        with self._explained():
            return [text for (text,) in self._connection.execute(store_file.SETTINGS_OF_NETWORK, [network])]

    def commit(self, records: Iterable[TrialProgress]) -> None:
        """Write these records in one transaction: all of them or, if anything goes wrong, none.

        A partial record is replaced, and a damaged one; a complete one never changes. Raises StoreError where the
        file was removed meanwhile.
        """
        rows = [
            (r.trial_id, r.network, r.data, r.route, r.settings, r.n_seen, r.complete, _sums_text(r.sums))
            for r in records
        ]
        with self._explained(), self._connection:
            self._connection.executemany(store_file.WRITE, map(store_file.with_checksum, rows))
        if not self.path.exists():
            # The system keeps a removed file for those who have it open, and for nobody else.
            raise StoreError(f"The results store {self.path} was removed while it was written to. Run again.")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an error of SQLite into a sentence."""
        try:
            yield
        except (
            sqlite3.Error,
            UnicodeError,
        ) as error:  # messages of SQLite quote what is damaged, UTF-8 or not
            # The lower byte is the kind of error; higher ones give detail.
            code = getattr(error, "sqlite_errorcode", -1) & 0xFF
            reason = _REASON_OF_SQLITE_ERROR.get(code)
            if reason is None and isinstance(error, sqlite3.OperationalError | UnicodeError):
                reason = f"it is damaged, or of another program; move it away to start anew ({error})"
            raise StoreError(f"The results store {self.path} cannot be used: {reason or error}.") from error


def _record(row: Sequence[Any]) -> TrialProgress:
    *as_stored, complete, sums = row
    return TrialProgress(*(*as_stored, bool(complete), json.loads(sums)))


def _sums_text(sums: Mapping[str, float]) -> str:
    return json.dumps({name: _plain(value) for name, value in sums.items()})


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
