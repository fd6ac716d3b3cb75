"""What random deletions do, in sentences computed from the tables."""

from __future__ import annotations

import pandas as pd

from unravelnet.readers.draws import deletes_any
from unravelnet.readers.rows import Measured, chance_error, measured
from unravelnet.records.record import Table
from unravelnet.reporting.contents import StudiedNetwork
from unravelnet.reporting.words.sentences import listed, percent_with_interval
from unravelnet.wording import counted, percent


def on_many_deletions(network: StudiedNetwork, table: Table) -> list[str]:
    """Say what the median draw loses for some numbers of deleted modules, and when half is lost."""
    study = measured(table, needs=["n_deleted"])
    groups = {int(count): rows["value"] for count, rows in study.lesions.groupby("n_deleted")}
    if not groups:
        return []
    counts = list(groups)
    shown = sorted({counts[0], counts[len(counts) // 2], counts[-1]})
    parts = [
        f"{count} deleted: {percent(groups[count].median())} ({percent(groups[count].min())} to "
        f"{percent(groups[count].max())} over {counted(len(groups[count]), 'draw')})"
        for count in shown
    ]
    intact = f"; intact: {percent_with_interval(study.intact)}" if study.intact is not None else ""
    return [
        f"{network.title}, median error: {'; '.join(parts)}{intact}.",
        *_on_kinds(network, study),
        *_on_half_lost(network, study, groups),
    ]


def _on_kinds(network: StudiedNetwork, study: Measured) -> list[str]:
    """Tell the draws that delete a down-sampling module from the others, at the number where both are many."""
    is_hit = deletes_any(study.lesions, network.downsampling)
    if is_hit is None:
        return []
    # Of more deletions more draws hit one: only draws of as many deletions can be compared.
    sizes = is_hit.groupby(study.lesions["n_deleted"]).agg(lambda hits: min(hits.sum(), (~hits).sum()))
    number = int(sizes.idxmax())
    if not sizes[number]:
        return []
    draws, is_hit = (part[study.lesions["n_deleted"] == number] for part in (study.lesions, is_hit))
    hit, other = (draws.loc[mask, "value"] for mask in (is_hit, ~is_hit))
    return [
        f"Draws are of two kinds. Of {counted(len(draws), 'draw')} that delete {number}, {len(hit)} delete module "
        f"{listed(network.downsampling, last='or')}: {percent(hit.median())} in the median and {percent(hit.mean())} "
        f"in the mean; the others: {percent(other.median())} and {percent(other.mean())}."
    ]


def _on_half_lost(network: StudiedNetwork, study: Measured, groups: dict[int, pd.Series]) -> list[str]:
    chance = chance_error(network.n_classes)
    if chance is None or study.intact is None or study.intact["value"] >= chance:
        return []
    half = (chance + float(study.intact["value"])) / 2
    first = next((count for count, values in groups.items() if values.median() > half), None)
    if first is None:
        return [f"Up to {max(groups)} deleted, the median draw keeps more than half of what was learnt."]
    return [f"The median draw has lost more than half of what was learnt from {first} deleted modules on."]
