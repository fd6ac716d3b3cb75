"""Reading what single lesions do to a trained network, as numbers that trainings can be compared by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.readers.rows import measured

if TYPE_CHECKING:
    from unravelnet.records.record import Table


@dataclass(frozen=True, slots=True)
class SingleLesions:
    """By how much the error of one trained network rises when one module is deleted.

    `usual`: of modules that keep the shape; `peaks`: of those that down-sample. Both have module, value, low and high.
    """

    usual: pd.DataFrame
    peaks: pd.DataFrame

    @property
    def median(self) -> float:
        """The median rise of modules that keep the shape."""
        return float(self.usual["value"].median())

    @property
    def largest(self) -> pd.Series:
        """The module that keeps the shape and raises the error most."""
        return self.usual.loc[self.usual["value"].idxmax()]

    @property
    def excess(self) -> float:
        """How far the mean rise of down-sampling modules lies above the median of the others; NaN without such."""
        return float(self.peaks["value"].mean()) - self.median

    @property
    def first(self) -> pd.Series:
        """The row of the first module."""
        both = pd.concat([self.usual, self.peaks], ignore_index=True)
        return both.loc[both["module"].idxmin()]


def single_lesions(table: Table, downsampling: Sequence[int]) -> SingleLesions:
    """Read the rows of delete_each, or of remove_skip_each, of one network.

    Raises EvaluationError for a table without such rows of modules that keep the shape.
    """
    lesions = measured(table, metric="error_rate_difference", needs=["module"]).lesions
    is_peak = lesions["module"].isin(list(downsampling))
    if not (~is_peak).any():
        raise EvaluationError("The table holds no module that keeps the shape; give the rows of delete_each.")
    return SingleLesions(lesions[~is_peak].reset_index(drop=True), lesions[is_peak].reset_index(drop=True))
