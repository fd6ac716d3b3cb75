"""Reading the curve of a search for modules to delete: error over size, of each strategy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.readers.rows import ordered, unit_of

if TYPE_CHECKING:
    from unravelnet.records.record import Table

RANDOM, INTACT = "random", "intact"
LOW, HIGH = 0.05, 0.95
"""The quantiles of random orders that stand for their interval."""


def trade_off(table: Table, *, metric: str = "error_rate", size: str = "macs_left") -> pd.DataFrame:
    """Give a metric over the size of what is left, a row a strategy and number of deleted modules.

    >>> from unravelnet.records.record import Table
    >>> rows = [{"strategy": "intact", "n_deleted": 0, "macs_left": 1.0, "error_rate": 0.0}]
    >>> one = {**rows[0], "strategy": "random", "n_deleted": 1, "macs_left": 0.5}
    >>> rows += [{**one, "error_rate": error} for error in (0.25, 0.5)]
    >>> trade_off(Table(rows))[["strategy", "n_deleted", "value", "n_draws"]].to_numpy().tolist()
    [['random', 0, 0.0, 1], ['random', 1, 0.375, 2]]

    `table`: the curve of a search. Every strategy begins with the intact network. `value` is the median over random
    orders, and `low` and `high` are their quantiles 0.05 and 0.95; for other strategies the ends of the interval of the
    metric. Raises EvaluationError for another table.
    """
    rows = ordered(table, by="n_deleted", needs=[metric, size], keeps=["strategy"])
    intact = rows[rows["strategy"] == INTACT]
    strategies = [name for name in rows["strategy"].unique() if name != INTACT]
    if not strategies:
        raise EvaluationError("The table holds no pruned network. Give the curve of a search.")
    parts = []
    for strategy in strategies:
        own = pd.concat([intact, rows[rows["strategy"] == strategy]])
        for n_deleted, group in own.groupby("n_deleted"):
            values = group[metric]
            is_random = strategy == RANDOM and len(group) > 1
            parts.append(
                {
                    "strategy": strategy,
                    "n_deleted": int(n_deleted),
                    "size": float(group[size].median()),
                    "value": float(values.median()),
                    "low": float(values.quantile(LOW) if is_random else group[f"{metric}_low"].median()),
                    "high": float(values.quantile(HIGH) if is_random else group[f"{metric}_high"].median()),
                    "n_draws": len(group),
                    "n_images": float(group["n_images"].median()),
                    "data_unit": unit_of([rows]),
                }
            )
    return pd.DataFrame(parts)
