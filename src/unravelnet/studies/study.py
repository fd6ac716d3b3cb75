"""What a study is, as one value: what it asks, how it is planned, what it costs, how it is drawn.

The command line, `reproduce` and the report read studies from `registry.STUDIES` and know none by name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from unravelnet.costs import check_routes
from unravelnet.errors import RouteError
from unravelnet.kinds import is_whole
from unravelnet.routes.move import Move
from unravelnet.routes.route import Route
from unravelnet.studies.subject import Network
from unravelnet.studies.trial import Trial

MOST_TRIALS = 2000
"""How many pairs or spans a study takes where nothing is said: all those of a network with 63 modules."""

_log = logging.getLogger(__name__)
_COUNTS = (1, 2, 3, 5)


@dataclass(frozen=True, slots=True)
class Draws:
    """What a study with random draws is asked for.

    `counts`: of modules, or of swaps. `repeats`: draws for each count. `leaves_out`: counts that a network does not
    allow are left out instead of being refused.
    """

    counts: Iterable[int] = _COUNTS
    repeats: int = 10
    seed: int = 0
    leaves_out: bool = True

    def allowed(self, most: int) -> list[int]:
        """List the counts that are asked for; where larger ones are left out, those of at most `most`.

        >>> Draws([1, 2, 30]).allowed(most=9), Draws([30]).allowed(most=9)
        ([1, 2], [30])

        If none is small enough, all stay, so that the plan can say why it is impossible.
        """
        counts = list(self.counts)
        return ([count for count in counts if count <= most] or counts) if self.leaves_out else counts


@dataclass(frozen=True, slots=True)
class Study:
    """An experiment on a network: a list of trials, and all that is said about it.

    >>> from unravelnet import zoo
    >>> study = Study("backwards", "Backwards", "Does the order matter?", plan=lambda net, draws: [
    ...     Trial(net.full_route, "backwards", "intact"), Trial(net.full_route.reverse(), "backwards", "backwards"),
    ... ])
    >>> trials = study.plan(zoo.preact_resnet(depth=8, widths=(4, 4, 4), input_shape=(1, 8, 8)), Draws())
    >>> [str(trial.route) for trial in trials], study.cost(trials)
    (['0-2', '2-0'], 2.0)

    `name`: of its table, and of the study column. `title`, `question`: above its chapter in the report. `plan`: lists
    the trials for a network; the first is the intact network. `figure`: the name of its figure in `registry.FIGURES`;
    empty: there is none. `columns`: those that its trials add to a row (`Trial.facts`). `is_drawn`: it has random
    draws, so that counts and repeats mean something. `has_many_trials`: `reproduce` takes as many images for a trial as
    for a random draw. `metrics`: what `reproduce` measures. `paper`: what a paper says
    of it.
    """

    name: str
    title: str
    question: str
    plan: Callable[[Network, Draws], list[Trial]]
    figure: str = ""
    columns: tuple[str, ...] = ()
    is_drawn: bool = False
    has_many_trials: bool = False
    metrics: tuple[str, ...] = ("error_rate", "loss")
    paper: str = "Not measured."

    def cost(self, trials: Sequence[Trial]) -> float:
        """Count the forward passes that the trials cost together for each image."""
        return n_passes(trials)


def n_passes(trials: Sequence[Trial]) -> float:
    """Count the forward passes an image that trials cost together, what they share counted once.

    >>> from unravelnet.zoo import preact_resnet
    >>> from unravelnet.studies import delete_each
    >>> n_passes(delete_each(preact_resnet(8)))
    2.0
    """
    if not trials:
        return 0.0
    return n_branches_run(trial.route for trial in trials) / max(1, len(trials[0].route))


def n_branches_run(routes: Iterable[Route]) -> int:
    """Count the branches that routes run together for each image, what they share counted once.

    >>> n_branches_run([Route.full(3), Route.full(3).delete(0), Route.full(3).delete(1), Route.full(3).delete(2)])
    6
    """
    n_branches, previous = 0, tuple[Move, ...]()
    for route in sorted(route.moves for route in routes):
        differing = (n for n, (a, b) in enumerate(zip(route, previous, strict=False)) if a != b)
        shared = next(differing, min(len(route), len(previous)))
        n_branches += sum(move.kind == "visit" and move.computes_branch for move in route[shared:])
        previous = route
    return n_branches


def checked_most(most: int) -> int:
    """Return the most trials that a study may have. Raises RouteError for a number that is none."""
    if not is_whole(most) or most < 1:
        raise RouteError(f"A study cannot have at most {most!r} trials. Give a whole number of 1 or more.")
    check_routes(most)
    return int(most)


def note_left_out(study: str, most: int, number: int, which: str) -> None:
    """Remark that a study takes only some of its trials, and which."""
    _log.info(f"{study} takes {most:,} of {number:,} {which}. In Python, its argument most allows more.")
