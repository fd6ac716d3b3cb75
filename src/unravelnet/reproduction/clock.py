"""How far a run of several parts is, and how long it will take.

Parts have costs in a common unit. Time is measured only while work is done: what was finished by an earlier
run goes by in no time, and must not make the rest look short.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is.

    `part`: what is being done, part `number` (from 1) of `n_parts`. `part_share`, `share`: how much of the part and
    of the whole is done, in [0, 1]. `seconds_left`: None while nothing is known yet. `detail`: what the part has
    to say of itself.
    """

    part: str
    number: int
    n_parts: int
    part_share: float
    share: float
    seconds_left: float | None
    detail: str = ""


class Clock:
    """Follows a run through its parts and tells somebody.

    >>> heard = []
    >>> clock = Clock([("training", 3.0), ("study", 1.0)], heard.append)
    >>> clock.begin("study")
    >>> clock.advance(0.5)
    >>> heard[-1].number, heard[-1].share
    (2, 0.875)
    """

    def __init__(
        self, costs: Sequence[tuple[str, float]], tell: Callable[[RunProgress], None] | None
    ) -> None:
        self._costs = list(costs)
        self._tell = tell
        self._number = 0
        self._share = 0.0
        self._last: float | None = None
        self._seconds = self._work = 0.0

    def begin(self, title: str) -> None:
        """Enter the part of this title; those before it are done."""
        self._number = [part for part, _ in self._costs].index(title)
        self._share, self._last = 0.0, None
        self._say("")

    def advance(self, share: float, detail: str = "") -> None:
        """Note how much of the part is done."""
        now = time.perf_counter()
        # The first note only says where the part goes on.
        if self._last is not None:
            self._seconds += now - self._last
            self._work += (share - self._share) * self._costs[self._number][1]
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
        title, cost = self._costs[self._number]
        total = sum(part for _, part in self._costs) or 1.0
        done = sum(part for _, part in self._costs[: self._number]) + self._share * cost
        left = self._seconds / self._work * (total - done) if self._work else None
        position = (self._number + 1, len(self._costs))
        self._tell(RunProgress(title, *position, self._share, done / total, left, detail))
