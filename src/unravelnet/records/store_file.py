"""The SQLite file of a results store: its form, its versions, and a checksum in every row.

SQLite notices damage to its own pages, not to what stands in them. A row whose checksum does not fit is as good as
absent: it is not read, and it may be written again, also where it says that it is complete. `store.ResultsStore` is
the room to use a store from.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from unravelnet.errors import StoreError

_VERSION = 3
COLUMNS = ("trial_id", "shard", "network", "data", "route", "settings", "n_seen", "complete", "sums")
_TYPES = dict.fromkeys(COLUMNS, "text") | dict.fromkeys(("shard", "n_seen", "complete"), "integer")
# As bytes, for a damaged text may be no UTF-8.
_IS_WHOLE = (
    f"trials.checksum is row_checksum({', '.join(f'cast(trials.{name} as blob)' for name in COLUMNS)})"
)
_VERSION_AND_TABLES = "select user_version, (select count(*) from sqlite_master) from pragma_user_version"
_SCHEMA = """
create table trials (
    trial_id text not null,
    shard integer not null,
    network text not null,
    data text not null,
    route text not null,
    settings text not null,
    n_seen integer not null,
    complete integer not null,
    sums text not null,
    checksum text,
    primary key (trial_id, shard)
) without rowid
"""
# Before version 3 a row held all images of a trial; of a complete one that is the same as its only shard. Version 1 had
# no checksums. A row that is not whole gets none, which marks it as damaged.
_OLDER_COLUMNS = [name for name in COLUMNS if name != "shard"]
_OLDER_IS_WHOLE = {
    1: "case when json_valid(sums) then json_type(sums) = 'object' and sums <> '{}' and typeof(n_seen) = 'integer' end",
    2: f"checksum is row_checksum({', '.join(f'cast({name} as blob)' for name in _OLDER_COLUMNS)})",
}
_TAKE_OVER = f"""
insert into trials
select {", ".join("0" if name == "shard" else name for name in COLUMNS)}, case when is_whole then row_checksum(
    {", ".join("cast(0 as blob)" if name == "shard" else f"cast({name} as blob)" for name in COLUMNS)}
) end
from (select *, %s as is_whole from older) where complete
"""
WRITE = f"""
insert into trials values ({", ".join("?" * (len(COLUMNS) + 1))})
on conflict (trial_id, shard) do update set
    {", ".join(f"{name} = excluded.{name}" for name in (*COLUMNS[2:], "checksum"))}
where not (trials.complete and {_IS_WHOLE})
"""
_OF_TRIALS = "from trials where trial_id in (select value from json_each(?))"
# A flipped bit can make a text a row of bytes with the same content, which is then as good.
READ = (
    f"select {', '.join(f'cast({name} as {_TYPES[name]})' for name in COLUMNS)} {_OF_TRIALS} and {_IS_WHOLE} "
    "order by trial_id, shard"
)
SETTINGS_OF_NETWORK = f"select distinct cast(settings as text) from trials where network = ? and {_IS_WHOLE}"
COUNT_DAMAGED = f"select count(*) {_OF_TRIALS} and not ({_IS_WHOLE})"


def checksum(*cells: bytes | None) -> str:
    """Compute the checksum of a row from its columns, as bytes, in the order of COLUMNS."""
    digest = hashlib.sha256()
    for cell in cells:
        digest.update(b"none" if cell is None else b"%d:%b" % (len(cell), cell))
    return digest.hexdigest()[:16]


def with_checksum(row: Sequence[Any]) -> tuple[Any, ...]:
    """Append its checksum to a row."""
    return (*row, checksum(*(str(int(cell) if isinstance(cell, bool) else cell).encode() for cell in row)))


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the table in a new file, or bring an older one to the present version.

    Raises StoreError where the file is of another program or a newer version.
    """
    connection.create_function("row_checksum", -1, checksum, deterministic=True)
    # In one statement: another process may be making the table just now.
    version, n_tables = connection.execute(_VERSION_AND_TABLES).fetchone()
    if version not in (*_OLDER_IS_WHOLE, _VERSION) and (version or n_tables):
        raise StoreError(
            f"{path} is not a results store of this version of unravelnet (it says {version}, expected {_VERSION}). "
            "Give another directory, or use the version that wrote it."
        )
    # Refused while another process opens the file, which then does the same.
    with suppress(sqlite3.OperationalError):
        connection.execute("pragma journal_mode = wal")
    # Safe against a killed process; a power cut may lose the last commits, and never damages the file.
    connection.execute("pragma synchronous = normal")
    if version < _VERSION:
        _bring_up_to_date(connection)


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    with connection:
        connection.execute("begin immediate")
        # Looking again under the lock: of two processes that start at once only one does it.
        version, n_tables = connection.execute(_VERSION_AND_TABLES).fetchone()
        if (version, n_tables) == (0, 0):
            connection.execute(_SCHEMA)
        elif version in _OLDER_IS_WHOLE:
            connection.execute("alter table trials rename to older")
            connection.execute(_SCHEMA)
            connection.execute(_TAKE_OVER % _OLDER_IS_WHOLE[version])
            connection.execute("drop table older")
        connection.execute(f"pragma user_version = {_VERSION}")
