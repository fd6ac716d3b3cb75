"""Progress bars on standard error; nothing where that is not a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from unravelnet.escaping import for_terminal

if TYPE_CHECKING:
    from rich.progress import Progress

    from unravelnet.reproduction import RunProgress
    from unravelnet.training import TrainingStatus

# Shares are shown on a bar of this many steps.
_STEPS = 1000


@contextlib.contextmanager
def batch_bar(description: str) -> Iterator[Callable[[Iterable[Any]], Iterable[Any]]]:
    """Give a wrapper for batches that shows how many have gone by."""
    with _bars() as bars:

        def wrapped(batches: Iterable[Any]) -> Iterator[Any]:
            try:
                total = len(batches)  # type: ignore[arg-type]  # a stream has no length
            except TypeError:
                total = None
            task = bars.add_task(for_terminal(description), total=total, detail="", left="")
            for batch in batches:
                yield batch
                bars.advance(task)
                bars.update(task, left=_duration(bars.tasks[task].time_remaining))

        yield wrapped


@contextlib.contextmanager
def training_bar(name: str) -> Iterator[Callable[[TrainingStatus], None]]:
    """Give a function that shows a training's epoch, error, loss, speed and time left."""
    with _bars() as bars:
        task = bars.add_task(for_terminal(name), total=_STEPS, detail="", left="")

        def show(status: TrainingStatus) -> None:
            share = (status.epoch - 1 + status.batch / status.n_batches) / status.n_epochs
            detail = (
                f"epoch {status.epoch}/{status.n_epochs}  error {status.error_rate:.1%}  loss {status.loss:.3f}  "
                f"{status.images_per_second:.0f} images/s"
            )
            bars.update(task, completed=share * _STEPS, detail=detail, left=_duration(status.seconds_left))

        yield show


@contextlib.contextmanager
def run_bars() -> Iterator[Callable[[RunProgress], None]]:
    """Give a function that shows a run of several parts: the whole on one bar, the part on another."""
    with _bars() as bars:
        whole = bars.add_task("whole run", total=_STEPS, detail="", left="")
        part = bars.add_task("", total=_STEPS, detail="", left="")

        def show(progress: RunProgress) -> None:
            detail = f"part {progress.number} of {progress.n_parts}"
            left = _duration(progress.seconds_left)
            bars.update(whole, completed=progress.share * _STEPS, detail=detail, left=left)
            bars.update(
                part,
                completed=progress.part_share * _STEPS,
                description=for_terminal(progress.part),
                detail=progress.detail,
            )

        yield show


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        TextColumn("{task.fields[detail]}", markup=False),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def _duration(seconds: float | None) -> str:
    """Write a time as people say it.

    >>> [_duration(seconds) for seconds in (42.3, 130, 5400, None)]
    ['42 s left', '2 min 10 s left', '1 h 30 min left', '']
    """
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s left"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s left"
    return f"{whole // 3600} h {whole % 3600 // 60} min left"
