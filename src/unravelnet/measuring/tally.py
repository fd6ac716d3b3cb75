"""What has been measured of one trial so far: shards are added from the first to the last, however they come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from unravelnet.measuring.sums import Sums


@dataclass
class Tally:
    """The sums of the first shards of a trial, and of later ones that wait for those between.

    >>> tally = Tally()
    >>> tally.add(1, Sums({"n_images": 10}))
    >>> tally.n_shards, tally.n_images
    (0, 0)
    >>> tally.add(0, Sums({"n_images": 16}))
    >>> tally.n_shards, tally.n_images
    (2, 26)

    `complete`: no further shard will be added. `is_known`: whether sums are enough; asked after every shard, so that
    a trial ends at the same one in any order. `last`: the sums of the last shard that was added.
    """

    is_known: Callable[[Sums], bool] = lambda sums: False
    sums: Sums = field(default_factory=Sums)
    n_shards: int = 0
    complete: bool = False
    last: Sums = field(default_factory=Sums)
    waiting: dict[int, tuple[Sums, bool]] = field(default_factory=dict)

    @property
    def n_images(self) -> int:
        """How many images the sums are of."""
        return int(self.sums.added.get("n_images", 0))

    def lacks(self, shard: int) -> bool:
        """Whether this shard is still to be measured."""
        return not self.complete and shard >= self.n_shards and shard not in self.waiting

    def add(self, shard: int, sums: Sums, *, is_last: bool = False) -> None:
        """Take the sums of a shard in. `is_last`: whether none comes behind it."""
        self.waiting[shard] = (sums, is_last)
        while not self.complete and self.n_shards in self.waiting:
            self.last, ends = self.waiting.pop(self.n_shards)
            self.sums = self.sums + self.last
            self.n_shards += 1
            self.complete = ends or self.is_known(self.sums)
