"""Options that belong together: one value, whose fields a function also takes as keywords of their own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from unravelnet.errors import ArgumentError

_Result = TypeVar("_Result")


def also_by_name(
    parameter: str, value: type[Any]
) -> Callable[[Callable[..., _Result]], Callable[..., _Result]]:
    """Let a function take the fields of one of its options as keywords, too.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Pen:
    ...     colour: str = "black"
    ...     width: int = 1
    >>> @also_by_name("pen", Pen)
    ... def draw(*, pen=None):
    ...     return pen
    >>> draw(width=3) == draw(pen=Pen(width=3)) == Pen("black", 3)
    True
    >>> draw(pen="red", width=3)
    Pen(colour='red', width=3)

    `parameter`: the name of the option, which is taken by name only. `value`: its class, a dataclass; what is given in
    the place of one is its first field. Raises ArgumentError where fields stand beside a whole value.
    """
    kinds = {field.name: field.type for field in fields(value) if field.name != parameter}

    def decorate(function: Callable[..., _Result]) -> Callable[..., _Result]:
        @functools.wraps(function)
        def call(*args: Any, **keywords: Any) -> _Result:
            apart = {name: keywords.pop(name) for name in kinds if name in keywords}
            if apart:
                keywords[parameter] = _together(parameter, value, keywords.get(parameter), apart)
            return function(*args, **keywords)

        call.kinds_by_name = {**kinds_by_name(function), **kinds}  # type: ignore[attr-defined]  # read by `kinds_by_name`
        return call

    return decorate


def kinds_by_name(function: Callable[..., object]) -> Mapping[str, object]:
    """Give the annotations of the fields that a function takes as keywords, by their names."""
    return getattr(function, "kinds_by_name", {})


def _together(parameter: str, value: type[Any], given: object, apart: Mapping[str, Any]) -> object:
    if isinstance(given, value):
        said = ", ".join(f"{name}=..." for name in apart)
        raise ArgumentError(
            f"{parameter} is a {value.__name__}, and {' and '.join(apart)} stand beside it. Say it once: "
            f"{value.__name__}({said})."
        )
    return value(**apart) if given is None else value(given, **apart)
