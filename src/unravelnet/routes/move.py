"""A route as a list of moves: what is done, one thing after the other.

A visit is one move. A visit with a route inside is an entry, the moves inside and an exit; a parallel span is an
opening, its visits and a closing. Routes that begin alike therefore share all that they do until they part, in
spans and inside modules, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from unravelnet.routes.step import AnyStep, Mode, Parallel, computes_branch


@dataclass(frozen=True, slots=True, order=True)
class Move:
    """One thing that is done at a residual module.

    `kind`: "visit" it; "enter" its branch, and "exit" to its junction; "open" a parallel span that begins with it, or
    "close" the span. `mode` and `scale` say how a visit, or an exit, joins skip and branch.
    """

    module: int
    kind: Literal["visit", "enter", "exit", "open", "close"] = "visit"
    mode: Mode = "both"
    scale: float = 1.0

    @property
    def computes_branch(self) -> bool:
        """Whether the branch is computed."""
        return computes_branch(self.mode)


def moves_of(steps: Iterable[AnyStep]) -> Iterator[Move]:
    """Spell out steps.

    >>> from unravelnet.routes.step import Step
    >>> [move.kind for move in moves_of([Step(0), Parallel((Step(1), Step(2)))])]
    ['visit', 'open', 'visit', 'visit', 'close']
    """
    for step in steps:
        if isinstance(step, Parallel):
            first = step.steps[0].module
            yield Move(first, "open")
            yield from moves_of(step.steps)
            yield Move(first, "close")
        elif step.inside is None:
            yield Move(step.module, "visit", step.mode, step.scale)
        else:
            yield Move(step.module, "enter")
            yield from step.inside.moves
            yield Move(step.module, "exit", step.mode, step.scale)
