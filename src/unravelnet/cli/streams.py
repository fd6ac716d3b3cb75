"""Standard output and standard error as they are found: closed, full, or of another encoding."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from unravelnet.errors import UnravelError
from unravelnet.lending import lent_streams

_FIRST_FREE = 3
# Where nobody looks at a terminal, lines may be as long as they are.
_UNLIMITED = 10_000
# Where results and remarks go while the standard streams are lent to code of others.
_results: TextIO | None = None
_remarks: TextIO | None = None


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

    Without it a single print in somebody's file would break `--json`. Whatever that file does to the standard streams,
    `write` and `note` keep theirs.
    """
    global _results, _remarks
    check_output()
    before = _results, _remarks
    with contextlib.ExitStack() as stack:
        _results, _remarks = _own(sys.stdout, stack), _own(sys.stderr, stack)
        stack.enter_context(lent_streams())
        stack.enter_context(_printed_to_standard_error())
        try:
            yield
        finally:
            _results, _remarks = before


def _own(stream: TextIO, stack: contextlib.ExitStack) -> TextIO:
    """Open the file of a stream once more, under a number that nobody else knows."""
    try:
        number = os.dup(stream.fileno())
    except (OSError, ValueError):
        return stream  # no file of the system
    stream.flush()
    return stack.enter_context(
        open(number, "w", encoding=stream.encoding, errors="backslashreplace", buffering=1)  # noqa: PTH123
    )


@contextlib.contextmanager
def _printed_to_standard_error() -> Iterator[None]:
    """Send there what is printed, also by other processes. For inside `lent_streams`, which takes it back."""
    with contextlib.suppress(OSError, ValueError):  # not files of the system
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with contextlib.redirect_stdout(sys.stderr):
        yield


def remarks() -> TextIO:
    """Give the stream of all that is no result."""
    return _remarks or sys.stderr


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
    stream = remarks()
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except (OSError, ValueError):
        abandon(stream)


def abandon(stream: TextIO | None) -> None:
    """Send what is left in a stream to nowhere, so that the end of the process does not try it again."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]  # None has no file
        os.close(nowhere)
