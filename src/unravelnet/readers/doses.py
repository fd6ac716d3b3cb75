"""Reading scaled branches: the response of a network to the factor of one branch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.readers.rows import measured

if TYPE_CHECKING:
    from unravelnet.records.record import Table


def responses(table: Table, *, metric: str = "error_rate") -> pd.DataFrame:
    """Give a metric over module and factor, the intact network being every module at the factor 1.

    >>> from unravelnet.records.record import Table
    >>> rows = [{"label": "intact", "error_rate": 0.1}]
    >>> rows += [{"label": f"module 0 times {f}", "module": 0, "factor": f, "error_rate": 0.2} for f in (0.5, 2.0)]
    >>> responses(Table(rows))[["factor", "value"]].to_numpy().tolist()
    [[0.5, 0.2], [1.0, 0.1], [2.0, 0.2]]

    `table`: rows of the study scale_each. Raises EvaluationError for a table without scaled branches.
    """
    study = measured(table, metric=metric, needs=["module", "factor"])
    if study.lesions.empty:
        raise EvaluationError("The table holds no scaled branch. Give the table of the study scale_each.")
    scaled = study.lesions.assign(factor=pd.to_numeric(study.lesions["factor"]))
    if study.intact is not None:
        modules = scaled["module"].unique()
        whole = pd.DataFrame([study.intact] * len(modules)).assign(module=modules, factor=1.0)
        scaled = pd.concat([scaled, whole], ignore_index=True)
    for column in ("module", "factor", "value", "n_images"):
        scaled[column] = scaled[column].astype(float)
    return scaled.sort_values(["module", "factor"], kind="stable").reset_index(drop=True)
