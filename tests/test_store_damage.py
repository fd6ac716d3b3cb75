"""Stores that were damaged, cut off, or written by others: what is read is what was written, or a sentence."""

import contextlib
import hashlib
import json
import random
import sqlite3

import pytest

from unravelnet.errors import StoreError
from unravelnet.records.store import ResultsStore, ShardRecord

N_FLIPS = 250
# The form of version 1, as it was.
VERSION_1 = """
create table trials (
    trial_id text primary key, network text not null, data text not null, route text not null,
    settings text not null, n_seen integer not null, complete integer not null, sums text not null
) without rowid
"""
TRUTH = {
    f"t{i}": ShardRecord(
        f"t{i}",
        0,
        "net",
        "digits",
        f"0-{i}",
        '{"seed":0}',
        100 + i,
        i % 3 > 0,
        {"wrong": i / 7, "loss": float(i)},
    )
    for i in range(12)
}


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The bytes of a small whole store."""
    directory = tmp_path_factory.mktemp("whole")
    with ResultsStore(directory) as store:
        store.commit(TRUTH.values())
    return (directory / "results.sqlite").read_bytes()


def known(store):
    return {record.trial_id: record for record in store.shards(TRUTH)}


def read_and_complete(directory):
    """Read a store, write what it lacks, and read again, as an evaluation does; give what was read both times."""
    try:
        with ResultsStore(directory, wait_seconds=0) as store:
            found = known(store)
            store.commit(record for name, record in TRUTH.items() if name not in found)
            return found, known(store)
    except StoreError:
        return {}, {}


def assert_true_or_absent(found):
    assert all(record == TRUTH[name] for name, record in found.items())


def test_a_flipped_byte_is_never_read_as_a_result(content, tmp_path):
    generator = random.Random(0)
    # Most of the file is empty: what stands there matters to nobody.
    places = [place for place, byte in enumerate(content) if byte]
    outcomes = {"read": 0, "measured again": 0, "explained": 0}
    for _ in range(N_FLIPS):
        damaged = bytearray(content)
        damaged[generator.choice(places)] ^= 1 << generator.randrange(8)
        (tmp_path / "results.sqlite").write_bytes(damaged)
        for rest in tmp_path.glob("results.sqlite-*"):
            rest.unlink()
        first, second = read_and_complete(tmp_path)
        assert_true_or_absent(first)
        assert_true_or_absent(second)
        outcome = "read" if first == TRUTH else "measured again" if second else "explained"
        outcomes[outcome] += 1
    assert min(outcomes.values()) > N_FLIPS / 50, outcomes


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.8, 0.999])
def test_a_store_that_was_cut_off_is_explained_or_measured_again(share, content, tmp_path):
    (tmp_path / "results.sqlite").write_bytes(content[: int(share * len(content))])
    for found in read_and_complete(tmp_path):
        assert_true_or_absent(found)


DAMAGES = {
    "sums": "update trials set sums = '{}'",
    "no JSON": "update trials set sums = '{'",
    "no UTF-8": "update trials set sums = cast(x'7bff7d' as text)",
    "other sums": "update trials set sums = replace(sums, '.', '0.')",
    "seen": "update trials set n_seen = n_seen + 1",
    "complete": "update trials set complete = 1 - complete",
    "a text for a number": "update trials set n_seen = 'many'",
    "checksum": "update trials set checksum = null",
    "route": "update trials set route = '0'",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_rows_are_said_and_written_again(damage, content, tmp_path, caplog):
    (tmp_path / "results.sqlite").write_bytes(content)
    with contextlib.closing(sqlite3.connect(tmp_path / "results.sqlite")) as connection, connection:
        connection.execute(f"{DAMAGES[damage]} where trial_id in ('t1', 't3')")
    first, second = read_and_complete(tmp_path)
    assert set(TRUTH) - set(first) == {"t1", "t3"}
    assert_true_or_absent(first)
    assert second == TRUTH
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'results.sqlite'} holds 2 damaged results, which will be measured again."
    ]


def write_version_1(path, rows):
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(VERSION_1)
        connection.executemany("insert into trials values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("pragma user_version = 1")


COMPLETE = {name: record for name, record in TRUTH.items() if record.complete}


def test_what_a_store_of_version_1_had_finished_is_read_on(tmp_path, caplog):
    rows = [
        (name, "net", "digits", r.route, r.settings, r.n_seen, r.complete, f'{{"wrong": {r.sums["wrong"]!r}, '
         f'"loss": {r.sums["loss"]!r}}}')
        for name, r in TRUTH.items()
    ]  # fmt: skip
    write_version_1(tmp_path / "results.sqlite", rows)
    for _ in range(2):
        with ResultsStore(tmp_path) as store:
            assert known(store) == COMPLETE
    assert caplog.text == ""


def test_what_a_store_of_version_2_had_finished_is_read_on(tmp_path, caplog):
    rows = [
        (name, "net", "digits", r.route, r.settings, str(r.n_seen), str(int(r.complete)), json.dumps(r.sums))
        for name, r in TRUTH.items()
    ]
    damaged = next(iter(COMPLETE))
    write_version_1(tmp_path / "results.sqlite", rows)
    with contextlib.closing(sqlite3.connect(tmp_path / "results.sqlite")) as connection, connection:
        connection.execute("alter table trials add column checksum text")
        for row in rows:
            digest = hashlib.sha256(b"".join(f"{len(cell)}:{cell}".encode() for cell in row))
            connection.execute(
                "update trials set checksum = ? where trial_id = ?", (digest.hexdigest()[:16], row[0])
            )
        connection.execute("update trials set n_seen = 7 where trial_id = ?", (damaged,))
        connection.execute("pragma user_version = 2")
    with ResultsStore(tmp_path) as store:
        assert known(store) == {name: record for name, record in COMPLETE.items() if name != damaged}
    assert "holds 1 damaged result, which will be measured again" in caplog.text


def test_odd_rows_of_the_version_before_are_measured_again(tmp_path, caplog):
    odd = ["{}", "[]", "{", "null", "", 7]
    write_version_1(
        tmp_path / "results.sqlite",
        [(f"t{i}", "net", "digits", "0", "{}", 5, True, sums) for i, sums in enumerate(odd)],
    )
    first, second = read_and_complete(tmp_path)
    assert not set(first) & {f"t{i}" for i in range(len(odd))}
    assert second == TRUTH
    assert "holds 6 damaged results" in caplog.text


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_database_of_another_program_is_explained(version, tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "results.sqlite")) as connection, connection:
        connection.execute("create table trials (name text)" if version == 1 else "create table other (x)")
        connection.execute(f"pragma user_version = {version}")
    before = (tmp_path / "results.sqlite").read_bytes()
    with (
        pytest.raises(
            StoreError, match=r"damaged, or of another program; move it away to start anew \(no such"
        ),
        ResultsStore(tmp_path) as store,
    ):
        known(store)
    with contextlib.closing(sqlite3.connect(tmp_path / "results.sqlite")) as connection:
        assert connection.execute("pragma user_version").fetchone() == (version,)
    assert len(before) == (tmp_path / "results.sqlite").stat().st_size


def test_a_store_that_was_removed_meanwhile_is_no_success(tmp_path):
    with ResultsStore(tmp_path) as store:
        store.commit([TRUTH["t1"]])
        for path in tmp_path.iterdir():
            path.unlink()
        with pytest.raises(StoreError, match="was removed while it was written to"):
            store.commit([TRUTH["t2"]])
