"""What is said beside the results: remarks of ours as plain lines, warnings of libraries not at all."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import TextIO

from unravelnet.cli.streams import note
from unravelnet.escaping import for_terminal

_LOGGER = "unravelnet"


class _Remarks(logging.Handler):
    """Prints what the library remarks (that weights are random, for one) to standard error, each sentence once."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        sentence = self.format(record)
        if sentence not in self.said:
            self.said.add(sentence)
            note(for_terminal(sentence))


@contextlib.contextmanager
def libraries_quiet() -> Iterator[None]:
    """Print what this package remarks and warns of, and nothing of what other libraries do."""
    ours, root = logging.getLogger(_LOGGER), logging.getLogger()
    remarks, nothing = _Remarks(), logging.NullHandler()
    level = ours.level
    ours.addHandler(remarks)
    ours.setLevel(logging.INFO)
    # Python prints warnings of loggers that nobody listens to.
    root.addHandler(nothing)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show
            yield
    finally:
        root.removeHandler(nothing)
        ours.removeHandler(remarks)
        ours.setLevel(level)


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if category.__module__.partition(".")[0] == _LOGGER:
        note(for_terminal(str(message)))
