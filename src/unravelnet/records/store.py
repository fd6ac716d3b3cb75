"""The results store that survives a crash.

It holds what a run has measured so far, finished or not, in one SQLite file with a write-ahead log: a killed process
loses at most what it had not committed, and a finished trial is never measured twice. It keeps sums; ratios are taken
when rows are made.
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
from typing import Any

import numpy as np

from unravelnet.errors import StoreError
from unravelnet.records import store_file
from unravelnet.records.files import usable_path
from unravelnet.routes.route import Route

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


@dataclass(frozen=True)
class ShardRecord:
    """The sums of one trial over one shard, a fixed range of the images.

    `shard`: its number, from 0. `network` and `data` are fingerprints, `route` a text, `settings` the canonical text of
    everything else that the sums depend on (see `canonical_text`). `n_seen`: how many images the shard has.
    `complete`: whether it is the last one of its trial, so that no more will be measured.
    """

    trial_id: str
    shard: int
    network: str
    data: str
    route: str
    settings: str
    n_seen: int
    complete: bool
    sums: dict[str, Any]


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
    """The file `results.sqlite` of a run: one row a trial and shard.

    >>> done = ShardRecord("a1", 0, "net", "digits", "0-2", "{}", 100, True, {"wrong": 7.0})
    >>> with ResultsStore(directory) as store:
    ...     store.commit([done])
    ...     [record.sums for record in store.shards(["a1", "a2"])]
    [{'wrong': 7.0}]

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

    def shards(self, trial_ids: Iterable[str]) -> Iterator[ShardRecord]:
        """Give what is known of these trials, by trial and shard; unknown and damaged records are left out.

        Damaged ones are counted in a warning of the log.
        """
        # One JSON text for all ids: SQLite limits the number of separate parameters.
        wanted = [json.dumps(list(trial_ids))]
        with self._explained():
            (n_damaged,) = self._connection.execute(store_file.COUNT_DAMAGED, wanted).fetchone()
            rows = self._connection.execute(store_file.READ, wanted)
        if n_damaged:
            _log.warning(
                "%s holds %d damaged %s, which will be measured again.",
                self.path,
                n_damaged,
                "result" if n_damaged == 1 else "results",
            )
        return self._records(rows)

    def _records(self, rows: Iterable[Sequence[Any]]) -> Iterator[ShardRecord]:
        # One by one: a long run has tens of thousands.
        with self._explained():
            yield from map(_record, rows)

    def settings_of(self, network: str) -> list[str]:
        """List the different settings with which a network has been measured, by its fingerprint."""
        with self._explained():
            return [text for (text,) in self._connection.execute(store_file.SETTINGS_OF_NETWORK, [network])]

    def commit(self, records: Iterable[ShardRecord]) -> None:
        """Write these records in one transaction: all of them or, if anything goes wrong, none.

        The last record of a trial never changes once it says that it is; others are replaced. Raises StoreError where
        the file was removed meanwhile.
        """
        rows = [
            (
                r.trial_id,
                r.shard,
                r.network,
                r.data,
                r.route,
                r.settings,
                r.n_seen,
                r.complete,
                _sums_text(r.sums),
            )
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


def _record(row: Sequence[Any]) -> ShardRecord:
    *as_stored, complete, sums = row
    return ShardRecord(*(*as_stored, bool(complete), json.loads(sums)))


def _sums_text(sums: Mapping[str, Any]) -> str:
    return json.dumps(
        {name: value.item() if isinstance(value, np.generic) else value for name, value in sums.items()}
    )
