"""What pairs of deleted modules cost, in sentences computed from the tables."""

from __future__ import annotations

from unravelnet.readers.pairs import interactions
from unravelnet.records.record import Table
from unravelnet.reporting.contents import StudiedNetwork
from unravelnet.reporting.words.sentences import points, points_with_interval
from unravelnet.wording import counted


def on_pairs(network: StudiedNetwork, table: Table) -> list[str]:
    """Say how the costs of two modules add up, and which pair departs most from the sum."""
    found = interactions(table)
    n_more, n_less = int((found["interaction_low"] > 0).sum()), int((found["interaction_high"] < 0).sum())
    largest = found.loc[found["interaction"].abs().idxmax()]
    named = {"value": "interaction", "low": "interaction_low", "high": "interaction_high"}
    interval = largest[list(named.values())].set_axis(list(named))
    return [
        f"{network.title}: the median interaction of {counted(len(found), 'pair')} is "
        f"{points(found['interaction'].median())} points. {n_more} clearly cost more than the sum of both modules, "
        f"{n_less} clearly less, and the intervals of the others contain 0.",
        f"{network.title}: the largest interaction is that of {largest['label']}: {points_with_interval(interval)}.",
    ]
