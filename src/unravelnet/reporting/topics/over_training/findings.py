"""How path lengths change over training, in sentences computed from the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd

from unravelnet.readers.rows import ordered, with_interval
from unravelnet.records.record import Table
from unravelnet.reporting.contents import StudiedNetwork
from unravelnet.reporting.words.sentences import number, number_with_interval
from unravelnet.wording import counted


def on_over_training(network: StudiedNetwork, table: Table) -> list[str]:
    """Say how the decay and the path lengths changed from the first checkpoint to the last, of those that have them."""
    names = ["decay", "mean_length", "dominating_length", "predicted_length"]
    rows = ordered(table, by="epoch", wants=names)
    return [
        *_told(network, rows[rows["decay"].notna()], _on_decay),
        *_told(network, rows[rows[["mean_length", "dominating_length"]].notna().all(axis=1)], _on_lengths),
        *_told(network, rows[rows["predicted_length"].notna()], _on_predicted),
    ]


def _told(network: StudiedNetwork, rows: pd.DataFrame, write: Callable[[pd.DataFrame], str]) -> Iterator[str]:
    if not rows.empty:
        first, last = (int(rows["epoch"].iloc[place]) for place in (0, -1))
        yield f"{network.title}, from epoch {first} to epoch {last}: {write(rows)}"


def _on_decay(rows: pd.DataFrame) -> str:
    first, last = (number_with_interval(with_interval(rows, "decay").iloc[place]) for place in (0, -1))
    return f"the decay r goes from {first} to {last}."


def _on_lengths(rows: pd.DataFrame) -> str:
    means = [number(rows["mean_length"].iloc[place]) for place in (0, -1)]
    turn = rows.loc[rows["mean_length"].idxmin()]
    turned = (
        f" The mean length is smallest after epoch {int(turn['epoch'])}, {number(turn['mean_length'])} modules."
        if turn["mean_length"] < rows["mean_length"].iloc[[0, -1]].min()
        else ""
    )
    largest = [number(rows["dominating_length"].iloc[place]) for place in (0, -1)]
    return (
        f"the mean length by the exact sums goes from {means[0]} to {means[1]} modules, and the length with the "
        f"largest sum from {largest[0]} to {largest[1]}.{turned}"
    )


def _on_predicted(rows: pd.DataFrame) -> str:
    first, last = (number(rows["predicted_length"].iloc[place]) for place in (0, -1))
    return f"by the decay, n·r / (1 + r), the length with the largest sum would go from {first} to {last}."


def on_scales(network: StudiedNetwork, table: Table) -> list[str]:
    """Say whether the scales of normalisation grew, from the first checkpoint to the last."""
    rows = ordered(table, by="position", needs=["epoch", "scale"])
    epochs = sorted({int(epoch) for epoch in rows["epoch"]})
    scales = rows.pivot_table(index="position", columns="epoch", values="scale")
    first, last = scales[epochs[0]], scales[epochs[-1]]
    return [
        f"{network.title}, from epoch {epochs[0]} to epoch {epochs[-1]}: the mean |γ| of {(last > first).sum()} of "
        f"{counted(len(scales), 'normalisation layer')} grows. Over all of them it goes from {number(first.mean())} to "
        f"{number(last.mean())}."
    ]
