"""Every error a user of unravelnet can meet.

Each message is a sentence that says what was given, what was expected and how to mend it.
This room imports nothing of ours, so that every other room may raise from it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST_CHARACTERS = 300


class UnravelError(Exception):
    """Is the base of every error that unravelnet raises on purpose; its message steers no terminal."""

    def __init__(self, message: str = "") -> None:
        # Messages quote names from files and models, written by strangers.
        super().__init__("".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in message))


class CaptureError(UnravelError):
    """A model cannot be taken apart into residual modules."""


class RouteError(UnravelError):
    """A route does not fit its text form or the network it is meant for."""


class DataError(UnravelError):
    """Data is missing, empty, mislabelled or of the wrong shape."""


class ModelError(UnravelError):
    """A model cannot be found or made from its specification."""


class CheckpointError(UnravelError):
    """Stored weights are missing, damaged or of another network."""


class EvaluationError(UnravelError):
    """A measurement cannot be made or gives no usable numbers."""


class TrainingError(UnravelError):
    """A training cannot start or go on."""


class FigureError(UnravelError):
    """A figure cannot have the width, the colours or the texts that were chosen, or cannot be saved so."""


class StoreError(UnravelError):
    """Results cannot be read or written."""


class UnknownNameError(UnravelError):
    """A name is not one of the known ones."""


class PathError(UnravelError):
    """The name of a file or directory cannot be used for what it was given for."""


class CostError(UnravelError):
    """Something was asked for that is larger, or takes longer, than anybody can mean."""


class ArgumentError(UnravelError, TypeError):
    """The arguments of a call are not those, or not of the kind, that a function takes."""


class ExtensionError(UnravelError):
    """What an installed package adds to unravelnet cannot be used; the message names the package."""


class MissingExtraError(UnravelError):
    """A feature needs a package that is not installed."""


class UnforeseenError(UnravelError):
    """An error that nobody foresaw; the message says what was being done, and the cause is the error itself."""


def first_line(error: BaseException) -> str:
    """Give the first line of what an error says, without a full stop; its class where it says nothing.

    >>> first_line(ValueError("first.\\nsecond")), first_line(KeyError())
    ('first', 'KeyError')
    """
    return _first_line(error).rstrip(".") or type(error).__name__


def one_line(error: BaseException) -> str:
    """Write an error in one line that ends as a sentence does.

    >>> one_line(ValueError("first\\nsecond"))
    'ValueError: first.'
    """
    text, name = _first_line(error), type(error).__name__
    return f"{name}: {text}{'' if text.endswith(('.', '?', '!')) else '.'}" if text else f"{name}."


def _first_line(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0].strip()
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} ..."


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Make the error for a name that is not known, with the nearest known ones.

    >>> str(unknown_name("metric", "eror_rate", ["error_rate", "loss"]))
    "There is no metric 'eror_rate'. Did you mean 'error_rate'? Known: error_rate, loss."
    """
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UnknownNameError(f"There is no {kind} {name!r}.{hint} Known: {', '.join(names)}.")
