"""How far a run of several parts is, and how long it will take.

Each part comes with the seconds that it is expected to take; the time that is left is scaled by how long the work
that is done took against what was expected of it. Time is measured only while work is done: what was finished by an
earlier run goes by in no time, and must not make the rest look short.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

# So much of a run, at its expected pace, is counted to what was measured: a few first batches tell little.
_SHARE_EXPECTED = 0.02


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is.

    `part`: what is being done, part `number` (from 1) of `n_parts`. `part_share`, `share`: how much of the part and
    of the whole is done, in [0, 1]. `seconds_left`: expected before the first measurement. `detail`: what the part
    has to say of itself.
    """

    part: str
    number: int
    n_parts: int
    part_share: float
    share: float
    seconds_left: float
    detail: str = ""


class Clock:
    """Follows a run through its parts and tells somebody.

    >>> heard = []
    >>> clock = Clock([("training", 30.0), ("study", 10.0)], heard.append)
    >>> clock.begin("study")
    >>> heard[-1].number, heard[-1].share, heard[-1].seconds_left
    (2, 0.75, 10.0)
    """

    def __init__(
        self, expected_seconds: Sequence[tuple[str, float]], tell: Callable[[RunProgress], None] | None
    ) -> None:
        self._expected = list(expected_seconds)
        self._total = sum(seconds for _, seconds in expected_seconds)
        self._tell = tell
        self._number = 0
        self._share = 0.0
        self._last: float | None = None
        # Of what was done while the clock ran: how long it should have taken, and how long it took.
        self._should = self._took = _SHARE_EXPECTED * self._total

    def begin(self, title: str) -> None:
        """Enter the part of this title; those before it are done."""
        self._number = [part for part, _ in self._expected].index(title)
        self._share, self._last = 0.0, None
        self._say("")

    def advance(self, share: float, detail: str = "") -> None:
        """Note how much of the part is done."""
        now = time.perf_counter()
        # The first note only says where the part goes on.
        if self._last is not None:
            self._took += now - self._last
            self._should += (share - self._share) * self._expected[self._number][1]
        self._share, self._last = share, now
        self._say(detail)

    def over(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Pass batches on and note each; `batches` must know their number."""
        n_batches = len(batches)  # type: ignore[arg-type]  # Batches have a length
        self.advance(0.0)
        for number, batch in enumerate(batches, start=1):
            yield batch
            self.advance(number / n_batches)

    def _say(self, detail: str) -> None:
        if self._tell is None:
            return
        title, seconds = self._expected[self._number]
        done = sum(part for _, part in self._expected[: self._number]) + self._share * seconds
        left = (self._total - done) * (self._took / self._should if self._should else 1.0)
        position = (self._number + 1, len(self._expected))
        share = done / self._total if self._total else 1.0
        self._tell(RunProgress(title, *position, self._share, share, left, detail))
