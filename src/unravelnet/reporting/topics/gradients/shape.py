"""How far the decay of the gradient is from an exponential one, in parts of sentences computed from the rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from unravelnet.readers.rows import unit_of
from unravelnet.reporting.words.sentences import listed, number_with_interval

SHAPE = ("local_decay", "curvature")


def on_shape(rows: pd.DataFrame) -> str:
    """Say how the factor changes along the lengths, with intervals of examples drawn again; empty where none were."""
    known = rows[rows["local_decay_low"].notna()]
    if known.empty:
        return ""
    chosen = known.iloc[sorted({0, len(known) // 2, len(known) - 1})]
    told = [
        f"{number_with_interval(_part(row, 'local_decay'))} near length {int(row['length'])}"
        for _, row in chosen.iterrows()
    ]
    return f"locally {listed(told)}, intervals of {unit_of([rows])} drawn again (bootstrap); "


def on_curvature(rows: pd.DataFrame) -> str:
    """Say whether the logarithm of the norm is surely no straight line; empty where it was not measured."""
    curvature = _part(rows.iloc[0], "curvature")
    if np.isnan(curvature["low"]):
        return ""
    is_curved = curvature["low"] > 0 or curvature["high"] < 0
    sure = "surely no straight line" if is_curved else "not surely other than a straight line"
    return (
        f" Its logarithm is {sure}: a parabola has the curvature {number_with_interval(curvature)}, by which the "
        f"factor of the longest path is {number_with_interval(_change(rows))} times that of the shortest."
    )


def changes_surely(rows: pd.DataFrame, *, by: float) -> bool:
    """Tell whether the factor surely changes by more than a factor from the shortest to the longest path."""
    change = _change(rows)
    return bool(change["low"] > by or change["high"] < 1 / by)


def _change(rows: pd.DataFrame) -> pd.Series:
    """Give the factor at the longest length over that at the shortest: a parabola has the slope 2 c k at length k."""
    span = float(rows["length"].max() - rows["length"].min())
    return np.exp(2 * span * _part(rows.iloc[0], "curvature").astype(float))


def _part(row: pd.Series, column: str) -> pd.Series:
    return pd.Series({"value": row[column], "low": row[f"{column}_low"], "high": row[f"{column}_high"]})
