"""Looking at data while they come in, without fooling oneself.

Who stops as soon as an interval pleases has looked many times, and each time may have been misled. The looks are
therefore planned beforehand, and each gets its share of the error that all of them may make together (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from unravelnet.mathematics.intervals import Interval

Decision = Literal["above", "below", "open"]
_GROWTH = 1.5


@dataclass(frozen=True, slots=True)
class Looks:
    """When to look: at these numbers of cases, with intervals that hold at all of them together.

    >>> looks = Looks.planned(10_000, first=256)
    >>> looks.sizes
    (256, 384, 576, 864, 1296, 1944, 2916, 4374, 6561, 9841, 10000)
    >>> round(looks.confidence(0.95), 4)
    0.9955
    """

    sizes: Sequence[int]

    @classmethod
    def planned(cls, n: int, *, first: int) -> Looks:
        """Plan looks at numbers that grow by half each time, up to all n cases."""
        sizes, size = [], float(first)
        while size < n:
            sizes.append(int(size))
            size *= _GROWTH
        return cls((*sizes, n))

    def confidence(self, together: float) -> float:
        """Give the level of one look's interval, so that all hold together at a level."""
        return 1 - (1 - together) / len(self.sizes)


def decide(interval: Interval, threshold: float) -> Decision:
    """Say on which side of a threshold an interval lies; "open" where it holds it.

    >>> decide(Interval(0.02, 0.03), 0.01), decide(Interval(-0.01, 0.02), 0.01)
    ('above', 'open')
    """
    if interval.low > threshold:
        return "above"
    return "below" if interval.high < threshold else "open"
