"""Reading the tables of lesions for claims, where a table that cannot be read is one that was not measured.

"Learnt" is the distance from the error of guessing (all classes equally likely) to that of the intact
network. A network that has learnt little can lose little, so claims about it are not decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.readers.rows import Measured, chance_error, measured
from unravelnet.reporting.words.verdict import too_little

if TYPE_CHECKING:
    from unravelnet.records.record import Table

_DIFFERENCE = "error_rate_difference"


def errors_of(table: Table | None, *, needs: Sequence[str] = ()) -> Measured | None:
    """Give the errors of a study; None where there are none."""
    if table is None:
        return None
    try:
        return measured(table, needs=needs)
    except EvaluationError:
        return None


def rises_of(table: Table | None) -> pd.DataFrame | None:
    """Give the change of the error at each module against the intact network, as value, low and high."""
    if table is None:
        return None
    try:
        lesions = measured(table, metric=_DIFFERENCE, needs=["module"]).lesions
    except EvaluationError:
        return None
    return None if lesions.empty else lesions


def learnt_too_little(table: Table | None, n_classes: int | None) -> str:
    """Say so where the intact network is too near to guessing to lose anything; else give an empty text."""
    study, chance = errors_of(table), chance_error(n_classes)
    if study is None or study.intact is None or chance is None:
        return ""
    return too_little(study.intact, chance)
