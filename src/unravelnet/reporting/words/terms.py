"""The terms of a report that need explaining, of which a page has those that it uses."""

from __future__ import annotations

import re
from dataclasses import dataclass

from unravelnet.reporting.words.claim import ON_THRESHOLDS

# Also in the verdict of a claim.
_CLAIMED = r"\b(agrees?|not decided|not comparable)\b"


@dataclass(frozen=True, slots=True)
class Term:
    """A term with its meaning. `pattern`: finds it in a text, whatever the case of its letters."""

    name: str
    meaning: str
    pattern: str


_TERMS = (
    Term(
        "Deleting a module",
        "Only its skip is taken, or its down-sampling projection if it has one; its branch is left out. Nothing is "
        "trained again, and the statistics of normalisation stay as they were.",
        r"\bdelet",
    ),
    Term(
        "Removing a skip",
        "Only the branch is taken. The number of paths halves, as it does when the module is deleted.",
        r"\bremov\w+ (\w+ )?skip|\bskips? (is|are)? ?removed",
    ),
    Term(
        "Error",
        "The share of {predictions} whose most likely class is not the right one. Its interval is Wilson's; that of a "
        "mean over random routes holds how much routes differ, too. Guessing among equally likely classes is called "
        "chance.",
        r"(?<!relative )\berrors?\b",
    ),
    Term(
        "Change of the error",
        "Against the intact network on the same {units}, so what both get wrong cancels; the interval is that of a "
        "paired difference (Agresti and Min, 2005), in percentage points.",
        r"\d points?\b",
    ),
    Term(
        "MACs",
        "Multiply-accumulate operations, in convolutions and matrix products.",
        r"\bmacs\b|multiply-accumulate",
    ),
    Term(
        "Random draws",
        "Determined by their seed. The interval of a median follows from the order of the draws; it needs six of them.",
        r"\bdraws?\b",
    ),
    Term(
        "Surely",
        "The whole interval lies on one side. Each interval stands for itself: of many at 95 %, one in twenty misses.",
        r"\bsurely\b",
    ),
    Term("Thresholds", ON_THRESHOLDS, _CLAIMED),
)
_ON_TRAININGS = (
    "Every network was trained once. How much one training differs from the next is in no interval."
)
_ON_SEVERAL_TRAININGS = (
    "Claims about the lesions of one network are of one training of it; how much one training differs from the next is "
    "in none of their intervals."
)


def terms_of(text: str, *, units: str, predictions: str, rule: str = "") -> list[tuple[str, str]]:
    """Give the terms that a text uses, each with its meaning.

    >>> [name for name, _ in terms_of("Deleting it costs 2 points.", units="images", predictions="images")]
    ['Deleting a module', 'Change of the error', 'Trainings']

    `units`: what the data is counted in. `predictions`: what classes are predicted for. `rule`: by which trainings are
    compared, where several were.
    """
    found = [
        (term.name, term.meaning.format(units=units, predictions=predictions))
        for term in _TERMS
        if re.search(term.pattern, text, re.IGNORECASE)
    ]
    return [*found, ("Trainings", f"{_ON_SEVERAL_TRAININGS} {rule}" if rule else _ON_TRAININGS)]
