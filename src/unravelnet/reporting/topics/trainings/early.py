"""The claim that residual networks converge faster early in their training, and what stochastic depth saves of one.

Sources: He et al. (2015), section 4.1; Huang et al. (2016), section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from unravelnet.mathematics.comparisons import difference_of_trainings
from unravelnet.papers import he, huang, veit
from unravelnet.readers.groups import STOCHASTIC_DEPTH, family_and_depth, pairs_of
from unravelnet.reporting.contents import (
    COMPARED,
    HISTORY,
    TABLES_DIRECTORY,
    TRAINED_NETWORKS,
    Run,
    StudiedNetwork,
)
from unravelnet.reporting.topics.trainings.findings import errors_text
from unravelnet.reporting.topics.trainings.groups import CHAPTER, PLAIN, RESIDUAL, groups_of
from unravelnet.reporting.words.claim import HE, HUANG, Claim, with_rows
from unravelnet.reporting.words.sentences import points_with_interval
from unravelnet.reporting.words.verdict import Verdict, of_all_or_some
from unravelnet.routes.sampler import StochasticDepth
from unravelnet.wording import percent

_ERROR = "train_error_rate"
Trainings = Mapping[tuple[str, int], Sequence[StudiedNetwork]]


def claim_early(trained: Trainings) -> Claim | None:
    """Judge: a residual network has the lower training error after the first epoch; None without a pair to compare."""
    errors = {key: _first_errors(networks) for key, networks in trained.items()}
    depths = sorted(depth for family, depth in errors if family == PLAIN and (RESIDUAL, depth) in errors)
    text = (
        "Residual networks converge faster early in their training than plain ones as deep: the training error over "
        "the first epoch is surely lower, at every depth that was measured. (In kind: at some, and at none surely "
        "higher.)"
    )
    told, differences = [], []
    for depth in depths:
        residual, plain = errors[RESIDUAL, depth], errors[PLAIN, depth]
        difference = difference_of_trainings(residual, plain, column=_ERROR, others=list(errors.values()))
        if difference is None:
            continue
        differences.append(difference.row)
        told.append(
            f"{depth} layers: ResNet {errors_text(residual, _ERROR)}, plain {errors_text(plain, _ERROR)}, difference "
            f"{points_with_interval(difference.row)} ({difference.how})"
        )
    if not told:
        return None
    rows = pd.DataFrame(differences)
    verdict, why = of_all_or_some(rows["high"] < 0, rows["low"] > 0, what="depths surely err less")
    found = f"{'; '.join(told)}; of the images of the first epoch, augmented, while it ran."
    beside = "All by the recipe of this project, which begins with small images and a rising learning rate."
    return Claim(text, he.FASTER_EARLY.said_by, found, verdict, f"{why} {beside}", CHAPTER)


def claim_savings(training_share: float | None = None) -> Claim:
    """Judge: stochastic depth saves a quarter of the training, as the expected operations of its routes. Exact.

    `training_share`: operations of a training with stochastic depth over those of one with all modules, where such
    trainings are at hand.
    """
    n_modules, last = veit.N_MODULES.count, huang.LAST_SURVIVAL.value
    survival = StochasticDepth(last).survival(n_modules)
    saved = 1 - sum(survival) / n_modules
    text = (
        f"Stochastic depth saves {huang.SAVED.text} of a training, by expected operations: 1 − (the mean survival of "
        f"the modules), (L + 1) / 2L · (1 − p_L) for L modules and p_L = {last:g}. (In kind: within a tenth of that.)"
    )
    found = f"Computed exactly: {percent(saved)} of the visits of {n_modules} modules"
    if training_share is not None:
        found += (
            f"; of the multiply-accumulate operations of the trainings that are shipped, stem and head among them, "
            f"{percent(1 - training_share)}"
        )
    shares = [saved, *([] if training_share is None else [1 - training_share])]
    return Claim(
        text,
        huang.CHEAPER.said_by,
        f"{found}.",
        _of_savings(shares),
        "Operations are not time: what a machine gains by them is in the table of trained networks.",
        CHAPTER,
        is_computed=True,
    )


def _of_savings(shares: Sequence[float]) -> Verdict:
    wanted = huang.SAVED.share
    if all(round(share, 2) == wanted for share in shares):
        return "agrees"
    return (
        "agrees in kind" if all(abs(share - wanted) < wanted / 10 for share in shares) else "does not agree"
    )


def _first_errors(networks: Sequence[StudiedNetwork]) -> pd.DataFrame:
    """Give the training error over the first epoch, one row a training."""
    first = [row[_ERROR] for network in networks for row in network.tables[HISTORY] if row.get("epoch") == 1]
    return pd.DataFrame({_ERROR: pd.to_numeric(pd.Series(first, dtype=object))})


def _trainings(run: Run) -> Trainings:
    """Group the compared networks of He et al. that have a history by family and depth, all seeds."""
    found: dict[tuple[str, int], list[StudiedNetwork]] = {}
    for network in run.of_role(COMPARED):
        key = family_and_depth(network.name)
        if key is not None and key[0] in (PLAIN, RESIDUAL) and _ERROR in _columns(network):
            found.setdefault(key, []).append(network)
    return found


def _columns(network: StudiedNetwork) -> list[str]:
    return list(network.history.columns) if network.history is not None else []


def judge(run: Run) -> list[Claim]:
    """Judge what the first epoch says, and what stochastic depth saves, where the run compared trainings."""
    trained, judged = _trainings(run), []
    if early := claim_early(trained):
        read = [(network, HISTORY) for networks in trained.values() for network in networks]
        judged.append(with_rows(early, *read, short="Residual networks converge faster early", source=HE))
    if run.trained_networks is not None:
        short = "Stochastic depth saves a quarter"
        rows = (f"{TABLES_DIRECTORY}/{TRAINED_NETWORKS}.csv",)
        judged.append(replace(claim_savings(_training_share(run)), rows=rows, source=HUANG, short=short))
    return judged


def _training_share(run: Run) -> float | None:
    """Compare the operations of trainings with stochastic depth and without, of as many epochs; None without such."""
    shares = [
        float(part.rows["training_macs"].mean() / full.rows["training_macs"].mean())
        for full, part in pairs_of(groups_of(run), STOCHASTIC_DEPTH)
        if full.chosen("epochs") == part.chosen("epochs")
        and full.chosen("image_sizes") == part.chosen("image_sizes")
    ]
    known = [share for share in shares if share == share]
    return known[0] if known else None
