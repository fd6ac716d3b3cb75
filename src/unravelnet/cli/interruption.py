"""Ctrl-C as a sentence that says what is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class InterruptionError(Exception):
    """The user pressed Ctrl-C; the message says what is kept."""


@contextlib.contextmanager
def interruptible(kept: str) -> Iterator[None]:
    """Turn Ctrl-C inside into an InterruptionError that says what is kept."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise InterruptionError(f"Interrupted. {kept}") from error
