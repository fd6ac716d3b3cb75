"""Reading tables for figures and reports: values with intervals, the intact row, what n was.

Everything that shows a measurement reads it here, so that a figure, a sentence and a verdict cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from unravelnet import columns
from unravelnet.errors import EvaluationError
from unravelnet.wording import counted

if TYPE_CHECKING:
    from unravelnet.records.record import Table

_NUMBERS = ("module", "n_deleted", "kendall_tau", "n_images", "confidence", "n_not_finite", "repeat")
_USUAL_UNIT = "images"
# Where a unit has several predictions.
_PREDICTED = {"sequences": "tokens"}
_FACTS = ("n_images", "n_draws", "n_sets", "n_modules", "confidence")


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric of one study: the intact network and the lesions, in the order of the table.

    `lesions` has the columns of the table and `value`, `low`, `high` of the metric (low and high are NaN
    where there is no interval). `intact` is the same as one row, or None where the table has none.
    """

    metric: str
    lesions: pd.DataFrame
    intact: pd.Series | None

    @property
    def rows(self) -> pd.DataFrame:
        """All rows, the intact one first."""
        first = [] if self.intact is None else [self.intact.to_frame().T]
        return pd.concat([*first, self.lesions], ignore_index=True)


def measured(table: Table, *, metric: str = "error_rate", needs: Sequence[str] = ()) -> Measured:
    """Take one metric out of a table.

    `needs`: further columns; lesions without a number there are left out, as are those without a finite
    value. Raises EvaluationError for a missing column and where no row is left.
    """
    frame = table.to_pandas()
    _check_columns(frame, [metric, "label", *needs])
    for column, source in (("value", metric), ("low", f"{metric}_low"), ("high", f"{metric}_high")):
        frame[column] = _numbers(frame, source)
    for column in _NUMBERS:
        frame[column] = _numbers(frame, column)
    is_known = frame["value"].notna()
    is_intact = is_known & (frame["label"] == "intact")
    # A frame of many columns is slow to take rows from: once.
    lesions = frame[is_known & ~is_intact & frame[list(needs)].notna().all(axis=1)].reset_index(drop=True)
    if lesions.empty and not is_intact.any():
        raise EvaluationError(f"The table has no row with a finite {metric!r}, so there is nothing to show.")
    return Measured(metric, lesions, frame.loc[is_intact.idxmax()] if is_intact.any() else None)


def ordered(
    table: Table,
    *,
    by: str,
    needs: Sequence[str] = (),
    wants: Sequence[str] = (),
    keeps: Sequence[str] = (),
) -> pd.DataFrame:
    """Take the rows of a table in the order of a column, with numbers where numbers are due.

    >>> from unravelnet.records.record import Table
    >>> table = Table([{"length": 1, "share": 0.75}, {"length": 0, "share": 0.25}, {"length": 2, "share": None}])
    >>> ordered(table, by="length", needs=["share"])["share"].tolist()
    [0.25, 0.75]

    `needs`: columns without which there is nothing to show; rows without a finite number there, or in `by`, are
    left out. `wants`: columns that are NaN where the table lacks them. Of both, the ends of the interval are
    added under `_low` and `_high`. `keeps`: columns that must be there and stay as they are. Raises
    EvaluationError for a missing column and where no row is left.
    """
    frame = table.to_pandas()
    _check_columns(frame, [by, *needs, *keeps])
    for column in _FACTS:
        frame[column] = _numbers(frame, column)
    for column in (by, *needs, *wants):
        for source in (column, f"{column}_low", f"{column}_high"):
            frame[source] = _numbers(frame, source)
    is_known = np.isfinite(frame[[by, *needs]].to_numpy()).all(axis=1)
    if not is_known.any():
        raise EvaluationError(
            f"The table has no row with a finite {(needs[0] if needs else by)!r}, so there is nothing to show."
        )
    return frame[is_known].sort_values(by, kind="stable").reset_index(drop=True)


