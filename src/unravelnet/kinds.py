"""Kinds of plain arguments: whether a value is what the annotation of its argument says, and what it should be."""

from __future__ import annotations

from numbers import Integral, Real

_KINDS: dict[str, tuple[type, str]] = {
    "int": (Integral, "a whole number"),
    "float": (Real, "a number"),
    "str": (str, "a text"),
    "bool": (bool, "True or False"),
    "None": (type(None), "None"),
}


def is_whole(value: object) -> bool:
    """Whether a value is a whole number of Python or numpy; truth values are none.

    >>> is_whole(3), is_whole(3.0), is_whole(True)
    (True, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool)


def expected_kind(value: object, annotation: object) -> str:
    """Say what a value should be, where it is not of the kind that an annotation names; else the empty text.

    >>> expected_kind(2.5, "int | None"), expected_kind(3, "float"), expected_kind(3, "Route")
    ('a whole number or None', '', '')

    Annotations that name other kinds than numbers, texts, truth values and None are taken to fit.
    """
    names = annotation.split(" | ") if isinstance(annotation, str) else []
    if not names or any(name not in _KINDS or _is_of(value, name) for name in names):
        return ""
    return " or ".join(_KINDS[name][1] for name in names)


def _is_of(value: object, name: str) -> bool:
    return isinstance(value, _KINDS[name][0]) and (name == "bool" or not isinstance(value, bool))
