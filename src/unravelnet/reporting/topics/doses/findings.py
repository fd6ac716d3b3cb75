"""What scaled branches cost, in sentences computed from the tables."""

from __future__ import annotations

from unravelnet.readers.doses import responses
from unravelnet.readers.rows import measured
from unravelnet.records.record import Table
from unravelnet.reporting.contents import StudiedNetwork
from unravelnet.wording import counted, percent


def on_doses(network: StudiedNetwork, table: Table) -> list[str]:
    """Say what the smallest and the largest factor cost in the median, and where another factor than 1 is better."""
    found = responses(table)
    medians = found.groupby("factor")["value"].median()
    told = [f"{percent(medians[factor])} at {factor:g}" for factor in (medians.index[0], medians.index[-1])]
    changes = measured(table, metric="error_rate_difference", needs=["module", "factor"]).lesions
    n_better = int((changes["high"] < 0).sum())
    return [
        f"{network.title}: over {counted(found['module'].nunique(), 'module')}, the median error is {told[0]} and "
        f"{told[1]} times the branch. Of {counted(len(changes), 'scaled branch')}, {n_better} have a smaller error "
        "than the intact network, with an interval that does not reach 0."
    ]
