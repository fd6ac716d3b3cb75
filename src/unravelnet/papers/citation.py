"""What a fact of a paper is: what it says, where it stands, what it is of, and how it came to us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Provenance = Literal["quoted", "quoted in a summary", "derived", "read off a figure", "remembered"]

ON_PROVENANCE = (
    "A fact of a paper is *quoted* from its text or from its authors' code, *quoted in a summary* that others wrote, "
    "*derived* by arithmetic, *read off* a figure, or *remembered*: written down without the text at hand."
)


@dataclass(frozen=True, slots=True)
class Paper:
    """One paper. `authors`: as one names them in a sentence. `arxiv`: its number there."""

    authors: str
    year: int
    title: str
    arxiv: str

    @property
    def name(self) -> str:
        """Authors and year, as a citation in a sentence."""
        return f"{self.authors} ({self.year})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a fact is of. `training`, `data`: "none" where arithmetic alone settles it."""

    network: str
    training: str
    data: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where a fact stands and how it came to us. `place`: a section, figure, equation or table of the paper."""

    paper: Paper
    place: str
    provenance: Provenance
    of: Setting

    @property
    def named(self) -> str:
        """Place and paper, to stand in the caption of a figure."""
        return f"{self.place} of {self.paper.authors}, {self.paper.year}"

    @property
    def words(self) -> str:
        """Place and provenance, to stand in brackets behind what the paper says."""
        if self.provenance == "read off a figure":
            return f"read off {self.place}"
        return f"{self.place}; {self.provenance}"


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a paper. `what`: its quantity. `written`: as the paper writes it."""

    what: str
    written: str
    unit: str
    source: Source

    @property
    def value(self) -> float:
        """The number in its unit."""
        return float(self.written.replace(",", ""))

    @property
    def count(self) -> int:
        """The number where it counts something."""
        return int(self.written.replace(",", ""))

    @property
    def share(self) -> float:
        """A percentage as a share of 1."""
        return self.value / 100

    @property
    def text(self) -> str:
        """The number with its unit."""
        return f"{self.written} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Statement:
    """One claim of a paper in a sentence without its full stop. `unknown`: what we do not know of it, a sentence."""

    text: str
    source: Source
    unknown: str = ""

    @property
    def said(self) -> str:
        """The sentence, where it stands, how it came to us, and what we do not know of it."""
        return " ".join(f"{self.text} ({self.source.words}). {self.unknown}".split())

    @property
    def said_by(self) -> str:
        """The same behind the names of the authors."""
        return f"{self.source.paper.name}: {self.said}"
