"""The runner finds what it looks for: each of these rows is wrong in one way."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from tests.hard_input.runner import MARK, Call, Command, World, equal
from unravelnet.errors import DataError, RouteError, UnforeseenError


class Coloured(RouteError):
    def __str__(self):
        return "\x1b[31mNo."


def raises(error):
    raise error


WRONG = {
    "another status": Command("", "--version", 2),
    "a refusal that was not expected": Command("", "nothing", 0),
    "another phrase": Command("", "nothing", 2, "elephant"),
    "another value": Command("", "inspect {net} --json", 0, "", lambda value: value["n_modules"] == 4),
    "another error": Call("", lambda world: raises(DataError("No.")), RouteError),
    "an error of a library": Call("", lambda world: raises(UnforeseenError("No.")), UnforeseenError),
    "no sentence": Call("", lambda world: raises(RouteError("no")), RouteError),
    "an escape sequence": Call("", lambda world: raises(Coloured()), RouteError),
    "another phrase of an error": Call("", lambda world: raises(RouteError("No.")), RouteError, "Yes"),
    "no error": Call("", lambda world: 3, RouteError),
    "an error instead of a result": Call("", lambda world: raises(RouteError("No."))),
    "another result": Call("", lambda world: 3, value=equal(4)),
    "something left behind": Call("", lambda world: Path("half-written.tmp").touch()),
    "something changed": Call("", lambda world: Path("a").write_text("c"), files={"a": "b"}),
    "something removed": Call("", lambda world: Path("a").unlink(), files={"a": "b"}),
    "a payload": Call("", lambda world: exec(Path("a").read_text()), files={"a": f"Path({MARK!r}).touch()"}),
    "another directory": Call("", lambda world: __import__("os").chdir("/")),
    "other words": Call("", lambda world: sys.argv.append("x")),
    "another type of numbers": Call("", lambda world: torch.set_default_dtype(torch.float64)),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_row_is_found(world: World, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    try:
        with pytest.raises(AssertionError):
            world.check(WRONG[kind])
    finally:
        torch.set_default_dtype(torch.float32)
