"""Paths: every option that takes one is given names that cannot be used, and things of another kind."""

from __future__ import annotations

import os
from pathlib import Path

from tests.hard_input.runner import Call, Command, equal, table
from unravelnet import Table, load_table, zoo
from unravelnet.errors import CheckpointError, PathError, StoreError, UnravelError


def _link_to(target):
    return lambda path: path.symlink_to(target)


def _loop(path):
    path.symlink_to(path.name)


def _folder(path):
    path.mkdir()


# What stands at the name `thing`, for those names that stand for something.
THINGS = {
    "a text file": "not a network",
    "an empty file": "",
    "an empty folder": _folder,
    "a dangling link": _link_to("nowhere"),
    "a loop of links": _loop,
    "a link to the empty device": _link_to("/dev/null"),
    "a pipe that nobody writes": os.mkfifo,
}
# Names that cannot be used whatever is on the disk.
NAMES = {
    "an unknown user": "~nosuchuser/x",
    "no UTF-8": "caf\udce9",
    "a longer name than may be": "x" * 300,
    "a longer path than may be": "x/" * 3000,
    "a zero byte": "a\x00b",
    "the empty device": "/dev/null",
    "the full device": "/dev/full",
    "below a file": "/etc/hostname/x",
    "kernel files": "/proc/self/mem",
    "spaces alone": "  ",
    "a line break": "a\nb",
    "an escape sequence": "\x1b[2J",
    "a name that turns the text round": "a\u202eb",
    "many dots": "../" * 40 + "nowhere",
    "a web address": "https://example.org/x",
}
# The system itself fails to read these; that is no misuse.
UNREADABLE = {("kernel files", door) for door in ("weights", "data", "a model of transformers")}
DOORS = {
    "a network": ["inspect", "PATH"],
    "weights": ["inspect", "{net}", "--weights", "PATH"],
    "data": ["lesion", "{net}", "--data", "PATH"],
    "a report": ["report", "PATH"],
    "a model of transformers": ["inspect", "hf:PATH"],
    "a Python file": ["inspect", "PATH.py:make"],
}


def _with(words, path):
    return [word.replace("PATH", path) for word in words]


test_names_that_cannot_be_read = table(
    *(
        Command(f"{name} as {door}", _with(words, path), 1 if (name, door) in UNREADABLE else 2, "")
        for door, words in DOORS.items()
        for name, path in NAMES.items()
    )
)

test_things_that_are_not_what_they_should_be = table(
    *(
        Command(f"{name} as {door}", _with(words, "thing"), 2, "", files={"thing": content})
        for door, words in DOORS.items()
        for name, content in THINGS.items()
        if door != "a Python file"
    ),
    *(
        Command(
            f"{name} as a Python file", "inspect thing.py:make", 2, "thing.py", files={"thing.py": content}
        )
        for name, content in THINGS.items()
    ),
)

OUT = {
    "an unknown user": "~nosuchuser/x",
    "no UTF-8": "caf\udce9",
    "a longer name than may be": "x" * 300,
    "the empty device": "/dev/null",
    "the full device": "/dev/full",
    "below a file": "/etc/hostname/x",
    "kernel files": "/proc/x",
    "a zero byte": "a\x00b",
    "nothing": "",
    "a file": "file",
    "below a file here": "file/x",
    "a dangling link": "dangling",
    "a loop of links": "loop",
    "a pipe": "pipe",
}
WRITERS = {
    "lesion": "lesion {net} --data digits --limit 8 --out",
    "paths": "paths {net} --data digits --limit 2 --out",
    "train": "train resnet8 --data digits --epochs 1 --out",
    "reproduce": "reproduce --quick --epochs 1 --out",
}
test_places_that_cannot_be_written = table(
    *(
        Command(
            f"{command}, {name}",
            [*words.split(), path],
            2,
            "",
            files={"file": "kept", "dangling": _link_to("/nowhere/x"), "loop": _loop, "pipe": os.mkfifo},
        )
        for command, words in WRITERS.items()
        for name, path in OUT.items()
    ),
    *(
        Command(
            f"Markdown, {name}",
            ["report", "{here}", "--markdown", path],
            2,
            "",
            files={"file": "kept", "pipe": os.mkfifo},
        )
        for name, path in OUT.items()
        if name
        in ("an unknown user", "no UTF-8", "a longer name than may be", "below a file", "nothing", "a pipe")
    ),
)

T = Table([{"a": 1}])


def _load(path):
    return lambda world: load_table(path)


def _save(path):
    return lambda world: T.save(path)


def _network(path):
    return lambda world: zoo.load(path)


test_paths_in_python = table(
    *(Call(f"load a table: {name}", _load(path), UnravelError) for name, path in NAMES.items()),
    *(
        Call(f"save a table: {name}", _save(path + ".csv"), UnravelError)
        for name, path in NAMES.items()
        if name in ("an unknown user", "no UTF-8", "a longer name than may be", "a zero byte", "below a file")
    ),
    *(Call(f"load a network: {name}", _network(path), UnravelError) for name, path in NAMES.items()),
    Call("a number", lambda world: load_table(3), PathError, "3"),
    Call("None", lambda world: load_table(None), PathError, "None"),
    Call("a list", lambda world: T.save(["a.csv"]), PathError, "a.csv"),
    Call("a table without an ending", lambda world: T.save("rows"), StoreError, ".csv"),
    Call("a table of another kind", lambda world: T.save("rows.xlsx"), StoreError, ".csv"),
    Call(
        "over a directory",
        lambda world: T.save("rows.csv"),
        StoreError,
        "rows.csv",
        files={"rows.csv": _folder},
    ),
    Call("a path of bytes", lambda world: load_table(b"rows.csv"), PathError, "rows.csv"),
    Call(
        "a network over a file",
        lambda world: zoo.save(world.net, "a"),
        CheckpointError,
        "a",
        files={"a": "kept"},
    ),
    Call(
        "names that may be used",
        lambda world: [T.save(Path(name)).name for name in ("ä ß.csv", "'.csv", "-x.csv", "a\nb.csv")],
        value=equal(["ä ß.csv", "'.csv", "-x.csv", "a\nb.csv"]),
        leaves=("ä ß.csv", "'.csv", "-x.csv", "a\nb.csv"),
    ),
)
