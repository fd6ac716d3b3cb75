"""Paths that can be used, and files that are either the old ones or the new ones, never half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from unravelnet.errors import PathError

# As long as the names of what is written into a directory, with the directories in between.
_LONG_NAME = "-" * 200
_ADVICE_OF_ERROR = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some space",
    errno.EACCES: "Check its permissions, or give another place",
    errno.EPERM: "Check its permissions, or give another place",
    errno.EROFS: "Give a place that can be written to",
    errno.ENAMETOOLONG: "Give a shorter name",
    errno.ELOOP: "A link in this path leads back to itself. Give another place",
    errno.ENOTDIR: "A part of this path is a file, not a directory. Give another place",
}


def usable_path(path: str | os.PathLike[str]) -> Path:
    """Make a path of what somebody wrote, with ~ and ~USER expanded. It need not exist.

    >>> usable_path("runs/digits")
    PosixPath('runs/digits')

    Raises PathError for what can be no path (an empty or too long one, an unknown user, a name that is no UTF-8), and
    for what is neither a file nor a directory.
    """
    if not isinstance(path, str | os.PathLike):
        raise PathError(f"{path!r} is no path. Give the name of a file or directory, a text or a Path.")
    text = os.fspath(path)
    shown = f"The path {_shown(text)}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        # It could be opened, and then not be named in any table or report.
        raise PathError(f"{shown} is not written in UTF-8. Rename the file or directory.") from error
    if not text.strip() or "\0" in text:
        raise PathError(f"{shown} names nothing. Give the name of a file or directory.")
    try:
        usable = Path(text).expanduser()
        mode = usable.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            # Reading one may never end, and writing would put a file into its place.
            raise PathError(f"{shown} is a device, a pipe or a socket. Give the name of a file or directory.")
    except RuntimeError as error:
        raise PathError(
            f"{shown} begins with the home directory of an unknown user. Write it out."
        ) from error
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except OSError as error:
        raise PathError(f"{shown} cannot be used: {reason(error)}") from error
    return usable


def writable_directory(path: str | os.PathLike[str]) -> Path:
    """Give the path of a directory that can be written to; where there is none yet, none is made.

    Raises PathError where it cannot be made or written to.
    """
    directory = usable_path(path)
    try:
        there = next(part for part in (directory, *directory.absolute().parents) if part.exists())
        longest = os.pathconf(there, "PC_NAME_MAX")
        if any(len(os.fsencode(part)) > longest for part in directory.parts):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        with contextlib.suppress(FileNotFoundError):
            (directory / _LONG_NAME).lstat()
        # It has no name, so that nothing of it is left behind.
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"Can this directory be written to?")
    except OSError as error:
        raise PathError(f"The directory {_shown(directory)} cannot be written to: {reason(error)}") from error
    return directory


def _shown(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path)
    return repr(text) if len(text) <= 80 else f"{text[:80]!r}..."


def writable_file(path: str | os.PathLike[str]) -> Path:
    """Give the path of a file that can be written to, as `writable_directory` does. Raises PathError."""
    file = usable_path(path)
    if file.is_dir():
        raise PathError(f"The path {_shown(file)} is a directory. Give the name of a file.")
    return writable_directory(file.parent) / file.name


def reason(error: OSError) -> str:
    """Say in a sentence why the system refused, and what helps.

    >>> reason(OSError(errno.ENOSPC, "No space left on device"))
    'No space left on device. Free some space.'
    """
    said = error.strerror or str(error)
    advice = _ADVICE_OF_ERROR.get(error.errno or 0)
    return f"{said}. {advice}." if advice else f"{said}."


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


@contextlib.contextmanager
def replacing_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary directory to write into, and put it in the place of `path` when that has worked.

    >>> with replacing_directory(directory / "results") as temporary:
    ...     _ = (temporary / "notes.txt").write_text("done")

    After an exception `path` is what it was, and nothing is left over. A directory that is there is replaced whole.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, former = (path.with_name(f".{path.name}-{uuid4().hex[:8]}") for _ in range(2))
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _flush_to_disk(file)
        if path.exists():
            path.replace(former)
        try:
            temporary.replace(path)
        except OSError:
            if former.exists():
                former.replace(path)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)


def cache_directory() -> Path:
    """Return where is kept what can be made again: `$XDG_CACHE_HOME/unravelnet`, or `~/.cache/unravelnet`."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "unravelnet"


def _flush_to_disk(path: Path) -> None:
    # Without it, a power cut after the rename can leave an empty file under the final name.
    with path.open("rb") as file:
        os.fsync(file.fileno())
