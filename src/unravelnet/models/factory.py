"""What makes the model of a Python file, as it is written behind the file's name: `make`, or `make(depth=20)`."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unravelnet.errors import ModelError


@dataclass(frozen=True, slots=True)
class Factory:
    """The name of a function or class, and what it is called with.

    `written`: the call as Python would have it, for errors.
    """

    name: str
    arguments: Sequence[Any] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    written: str = ""

    @property
    def takes_nothing(self) -> bool:
        """Whether it is called without arguments."""
        return not self.arguments and not self.options


def factory_of(text: str) -> Factory:
    """Read the name of a factory, with or without the values that it is called with.

    >>> factory_of("make(20, shortcut='A')").options, factory_of("make").written
    ({'shortcut': 'A'}, 'make()')

    Values are literals of Python; nothing is run. Raises ModelError for anything else.
    """
    if "(" not in text:
        return Factory(text, written=f"{text}()")
    try:
        factory = _read(text)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        factory = None
    if factory is None:
        raise ModelError(
            f"{text!r} is not a call with plain values. Give FACTORY, or FACTORY(NAME=VALUE), where a value is a "
            "number, a text in quotes, True, False, None, or a list of them: make(depth=20)."
        )
    return factory


def _read(text: str) -> Factory | None:
    """Read a call, None where it is another expression; raises what `ast` raises where it is none at all."""
    call = ast.parse(text, mode="eval").body
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        return None
    arguments = [ast.literal_eval(value) for value in call.args]
    options = {option.arg: ast.literal_eval(option.value) for option in call.keywords if option.arg}
    if len(options) < len(call.keywords):  # one stands behind two stars
        return None
    return Factory(call.func.id, arguments, options, text)
