"""The guard at the front door: an error that nobody foresaw leaves a public function as a sentence.

Inside the house functions call each other unguarded; the name at the door is the guarded one.
"""

from __future__ import annotations

import functools
import inspect
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from unravelnet.errors import ArgumentError, UnforeseenError, UnravelError, one_line
from unravelnet.kinds import expected_kind
from unravelnet.options import kinds_by_name

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_MOST_CHARACTERS = 60
_PLAIN = (str, int, float, complex, type(None))


def guarded(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Give a function whose unforeseen errors say what was being done, and with what.

    >>> def divide(dividend, divisor):
    ...     return dividend / divisor
    >>> guarded(divide)(1, divisor=0)
    Traceback (most recent call last):
    unravelnet.errors.UnforeseenError: divide(dividend=1, divisor=0) met an error that was not foreseen:
    ZeroDivisionError: division by zero.

    Where an argument is not of the kind that its annotation names, that is said instead, as an ArgumentError. Errors of
    `errors.py` and of the operating system pass as they are. So do those whose class the caller defined, for
    they may be meant to leave a callback. The original error is the `__cause__`.
    """
    signature, kinds = inspect.signature(function), kinds_by_name(function)

    @functools.wraps(function)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        apart = {name: value for name, value in kwargs.items() if name in kinds}
        try:
            bound = signature.bind(*args, **{name: kwargs[name] for name in kwargs if name not in apart})
        except TypeError as error:
            name = function.__name__
            raise ArgumentError(f"{name}(): {error}. help(unravelnet.{name}) lists the arguments.") from None
        parameters = bound.signature.parameters
        named = {name: (value, parameters[name].annotation) for name, value in bound.arguments.items()}
        named |= {name: (value, kinds[name]) for name, value in apart.items()}
        try:
            return function(*args, **kwargs)
        except (UnravelError, OSError):
            raise
        except Exception as error:
            if _is_the_callers(error):
                raise
            _check_kinds(named, error)
            given = ", ".join(f"{name}={short(value)}" for name, (value, _) in named.items())
            raise UnforeseenError(
                f"{function.__name__}({given}) met an error that was not foreseen: {one_line(error)}"
            ) from error

    # By this name it is found again when it is unpickled.
    call.__module__ = __package__
    return call


def _check_kinds(named: dict[str, tuple[object, object]], error: Exception) -> None:
    """Raise ArgumentError where the reason of an error is an argument of a wrong kind."""
    for name, (value, annotation) in named.items():
        expected = expected_kind(value, annotation)
        if expected:
            raise ArgumentError(f"{name} is {short(value)}; give {expected}.") from error


def short(value: object) -> str:
    """Write a value in a few characters.

    >>> short("digits"), short([1, 2, 3]), short(open)
    ("'digits'", '3 of int', 'builtin_function_or_method')
    """
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, _PLAIN):
        text = repr(value)
        return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."
    if isinstance(value, list | tuple) and value:
        return f"{len(value)} of {' and '.join(sorted({type(part).__name__ for part in value}))}"
    try:
        name, shape = getattr(value, "name", None), getattr(value, "shape", None)
    except Exception:  # of an object that is broken; that is no reason not to name the error
        name = shape = None
    if isinstance(name, str) and name:
        return name
    kind = type(value).__name__
    return f"{kind} of {'×'.join(map(str, shape))}" if isinstance(shape, tuple) and shape else kind


def _is_the_callers(error: Exception) -> bool:
    """Whether the class of an error was defined in a script or notebook, and in no installed package."""
    module = type(error).__module__
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return module == "__main__"
    return not any(Path(file).is_relative_to(root) for root in _installed())


@functools.cache
def _installed() -> tuple[Path, ...]:
    places = sysconfig.get_paths()
    return (Path(__file__).parent, *(Path(places[kind]) for kind in ("stdlib", "platlib", "purelib")))
