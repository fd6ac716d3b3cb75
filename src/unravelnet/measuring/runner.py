"""Runs any measurement on any sample: the only loop over batches that measuring has.

It goes through the sample shard by shard, leaves out what a results store knows already, commits after every shard,
stops what is known well enough, and gives the rows so far where it is interrupted. An *executor* measures units of
work; `here` does it in this process, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from unravelnet.data import Batches
from unravelnet.data.batches import StreamedBatches
from unravelnet.data.source import n_examples
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.ledger import Ledger
from unravelnet.measuring.measurement import Measurement
from unravelnet.measuring.misfit import taking
from unravelnet.measuring.sample import Shard
from unravelnet.measuring.sums import Sums
from unravelnet.measuring.tally import Tally
from unravelnet.network import UnraveledNetwork
from unravelnet.records.record import Row, Table
from unravelnet.routes.route import Route

Progress = Callable[[Iterable[Any]], Iterable[Any]]


class EvaluationInterrupted(KeyboardInterrupt):
    """A measurement was interrupted; `table` holds what was measured until then."""

    def __init__(self, table: Table) -> None:
        super().__init__("The evaluation was interrupted.")
        self.table = table


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of work: some trials on one shard."""

    shard: Shard
    trials: Sequence[Route]


Measured = Generator[tuple[Unit, Mapping[Route, Sums]], None, None]
Executor = Callable[[Measurement, Bench, str, Iterable[Unit]], Measured]


def here(measurement: Measurement, bench: Bench, data_name: str, units: Iterable[Unit]) -> Measured:
    """Measure units in this process, one after the other; what comes next may depend on what came before."""
    is_first = True
    with measurement.running(bench):
        for unit in units:
            yield unit, _sums_of(unit, measurement, bench, data_name, is_first=is_first)
            is_first = False


def _sums_of(
    unit: Unit, measurement: Measurement, bench: Bench, data_name: str, *, is_first: bool
) -> Mapping[Route, Sums]:
    """Measure a unit on the device of a bench."""
    given = unit.shard
    inputs = bench.place(given.inputs)
    targets = None if given.targets is None else given.targets.to(bench.device)
    shard = Shard(given.number, given.first, inputs, targets)
    with taking(bench.net, inputs, data_name):
        if is_first:
            measurement.begin(bench.net, shard)
        return measurement.of_shard(bench.net, shard, unit.trials)


def run(
    measurement: Measurement,
    bench: Bench,
    batches: Batches,
    about: Row,
    *,
    ledger: Ledger | None = None,
    progress: Progress | None = None,
    executor: Executor = here,
) -> Table:
    """Measure, and make a table.

    `about`: columns that stand behind those of every row. `ledger`: where sums are kept between calls, if anywhere.
    `progress`: wraps the iteration over batches, as `tqdm` does. `executor`: what measures. Raises
    EvaluationInterrupted, with the rows so far, on Ctrl-C.
    """
    options: dict[str, Any] = {"ledger": ledger, "progress": progress, "executor": executor}
    return _table(measurement, tally(measurement, bench, batches, about, **options), about)


def tally(
    measurement: Measurement,
    bench: Bench,
    batches: Batches,
    about: Row,
    *,
    ledger: Ledger | None = None,
    progress: Progress | None = None,
    executor: Executor = here,
) -> Mapping[Route, Tally]:
    """Measure, and give the sums of each trial: what `run` makes its table of."""
    course = _Course(measurement, batches, ledger, _tallies(measurement))
    try:
        course.load()
        with closing(executor(measurement, bench, batches.name, course.units(progress))) as measured:
            for unit, sums in measured:
                course.add(unit.shard, sums)
        course.end()
    except KeyboardInterrupt:
        raise EvaluationInterrupted(_table(measurement, course.tallies, about)) from None
    return course.tallies


def _table(measurement: Measurement, tallies: Mapping[Route, Tally], about: Row) -> Table:
    """Make the table of what has been measured so far."""
    is_begun = any(tally.n_shards for tally in tallies.values())
    rows = measurement.rows(tallies) if is_begun else []
    return Table([{**row, **about} for row in rows])


