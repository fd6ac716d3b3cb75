"""Ctrl-C as one sentence that says what is kept, from the first moment on.

Imports little, since it is imported first.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import NoReturn

INTERRUPTED = 130
"""The exit status after Ctrl-C."""

_IMPORT_MACHINERY = "<frozen importlib._bootstrap>"
_SHOW_CURSOR = "\x1b[?25h"
# What is kept, of the regions that are being run, innermost last.
_kept: list[str] = []
# The signals that came since the outermost region began.
_signals: list[int] = []


class InterruptionError(Exception):
    """The user pressed Ctrl-C; the message says what is kept."""


def interruptions_are_sentences() -> None:
    """Let Ctrl-C end this process with a sentence, wherever it is."""
    signal.signal(signal.SIGINT, interrupt)


def end(status: int) -> NoReturn:
    """End the process with a status that another Ctrl-C does not change."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if status == INTERRUPTED:
        # Python may have noted the interruption, and would then end itself by the signal and not with the status.
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(status)
    sys.exit(status)


@contextlib.contextmanager
def interruptible(kept: str) -> Iterator[None]:
    """Turn Ctrl-C inside into an InterruptionError that says what is kept.

    A library that was interrupted may raise an error of its own instead; that counts as the interruption it was.
    """
    if not _kept:
        _signals.clear()
    _kept.append(kept)
    try:
        yield
    except InterruptionError:
        raise
    except KeyboardInterrupt as error:
        raise InterruptionError(_sentence()) from error
    except Exception as error:
        if _signals:
            raise InterruptionError(_sentence()) from error
        raise
    finally:
        _kept.pop()


def say(sentence: str) -> None:
    """Write a sentence to standard error without any library."""
    with contextlib.suppress(OSError):
        os.write(2, f"unravelnet: {sentence}\n".encode())


def interrupt(number: int, frame: FrameType | None) -> None:
    """End the process at once during an import, and else raise KeyboardInterrupt.

    An import passes an exception through C code and through `except:` clauses of libraries, which swallow it or
    make another error of it. Nothing of ours is half-done then.
    """
    _signals.append(number)
    if _is_importing(frame):
        with contextlib.suppress(OSError):
            if os.isatty(2):
                os.write(2, _SHOW_CURSOR.encode())
        say(_sentence())
        os._exit(INTERRUPTED)
    signal.default_int_handler(number, frame)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT_MACHINERY:
            return True
        frame = frame.f_back
    return False


def _sentence() -> str:
    return f"Interrupted. {_kept[-1]}" if _kept and _kept[-1] else "Interrupted."
