"""Processes of their own that start at once: copies of a server that has imported torch and this package.

For what processes do that are killed, interrupted, or in each other's way. What is tested of how a process starts, and
of how the interpreter ends, needs one that is started in the usual way.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess

_COPIES = multiprocessing.get_context("forkserver")
# The optimizers of torch import its compiler, which takes as long as the rest.
_IMPORTED_ONCE = [
    "pytest",
    "torch._dynamo",
    "sklearn.datasets",
    "unravelnet.reproduction",
    "unravelnet.cli.lesion",
]


@contextlib.contextmanager
def forked(function: Callable[..., object], *arguments: object) -> Iterator[BaseProcess]:
    """Run a function of a module in a process, which is killed at the end if it has not ended by itself."""
    _COPIES.set_forkserver_preload(_IMPORTED_ONCE)
    process = _COPIES.Process(target=function, args=arguments)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def was_killed(process: BaseProcess) -> bool:
    """Whether a process has ended by the signal that no process can catch."""
    return process.exitcode == -signal.SIGKILL
