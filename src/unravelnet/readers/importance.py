"""Reading scores of importance: each beside the effect that a deletion had, and where modules stand by either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.mathematics.ranks import kendall, spearman
from unravelnet.readers.rows import ordered
from unravelnet.registry import SCORES

if TYPE_CHECKING:
    from unravelnet.records.record import Table

EFFECTS = ("deletion", "deletion_error_rate")


@dataclass(frozen=True, slots=True)
class Compared:
    """A score beside the truth.

    `rows`: one a module, with the columns module, keeps_shape, score, truth, score_rank and truth_rank.
    """

    score: str
    truth: str
    rows: pd.DataFrame

    @property
    def spearman(self) -> float:
        """The rank correlation of Spearman."""
        return spearman(self.rows["score"], self.rows["truth"])

    @property
    def kendall(self) -> float:
        """The rank correlation of Kendall."""
        return kendall(self.rows["score"], self.rows["truth"])


def comparisons(table: Table, *, truth: str | None = None) -> list[Compared]:
    """Put each score of a table beside an effect of deletions, the best by Spearman's correlation first.

    >>> from unravelnet.records.record import Table
    >>> rows = [{"module": i, "deletion": i, "block_influence": i**2, "first_order": -i} for i in range(4)]
    >>> [(found.score, found.spearman) for found in comparisons(Table(rows))]
    [('block_influence', 1.0), ('first_order', -1.0)]

    `truth`: a column; the first effect that the table has if None. Ranks begin at 1 with the smallest. Raises
    EvaluationError for a table without effects of deletions, or without scores beside them.
    """
    truth = truth or next((name for name in EFFECTS if name in table.columns), None)
    if truth is None or truth not in table.columns:
        raise EvaluationError(
            f"The table has no column {truth or EFFECTS[0]!r}, so scores cannot be compared with what a deletion "
            f"costs. Measure it: importance(..., methods=[{EFFECTS[0]!r}, ...])."
        )
    scores = [name for name in table.columns if name in SCORES.names() and name not in EFFECTS]
    found = [
        _compared(table, score, truth) for score in scores if any(value is not None for value in table[score])
    ]
    if not found:
        raise EvaluationError(
            f"The table has no score beside {truth!r}. Name another method, such as {SCORES.names()[2]!r}."
        )
    return sorted(found, key=lambda one: -one.spearman if one.spearman == one.spearman else 2)


def _compared(table: Table, score: str, truth: str) -> Compared:
    rows = ordered(table, by="module", needs=[score, truth])
    shape = rows.get("keeps_shape", True)
    frame = pd.DataFrame(
        {"module": rows["module"].astype(int), "score": rows[score], "truth": rows[truth]}, index=rows.index
    ).assign(keeps_shape=shape)
    ranks = {f"{name}_rank": frame[name].rank() for name in ("score", "truth")}
    return Compared(score, truth, frame.assign(**ranks))
