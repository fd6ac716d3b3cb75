"""What effective depths and measures of modules show, in sentences computed from the tables."""

from __future__ import annotations

import numpy as np

from unravelnet.readers.rows import ordered
from unravelnet.records.record import Table
from unravelnet.reporting.contents import StudiedNetwork
from unravelnet.reporting.words.sentences import number
from unravelnet.wording import counted


def on_effective_depths(network: StudiedNetwork, table: Table) -> list[str]:
    """Say how many of the modules behind it the gradient of the first module comes through."""
    rows = ordered(table, by="module", needs=["n_after", "effective_depth", "depth_share", "is_deeper"])
    first = rows.loc[rows["n_after"].idxmax()]
    return [
        f"{network.title}: paths through at most {int(first['effective_depth'])} of the {int(first['n_after'])} "
        f"modules behind module {int(first['module'])} carry {100 * first['depth_share']:g} % of its gradient; "
        f"{int(rows['is_deeper'].sum())} of {counted(len(rows), 'module')} have more modules behind them than their "
        "effective depth."
    ]


def on_module_measures(network: StudiedNetwork, table: Table) -> list[str]:
    """Say how large branches are beside their stream, whether they go downhill, and what they do to gradients."""
    measures = ["branch_to_stream", "branch_gradient_cosine", "gradient_gain"]
    rows = ordered(table, by="module", wants=measures)
    sentences = []
    sizes = rows.dropna(subset=["branch_to_stream"])
    if not sizes.empty:
        largest = sizes.loc[sizes["branch_to_stream"].idxmax()]
        sentences.append(
            f"{network.title}: a branch is {number(sizes['branch_to_stream'].median())} times as large as its stream "
            f"in the median of {counted(len(sizes), 'module')}, at most {number(largest['branch_to_stream'])} times, "
            f"at module {int(largest['module'])}."
        )
    cosines = rows.dropna(subset=["branch_gradient_cosine"])
    if not cosines.empty:
        downhill = int((cosines["branch_gradient_cosine_high"] < 0).sum())
        uphill = int((cosines["branch_gradient_cosine_low"] > 0).sum())
        sentences.append(
            f"{network.title}: {downhill} of {counted(len(cosines), 'branch')} surely go downhill "
            f"in the loss, {uphill} surely uphill."
        )
    gains = rows.loc[rows["gradient_gain"] > 0, "gradient_gain"]
    if not gains.empty:
        mean = float(np.exp(np.log(gains).mean()))
        sentences.append(
            f"{network.title}: a branch passes on {number(mean)} of the norm of a gradient, in the geometric mean."
        )
    return sentences
