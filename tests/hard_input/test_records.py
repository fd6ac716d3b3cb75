"""What runs leave behind, damaged, foreign or made to do harm: tables, stores, directories of reports and trainings."""

from __future__ import annotations

import os
import sqlite3
from functools import partial
from pathlib import Path

from tests.hard_input.runner import Call, Command, Content, equal, table
from unravelnet import ResultsStore, Table, load_table
from unravelnet.errors import StoreError, UnknownNameError

TEXTS = (
    "", " ", "3", "1e400", "null", "true", "nan", "'x", "''", "=1+1", "+1", "-1", "@x", "\t=1", "=cmd|' /C calc'!A0",
    'a"b', "a,b", "a\nb", "a\r\nb", "\ufeffx", "\x00", "\x1b[31m", "\u202e", "🙂", "\udce9", "[1]", "{}", '"x"', "x" * 40_000,
)  # fmt: skip
NUMBERS = (
    0,
    -0.0,
    1e-320,
    1.7976931348623157e308,
    float("nan"),
    float("inf"),
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    10**30,
)


def _round_trip(value, suffix=".csv"):
    rows = Table([{"label": value, "error_rate": 0.5}, {"label": value, "error_rate": None}])
    return load_table(rows.save(f"rows{suffix}")) == rows


def _row(function, value, world):
    return function(value)


def _formula_free(value):
    Table([{"label": value}]).save("rows.csv")
    cell = Path("rows.csv").read_bytes().split(b"\n", 1)[1].decode("utf-8", "surrogateescape").lstrip('"')
    return not cell.startswith(("=", "+", "@", "\t", "-"))


test_tables_round_trip = table(
    *(
        Call(f"text {value[:20]!r}", partial(_row, _round_trip, value), value=equal(True), leaves=("rows.csv",))
        for value in TEXTS
    ),
    *(
        Call(f"number {value!r}", partial(_row, _round_trip, value), value=equal(True), leaves=("rows.csv",))
        for value in NUMBERS
    ),
    *(
        Call(f"no formula {value[:20]!r}", partial(_row, _formula_free, value), value=equal(True), leaves=("rows.csv",))
        for value in TEXTS
        if value[:1] in "=+@\t" and value
    ),
    Call("no rows", lambda world: len(load_table(Table([], ["a"]).save("rows.csv"))), value=equal(0), leaves=("rows.csv",)),
    Call("a list in a cell", lambda world: Table([{"a": [1]}]).save("rows.csv"), StoreError, "a"),
    Call("a number too large for Parquet", lambda world: _round_trip(10**30, ".parquet"), StoreError, "Parquet"),
    Call("numbers and texts in Parquet", lambda world: Table([{"a": 1}, {"a": "x"}]).save("a.parquet"), StoreError, "a"),
)  # fmt: skip

FILES = {
    "nothing": b"",
    "a broken quotation": b'a,b\n"x,1\n',
    "a row too short": b"a,b\n1\n",
    "a row too long": b"a,b\n1,2,3\n",
    "a name twice": b"a,a\n1,2\n",
    "a zero byte": b"a\n\x00\n",
    "half a quotation": b'a\n"x"y\n',
    "Parquet named CSV": b"PAR1" + bytes(40) + b"PAR1",
    "only zeros": bytes(100),
}
test_tables_of_others = table(
    *(
        Call(name, lambda world: load_table("rows.csv"), StoreError, "rows.csv", files={"rows.csv": content})
        for name, content in FILES.items()
        if name not in ("a zero byte", "a name twice", "Parquet named CSV", "only zeros")
    ),
    *(
        Call(f"{name} as Parquet", lambda world: load_table("rows.parquet"), StoreError, "rows.parquet", files={"rows.parquet": content})
        for name, content in FILES.items()
    ),
    Call("no such column", lambda world: Table([{"a": 1}])["b"], UnknownNameError, "'b'"),
    Call("sorted by no column", lambda world: Table([{"a": 1}]).sort("b"), UnknownNameError, "'b'"),
    Call("where no column", lambda world: Table([{"a": 1}]).where(b=1), UnknownNameError, "'b'"),
    Call("sorted with texts and None", lambda world: Table([{"a": v} for v in ("x", 2, None, 1)]).sort("a")["a"], value=equal([1, 2, "x", None])),
    Call("Latin-1", lambda world: load_table("rows.csv"), StoreError, "rows.csv", files={"rows.csv": b"a\ncaf\xe9\n"}),
)  # fmt: skip


