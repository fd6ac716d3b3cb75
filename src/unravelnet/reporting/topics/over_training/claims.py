"""The claim about path lengths over training, of Littwin and Wolf (2016)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.papers import littwin
from unravelnet.readers.rows import n_images_text, ordered, with_interval
from unravelnet.records.record import Table
from unravelnet.reporting.contents import COMPARED, Run, StudiedNetwork
from unravelnet.reporting.words.claim import LITTWIN, Claim, not_measured, with_rows
from unravelnet.reporting.words.sentences import number, number_with_interval
from unravelnet.reporting.words.verdict import of_all_or_some, rank_correlation
from unravelnet.wording import counted

STUDY = "over_training"
_ALL = "all"
_TEXT = (
    "As training progresses the virtual ensemble becomes deeper. Of each training, the decay r of its path norms is "
    "surely larger at the last checkpoint than at the first, and the mean length by the exact sums surely grows over "
    "the checkpoints (rank correlation). (In kind: some of these hold, and none is surely the opposite.)"
)


def claim_deepening(tables: Mapping[str, Table | None]) -> Claim:
    """Judge: as training progresses the virtual ensemble becomes deeper (Littwin and Wolf).

    `tables`: of the checkpoints of a training, by the title of its network.
    """
    paper = littwin.DEEPENING.said_by
    trainings = {title: rows for title, table in tables.items() if (rows := _checkpoints(table)) is not None}
    if not trainings:
        return not_measured(_TEXT, paper, STUDY, "over-training")
    judged = pd.DataFrame([_judged(rows) for rows in trainings.values()])
    verdict, why = of_all_or_some(
        pd.concat([judged["r_grows"], judged["length_grows"]]),
        pd.concat([judged["r_falls"], judged["length_falls"]]),
        what="surely deeper",
    )
    found = " ".join(f"{title}: {_found(rows)}" for title, rows in trainings.items())
    sample = (
        "One training."
        if len(trainings) == 1
        else f"{counted(len(trainings), 'training')}, two numbers of each."
    )
    return Claim(_TEXT, paper, found, verdict, f"{why} {sample}", "over-training")


def _checkpoints(table: Table | None) -> pd.DataFrame | None:
    """Read the checkpoints in their order; None where fewer than two have what is compared."""
    try:
        rows = None if table is None else ordered(table, by="epoch", needs=["decay", "mean_length"])
    except EvaluationError:
        return None
    return None if rows is None or len(rows) < 2 else rows


def _judged(rows: pd.DataFrame) -> dict[str, bool]:
    decays = with_interval(rows, "decay")
    first, last = decays.iloc[0], decays.iloc[-1]
    _, low, high = _correlation(rows)
    return {
        "r_grows": last["low"] > first["high"],
        "length_grows": low > 0,
        "r_falls": last["high"] < first["low"],
        "length_falls": high < 0,
    }


def _correlation(rows: pd.DataFrame) -> tuple[float, float, float]:
    return rank_correlation(rows["epoch"].to_numpy(), rows["mean_length"].to_numpy())


def _found(rows: pd.DataFrame) -> str:
    decays = with_interval(rows, "decay")
    rho, low, high = _correlation(rows)
    lengths = [number(rows["mean_length"].iloc[place]) for place in (0, -1)]
    epochs = [int(rows["epoch"].iloc[place]) for place in (0, -1)]
    return (
        f"r from {number_with_interval(decays.iloc[0])} at epoch {epochs[0]} to "
        f"{number_with_interval(decays.iloc[-1])} at epoch {epochs[1]}; mean length from {lengths[0]} to {lengths[1]} "
        f"modules, rank correlation with the epoch {number(rho)} ({number(low)} to {number(high)}); "
        f"{counted(len(rows), 'checkpoint')}, {n_images_text(rows)}."
    )


def judge(run: Run) -> list[Claim]:
    """Judge the checkpoints of all trainings on all modules, if any network of the run has them."""
    networks = measured_in(run)
    if not networks:
        return []
    claim = claim_deepening({network.title: network.tables[STUDY] for network in networks})
    return [
        with_rows(
            claim,
            *((network, STUDY) for network in networks),
            short="Training makes the ensemble deeper",
            source=LITTWIN,
        )
    ]


def measured_in(run: Run) -> list[StudiedNetwork]:
    """List the residual networks, trained on all modules, whose checkpoints were measured."""
    return [
        network
        for network in run.of_role("resnet", COMPARED)
        if network.routes == _ALL and STUDY in network.tables
    ]
