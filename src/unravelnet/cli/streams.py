"""Standard output and standard error as they are found: closed, full, or of another encoding."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import IO

from unravelnet.errors import UnravelError

_FIRST_FREE = 3


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


def write(text: str) -> None:
    """Write text to standard output. Raises OutputError where that fails, ReaderGoneError where nobody reads on."""
    check_output()
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise ReaderGoneError from error
    except OSError as error:
        raise OutputError(f"Standard output cannot be written to: {error.strerror or error}.") from error


def note(text: str) -> None:
    """Write a line to standard error; where that fails nobody can be told."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        abandon(sys.stderr)


def abandon(stream: IO[str] | None) -> None:
    """Send what is left in a stream to nowhere, so that the end of the process does not try it again."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]  # None has no file
        os.close(nowhere)
