"""The claim about path lengths over training, of Littwin and Wolf (2016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.papers import littwin
from unravelnet.readers.rows import n_images_text, ordered, with_interval
from unravelnet.records.record import Table
from unravelnet.reporting.contents import COMPARED, Run, StudiedNetwork
from unravelnet.reporting.words.claim import LITTWIN, Claim, not_measured, with_rows
from unravelnet.reporting.words.sentences import number, number_with_interval
from unravelnet.reporting.words.verdict import of_all_or_some
from unravelnet.wording import counted

STUDY = "over_training"
_ALL = "all"
_TEXT = (
    "As training progresses the virtual ensemble becomes deeper. From the first checkpoint of a training to its last, "
    "the decay r of the path norms surely grows, and so does the mean length by the exact sums. Intervals are over "
    "groups of the images, which are the same at both checkpoints. (In kind: some of these hold, and none is surely "
    "the opposite.)"
)
_CHANGES = ("decay_change", "length_change")


def claim_deepening(tables: Mapping[str, Table | None]) -> Claim:
    """Judge: as training progresses the virtual ensemble becomes deeper (Littwin and Wolf).

    `tables`: of the checkpoints of a training, by the title of its network.
    """
    paper = littwin.DEEPENING.said_by
    trainings = {title: rows for title, table in tables.items() if (rows := _checkpoints(table)) is not None}
    if not trainings:
        return not_measured(_TEXT, paper, STUDY, "over-training")
    changes = pd.concat(
        with_interval(rows, name).iloc[[-1]] for rows in trainings.values() for name in _CHANGES
    )
    verdict, why = of_all_or_some(changes["low"] > 0, changes["high"] < 0, what="surely deeper")
    found = " ".join(f"{title}: {_found(rows)}" for title, rows in trainings.items())
    return Claim(
        _TEXT, paper, found, verdict, f"{why} {_on_trainings(list(trainings.values()))}", "over-training"
    )


def _on_trainings(trainings: Sequence[pd.DataFrame]) -> str:
    """Say how many trainings there are, and in how many the mean length first falls and then grows."""
    lengths = [rows["mean_length"].to_numpy() for rows in trainings]
    turned = sum(min(values) < min(values[0], values[-1]) for values in lengths)
    falls = "the mean length first falls, and then grows."
    if len(trainings) == 1:
        return f"One training.{f' Within it {falls}' if turned else ''}"
    n = counted(len(trainings), "training")
    return f"{n}, two numbers of each.{f' In {turned} of them {falls}' if turned else ''}"


def _checkpoints(table: Table | None) -> pd.DataFrame | None:
    """Read the checkpoints in their order; None where fewer than two have what is compared."""
    try:
        rows = (
            None if table is None else ordered(table, by="epoch", needs=["decay", "mean_length", *_CHANGES])
        )
    except EvaluationError:
        return None
    return None if rows is None or len(rows) < 2 else rows


def _found(rows: pd.DataFrame) -> str:
    first, last = rows.iloc[0], rows.iloc[-1]
    r, length = (number_with_interval(with_interval(rows, name).iloc[-1]) for name in _CHANGES)
    return (
        f"from epoch {int(first['epoch'])} to epoch {int(last['epoch'])}, r from {number(first['decay'])} to "
        f"{number(last['decay'])}, change {r}; mean length from {number(first['mean_length'])} to "
        f"{number(last['mean_length'])} modules, change {length}; {counted(len(rows), 'checkpoint')}, "
        f"{n_images_text(rows)}."
    )


def judge(run: Run) -> list[Claim]:
    """Judge the checkpoints of all trainings on all modules, if any network of the run has them."""
    measured = measured_in(run)
    if not measured:
        return []
    # Plain networks have no paths of several lengths.
    networks = [
        network for network in measured if _checkpoints(network.tables[STUDY]) is not None
    ] or measured
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
    """List the networks, trained on all modules, whose checkpoints were measured."""
    return [
        network
        for network in run.of_role("resnet", COMPARED)
        if network.routes == _ALL and STUDY in network.tables
    ]
