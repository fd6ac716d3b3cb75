"""What a claim is, whose it is, and how it stands beside what was measured.

The file `claims` of each topic has functions that judge one claim each: they take tables and return a `Claim`. Its
`judge` applies them to a run, and `topics.judged` applies all of those.

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
    "Thresholds are this project's, and each stands in its claim. Most were chosen before the networks of its own "
    "reproduction were trained, some were added or tightened after; the changelog says which."
)


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim of the paper beside what was measured.

    `text`: the claim with its thresholds. `paper`: what the paper reports. `measured`: what was found, with n
    and interval. `why`: how the verdict follows. `chapter`: where in the report to read on. `rows`: the tables that
    were read, as paths inside the directory of the run. `source`: who claims it. `is_as_long`: whether its networks
    are known to be trained at least half as long as the paper's. `is_computed`: whether arithmetic settles it, so that
    it says nothing of a network. `short`: the claim in about six words.
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
    short: str = ""

    @property
    def is_tested(self) -> bool:
        """Whether tables of a run say something to it."""
        return (
            bool(self.rows)
            and not self.is_computed
            and self.verdict not in ("not measured", "not comparable")
        )

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


def with_rows(claim: Claim, *tables: tuple[StudiedNetwork, str], short: str, source: str = VEIT) -> Claim:
    """Add which tables a claim was judged from, its few words, and whose claim it is."""
    known = (
        f"{TABLES_DIRECTORY}/{network.name}/{study}.csv"
        for network, study in tables
        if study in network.tables
    )
    is_long = is_as_long([network.epochs for network, _ in tables], he.EPOCHS)
    return replace(claim, rows=tuple(known), source=source, is_as_long=is_long, short=short)
