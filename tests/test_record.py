"""Tables and the results store: round trips, real crashes, real locks and real full disks."""

import contextlib
import itertools
import math
import os
import signal
import sqlite3
import string
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from unravelnet.errors import StoreError, UnknownNameError
from unravelnet.records.record import Table, load_table, whole_file
from unravelnet.records.store import ResultsStore, ShardRecord, canonical_text, trial_id
from unravelnet.records.table_file import TEXT_COLUMNS
from unravelnet.routes.route import Route

ROWS: list[dict[str, Any]] = [
    {
        "study": "delete_each",
        "route": "3",
        "module": 3,
        "kendall_tau": math.nan,
        "complete": True,
        "loss": 0.1,
    },
    {"study": "", "route": "none", "module": None, "kendall_tau": 1.0, "complete": False, "loss": 1e-300},
    {
        "study": 'a "b", c\nd',
        "route": "0-2,3s",
        "module": 0,
        "kendall_tau": -0.5,
        "complete": True,
        "loss": 3.0,
    },
]

# -- tables: the values --


def test_rows_columns_and_positions():
    table = Table([{"a": 1}, {"b": "x", "a": 2}])
    assert table.columns == ("a", "b")
    assert list(table) == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]
    assert table.rows == ({"a": 1, "b": None}, {"a": 2, "b": "x"})
    assert len(table) == 2
    assert table[-1] == {"a": 2, "b": "x"}


def test_a_table_does_not_change_with_the_rows_it_was_made_from():
    row = {"a": 1}
    table = Table([row])
    row["a"] = 2
    assert table[0] == {"a": 1}


def test_numpy_values_become_python_values():
    row = Table([{"a": np.int64(3), "b": np.float32(0.5), "c": np.bool_(True)}])[0]
    assert row == {"a": 3, "b": 0.5, "c": True}
    assert [type(value) for value in row.values()] == [int, float, bool]


def test_where_keeps_rows_in_order():
    table = Table(ROWS)
    assert table.where(complete=True).rows == (table[0], table[2])
    assert table.where(complete=True, module=0).rows == (table[2],)
    assert table.where(module=None).rows == (table[1],)
    assert table.where(module=99).columns == table.columns
    with pytest.raises(UnknownNameError, match=r"no column 'modul'\. Did you mean 'module'"):
        table.where(modul=3)


def test_tables_are_equal_by_columns_and_values():
    assert Table(ROWS) == Table(ROWS)
    assert Table(ROWS) != Table(ROWS[:2])
    assert Table(ROWS) != Table([{**ROWS[0], "loss": 0.2}, *ROWS[1:]])
    assert Table([{"a": math.nan}]) != Table([{"a": None}])
    assert Table([], ["a"]) != Table([], ["b"])
    assert Table(ROWS) != ROWS


def test_pandas_keeps_whole_numbers_and_missing_ones():
    frame = Table(ROWS).to_pandas()
    assert list(frame["module"].dropna()) == [3, 0]
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        "study": "str",
        "route": "str",
        "module": "Int64",
        "kendall_tau": "float64",
        "complete": "bool",
        "loss": "float64",
    }
    assert Table([{"a": True}, {"a": None}]).to_pandas()["a"].dtype == "boolean"
    assert Table([{"a": 2**200}, {"a": None}]).to_pandas()["a"][0] == 2**200
    assert Table([], ["a", "b"]).to_pandas().shape == (0, 2)


def test_a_table_shows_itself_as_one():
    assert "delete_each" in repr(Table(ROWS))
    assert "<table" in Table(ROWS)._repr_html_()
    assert len(repr(Table([{"a": i} for i in range(1000)])).splitlines()) < 30


def wide_table(n_rows=50):
    """Twelve columns that are the same in every row, then four that are not."""
    same = {f"same{i}": i for i in range(12)}
    return Table([{**same, **{f"own{i}": row * 10 + i for i in range(4)}} for row in range(n_rows)])


