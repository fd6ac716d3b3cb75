"""Files that are either the old ones or the new ones, never half of one; and where those are that can be made again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to, and put it in the place of `path` when that has worked.

    >>> with replacing(directory / "notes.txt") as temporary:
    ...     _ = temporary.write_text("done")

    The directory is made if need be. After an exception (a full disk, Ctrl-C) `path` is what it was, and
    nothing is left over. The temporary file is hidden and keeps the suffix of `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def cache_directory() -> Path:
    """Return where is kept what can be made again: `$XDG_CACHE_HOME/unravelnet`, or `~/.cache/unravelnet`."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "unravelnet"


def _flush_to_disk(path: Path) -> None:
    # Without it, a power cut after the rename can leave an empty file under the final name.
    with path.open("rb") as file:
        os.fsync(file.fileno())
