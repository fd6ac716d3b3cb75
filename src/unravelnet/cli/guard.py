"""Every way that a command can end, as an exit status and, unless it went well, a sentence."""

from __future__ import annotations

import errno
import os
import shlex
import sqlite3
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TypeGuard

import typer

from unravelnet.cli.interruption import INTERRUPTED, InterruptionError, interruptible
from unravelnet.cli.streams import OutputError, ReaderGoneError, abandon, check_output, note
from unravelnet.errors import UnforeseenError, UnravelError, one_line
from unravelnet.escaping import for_terminal

_MISUSE, _FAILURE = 2, 1
# What the machine refuses, whatever the user asked for.
_MACHINE_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.EAGAIN}
)
_NO_SPACE = os.strerror(errno.ENOSPC)
_MACHINE_SQLITE_ERRORS = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY})
_TRACEBACK = "--traceback"
_MORE = f" Add {_TRACEBACK} to see where it happened."


def without_traceback(words: Sequence[str]) -> tuple[list[str], bool]:
    """Take --traceback out of the words of a command line, wherever it stands, and say whether it was there.

    >>> without_traceback(["report", "--traceback", "runs/digits"])
    (['report', 'runs/digits'], True)
    """
    end = words.index("--") if "--" in words else len(words)
    own = [word for word in words[:end] if word != _TRACEBACK]
    return [*own, *words[end:]], len(own) < end


def run_guarded(action: Callable[[], object], words: Sequence[str], *, with_traceback: bool = False) -> int:
    """Do something and return its exit status; an error has become a sentence on standard error.

    `words`: those of the command line, named where an error was not foreseen. `with_traceback`: show where an error
    happened before the sentence.
    """
    try:
        check_output()
        with interruptible(""):
            status = action()
        sys.stdout.flush()
    except BaseException as error:
        return _end(error, words, with_traceback=with_traceback)
    if status == INTERRUPTED:
        # Typer turns Ctrl-C into this status without a word.
        return _complain("Interrupted.", INTERRUPTED)
    return status if isinstance(status, int) else 0


def _end(error: BaseException, words: Sequence[str], *, with_traceback: bool) -> int:
    if isinstance(error, OSError | UnravelError | ReaderGoneError | SystemExit):
        _give_up_output()
    if _is_reader_gone(error):
        return 0
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else _FAILURE  # so end the options about completion
    if with_traceback and not isinstance(error, typer.TyperException):
        lines = "".join(traceback.format_exception(error)).rstrip().split("\n")
        note("\n".join(map(for_terminal, lines)))
    status = _complain(*_sentence_and_status(error, words))
    if _is_help(error):
        note(error.format_message())
    return status


def _sentence_and_status(error: BaseException, words: Sequence[str]) -> tuple[str, int]:
    if isinstance(error, typer.TyperException):
        return _usage(error), error.exit_code
    if isinstance(error, InterruptionError):
        return str(error), INTERRUPTED
    if isinstance(error, typer.Abort | KeyboardInterrupt):
        return "Interrupted.", INTERRUPTED
    if isinstance(error, UnforeseenError):
        return f"{error}{_MORE}", _FAILURE
    if isinstance(error, OutputError):
        return str(error), _FAILURE
    if isinstance(error, UnravelError):
        return str(error), _FAILURE if _is_failure(error) else _MISUSE
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}.", _FAILURE if _is_failure(error) else _MISUSE
    command = shlex.join(["unravelnet", *words])
    if isinstance(error, MemoryError):
        return f"There is not enough memory for `{command}`.", _FAILURE
    return f"`{command}` met an error that was not foreseen: {one_line(error)}{_MORE}", _FAILURE


def _complain(sentence: str, status: int) -> int:
    # A list stands in indented lines of its own; any other line break is written out.
    note("\n  ".join(map(for_terminal, f"unravelnet: {sentence}".split("\n  "))))
    return status


def _usage(error: typer.TyperException) -> str:
    """Say in a sentence what is wrong with the words of the command line, and where help is."""
    if _is_help(error):
        return "No command was given."
    text = error.format_message()
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "unravelnet"
    sentence = " ".join(text.replace("Value error, ", "").split())
    return f"{sentence}{'' if sentence.endswith(('.', '?')) else '.'} See: {command} --help."


def _is_help(error: BaseException) -> TypeGuard[typer.TyperException]:
    """Whether the message is the help itself, where no command was given."""
    return isinstance(error, typer.TyperException) and "\n\n" in error.format_message()


def _is_failure(error: BaseException | None) -> bool:
    """Whether the machine is to blame: some error behind this one is a full or broken disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _MACHINE_ERRORS:
            return True
        if _NO_SPACE in str(
            error
        ):  # from libraries that are not written in Python, and have no number for it
            return True
        if isinstance(error, sqlite3.Error):
            return getattr(error, "sqlite_errorcode", 0) & 0xFF in _MACHINE_SQLITE_ERRORS
        error = error.__cause__
    return False


def _is_reader_gone(error: BaseException) -> bool:
    # Typer makes a SystemExit of a help text that nobody reads to its end.
    return isinstance(error, ReaderGoneError) or (
        isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError)
    )


def _give_up_output() -> None:
    """Send what standard output does not take to nowhere; the end of the process would try it again."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        abandon(sys.stdout)