class Tags(HTMLParser):
    """Everything that a browser would act on, and the text beside it."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        self.text += data


def test_the_short_form_shows_the_columns_in_which_rows_differ_and_counts_the_rest():
    table = wide_table()
    page = Tags(table._repr_html_())
    # Beside the ten columns stands that of the positions.
    assert page.tags.count("th") == 11 + 21  # with the line of dots between the rows
    for text in (repr(table), page.text):
        assert all(f"own{i}" in text for i in range(4))
        assert "same5" in text
        assert "same6" not in text
        assert "Not shown: 30 of 50 rows and 6 of 16 columns." in text
    assert "Not shown" not in repr(Table(ROWS))


@pytest.mark.parametrize(
    "payload", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "&lt;b&gt;"]
)
def test_names_in_a_table_are_no_html_in_notebooks(payload):
    page = Tags(Table([{payload: payload}, {payload: 1}])._repr_html_())
    assert not {"script", "img"} & set(page.tags)
    assert "onerror" not in page.attributes
    assert page.text.count(payload) == 2


def test_notebooks_show_title_and_unit_below_the_names_that_code_takes():
    page = Table([{"error_rate": 0.25, "loss": 1.0, "own": 1}])._repr_html_()
    assert "<th>error_rate<br><small>Error (share)</small></th>" in page
    assert "<th>loss<br><small>Cross-entropy loss (nats)</small></th>" in page
    assert "<th>own</th>" in page


def test_what_cannot_be_told_apart_by_its_hash_is_shown():
    assert "[1, 2]" in repr(Table([{"a": [1, 2]}, {"a": {"b": 3}}]))


@pytest.mark.parametrize(
    ("rows", "phrase"),
    [([[1, 2]], "not of type list"), (["ab"], "not of type str"), ([{1: 2}], "is a text, and not 1")],
)
def test_rows_that_are_none_are_explained(rows, phrase):
    with pytest.raises(StoreError, match=phrase):
        Table(rows)


def test_names_in_a_table_do_not_move_the_cursor():
    shown = repr(Table([{"a\x1b[2J": "b\x9b1m\u202e"}]))
    assert shown.isprintable() or set(shown) - set(filter(str.isprintable, shown)) == {"\n"}
    assert r"b\x9b1m\u202e" in shown


# -- tables: columns, slices, order --


def test_columns_and_slices():
    table = Table(ROWS)
    assert table["module"] == [3, None, 0]
    assert table[1:] == Table(ROWS[1:], table.columns)
    assert table[::-1]["module"] == [0, None, 3]
    assert table[5:].columns == table.columns
    assert table[np.int64(0)] == table[0]
    assert (table.head(2), len(table.head())) == (table[:2], 3)
    with pytest.raises(UnknownNameError, match=r"no column 'los'\. Did you mean 'loss'"):
        table["los"]
    with pytest.raises(IndexError, match="There is no row 3: the table has 3 rows"):
        table[3]


@given(values=st.lists(st.floats() | st.none() | st.integers() | st.text(max_size=3)), down=st.booleans())
@settings(max_examples=60)
def test_sorting_puts_what_is_missing_last_and_keeps_the_order_of_equals(values, down):
    table = Table(
        [{"value": value, "place": place} for place, value in enumerate(values)], ["value", "place"]
    )
    found = table.sort("value", descending=down)
    missing = [value is None or value != value for value in found["value"]]
    assert missing == sorted(missing)
    assert sorted(found["place"]) == table["place"]
    for one, next_one in itertools.pairwise(found[: missing.count(False)]):
        a, b = (one, next_one) if not down else (next_one, one)
        if isinstance(a["value"], str) == isinstance(b["value"], str):
            assert a["value"] <= b["value"]
        else:
            assert isinstance(b["value"], str)
        assert one["value"] != next_one["value"] or one["place"] < next_one["place"]


def test_sorting_by_an_unknown_column_is_explained():
    with pytest.raises(UnknownNameError, match="Did you mean 'loss'"):
        Table(ROWS).sort("lss")


# -- tables: files --

# Numbers stand in columns of numbers: in "study" or "name" a cell 0 is the text "0".
names = st.text(string.ascii_lowercase, min_size=1, max_size=6).filter(lambda name: name not in TEXT_COLUMNS)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
floats = st.floats(allow_nan=True)
columns_of_numbers = st.sampled_from(
    [
        st.integers(-(2**63), 2**63 - 1) | st.none(),
        floats | st.none(),
        st.booleans() | st.none(),
        st.none(),
    ]
)


@st.composite
def tables(draw):
    n_rows = draw(st.integers(0, 5))
    column = {name: draw(columns_of_numbers) for name in draw(st.lists(names, unique=True, max_size=4))}
    column = {**column, "label": texts, "note": texts.map("text: ".__add__)}
    rows = [{name: draw(values) for name, values in column.items()} for _ in range(n_rows)]
    return Table(rows, list(column))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@given(table=tables())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_saved_is_loaded(suffix, table, tmp_path):
    loaded = load_table(table.save(tmp_path / f"table{suffix}"))
    assert loaded == table
    types = [[type(value) for value in row.values()] for row in table]
    assert [[type(value) for value in row.values()] for row in loaded] == types


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".CSV"])
def test_the_table_of_an_evaluation_is_loaded_as_it_was(suffix, tmp_path):
    table = Table(ROWS)
    path = table.save(tmp_path / f"deep/table{suffix}")
    assert path == tmp_path / f"deep/table{suffix}"
    assert load_table(str(path)) == table


@pytest.mark.parametrize("route", ["3", "3s", "0-2", "none"])
def test_texts_that_look_like_numbers_stay_texts(route, tmp_path):
    table = Table([{"route": route, "network": "123e4567", "data": "0012", "trial_id": "1", "label": "true"}])
    assert load_table(table.save(tmp_path / "t.csv")) == table


def test_whole_numbers_beyond_64_bits(tmp_path):
    table = Table([{"path_count": math.comb(110, 55)}])
    assert load_table(table.save(tmp_path / "t.csv")) == table
    with pytest.raises(StoreError, match=r"column 'path_count'; save the table as \.csv"):
        table.save(tmp_path / "t.parquet")
    assert not (tmp_path / "t.parquet").exists()


def test_mixed_kinds_in_one_column(tmp_path):
    table = Table([{"note": "text"}, {"note": 1.5}])
    with pytest.raises(StoreError, match=r"column 'note'; save the table as \.csv"):
        table.save(tmp_path / "t.parquet")


def test_pandas_and_pyarrow_read_what_is_saved(tmp_path):
    table = Table(ROWS)
    table.save(tmp_path / "t.csv")
    table.save(tmp_path / "t.parquet")
    from_csv = pd.read_csv(tmp_path / "t.csv")
    assert from_csv["loss"].tolist() == [0.1, 1e-300, 3.0]
    assert from_csv["complete"].tolist() == [True, False, True]
    assert parquet.read_table(tmp_path / "t.parquet")["module"].to_pylist() == [3, None, 0]


def test_files_of_other_programs_are_read(tmp_path):
    pd.DataFrame({"epoch": [0, 1], "loss": [0.5, 0.25]}).to_csv(tmp_path / "h.csv", index=False)
    assert load_table(tmp_path / "h.csv") == Table([{"epoch": 0, "loss": 0.5}, {"epoch": 1, "loss": 0.25}])
    parquet.write_table(pa.table({"epoch": [0, 1]}), tmp_path / "h.parquet")
    assert load_table(tmp_path / "h.parquet") == Table([{"epoch": 0}, {"epoch": 1}])


@pytest.mark.parametrize(
    ("name", "content", "phrase"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b"a,b\r\n1,2\r\n3", "Row 2 of .* has 1 cell, and its header 2"),
        ("t.csv", b"a\r\n\xff\xfe", "cannot be read as a table"),
        ("t.csv", b'a\r\n"never closed', "cannot be read as a table: unexpected end of data"),
        ("t.parquet", b"PAR1 cut off", "cannot be read as a table"),
        ("t.parquet", b"", "cannot be read as a table"),
        ("t.json", b"{}", r"stored as \.csv or \.parquet; the name 't\.json'"),
        ("t", b"", "has neither suffix"),
    ],
)
def test_files_that_are_no_tables_are_explained(name, content, phrase, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StoreError, match=phrase):
        load_table(tmp_path / name)


def test_a_missing_file_and_an_unknown_suffix_are_explained(tmp_path):
    with pytest.raises(StoreError, match="There is no table"):
        load_table(tmp_path / "none.csv")
    with pytest.raises(StoreError, match="neither suffix"):
        Table(ROWS).save(tmp_path / "t.xlsx")
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(StoreError, match="cannot be read as a table"):
        load_table(tmp_path / "d.csv")


# -- files, whole or not at all --


@contextlib.contextmanager
def files_limited_to(n_bytes):
    """A disk that takes only so many bytes a file, by the system's own limit."""
    resource = pytest.importorskip("resource", reason="file size limits are those of Unix")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_disk_that_is_full_leaves_the_old_table_and_nothing_else(suffix, tmp_path):
    path = Table(ROWS).save(tmp_path / f"t{suffix}")
    generator = np.random.default_rng(0)
    large = Table([{"value": float(value)} for value in generator.random(20_000)])
    with files_limited_to(8192), pytest.raises(StoreError, match=r"cannot be written.*Nothing half-written"):
        large.save(path)
    assert load_table(path) == Table(ROWS)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "t.txt"
    target.write_text("old")

    def write_half():
        with whole_file(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_place_that_is_no_directory_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Table(ROWS).save(tmp_path / "file" / "t.csv")


# -- names of trials --


def test_the_name_of_a_trial_depends_on_everything_that_its_result_depends_on():
    one = ("net", "data", "0-2", {"precision": "float32", "seed": 0})
    others = [
        ("NET", *one[1:]),
        ("net", "DATA", *one[2:]),
        ("net", "data", "0-1", one[3]),
        ("net", "data", "0-2", {"precision": "float32", "seed": 1}),
        ("netd", "ata", "0-2", one[3]),
    ]
    assert len({trial_id(*arguments) for arguments in [one, *others]}) == 6


def test_the_name_of_a_trial_does_not_depend_on_how_it_is_said():
    settings_of_trial = {"seed": 0, "precision": "float32"}
    first = trial_id("net", "data", Route.full(3), settings_of_trial)
    assert first == trial_id("net", "data", "0-2", {"precision": "float32", "seed": 0})
    assert first == trial_id("net", "data", "0-2", canonical_text(settings_of_trial))
    assert len(first) == 16


# -- the store --


def records_of(store, trials):
    """The only record of each trial."""
    records = list(store.shards(trials))
    assert [record.shard for record in records] == [0] * len(records)
    return {record.trial_id: record for record in records}


def a_trial(trial="a1", /, n_seen=100, complete=False, sums=None):
    return ShardRecord(
        trial, 0, "net", "digits", "0-2,3s", '{"seed":0}', n_seen, complete, sums or {"wrong": 7.0}
    )


def test_what_is_committed_is_found_again(tmp_path):
    records = [
        a_trial("a1", sums={"wrong": 0.1, "loss": 1e-17}),
        a_trial("a2", complete=True, sums={"n": 3, "loss": math.inf}),
    ]
    with ResultsStore(tmp_path / "new" / "run") as store:
        assert records_of(store, ["a1", "a2"]) == {}
        store.commit(records)
        assert records_of(store, ["a2", "a1", "unknown"]) == {"a1": records[0], "a2": records[1]}
    with ResultsStore(tmp_path / "new" / "run") as store:
        assert records_of(store, iter(["a1"])) == {"a1": records[0]}


@given(sums=st.dictionaries(names, st.floats(allow_nan=False) | st.integers(0, 2**60), min_size=1))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sums_come_back_exactly(sums, tmp_path):
    with ResultsStore(tmp_path) as store:
        store.commit([a_trial(sums=sums)])
        assert records_of(store, ["a1"]) == {"a1": a_trial(sums=sums)}


def test_nan_in_sums_comes_back(tmp_path):
    with ResultsStore(tmp_path) as store:
        store.commit([a_trial(sums={"loss": math.nan, "wrong": np.float32(2), "seen": np.int64(5)})])
        sums = records_of(store, ["a1"])["a1"].sums
    assert math.isnan(sums["loss"])
    assert (sums["wrong"], sums["seen"]) == (2.0, 5)


def test_a_partial_record_is_replaced_and_a_complete_one_never(tmp_path):
    half, more = a_trial(n_seen=50, sums={"wrong": 1}), a_trial(n_seen=100, sums={"wrong": 3})
    done, again = replace(more, complete=True), replace(more, complete=True, sums={"wrong": 4})
    with ResultsStore(tmp_path) as store:
        for record, kept in [(half, half), (more, more), (done, done), (again, done), (half, done)]:
            store.commit([record])
            assert records_of(store, ["a1"]) == {"a1": kept}


def test_shards_come_in_their_order_whatever_the_order_they_were_written_in(tmp_path):
    records = [replace(a_trial(trial, n_seen=10 + i), shard=i) for trial in ("a1", "a2") for i in range(12)]
    with ResultsStore(tmp_path) as store:
        for record in sorted(records, key=lambda record: record.shard % 5):
            store.commit([record])
        assert list(store.shards(["a2", "a1"])) == records


def test_many_trials_are_looked_up_at_once(tmp_path):
    # More than the number of separate parameters that SQLite allows.
    names_of_trials = [f"t{i}" for i in range(40_000)]
    with ResultsStore(tmp_path) as store:
        store.commit(a_trial(name) for name in names_of_trials[::4])
        assert sorted(records_of(store, names_of_trials)) == sorted(names_of_trials[::4])


def test_a_commit_is_all_or_nothing(tmp_path):
    with ResultsStore(tmp_path) as store:
        store.commit([a_trial("a1", sums={"wrong": 1})])
        impossible = replace(a_trial("a3"), network=None)
        with pytest.raises(StoreError, match="cannot be used"):
            store.commit([a_trial("a1", sums={"wrong": 2}), a_trial("a2"), impossible])
        assert records_of(store, ["a1", "a2", "a3"]) == {"a1": a_trial("a1", sums={"wrong": 1})}
        store.commit([a_trial("a2")])
        assert set(records_of(store, ["a1", "a2"])) == {"a1", "a2"}


def test_a_reader_sees_what_is_committed_while_the_writer_goes_on(tmp_path):
    with ResultsStore(tmp_path) as writer, ResultsStore(tmp_path) as reader:
        writer.commit([a_trial("a1")])
        assert set(records_of(reader, ["a1"])) == {"a1"}
        writer.commit([a_trial("a2")])
        assert set(records_of(reader, ["a1", "a2"])) == {"a1", "a2"}


WRITER = """
import sys
from unravelnet.records.store import ResultsStore, ShardRecord
directory, prefix = sys.argv[1:]
with ResultsStore(directory) as store:
    for i in range(50):
        names = [f"{prefix}{i}", "shared"]
        store.commit(ShardRecord(name, 0, "net", "d", "0-2", "{}", i, i == 49, {"n": 1.0}) for name in names)
"""


def test_several_processes_start_and_write_at_once(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    processes = [subprocess.Popen([*command, prefix], stderr=subprocess.PIPE, text=True) for prefix in "wxyz"]
    assert [process.communicate()[1] for process in processes] == [""] * 4
    expected = {f"{prefix}{i}" for prefix in "wxyz" for i in range(50)} | {"shared"}
    with ResultsStore(tmp_path) as store:
        assert set(records_of(store, expected)) == expected


KILLED = """
import sys
from unravelnet.records.store import ResultsStore, ShardRecord
store = ResultsStore(sys.argv[1])
for i in range(100_000):
    store.commit(
        ShardRecord(f"t{i}.{j}", 0, "net", "data", "0-2", "{}", i, True, {"wrong": float(i), "loss": i / 7})
        for j in range(3)
    )
    print(i, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL is a signal of Unix")
def test_a_killed_process_loses_nothing_that_it_had_committed(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        committed = [int(process.stdout.readline()) for _ in range(100)]
        os.kill(process.pid, signal.SIGKILL)
        committed += [int(line) for line in process.stdout.read().splitlines() if line]
    assert process.returncode == -signal.SIGKILL
    with ResultsStore(tmp_path) as store:
        known = records_of(store, [f"t{i}.{j}" for i in range(len(committed) + 2) for j in range(3)])
        # Every commit that was reported is there, and every one that is there is whole.
        assert {f"t{i}.{j}" for i in committed for j in range(3)} <= set(known)
        assert len(known) % 3 == 0
        for name, record in known.items():
            i = int(name[1:].partition(".")[0])
            assert record.sums == {"wrong": float(i), "loss": i / 7}
        store.commit([a_trial("after")])


# -- the store: what can go wrong --


def test_a_locked_store_is_explained(tmp_path):
    with ResultsStore(tmp_path, wait_seconds=0.05) as store:
        other = sqlite3.connect(tmp_path / "results.sqlite")
        other.execute("begin immediate")
        with pytest.raises(StoreError, match="another process is writing to it"):
            store.commit([a_trial()])
        other.rollback()
        store.commit([a_trial()])
        other.close()


def test_a_full_disk_is_explained_and_loses_nothing(tmp_path):
    with ResultsStore(tmp_path) as store:
        store.commit([a_trial("a1")])
        many = [a_trial(f"b{i}") for i in range(10_000)]
        with files_limited_to(32 * 1024), pytest.raises(StoreError, match=r"disk (is full|did not take)"):
            store.commit(many)
        assert records_of(store, (record.trial_id for record in many)) == {}
        assert set(records_of(store, ["a1"])) == {"a1"}
        store.commit([a_trial("a2")])
    with ResultsStore(tmp_path) as store:
        assert set(records_of(store, ["a1", "a2"])) == {"a1", "a2"}


def test_a_store_that_may_not_grow_is_full(tmp_path, monkeypatch):
    connect = sqlite3.connect

    def connect_to_a_small_disk(*args, **options):
        connection = connect(*args, **options)
        connection.execute("pragma max_page_count = 3")
        return connection

    monkeypatch.setattr("sqlite3.connect", connect_to_a_small_disk)
    with ResultsStore(tmp_path) as store:
        with pytest.raises(
            StoreError, match="the disk is full; free some space and run the same command again"
        ):
            store.commit(a_trial(f"b{i}") for i in range(1000))
        assert records_of(store, ["b0"]) == {}


@pytest.mark.parametrize("content", [b"not a database at all, but long enough" * 100, b"\x00" * 5000])
def test_a_file_that_is_no_store_is_explained_and_kept(content, tmp_path):
    (tmp_path / "results.sqlite").write_bytes(content)
    with pytest.raises(StoreError, match="not a SQLite file; move it away"):
        ResultsStore(tmp_path)
    assert (tmp_path / "results.sqlite").read_bytes() == content


def test_a_damaged_store_is_explained(tmp_path):
    with ResultsStore(tmp_path) as store:
        store.commit(a_trial(f"t{i}") for i in range(2000))
    path = tmp_path / "results.sqlite"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="it is damaged"), ResultsStore(tmp_path) as store:
        records_of(store, [f"t{i}" for i in range(2000)])


@pytest.mark.parametrize("statement", ["create table other (x)", "pragma user_version = 99"])
def test_a_store_of_another_program_or_version_is_explained_and_kept(statement, tmp_path):
    other = sqlite3.connect(tmp_path / "results.sqlite")
    other.execute(statement)
    other.commit()
    with pytest.raises(StoreError, match="not a results store of this version"):
        ResultsStore(tmp_path)
    tables_found = other.execute("select name from sqlite_master").fetchall()
    other.close()
    assert tables_found in ([("other",)], [])


def test_a_directory_that_cannot_be_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        ResultsStore(tmp_path / "file" / "run")
    (tmp_path / "results.sqlite").mkdir()
    with pytest.raises(StoreError, match="cannot be opened"):
        ResultsStore(tmp_path)


def test_a_closed_store_is_explained(tmp_path):
    with ResultsStore(tmp_path) as store:
        pass
    with pytest.raises(StoreError, match="closed"):
        records_of(store, ["a1"])


def test_nothing_but_the_store_is_left_after_closing(tmp_path):
    with ResultsStore(tmp_path) as store:
        store.commit([a_trial()])
    assert [path.name for path in Path(tmp_path).iterdir()] == ["results.sqlite"]
