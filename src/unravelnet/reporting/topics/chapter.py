"""What a chapter of the report is: a question, figures, findings, and how they were measured."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from unravelnet.errors import EvaluationError, ExtensionError
from unravelnet.records.record import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from unravelnet.reporting.contents import Run
    from unravelnet.reporting.words.claim import Claim

# Less than what systems take, which counts the end of the name too.
_LONGEST_FILE_NAME = 150


@dataclass(frozen=True, slots=True)
class ShownFigure:
    """A figure of the report with the data behind it.

    `name`: of its files. `caption`: what it shows. `alt`: what is to be seen, for those who do not see it.
    """

    name: str
    figure: Figure
    data: Table | pd.DataFrame
    caption: str
    alt: str


@dataclass(frozen=True, slots=True)
class ShownTable:
    """A small table of texts in the report."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(slots=True)
class Chapter:
    """A chapter while it is written.

    `asked`: the question. `findings`: sentences computed from the tables. `paper`: what the paper says.
    `claims`: those of papers that it tests, each with its few words. `found`: the heading above the findings. `how`: n,
    interval, seeds. `missing`: what could not be shown, and why. `command`: that the run was made
    by to tell it; empty for others.
    """

    anchor: str
    title: str
    asked: str
    paper: str = ""
    found: str = "Measured here"
    figures: list[ShownFigure] = field(default_factory=list)
    tables: list[ShownTable] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    how: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    claims: list[tuple[str, Claim]] = field(default_factory=list)
    command: str = ""

    @property
    def has_something(self) -> bool:
        """Whether anything of it was measured or computed, so that it belongs in the report."""
        return bool(self.figures or self.tables or self.findings)

    @property
    def texts(self) -> list[str]:
        """All that it says to those who see it."""
        shown = [figure.caption for figure in self.figures]
        tables = [
            cell
            for table in self.tables
            for cell in (table.caption, *table.header, *itertools.chain(*table.rows))
        ]
        told = (self.title, self.asked, self.paper, *shown, *tables, *self.findings, *self.how, *self.missing)
        return [*told, *texts_of(self.claims)]

    @property
    def says_something(self) -> bool:
        """Whether it has anything to show, or a reason why it cannot."""
        return self.has_something or bool(self.missing)

    def show(
        self, name: str, draw: Callable[[], Figure], data: Table | pd.DataFrame, *, caption: str, alt: str
    ) -> None:
        """Add a figure, or say why it cannot be drawn."""
        try:
            figure = draw()
        except (EvaluationError, ExtensionError) as error:
            self.missing.append(str(error))
        else:
            taken = {shown.name for shown in self.figures}
            self.figures.append(ShownFigure(_free_name(file_name(name), taken), figure, data, caption, alt))

    def find(self, write: Callable[..., list[str]], *objects: object) -> None:
        """Add findings; a table that lacks a column makes no finding, and is said to."""
        try:
            self.findings += write(*objects)
        except (EvaluationError, ExtensionError) as error:
            self.missing.append(str(error))

    def lacks(self, run: Run, study: str, networks: Sequence[str] = ()) -> None:
        """Say that a table is missing, where the run should have left it."""
        if not run.owes(study):
            return
        of_networks = f" of {', '.join(networks)}" if networks else ""
        self.missing.append(f"There is no table {study}{of_networks}, so this was not measured.")


def texts_of(claims: Sequence[tuple[str, Claim]]) -> list[str]:
    """Give all that claims say, each with its few words."""
    return [
        text
        for short, claim in claims
        for text in (short, claim.text, claim.paper, claim.measured, claim.verdict, claim.why)
    ]


def joined(tables: dict[str, Table]) -> Table:
    """Put tables under each other, with the title of the network in a first column."""
    return Table([{"network_title": title, **row} for title, table in tables.items() for row in table])


def file_name(text: str) -> str:
    """Make a text fit for the name of a file.

    >>> file_name("delete_many VGG-15 (bn)")
    'delete_many-vgg-15-bn'
    """
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[:_LONGEST_FILE_NAME]


def _free_name(name: str, taken: Container[str]) -> str:
    """Count on from a name that is taken, as names that differ in other letters only may be."""
    names = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
    return next(free for free in names if free not in taken)
