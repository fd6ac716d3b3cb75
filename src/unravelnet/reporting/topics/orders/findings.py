"""What other orders do, in sentences computed from the tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from unravelnet.readers.rows import measured
from unravelnet.records.record import Table
from unravelnet.reporting.contents import StudiedNetwork
from unravelnet.reporting.words.sentences import percent_with_interval
from unravelnet.wording import counted, percent


def on_orders(network: StudiedNetwork, table: Table) -> list[str]:
    """Say what the orders nearest to the original cost, and those farthest from it."""
    study = measured(table, needs=["kendall_tau"])
    orders = study.lesions.sort_values("kendall_tau", ascending=False, kind="stable")
    if orders.empty:
        return []
    tenth = max(1, len(orders) // 10)
    near, far = _on_group(orders.iloc[:tenth]), _on_group(orders.iloc[-tenth:])
    intact = f"; intact: {percent_with_interval(study.intact)}" if study.intact is not None else ""
    return [
        f"{network.title}: of {counted(len(orders), 'random order')}, the {tenth} nearest to the original "
        f"({near[0]}) have a median error of {near[1]}, the {tenth} farthest ({far[0]}) of {far[1]}{intact}."
    ]


def _on_group(orders: pd.DataFrame) -> tuple[str, str]:
    low, high = orders["kendall_tau"].min(), orders["kendall_tau"].max()
    span = f"τ {high:.3f}" if np.isclose(low, high) else f"τ {low:.3f} to {high:.3f}"
    return span, percent(orders["value"].median())
