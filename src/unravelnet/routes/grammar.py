"""The text form of routes: short, canonical, and read back.

    route     none, or steps with commas between them
    step      module or range, [route inside], s, b or m, *number  3   4-9   2[0-1,3s]   3s   3b   3m   4*0.5
    parallel  (steps)                                              (4-6)   (4,6*0.5)

A text that is written is canonical: equal routes have equal texts. A text that is read need not be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from unravelnet.costs import MOST_MODULES
from unravelnet.errors import RouteError
from unravelnet.routes.step import AnyStep, Mode, Parallel, Step

if TYPE_CHECKING:
    from unravelnet.routes.route import Route

_EMPTY = "none"
_DEEPEST = 60
_SUFFIX: dict[Mode, str] = {"both": "", "skip": "s", "branch": "b", "mean": "m"}
_MODE_OF_SUFFIX = {suffix: mode for mode, suffix in _SUFFIX.items()}
_RUN = re.compile(
    r"(?P<first>\d{1,9})(?:-(?P<last>\d{1,9}))?(?:\[(?P<inside>.*)\])?(?P<suffix>[sbm]?)"
    r"(?:\*(?P<scale>-?\d{1,25}(?:\.\d{1,25})?(?:e-?\d{1,3})?))?",
    re.ASCII,
)


# -- writing --


def write(steps: Sequence[AnyStep]) -> str:
    """Write steps as a text, runs of neighbours as ranges.

    >>> write([Step(0), Step(1), Parallel((Step(2), Step(3, scale=0.5)))])
    '0-1,(2,3*0.5)'
    """
    return ",".join(_pieces(steps)) or _EMPTY


def number_text(number: float) -> str:
    """Write a scale, as short as it reads back to the same number.

    >>> number_text(0.5), number_text(2.0), number_text(1e30)
    ('0.5', '2', '1e30')
    """
    return repr(float(number)).removesuffix(".0").replace("e+", "e")


def _pieces(steps: Sequence[AnyStep]) -> Iterator[str]:
    run: list[Step] = []
    for step in steps:
        if isinstance(step, Parallel):
            yield from _run_texts(run)
            run = []
            yield f"({','.join(_pieces(step.steps))})"
        elif run and not _continues(run, step):
            yield from _run_texts(run)
            run = [step]
        else:
            run.append(step)
    yield from _run_texts(run)


def _continues(run: list[Step], step: Step) -> bool:
    """Whether a step prolongs a run: the same visit of the next module, rising or falling by one."""
    last = run[-1]
    change = step.module - last.module
    same_direction = len(run) == 1 or change == run[1].module - run[0].module
    return abs(change) == 1 and same_direction and step == last.at(step.module)


def _run_texts(run: list[Step]) -> Iterator[str]:
    """Write a run as a range. A fall of two is written one by one, so that a swap reads as a swap."""
    if len(run) == 2 and run[1].module < run[0].module:
        yield from (_range_text(step, step) for step in run)
    elif run:
        yield _range_text(run[0], run[-1])


def _range_text(first: Step, last: Step) -> str:
    span = str(first.module) if first is last else f"{first.module}-{last.module}"
    inside = "" if first.inside is None else f"[{first.inside}]"
    scale = "" if first.scale == 1.0 else f"*{number_text(first.scale)}"
    return f"{span}{inside}{_SUFFIX[first.mode]}{scale}"


# -- reading --


def read(text: str, make: type[Route]) -> Route:
    """Read a route. Raises RouteError where the text is none. `make`: what steps become a route by."""
    if not isinstance(text, str):
        raise RouteError(f"A route is read from a text, such as '0-2,3s'; got {text!r}.")
    return _Reader(text, make).route(text.replace(" ", ""), depth=0)


class _Reader:
    """Reads one text. It may come from a file or an address: a short one must not ask for all the memory there is."""

    def __init__(self, text: str, make: type[Route]) -> None:
        self.text = text
        self.make = make
        self.room = MOST_MODULES

    def route(self, text: str, depth: int) -> Route:
        if depth > _DEEPEST:
            raise RouteError(
                f"The route {self.text[:80]!r} is nested more than {_DEEPEST} times; no network is."
            )
        if text == _EMPTY:
            return self.make(())
        return self.make(tuple(chain.from_iterable(self._item(piece, depth) for piece in _split(text))))

    def _item(self, piece: str, depth: int) -> list[AnyStep]:
        if piece.startswith("(") and piece.endswith(")"):
            steps = [step for part in _split(piece[1:-1]) for step in self._run(part, depth)]
            return [steps[0] if len(steps) == 1 else Parallel(tuple(steps))]
        return [*self._run(piece, depth)]

    def _run(self, run: str, depth: int) -> list[Step]:
        match = _RUN.fullmatch(run)
        if match is None:
            raise RouteError(
                f"{run!r} in the route {self.text!r} is not a step. Write modules as 3, ranges as 4-9, a deleted "
                "module as 3s, one without skip as 3b, one with its mean as 3m, a scaled branch as 3*0.5, modules side "
                "by side as (4-6), a route inside a module as 2[0-1,3s], with commas between them."
            )
        first, last = int(match["first"]), int(match["last"] or match["first"])
        self.room -= abs(last - first) + 1
        if self.room < 0:
            raise RouteError(
                f"The route {self.text[:80]!r} has more than {MOST_MODULES} steps; no network has that many."
            )
        inside = None if match["inside"] is None else self.route(match["inside"], depth + 1)
        step = Step(first, _MODE_OF_SUFFIX[match["suffix"]], float(match["scale"] or 1), inside)
        direction = 1 if last >= first else -1
        return [step.at(module) for module in range(first, last + direction, direction)]


def _split(text: str) -> Iterator[str]:
    """Split at the commas outside of all brackets.

    >>> list(_split("0,(1,2),3[0,1]"))
    ['0', '(1,2)', '3[0,1]']
    """
    start = depth = 0
    for place, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if character == "," and depth <= 0:
            yield text[start:place]
            start = place + 1
    yield text[start:]
