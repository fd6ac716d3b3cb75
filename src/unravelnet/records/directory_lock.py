"""A directory that one process changes at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from unravelnet.errors import StoreError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_SECONDS_BETWEEN_TRIES = 0.05
# Some network file systems lock no directories; a single process is as safe there as before.
_CANNOT_LOCK = frozenset({errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL})


@contextlib.contextmanager
def locked(directory: str | os.PathLike[str], *, wait_seconds: float = 30.0) -> Iterator[None]:
    """Keep other processes from what they also lock, until the block ends.

    >>> with locked(directory):
    ...     _ = (directory / "notes.txt").write_text("done")

    The system gives the lock back when a process ends, whatever ends it, and no file is left behind. `directory` is
    made if need be, and removed again where nothing came into it. Raises StoreError where it cannot be made, or where
    another process has locked it for longer than `wait_seconds`.
    """
    path = Path(directory)
    is_new = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The directory {path} cannot be made: {error.strerror}. Give another one."
        ) from error
    with contextlib.ExitStack() as opened:
        if fcntl is not None:
            opened.callback(os.close, _lock(path, until=time.monotonic() + wait_seconds))
        try:
            yield
        finally:
            if is_new:
                with contextlib.suppress(OSError):  # it holds something, or is gone
                    path.rmdir()


def _lock(path: Path, *, until: float) -> int:
    """Lock a directory and return its open descriptor, with which the lock ends."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in _CANNOT_LOCK:
                    return descriptor
                if time.monotonic() > until:
                    raise StoreError(
                        f"Another process is writing to the directory {path}. Let that one end, or give this one a "
                        "directory of its own."
                    ) from error
                time.sleep(_SECONDS_BETWEEN_TRIES)
            else:
                return descriptor
    except BaseException:
        os.close(descriptor)
        raise
