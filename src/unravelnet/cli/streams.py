"""Standard output and standard error as they are found: closed, full, or of another encoding."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from unravelnet.errors import UnravelError

_FIRST_FREE = 3
# Where nobody looks at a terminal, lines may be as long as they are.
_UNLIMITED = 10_000
# Where results go while something else is where standard output was.
_results: TextIO | None = None


class OutputError(UnravelError):
    """Standard output does not take what was found."""


class ReaderGoneError(Exception):
    """Whoever read standard output has stopped, as `head` does; there is nothing to say and nobody to tell."""


def prepare() -> None:
    """Give every standard stream a file, and let no character stop the output.

    A file that is opened while standard output is closed would take its number, and then be written to by whatever
    prints.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < _FIRST_FREE:
        pass
    os.close(number)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def check_output() -> None:
    """Raise OutputError where standard output is closed: results could not be printed."""
    if sys.stdout is None:
        raise OutputError(
            "Standard output is closed, so that no result can be printed. Direct it to a file, or to /dev/null."
        )


@contextlib.contextmanager
def results_apart() -> Iterator[None]:
    """Let only `write` reach standard output; what models, libraries and their processes print goes to standard error.

    Without it a single print in somebody's file would break `--json`.
    """
    global _results
    check_output()
    before, printed = _results, sys.stdout
    with contextlib.ExitStack() as stack:
        _results = _moved(printed, stack)
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        try:
            yield
        finally:
            _results = before


def _moved(stream: TextIO, stack: contextlib.ExitStack) -> TextIO:
    """Give standard output another number, and its own to standard error until the stack is closed."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return stream  # no file of the system, so that no other process prints there
    stream.flush()
    file = open(os.dup(number), "w", encoding=stream.encoding, errors="backslashreplace")  # noqa: SIM115, PTH123
    stack.enter_context(file)
    os.dup2(sys.stderr.fileno(), number)
    stack.callback(os.dup2, file.fileno(), number)
    return file


def width() -> int:
    """Say how many characters a line of results may have."""
    stream = _results or sys.stdout
    if not stream.isatty():
        return _UNLIMITED
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdecimal() else os.get_terminal_size(stream.fileno()).columns


def write(text: str) -> None:
    """Write text to standard output. Raises OutputError where that fails, ReaderGoneError where nobody reads on."""
    check_output()
    stream = _results or sys.stdout
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError as error:
        abandon(stream)
        raise ReaderGoneError from error
    except OSError as error:
        abandon(stream)
        raise OutputError(f"Standard output cannot be written to: {error.strerror or error}.") from error


def note(text: str) -> None:
    """Write a line to standard error; where that fails nobody can be told."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        abandon(sys.stderr)


def abandon(stream: TextIO | None) -> None:
    """Send what is left in a stream to nowhere, so that the end of the process does not try it again."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]  # None has no file
        os.close(nowhere)