def with_interval(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Name a column value, and its interval low and high, as marks are drawn from them."""
    named = {"value": rows[column], "low": rows[f"{column}_low"], "high": rows[f"{column}_high"]}
    return pd.DataFrame(named, index=rows.index)


def is_share(metric: str) -> bool:
    """Tell whether a metric is a share in [0, 1], to be shown in percent."""
    column = columns.find(metric)
    return column is not None and column.is_share


def unit_of(frames: Iterable[pd.DataFrame], *, of_predictions: bool = False) -> str:
    """Say what the examples are that tables were measured on: "examples" where tables differ.

    >>> unit_of([pd.DataFrame({"n_images": [10]})]), unit_of([pd.DataFrame({"data_unit": ["sequences"]})])
    ('images', 'sequences')
    >>> unit_of([pd.DataFrame({"data_unit": ["sequences"]})], of_predictions=True)
    'tokens'

    `of_predictions`: say what is predicted instead. Tables of before the unit was recorded are of images.
    """
    units = dict.fromkeys(
        str(unit)
        for frame in frames
        for unit in (frame["data_unit"].dropna().unique() if "data_unit" in frame else [_USUAL_UNIT])
    )
    if len(units) > 1:
        return "predictions" if of_predictions else "examples"
    unit = next(iter(units), _USUAL_UNIT)
    return _PREDICTED.get(unit, unit) if of_predictions else unit


def n_images_text(frame: pd.DataFrame) -> str:
    """Say how many images were behind the values, or what else the data has; of texts, how many predictions.

    >>> n_images_text(pd.DataFrame({"n_images": [10000, 10000]}))
    'n = 10,000 images'
    >>> n_images_text(pd.DataFrame({"n_images": [8], "data_unit": ["sequences"]}))
    'n = 8 sequences'
    >>> n_images_text(pd.DataFrame({"n_images": [8], "n_predictions": [512]}))
    'n = 512 predictions'
    """
    numbers, unit = frame["n_images"].dropna(), unit_of([frame]).removesuffix("s")
    if "n_predictions" in frame and (frame["n_predictions"] != frame["n_images"]).any():
        numbers, unit = frame["n_predictions"].dropna(), "prediction"
    if numbers.empty:
        return "n not recorded"
    low, high = int(numbers.min()), int(numbers.max())
    return f"n = {counted(low, unit)}" if low == high else f"n = {low:,} to {high:,} {unit}s"


def interval_text(frame: pd.DataFrame, metric: str = "error_rate") -> str:
    """Name the interval of the values.

    >>> interval_text(pd.DataFrame({"confidence": [0.95, 0.95]}))
    '95 % Wilson intervals'

    A difference of two shares is none.
    """
    levels = sorted({float(level) for level in frame["confidence"].dropna()})
    level = f"{levels[0] * 100:g} % " if len(levels) == 1 else ""
    is_rate = is_share(metric) and not metric.endswith("_difference")
    return f"{level}Wilson intervals" if is_rate else f"{level}intervals"


def chance_error(n_classes: int | None) -> float | None:
    """Give the error rate of guessing among equally likely classes; None where their number is not known.

    >>> chance_error(10)
    0.9
    """
    return None if n_classes is None else 1 - 1 / n_classes


def _numbers(frame: pd.DataFrame, column: str) -> pd.Series:
    if column not in frame:
        return pd.Series(float("nan"), index=frame.index)
    values = frame[column]
    return values if values.dtype == float else pd.to_numeric(values, errors="coerce").astype(float)


def _check_columns(frame: pd.DataFrame, names: Iterable[str]) -> None:
    missing = [name for name in names if name not in frame]
    if missing:
        raise EvaluationError(
            f"The table has no column {missing[0]!r}; it has {', '.join(map(str, frame.columns)) or 'none'}. "
            "Give the table of the study that this figure shows."
        )
