"""The claim about path lengths over training, of Littwin and Wolf (2016)."""

from __future__ import annotations

import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.papers import littwin
from unravelnet.readers.rows import n_images_text, ordered, with_interval
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run
from unravelnet.reporting.words.claim import LITTWIN, Claim, not_measured, with_rows
from unravelnet.reporting.words.sentences import number, number_with_interval
from unravelnet.reporting.words.verdict import of_all_or_some, rank_correlation
from unravelnet.wording import counted


def claim_deepening(table: Table | None, *, network: str = "the residual network") -> Claim:
    """Judge: as training progresses the virtual ensemble becomes deeper (Littwin and Wolf)."""
    text = (
        f"As training progresses the virtual ensemble of {network} becomes deeper: the decay r of its path norms is "
        "surely larger at the last checkpoint than at the first, and the mean length by the exact sums surely grows "
        "over the checkpoints (rank correlation). (In kind: one of the two, and the other not surely the opposite.)"
    )
    paper = littwin.DEEPENING.said_by
    try:
        rows = None if table is None else ordered(table, by="epoch", needs=["decay", "mean_length"])
    except EvaluationError:
        rows = None
    if rows is None or len(rows) < 2:
        return not_measured(text, paper, "over_training", "over-training")
    decays = with_interval(rows, "decay")
    first, last = decays.iloc[0], decays.iloc[-1]
    rho, low, high = rank_correlation(rows["epoch"].to_numpy(), rows["mean_length"].to_numpy())
    lengths = [number(rows["mean_length"].iloc[place]) for place in (0, -1)]
    epochs = [int(rows["epoch"].iloc[place]) for place in (0, -1)]
    found = (
        f"r from {number_with_interval(first)} at epoch {epochs[0]} to "
        f"{number_with_interval(last)} at epoch {epochs[1]}; mean length from {lengths[0]} to {lengths[1]} "
        f"modules, rank correlation with the epoch {number(rho)} ({number(low)} to {number(high)}); "
        f"{counted(len(rows), 'checkpoint')}, {n_images_text(rows)}."
    )
    deeper = pd.Series([last["low"] > first["high"], low > 0])
    shallower = pd.Series([last["high"] < first["low"], high < 0])
    verdict, why = of_all_or_some(deeper, shallower, what="surely deeper")
    return Claim(text, paper, found, verdict, f"{why} One training.", "over-training")


def judge(run: Run) -> list[Claim]:
    """Judge the checkpoints of each ordinary residual network, if any network of the run has them."""
    study = "over_training"
    return [
        with_rows(
            claim_deepening(network.tables.get(study), network=network.title),
            (network, study),
            short="Training makes the ensemble deeper",
            source=LITTWIN,
        )
        for network in (run.of_role("resnet") if run.with_table(study) else [])
    ]
