"""Reading pairs of deleted modules: how what both cost differs from what each costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.readers.rows import measured

if TYPE_CHECKING:
    from unravelnet.records.record import Table


def interactions(table: Table, *, metric: str = "error_rate") -> pd.DataFrame:
    """Give the interaction of each pair: what deleting both costs minus what deleting each costs, added up.

    >>> from unravelnet.records.record import Table
    >>> rise = "error_rate_difference"
    >>> table = Table([
    ...     {"label": "module 0", "first_module": 0, rise: 0.1},
    ...     {"label": "module 1", "first_module": 1, rise: 0.2},
    ...     {"label": "modules 0 and 1", "first_module": 0, "second_module": 1, rise: 0.5},
    ... ])
    >>> interactions(table)["interaction"].round(3).tolist()
    [0.2]

    `table`: rows of the study delete_pairs. Each cost is the difference of the metric to the intact network. The
    interval is as wide as those of the three differences together, which holds whatever their correlation is. Raises
    EvaluationError for a table without pairs whose modules were deleted alone as well.
    """
    rows = measured(table, metric=f"{metric}_difference", needs=["first_module"]).lesions
    for column in ("first_module", "second_module"):
        rows[column] = pd.to_numeric(rows.get(column), errors="coerce")
    rows["half_width"] = (rows["high"] - rows["low"]) / 2
    alone = rows[rows["second_module"].isna()].drop_duplicates("first_module").set_index("first_module")
    pairs = rows[rows["second_module"].notna()].reset_index(drop=True)
    both = pairs["first_module"].isin(alone.index) & pairs["second_module"].isin(alone.index)
    pairs = pairs[both].reset_index(drop=True)
    if pairs.empty:
        raise EvaluationError(
            "The table holds no pair of modules that were deleted alone as well. Give the table of the study "
            "delete_pairs."
        )
    of_each = [
        alone.loc[pairs[column]].reset_index(drop=True) for column in ("first_module", "second_module")
    ]
    interaction = pairs["value"] - of_each[0]["value"] - of_each[1]["value"]
    half_width = pairs["half_width"] + of_each[0]["half_width"] + of_each[1]["half_width"]
    return pd.DataFrame(
        {
            "label": pairs["label"],
            "first_module": pairs["first_module"].astype(int),
            "second_module": pairs["second_module"].astype(int),
            "interaction": interaction,
            "interaction_low": interaction - half_width,
            "interaction_high": interaction + half_width,
            **{column: pairs[column] for column in ("unit", "data_unit", "n_predictions") if column in pairs},
            "n_images": pairs["n_images"].astype("Int64"),
            "confidence": pairs["confidence"],
        }
    )