def identity_of(net: UnraveledNetwork, batches: Batches, *, is_kept: bool = False) -> Row:
    """Give the columns that say of which network and data a row was measured.

    `is_kept`: whether sums are kept under these names. Without, a stream has none: it would have to be read twice.
    """
    is_named = is_kept or not isinstance(batches, StreamedBatches)
    return {
        "network": net.fingerprint(),
        "network_name": net.name,
        "data": batches.fingerprint() if is_named else "",
        "data_name": batches.name,
        "data_unit": batches.unit,
    }


def _tallies(measurement: Measurement) -> dict[Route, Tally]:
    """Begin with nothing; a companion never ends by itself where there are others."""
    trials, companion = measurement.trials, measurement.companion
    is_alone = len(trials) == 1
    return {
        trial: Tally(measurement.is_known) if is_alone or trial != companion else Tally() for trial in trials
    }


@dataclass
class _Course:
    """The way through a sample: what is to be measured next, and what has come of it."""

    measurement: Measurement
    batches: Batches
    ledger: Ledger | None
    tallies: dict[Route, Tally]

    def load(self) -> None:
        """Take in what the ledger knows."""
        if self.ledger is not None:
            self.ledger.load(self.tallies, self.measurement.has_form)
        # Other calls may have brought all others to the point where this one left the companion.
        self._finish_companion()

    def units(self, progress: Progress | None) -> Iterator[Unit]:
        """Give what is still to be measured, looking at each shard anew."""
        unfinished = self._unfinished()
        if not unfinished:
            return
        # All unfinished trials have seen the same shards, unless their list has grown since.
        behind = min(unfinished.values(), key=lambda tally: tally.n_shards)
        number, first = behind.n_shards, self._place(behind.n_images)
        remaining = self.batches.starting_at(first)
        while True:
            for inputs, targets in progress(remaining) if progress else remaining:
                shard = Shard(number, first, inputs, targets)
                n_images = shard.n_images  # refuses inputs without a tensor before anything runs on them
                due = [trial for trial, tally in self.tallies.items() if tally.lacks(number)]
                if due:
                    yield Unit(shard, due)
                if not self._unfinished():
                    return
                number, first = number + 1, first + n_images
            if not self.measurement.repeats or _can_be_read_once(self.batches):
                return
            remaining, progress, first = self.batches, None, 0

    def _place(self, n_seen: int) -> int:
        """Say where in the sample the next shard begins; what is gone through again begins anew."""
        if not self.measurement.repeats or not n_seen:
            return n_seen
        n_images = self.batches.n_images
        return n_seen % (sum(map(n_examples, self.batches)) if n_images is None else n_images)

    def add(self, shard: Shard, measured: Mapping[Route, Sums]) -> None:
        """Add the sums of a shard, and commit them."""
        unfinished = self._unfinished()
        n_images = Sums({"n_images": shard.n_images})
        added = {trial: n_images + sums for trial, sums in measured.items()}
        for trial, sums in added.items():
            self.tallies[trial].add(shard.number, sums)
        self._finish_companion()
        if self.ledger is not None:
            ended = {trial: tally for trial, tally in unfinished.items() if tally.complete}
            self.ledger.save(shard.number, added, ended)

    def end(self) -> None:
        """Note that no shard is left."""
        unfinished = self._unfinished()
        for tally in unfinished.values():
            tally.complete = True
        if self.ledger is not None:
            self.ledger.save(0, {}, unfinished)

    def _unfinished(self) -> dict[Route, Tally]:
        return {trial: tally for trial, tally in self.tallies.items() if not tally.complete}

    def _finish_companion(self) -> None:
        """Stop the companion where all others are known; a store may know it less well than them."""
        companion = self.measurement.companion
        others = [tally for trial, tally in self.tallies.items() if trial != companion]
        if companion is None or not others or not all(tally.complete for tally in others):
            return
        longest = max(tally.n_images for tally in others)
        self.tallies[companion].complete = self.tallies[companion].n_images >= longest


def _can_be_read_once(batches: Batches) -> bool:
    return isinstance(batches, StreamedBatches) and batches.is_consumed
