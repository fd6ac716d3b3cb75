"""Standard output and standard error, lent to code of others: whatever it does to them is taken back.

Such code may close them, exchange them, close their files by number, or wrap what is in them, as in
`sys.stdout = io.TextIOWrapper(sys.stdout.buffer)`; a wrapper that goes closes what it wraps.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, cast

_NAMES = ("stdout", "stderr", "__stdout__", "__stderr__")
_NUMBERS = (1, 2)


class Lent:
    """A stream that its borrower can write to and cannot close.

    >>> import io
    >>> own = io.StringIO()
    >>> Lent(own).close()
    >>> own.closed
    False
    """

    def __init__(self, stream: object) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def buffer(self) -> Lent:
        """The stream of bytes below."""
        return Lent(cast("Any", self._stream).buffer)

    def detach(self) -> Lent:
        """Give the stream of bytes below, and keep it."""
        return self.buffer

    def close(self) -> None:
        """Write what waits."""
        self.flush()


@contextlib.contextmanager
def lent_streams() -> Iterator[None]:
    """Lend the standard streams, and have them back at the end as they were, with their files."""
    with contextlib.ExitStack() as given_back:
        for number in sorted({*_NUMBERS, *_numbers_of_streams()}):
            with contextlib.suppress(OSError):  # there is no file
                _give_back_later(number, given_back)
        for name in _NAMES:
            stream = getattr(sys, name)
            given_back.callback(setattr, sys, name, stream)
            if stream is not None:
                setattr(sys, name, Lent(stream))
        yield


def _numbers_of_streams() -> Iterator[int]:
    for name in _NAMES:
        with contextlib.suppress(
            AttributeError, OSError, ValueError
        ):  # it is None, not of the system, or closed
            yield getattr(sys, name).fileno()


def _give_back_later(number: int, given_back: contextlib.ExitStack) -> None:
    inheritable, kept = os.get_inheritable(number), os.dup(number)
    given_back.callback(os.close, kept)
    given_back.callback(os.dup2, kept, number, inheritable)
