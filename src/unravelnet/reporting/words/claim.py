"""What a claim is, whose it is, and how it stands beside what was measured.

Functions that judge one claim each take tables and return a `Claim`: `lesion_claims` (one module at a time),
`random_lesion_claims` (draws and orders), `path_claims` (arithmetic), `skip_claims`, `gradient_claims` and
`training_claims`. `verdict_table` applies them to a run.

The thresholds are part of a claim's text. A verdict follows from intervals: a number is *surely* above a threshold
when its whole interval is, and where the intervals do not settle a claim, it is not decided. A claim without a table
is not measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from unravelnet.papers import he, huang, littwin, veit
from unravelnet.reporting.contents import TABLES_DIRECTORY, Run, StudiedNetwork
from unravelnet.reporting.words.protocol import is_as_long
from unravelnet.reporting.words.verdict import Verdict

VEIT, HE, HUANG, LITTWIN = (file.PAPER.name for file in (veit, he, huang, littwin))
# What follows from a reading of the paper, and nobody claimed.
OWN = "this project"
ON_THRESHOLDS = (
    "Thresholds are this project's. Most were chosen before the networks of its own reproduction were trained, those "
    "about later deletions and about all modules of stochastic depth after. Since its first page of results: 1 point "
    "took the place of 5 for deleting single modules; few images no longer make the error of the intact network agree; "
    "skip and branch have to cost the same either way; the better of two ways of testing effective paths is judged, "
    "and not both; images are in every interval of a network that was trained once; deletions that keep the shape and "
    "the average of many routes were added, with thresholds of others; 5 points took the place of 10 for being at "
    "chance, and a quarter that of a half for a collapse; trainings that are too short are not comparable."
)


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim of the paper beside what was measured.

    `text`: the claim with its thresholds. `paper`: what the paper reports. `measured`: what was found, with n
    and interval. `why`: how the verdict follows. `chapter`: where in the report to read on. `rows`: the tables that
    were read, as paths inside the directory of the run. `source`: who claims it. `is_as_long`: whether its networks
    are known to be trained about as long as the paper's. `is_computed`: whether arithmetic settles it, so that it says
    nothing of a network.
    """

    text: str
    paper: str
    measured: str
    verdict: Verdict
    why: str
    chapter: str = ""
    rows: tuple[str, ...] = ()
    source: str = VEIT
    is_as_long: bool = False
    is_computed: bool = False

    @property
    def origin(self) -> str:
        """Whose claim it is, in words."""
        return "asked by this project" if self.source == OWN else f"claimed by {self.source}"


@dataclass(frozen=True, slots=True)
class Judge:
    """Claims with their verdicts, by name: how an installed package adds claims to a report.

    >>> nothing = Judge("nothing", lambda run: [])

    `judge`: is given the `Run`, and returns a list of `Claim`, empty where the run has nothing to judge.
    """

    name: str
    judge: Callable[[Run], list[Claim]]


def not_measured(text: str, paper: str, study: str, chapter: str) -> Claim:
    """Say of a claim that there is nothing to judge it from."""
    why = f"The table {study} is missing or has no such rows."
    return Claim(text, paper, "Not measured.", "not measured", why, chapter)


def with_rows(claim: Claim, *tables: tuple[StudiedNetwork, str], source: str = VEIT) -> Claim:
    """Add which tables a claim was judged from, and whose claim it is."""
    known = (
        f"{TABLES_DIRECTORY}/{network.name}/{study}.csv"
        for network, study in tables
        if study in network.tables
    )
    is_long = is_as_long([network.epochs for network, _ in tables], he.EPOCHS)
    return replace(claim, rows=tuple(known), source=source, is_as_long=is_long)