def _database(*statements):
    def make(path):
        connection = sqlite3.connect(path)
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()

    return make


STORES = {
    "a text": "not a database",
    "half a header": b"SQLite for",
    "a header alone": b"SQLite format 3\x00" + bytes(84),
    "zeros": bytes(4096),
    "a folder": os.mkdir,
    "a foreign table": _database("create table songs (name text)"),
    "a table of our name": _database("create table trials (name text)", "pragma user_version = 1"),
    "a later version": _database("pragma user_version = 999"),
    "a view of our name": _database("create view trials as select 1", "pragma user_version = 2"),
    "a link that leads nowhere": lambda path: path.symlink_to("/nowhere/x"),
}


def _opened():
    with ResultsStore("out") as store:
        store.progress(["a"])


LESION = "lesion {net} --data digits --limit 8 --out out --json"
RUN = {"networks.json": "[]", "run.json": "{}"}
test_stores = table(
    *(
        Command(f"{name}", LESION, 2, "results.sqlite", files={"out/results.sqlite": content}, leaves=("out",))
        for name, content in STORES.items()
    ),
    *(
        Call(f"{name}, in Python", lambda world: _opened(), StoreError, "results.sqlite", files={"out/results.sqlite": content}, leaves=("out",))
        for name, content in STORES.items()
    ),
    Command("an empty store is a new one", LESION, 0, "", lambda v: len(v["studies"]["delete_each"]) == 4, {"out/results.sqlite": b""}, ("out",)),
)  # fmt: skip

JSONS: dict[str, Content] = {
    "nothing": "",
    "no JSON": "{",
    "a list": "[]",
    "a number": "3",
    "null": "null",
    "a text": '"x"',
    "binary": b"\xff\xfe\x00",
    "very deep": "[" * 20_000,
    "a very long number": "9" * 5_000,
    "other fields": '{"a": {"b": [1, null, NaN]}}',
    "a list of numbers": "[1, 2]",
    "a list of odd networks": '[{"name": 3, "n_modules": "x"}]',
    "networks": '{"networks": [{"name": "../../etc", "title": null}]}',
}
ROWS = "study,label,route,module,error_rate,network_name,data_name\n"


def _reports(what, name):
    """A directory whose `name` holds odd JSON is refused, or reported without what it does not have."""
    for kind, content in JSONS.items():
        if kind == "a list":
            continue  # no networks are none
        beside = {
            "run/resnet/delete_each.csv": f"{ROWS}delete_each,intact,0,,0.1,a,b\n",
            "run/resnet/network.json": "{}",
        }
        files = {**{f"run/{key}": value for key, value in RUN.items()}, **beside, f"run/{name}": content}
        yield Command(f"{what}: {kind}", "report run --json", 2, "", files=files)


test_reports = table(
    *_reports("networks.json", "networks.json"),
    Command("a run of nothing", "report run", 2, "run", files={"run/a": "x"}),
    Command("only a table", "report run", 2, "run", files={"run/delete_each.csv": ROWS}),
    Command("a folder for a table", "report run", 2, "run", files={"run/delete_each.csv": os.mkdir}),
)

NETWORKS: dict[str, dict[str, Content]] = {
    "no description": {"weights.safetensors": b""},
    "no weights": {"network.json": "{}"},
    **{
        f"description: {name}": {"network.json": content, "weights.safetensors": b""}
        for name, content in JSONS.items()
    },
}
test_stored_networks = table(
    *(
        Command(name, "inspect x", 2, "", files={f"x/{path}": content for path, content in files.items()})
        for name, files in NETWORKS.items()
    ),
)

TRAIN = "train resnet8 --data digits --epochs 1 --out out --json"
test_trainings = table(
    *(
        Command(
            f"a description: {name}", TRAIN, 2, "",
            files={"out/training.json": content, "out/network.json": content, "out/model.safetensors": b"x"},
        )
        for name, content in JSONS.items()
    ),
    Command("into the directory of another network", "train resnet8 --data digits --epochs 1 --out {net}", 2, ""),
    Command("into the directory of a run", TRAIN, 2, "", files={"out/run.json": '{"command": ["x"]}', "out/networks.json": "[]"}),
)  # fmt: skip
