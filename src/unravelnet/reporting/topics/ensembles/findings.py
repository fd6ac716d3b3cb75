"""What averaging routes gains, in sentences computed from the tables."""

from __future__ import annotations

import pandas as pd

from unravelnet.readers.rows import ordered, unit_of, with_interval
from unravelnet.records.record import Table
from unravelnet.reporting.contents import StudiedNetwork
from unravelnet.reporting.words.sentences import percent_with_interval
from unravelnet.wording import percent


def on_ensemble(network: StudiedNetwork, table: Table) -> list[str]:
    """Say what averaging routes gains, how much they differ, and the same for separate networks."""
    wants = ["disagreement", "error_correlation", "intact_error_rate"]
    rows = ordered(table, by="n_members", needs=["error_rate"], wants=wants, keeps=["members"])
    sentences = [_on_members(network, str(kind), part) for kind, part in rows.groupby("members", sort=False)]
    intact = rows["intact_error_rate"].dropna()
    return [*sentences, *([f"The intact network errs in {percent(intact.iloc[0])}."] if len(intact) else [])]


def _on_members(network: StudiedNetwork, kind: str, rows: pd.DataFrame) -> str:
    name = {"routes": "random routes", "networks": "networks trained separately"}.get(kind, kind)
    points = with_interval(rows, "error_rate")
    first, last = (
        f"{int(rows['n_members'].iloc[place])}: {percent_with_interval(points.iloc[place])}"
        for place in (0, -1)
    )
    known = [
        words.format(value.iloc[-1]).replace("%", " %")
        for column, words in (
            (
                "disagreement",
                f"two of them disagree on {{:.1%}} of the {unit_of([rows], of_predictions=True)}",
            ),
            ("error_correlation", "the errors of two have a correlation of {:.2f}"),
        )
        if len(value := rows[column].dropna())
    ]
    return f"{network.title}, error by number of averaged {name}: {'; '.join([f'{first}, {last}', *known])}."
