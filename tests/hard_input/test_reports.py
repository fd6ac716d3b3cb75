"""Directories of runs whose tables lack columns or hold odd values: a report or a sentence, and nothing that runs."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import torch

import unravelnet as un
from tests.hard_input.runner import Call, equal, table
from tests.reporting.pages import without_drawings
from unravelnet.errors import StoreError, UnravelError
from unravelnet.reporting import report, report_markdown

NETWORK = {"name": "net", "title": "A net", "role": "resnet", "n_modules": 3, "n_classes": 10}
PAYLOAD = "</script><script>alert(1)</script><img src=x onerror=alert(1)>[x](javascript:alert(1))\x1b[31m"
COLUMNS = ("study", "route", "module", "n_images", "error_rate")
ODD = {"a word": "x", "NaN": float("nan"), "below zero": -7}


def _rows(world, study="delete_each"):
    data = (torch.zeros(4, 1, 8, 8), torch.zeros(4, dtype=torch.long))
    return [dict(row) for row in un.evaluate(world.net, un.studies.delete_each(world.net), data)]


def _write(rows, network=NETWORK, facts=None):
    tables = Path("run/tables/net")
    tables.mkdir(parents=True)
    Path("run/run.json").write_text(json.dumps(facts or {}))
    Path("run/networks.json").write_text(json.dumps([network]))
    un.Table(rows).save(tables / "delete_each.csv")


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attrs):
        self.found.add(tag)
        self.found |= {name for name, _ in attrs if name.startswith("on")}


def _reported():
    """Write both reports: "done", or the sentence that refuses them."""
    try:
        page = report(Path("run")).read_text(encoding="utf-8")
        markdown = report_markdown(Path("run"), Path("run/page.md")).read_text(encoding="utf-8")
    except UnravelError as error:
        assert not Path("run/report.html").exists(), "nothing half-written"
        return str(error)
    tags = _Tags()
    tags.feed(page)
    assert not {"script", "img", "iframe", "onerror"} & tags.found
    assert not re.search(r"(?<!\\)<(script|img)|(?<!\\)\]\(javascript:|\x1b", markdown)
    return "done"


def _is_done_or_told(outcome):
    return outcome == "done" or ("run" in outcome and outcome.endswith((".", "?")))


def _row(name, do, value=_is_done_or_told):
    return Call(name, do, value=value, leaves=("run",))


def _without(column):
    def do(world):
        _write([{key: value for key, value in row.items() if key != column} for row in _rows(world)])
        with without_drawings():
            return _reported()

    return _row(f"no {column}", do)


def _filled(column, name, value):
    def do(world):
        _write([{**row, column: value} for row in _rows(world)])
        return _reported()

    return _row(f"{column} is {name}", do)


def _infinite(column):
    def do(world):
        _write([{**row, column: float("inf")} for row in _rows(world)])
        report(Path("run"))

    return Call(f"{column} is infinite", do, StoreError, column, leaves=("run",))


def _described(what, value=_is_done_or_told, **changes):
    def do(world):
        _write(_rows(world), {**NETWORK, **changes})
        return _reported()

    return _row(what, do, value)


def _refused(what, **changes):
    def do(world):
        _write(_rows(world), {**NETWORK, **changes})
        report(Path("run"))

    return Call(what, do, StoreError, "", leaves=("run",))


def _everywhere(world):
    _write(
        [{**row, "network_name": PAYLOAD, "data_name": PAYLOAD, "output": PAYLOAD} for row in _rows(world)],
        {**NETWORK, "title": PAYLOAD, "structure": PAYLOAD},
        {PAYLOAD: PAYLOAD, "command": [PAYLOAD], "packages": {PAYLOAD: PAYLOAD}, "commit": PAYLOAD},
    )
    return _reported()


def _empty(world):
    _write([])
    return _reported()


test_tables = table(
    *map(_without, COLUMNS),
    *(_filled(column, name, value) for column in ("error_rate",) for name, value in ODD.items()),
    *(_filled(column, "a word", "x") for column in ("error_rate_low", "module")),
    *(_infinite(column) for column in ("module", "n_images", "n_modules")),
    _row("a payload everywhere", _everywhere, equal("done")),
    _row("no rows", _empty),
    _described("more modules than in the table", n_modules=400),
    _refused("no modules", n_modules=0),
    _described("downsampling beyond the end", downsampling=[99]),
    _refused("a name that leaves the directory", name="../net"),
    _refused("a name that is a path", name="/etc"),
    _refused("a zero byte in a name", name="a\0b"),
    _refused("a name that is a number", name=3),
    _refused("a role that is none", role="king"),
    _refused("modules below zero", n_modules=-1),
    _refused("modules in words", n_modules="3"),
    _refused("half a module", n_modules=2.5),
    _refused("downsampling in words", downsampling=["a"]),
)  # fmt: skip
