"""What a measurement is, for the runner: sums of a shard, and rows of all sums."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Mapping, Sequence

from unravelnet.measuring.bench import Bench
from unravelnet.measuring.sample import Shard
from unravelnet.measuring.sums import Sums
from unravelnet.measuring.tally import Tally
from unravelnet.network import UnraveledNetwork
from unravelnet.records.record import Row
from unravelnet.routes.route import Route


class Measurement(abc.ABC):
    """Something that is measured of a network on a sample, shard by shard.

    `trials`: the routes that have sums of their own; a measurement of several routes together has the sums of them
    all under the first. What a shard gives depends on nothing but the shard, so that any process may measure any of
    them in any order. `repeats`: whether the sample is gone through again until all trials are known. `companion`: a
    trial that is measured as long as any other, because others are compared with it.
    """

    trials: Sequence[Route]
    repeats = False
    companion: Route | None = None

    @abc.abstractmethod
    def of_shard(self, net: UnraveledNetwork, shard: Shard, trials: Sequence[Route]) -> Mapping[Route, Sums]:
        """Measure some of the trials on one shard, inside `running`."""

    @abc.abstractmethod
    def rows(self, tallies: Mapping[Route, Tally]) -> list[Row]:
        """Make rows of the sums of all shards, or of those there are where it was interrupted."""

    def running(self, bench: Bench) -> contextlib.AbstractContextManager[None]:
        """Make the network of a bench ready for `of_shard`."""
        return bench.running()

    def begin(self, net: UnraveledNetwork, shard: Shard) -> None:  # noqa: B027  # most have nothing to say
        """Look at the first shard before any is measured, inside `running`."""

    def is_known(self, sums: Sums) -> bool:
        """Whether the sums of a trial are enough, so that it needs no further shard."""
        return False

    def has_form(self, sums: Sums) -> bool:
        """Whether sums from a store are such as this measurement keeps."""
        return True
