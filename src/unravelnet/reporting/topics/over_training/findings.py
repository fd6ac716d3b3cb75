"""How path lengths change over training, in sentences computed from the tables."""

from __future__ import annotations

from unravelnet.readers.rows import ordered, with_interval
from unravelnet.records.record import Table
from unravelnet.reporting.contents import StudiedNetwork
from unravelnet.reporting.words.sentences import number, number_with_interval


def on_over_training(network: StudiedNetwork, table: Table) -> list[str]:
    """Say how the decay and the path lengths changed from the first checkpoint to the last."""
    names = ["decay", "mean_length", "dominating_length", "predicted_length"]
    rows = ordered(table, by="epoch", wants=names)
    first, last = rows.iloc[0], rows.iloc[-1]
    epochs = f"from epoch {int(first['epoch'])} to epoch {int(last['epoch'])}"
    sentences = []
    if rows["decay"].notna().any():
        ends = [number_with_interval(with_interval(rows, "decay").iloc[place]) for place in (0, -1)]
        sentences.append(f"{network.title}, {epochs}: the decay r goes from {ends[0]} to {ends[1]}.")
    if rows["mean_length"].notna().any():
        sentences.append(
            f"{network.title}, {epochs}: the mean length by the exact sums goes from {number(first['mean_length'])} to "
            f"{number(last['mean_length'])} modules, the length with the largest sum from "
            f"{number(first['dominating_length'])} to {number(last['dominating_length'])}; n·r / (1 + r) predicts "
            f"{number(first['predicted_length'])} to {number(last['predicted_length'])}."
        )
    return sentences
