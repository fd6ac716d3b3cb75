"""Errors of the libraries that read data, as sentences that say what was being read.

`datasets`, Pillow, pyarrow and yaml raise some forty classes of error on damaged files, and other ones with every
version. So nothing of theirs is listed here: what is not ours becomes a DataError with their last word.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from unravelnet.errors import DataError, MissingExtraError, UnravelError, one_line


@contextlib.contextmanager
def reading(what: str, way_out: str, *, cannot: str = "be read") -> Iterator[None]:
    """Turn what goes wrong inside into an error that names the data.

    >>> with reading("The file a.png", "Remove it."):
    ...     raise ValueError("chunk too large")
    Traceback (most recent call last):
    unravelnet.errors.DataError: The file a.png cannot be read: ValueError: chunk too large. Remove it.

    `what`: the subject of the sentence. `way_out`: what the user can do. `cannot`: what fails. Errors of ours pass,
    and memory that is full. Raises DataError, or MissingExtraError where a package is missing.
    """
    try:
        yield
    except (UnravelError, MemoryError):
        raise
    except Exception as error:
        cause = _first_cause(error)
        if isinstance(cause, ImportError):
            raise MissingExtraError(
                f"{what} cannot {cannot} without the package {cause.name or str(cause)!r}. Install it with pip, or "
                "give the data in another form."
            ) from error
        if isinstance(cause, UnicodeEncodeError):
            raise DataError(f"{what} holds a name that is not UTF-8, {cause.object!r}. Rename it.") from error
        reason = getattr(cause, "strerror", None)  # without the whole path again
        raise DataError(
            f"{what} cannot {cannot}: {f'{reason}.' if reason else one_line(cause)} {way_out}"
        ) from error


def _first_cause(error: BaseException) -> BaseException:
    """Go back to the error that others only report, as "an error occurred while generating the dataset"."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
