"""How far a command is, on standard error: bars on a terminal, elsewhere a line now and then.

The lines come every ten seconds, whether or not anything was finished meanwhile, and one comes as soon as it is known
how long the rest will take. What takes less than that says nothing.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unravelnet.cli.streams import note, remarks
from unravelnet.escaping import for_terminal
from unravelnet.wording import counted

if TYPE_CHECKING:
    from unravelnet.reproduction import RunProgress
    from unravelnet.training.loop import TrainingStatus

# Shares are shown on a bar of this many steps.
_STEPS = 1000
_SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True, slots=True)
class Status:
    """How far something is.

    `share`: what is done of it, from 0 to 1, and `left`: the seconds until all is; None where they are not known.
    `detail`: what else there is to say.
    """

    description: str
    share: float | None = None
    left: float | None = None
    detail: str = ""


Show = Callable[[Status], None]


@contextlib.contextmanager
def working(description: str) -> Iterator[None]:
    """Say that something of unknown length is going on."""
    with _shown() as show:
        show(Status(description))
        yield


@contextlib.contextmanager
def batch_bar(description: str, unit: str = "batch") -> Iterator[Callable[[Iterable[Any]], Iterable[Any]]]:
    """Give a wrapper for batches that shows how many have gone by, and how long the others will take."""
    with _shown() as show:
        show(Status(description))

        def wrapped(batches: Iterable[Any]) -> Iterator[Any]:
            try:
                total: int | None = len(batches)  # type: ignore[arg-type]  # a stream has no length
            except TypeError:
                total = None
            began = time.monotonic()
            for number, batch in enumerate(batches, start=1):
                yield batch
                if total is None:
                    show(Status(description, detail=counted(number, unit)))
                else:
                    left = (time.monotonic() - began) * (total - number) / number
                    show(Status(description, number / total, left, f"{unit} {number} of {total}"))

        yield wrapped


@contextlib.contextmanager
def training_bar(name: str) -> Iterator[Callable[[TrainingStatus], None]]:
    """Give a function that shows a training's epoch, error, loss, speed and time left."""
    with _shown() as show:
        show(Status(name))

        def show_training(status: TrainingStatus) -> None:
            share = (status.epoch - 1 + status.batch / status.n_batches) / status.n_epochs
            detail = (
                f"epoch {status.epoch} of {status.n_epochs}, error {status.error_rate:.1%}, loss {status.loss:.3f}, "
                f"{status.images_per_second:.0f} images/s"
            )
            show(Status(name, share, status.seconds_left, detail))

        yield show_training


@contextlib.contextmanager
def run_bars() -> Iterator[Callable[[RunProgress], None]]:
    """Give a function that shows a run of several parts."""
    with _shown() as show:
        show(Status("reading the data, before it is known how long the run takes"))

        def show_run(run: RunProgress) -> None:
            part = f"part {run.number} of {run.n_parts}, {run.part}"
            detail = f"this part {run.part_share:.0%}{', ' if run.detail else ''}{run.detail}"
            show(Status(part, run.share, run.seconds_left, detail))

        yield show_run


@contextlib.contextmanager
def _shown() -> Iterator[Show]:
    with _bar() if remarks().isatty() else _lines() as show:
        yield show


# -- on a terminal --


@contextlib.contextmanager
def _bar() -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        TextColumn("{task.fields[detail]}", markup=False),
    )
    with Progress(*columns, console=Console(file=remarks()), transient=True) as bars:
        task = bars.add_task("", total=None, detail="", left="")

        def show(status: Status) -> None:
            bars.update(
                task,
                description=for_terminal(status.description),
                total=None if status.share is None else _STEPS,
                completed=0 if status.share is None else status.share * _STEPS,
                left=time_left(status.left),
                detail=status.detail,
            )

        yield show


# -- elsewhere --


class Lines:
    """Keeps what there is to say, and says it when it is due.

    >>> spoken = []
    >>> lines = Lines(spoken.append, clock=iter([0.0, 8.0, 30.0]).__next__)
    >>> lines.show(Status("delete each", 0.25, 24.0, "batch 1 of 4"))
    >>> lines.say()
    >>> spoken
    ['delete each: 25%, 24 s left, batch 1 of 4', 'delete each: 25%, 24 s left, batch 1 of 4, 30 s so far']
    """

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._began = clock()
        self._status: Status | None = None
        self._has_said_left = False

    def show(self, status: Status) -> None:
        """Take note of a status, and say the first that knows how long the rest will take, unless that is short."""
        self._status = status
        if self._has_said_left or status.left is None:
            return
        self._has_said_left = True
        if self._clock() - self._began + status.left >= _SECONDS_BETWEEN_LINES:
            self._write(_line(status))

    def say(self) -> None:
        """Say how far it is, and how long it has taken."""
        if self._status is not None:
            self._write(f"{_line(self._status)}, {_duration(self._clock() - self._began)} so far")


@contextlib.contextmanager
def _lines() -> Iterator[Show]:
    lines, is_over = Lines(note), threading.Event()

    def say_now_and_then() -> None:
        while not is_over.wait(_SECONDS_BETWEEN_LINES):
            lines.say()

    speaker = threading.Thread(target=say_now_and_then, name="progress", daemon=True)
    speaker.start()
    try:
        yield lines.show
    finally:
        is_over.set()
        speaker.join()


def _line(status: Status) -> str:
    share = "" if status.share is None else f"{status.share:.0%}"
    said = ", ".join(part for part in (share, time_left(status.left), status.detail) if part)
    return f"{for_terminal(status.description)}{': ' if said else ''}{said}"


def time_left(seconds: float | None) -> str:
    """Write the time that is left as people say it; nothing where it is not known.

    >>> [time_left(seconds) for seconds in (42.3, 130, 5400, None)]
    ['42 s left', '2 min 10 s left', '1 h 30 min left', '']
    """
    return "" if seconds is None else f"{_duration(seconds)} left"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
