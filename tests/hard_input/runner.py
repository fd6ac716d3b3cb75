"""Runs one row of a table of hard inputs, and checks what must hold for every one of them.

A row is a command line or a call in Python, with what must come of it written down beforehand. Whatever the row says,
a refusal is one sentence of ours, nothing is left behind, nothing of an input is run, and the process is as it was.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shlex
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

import unravelnet as un
from unravelnet.cli.command_line import run
from unravelnet.errors import UnforeseenError, UnravelError

MARK = "@MARK@"
"""Stands in files for the name of a file that exists only if what is in them was run."""

Content = str | bytes | Callable[[Path], object]
# Far more than a row takes on a machine that does ten other things; for what would never end, as a pipe that nobody
# writes.
_MOST_SECONDS = 300
_PRINTABLE = {"\n", "\t", "\r"}


@dataclass(frozen=True)
class Command:
    """A command line: its words, its exit status, a phrase of what it says, and what its JSON must be.

    `words`: {net} stands for the directory of a small network, {here} for the present directory. `files`: what lies in
    the present directory, by name: a text, bytes, or a function that makes it. `leaves`: names that may be new there.
    """

    name: str
    words: str | Sequence[str]
    status: int = 2
    says: str = ""
    value: Callable[[Any], object] | None = None
    files: Mapping[str, Content] = field(default_factory=dict)
    leaves: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """A call in Python: the error that it raises and a phrase of it, or what must hold of its result."""

    name: str
    do: Callable[[World], Any]
    error: type[UnravelError] | None = None
    says: str = ""
    value: Callable[[Any], object] | None = None
    files: Mapping[str, Content] = field(default_factory=dict)
    leaves: tuple[str, ...] = ()


@dataclass(frozen=True)
class World:
    """Where a row runs: an empty directory, and a small network in memory and on disk."""

    here: Path
    net: un.UnraveledNetwork
    stored: Path
    captured: pytest.CaptureFixture[str]

    @property
    def mark(self) -> Path:
        return self.here.parent / "mark"

    def check(self, row: Command | Call) -> None:
        for name, content in row.files.items():
            _make(self.here / name, content, str(self.mark))
        before, process = _files(self.here), _process()
        with _no_longer_than(_MOST_SECONDS):
            if isinstance(row, Command):
                self._check_command(row)
            else:
                self._check_call(row)
        after = _files(self.here)
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        extra = {name for name in changed if name.split("/")[0] not in row.leaves}
        assert not extra, f"left behind or changed: {sorted(extra)}"
        assert not self.mark.exists(), "a payload was run"
        assert _process() == process

    def _check_command(self, row: Command) -> None:
        words = shlex.split(row.words) if isinstance(row.words, str) else row.words
        self.captured.readouterr()
        status = run(
            [word.replace("{net}", str(self.stored)).replace("{here}", str(self.here)) for word in words]
        )
        out, err = self.captured.readouterr()
        assert status == row.status, f"status {status}: {err or out}"
        assert_clean(out + err)
        if status:
            assert out == "", "a refusal prints no results"
            _, *sentences = re.split(r"^(?=unravelnet: )", err, flags=re.MULTILINE)
            assert len(sentences) == 1, err
            assert_sentence(sentences[0].partition("Usage:")[0])
            assert row.says in sentences[0], sentences[0]
            return
        assert row.says in out + err, out + err
        if row.value is not None:
            value = json.loads(out)
            assert row.value(value), value

    def _check_call(self, row: Call) -> None:
        result, error = _outcome(row, self)
        if row.error is None:
            assert error is None, f"refused: {error}"
            assert row.value is None or row.value(result), result
            return
        assert error is not None, f"not refused, but gave {result!r}"
        assert isinstance(error, row.error), repr(error)
        assert not isinstance(error, UnforeseenError), error
        assert_clean(str(error))
        assert_sentence(str(error))
        assert row.says in str(error), error


class _TooLongError(BaseException):
    """A row did not end."""


@contextlib.contextmanager
def _no_longer_than(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _TooLongError(f"a row takes more than {seconds} seconds")

    before, start = signal.signal(signal.SIGALRM, stop), time.monotonic()
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    # It may have been caught on its way, and made a sentence of.
    assert time.monotonic() - start < seconds, f"a row takes more than {seconds} seconds"


def _outcome(row: Call, world: World) -> tuple[Any, UnravelError | None]:
    try:
        return row.do(world), None
    except UnravelError as error:
        return None, error


def table(*rows: Command | Call) -> Any:
    """Make one test of every row."""
    names = [row.name for row in rows]
    assert len(set(names)) == len(names), f"twice: {sorted({n for n in names if names.count(n) > 1})}"

    @pytest.mark.parametrize("row", rows, ids=names)
    def test(row: Command | Call, world: World) -> None:
        world.check(row)

    return test


def assert_clean(text: str) -> None:
    """Check that nothing of a library's insides and nothing that steers a terminal is shown."""
    assert "Traceback" not in text, text
    assert "not foreseen" not in text, text
    odd = {character for character in text if not character.isprintable()} - _PRINTABLE
    assert not odd, f"control characters {odd!r} in {text!r}"


def assert_sentence(text: str) -> None:
    """Check that a text is a sentence, or announces the list in the lines below it."""
    sentence, *lines = text.rstrip().split("\n  ")
    assert sentence.endswith(":" if lines else (".", "?")), f"no full stop: {text!r}"


def equal(expected: object) -> Callable[[Any], bool]:
    return lambda value: bool(value == expected)


def _make(path: Path, content: Content, mark: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if callable(content):
        content(path)
    elif isinstance(content, bytes):
        path.write_bytes(content.replace(MARK.encode(), mark.encode()))
    else:
        path.write_text(content.replace(MARK, mark), encoding="utf-8")


def _files(directory: Path) -> dict[str, object]:
    """List what is in a directory, with what is in each file."""
    return {str(path.relative_to(directory)): _content(path) for path in sorted(directory.rglob("*"))}


def _content(path: Path) -> object:
    return path.read_bytes() if path.is_file() and not path.is_symlink() else path.is_dir()


def _process() -> dict[str, object]:
    """What an input must not change."""
    return {
        "directory": Path.cwd(),
        "words": list(sys.argv),
        "path": list(sys.path),
        "dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "streams": [(stream, stream.closed) for stream in (sys.stdout, sys.stderr)],
        "files": [(file.st_dev, file.st_ino) for file in map(os.fstat, (1, 2))],
        "warnings": list(warnings.filters),
        "logging": (logging.root.manager.disable, logging.getLogger("unravelnet").disabled),
    }


def names_of(rows: Iterable[Mapping[str, Any]], column: str) -> list[Any]:
    return [row[column] for row in rows]
