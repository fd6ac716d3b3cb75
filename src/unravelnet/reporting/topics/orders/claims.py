"""The claim about the order of modules: how the error grows with their disorder.

Source: Veit, Wilber and Belongie (2016), Fig. 5b.
"""

from __future__ import annotations

import numpy as np

from unravelnet.papers import veit
from unravelnet.readers.rows import Measured
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run
from unravelnet.reporting.topics.lesions.rows import errors_of
from unravelnet.reporting.topics.random_lesions.graded import ON_STEPS, graded
from unravelnet.reporting.words.claim import Claim, not_measured, with_rows

_N_GROUPS = 10


def claim_reorder(
    table: Table | None, *, n_classes: int | None = None, network: str = "the residual network"
) -> Claim:
    """Judge: the error grows with the disorder of the modules, and nowhere collapses (Fig. 5b)."""
    text = (
        f"The error of {network} grows with the disorder of its modules (1 − Kendall's τ), and without a collapse: "
        "from one tenth of the orders to the next neither the median nor the mean loses more than a quarter of what "
        f"was learnt. {ON_STEPS}"
    )
    paper = veit.REORDERING.said
    study = errors_of(table, needs=["kendall_tau"])
    if study is None or study.lesions.empty:
        return not_measured(text, paper, "reorder", "reorder")
    orders = study.lesions.sort_values("kendall_tau", ascending=False, kind="stable")
    n_groups = max(1, min(_N_GROUPS, len(orders) // 6))
    groups = np.array_split(orders["value"].to_numpy(), n_groups)
    ordered = Measured(study.metric, orders, study.intact)
    damage = 1 - orders["kendall_tau"]
    return graded(text, paper, ordered, damage, groups, n_classes, chapter="reorder", of="disorder")


def judge(run: Run) -> list[Claim]:
    """Judge the orders of each ordinary residual network."""
    judged = []
    for network in run.lesioned("resnet"):
        orders = network.tables.get("reorder")
        claim = claim_reorder(orders, n_classes=network.n_classes, network=network.title)
        judged.append(with_rows(claim, (network, "reorder"), short="Disorder hurts, without a collapse"))
    return judged
