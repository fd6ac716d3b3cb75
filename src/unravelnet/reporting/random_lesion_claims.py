"""Claims about random lesions: how the error grows with the number of deleted modules, and with their disorder.

Source: Veit, Wilber and Belongie (2016), Fig. 5 and section 6; the numbers are those of the paper's text and figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from unravelnet.figures.rows import Measured, chance_error, n_images_text
from unravelnet.mathematics.intervals import Interval, joined_interval, rate_interval
from unravelnet.papers import veit
from unravelnet.reporting.claims import Claim, not_measured
from unravelnet.reporting.lesion_rows import errors_of, learnt_too_little
from unravelnet.reporting.sentences import (
    listed,
    percent,
    percent_with_interval,
    points,
    points_with_interval,
)
from unravelnet.reporting.verdicts import (
    COLLAPSE,
    median_with_interval,
    of_loss,
    of_lower,
    of_steps,
    rank_correlation,
    too_little,
)
from unravelnet.routes.route import Route
from unravelnet.wording import counted

if TYPE_CHECKING:
    from unravelnet.records.record import Table

_N_GROUPS = 10
_DELETIONS = "delete-many"
_ON_STEPS = "(In kind: surely grows, likely without a collapse. That the growth is smooth is not judged.)"


def claim_delete_many(
    table: Table | None, *, n_classes: int | None = None, network: str = "the residual network"
) -> Claim:
    """Judge: the error grows with the number of deleted modules, and nowhere collapses (Fig. 5a)."""
    text = (
        f"The error of {network} grows with the number of deleted modules, and without a collapse: from one number to "
        "the next the median never loses more than a quarter of what was learnt; a plain network loses most of it at "
        f"the first. {_ON_STEPS}"
    )
    paper = veit.MANY_DELETIONS.said
    study = errors_of(table, needs=["n_deleted"])
    if study is None or study.lesions.empty:
        return not_measured(text, paper, "delete_many", _DELETIONS)
    damage = study.lesions["n_deleted"]
    groups = [rows["value"].to_numpy() for _, rows in study.lesions.groupby("n_deleted")]
    return _graded(text, paper, study, damage, groups, n_classes, chapter=_DELETIONS, of="number deleted")


def claim_reorder(
    table: Table | None, *, n_classes: int | None = None, network: str = "the residual network"
) -> Claim:
    """Judge: the error grows with the disorder of the modules, and nowhere collapses (Fig. 5b)."""
    text = (
        f"The error of {network} grows with the disorder of its modules (1 − Kendall's τ), and without a collapse: "
        "from one tenth of the orders to the next the median never loses more than a quarter of what was learnt. "
        f"{_ON_STEPS}"
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
    return _graded(text, paper, ordered, damage, groups, n_classes, chapter="reorder", of="disorder")


def claim_many_left(
    table: Table | None,
    *,
    n_modules: int,
    downsampling: Sequence[int] = (),
    keeps_shape: bool = False,
    n_classes: int | None = None,
    network: str = "the residual network",
) -> Claim:
    """Judge: with 10 of 54 modules deleted, or as many in proportion, most of what was learnt is left (Fig. 5a).

    `keeps_shape`: whether the table is of draws that leave the down-sampling modules alone. The paper does not say
    whether its own did.
    """
    target = max(1, round(veit.FEW_DELETED.count * n_modules / veit.N_MODULES.count))
    which = ", none of them down-sampling," if keeps_shape else ""
    text = (
        f"After deleting {target} of {counted(n_modules, 'module')} at random{which} {network} has "
        "lost less than a third of "
        "what it learnt, in the median over draws. (In kind: less than half.)"
    )
    paper = veit.MANY_LEFT.said
    study, chance = errors_of(table, needs=["n_deleted"]), chance_error(n_classes)
    if study is None or study.lesions.empty:
        name = "delete_many_same_shape" if keeps_shape else "delete_many"
        return not_measured(text, paper, name, _DELETIONS)
    draws = study.lesions[study.lesions["n_deleted"] == target]
    if draws.empty:
        return Claim(text, paper, "Not measured.", "not measured", f"No draw deletes {target}.", _DELETIONS)
    median = _with_images(median_with_interval(draws["value"].to_numpy()), draws)
    intact = "" if study.intact is None else f"; intact {percent(study.intact['value'])}"
    found = (
        f"Median {percent_with_interval(median)} over {counted(len(draws), 'draw')}, mean "
        f"{percent(draws['value'].mean())}, {n_images_text(draws)}{intact}; the interval is of draws and images."
        f"{_on_hits(draws, downsampling)}"
    )
    little = learnt_too_little(table, n_classes)
    if chance is None or study.intact is None or little:
        why = little or "The level of chance is not known."
        return Claim(text, paper, found, "not decided", why, _DELETIONS)
    lost = (median - study.intact["value"]) / (chance - study.intact["value"])
    verdict, why = of_loss(lost)
    return Claim(text, paper, found, verdict, why, _DELETIONS)


def _on_hits(draws: pd.DataFrame, downsampling: Sequence[int]) -> str:
    """Say how many draws delete a down-sampling module."""
    if "route" not in draws or not downsampling:
        return ""
    deleted = [
        {step.module for step in Route.parse(str(route)).steps if step.mode == "skip"}
        for route in draws["route"]
    ]
    hits = sum(not modules.isdisjoint(downsampling) for modules in deleted)
    return f" {hits} of them delete module {listed(downsampling, last='or')}."


def claim_later_deletions(
    table: Table | None,
    *,
    n_modules: int,
    n_classes: int | None = None,
    network: str = "the residual network",
) -> Claim:
    """Judge: the second ten deletions of 54 cost more than the first ten, or as many in proportion (section 6)."""
    few = max(1, round(veit.FEW_DELETED.count * n_modules / veit.N_MODULES.count))
    many = 2 * few
    text = (
        f"Deleting modules of {network} at random hurts more and more: from {few} to {many} of {n_modules} the median "
        f"error rises more than from 0 to {few}, by the 95 % interval of the difference."
    )
    paper = f"{veit.LATER_DELETIONS.said} The size of the first drop is judged separately."
    study = errors_of(table, needs=["n_deleted"])
    if study is None or study.intact is None or study.lesions.empty:
        return not_measured(text, paper, "delete_many", _DELETIONS)
    draws = [study.lesions.loc[study.lesions["n_deleted"] == n, "value"].to_numpy() for n in (few, many)]
    if not all(map(len, draws)):
        why = f"No draw deletes {few}, or none {many}."
        return Claim(text, paper, "Not measured.", "not measured", why, _DELETIONS)
    intact = float(study.intact["value"])
    first, second = (median_with_interval(values) for values in draws)
    row = _first_rise_against_second(intact, first, second)
    found = (
        f"Median error {percent(intact)} intact, {percent_with_interval(first)} with {few} deleted, "
        f"{percent_with_interval(second)} with {many}; the first rise minus the second: {points_with_interval(row)}; "
        f"{counted(len(draws[0]), 'draw')} each, {n_images_text(study.lesions)}; intervals of draws, images are not in "
        "them."
    )
    if little := learnt_too_little(table, n_classes):
        return Claim(text, paper, found, "not decided", little, _DELETIONS)
    verdict, why = of_lower(row)
    return Claim(text, paper, found, verdict, f"The first rise: {why[0].lower()}{why[1:]}", _DELETIONS)


def _first_rise_against_second(intact: float, first: pd.Series, second: pd.Series) -> pd.Series:
    """Give (first - intact) - (second - first) with its interval from those of the draws."""
    value = 2 * first["value"] - second["value"] - intact
    parts = [
        Interval(value - 2 * (first["value"] - first["low"]), value + 2 * (first["high"] - first["value"])),
        Interval(value - (second["high"] - second["value"]), value + (second["value"] - second["low"])),
    ]
    interval = joined_interval(value, parts)
    return pd.Series({"value": value, "low": interval.low, "high": interval.high})


# -- what several claims share --


def _graded(
    text: str,
    paper: str,
    study: Measured,
    damage: pd.Series,
    groups: Sequence[np.ndarray],
    n_classes: int | None,
    *,
    chapter: str,
    of: str,
) -> Claim:
    """Judge that an error grows with a damage, and that no step between neighbouring groups is a collapse."""
    rho, low, high = rank_correlation(damage.to_numpy(), study.lesions["value"].to_numpy())
    medians = pd.DataFrame([median_with_interval(group) for group in groups])
    ends = medians["value"].iloc[[0, -1]].tolist()
    found = (
        f"Medians from {percent(ends[0])} to {percent(ends[1])}{_on_falls(medians['value'])}; rank correlation with "
        f"the {of} {rho:.2f} ({low:.2f} to {high:.2f}); {counted(len(damage), 'draw')}, {n_images_text(study.lesions)}."
    ).replace("-", "\u2212")
    chance = chance_error(n_classes)
    if chance is None or study.intact is None:
        return Claim(text, paper, found, "not decided", "The level of chance is not known.", chapter)
    little = too_little(study.intact, chance)
    if little:
        return Claim(text, paper, found, "not decided", little, chapter)
    levels = pd.concat([study.intact[["value", "low", "high"]].astype(float).to_frame().T, medians])
    verdict, why = of_steps(
        levels, most=COLLAPSE * (chance - study.intact["value"]), grows=low > 0, falls=high < 0
    )
    return Claim(text, paper, found, verdict, why, chapter)


def _on_falls(medians: pd.Series) -> str:
    """Say how often a median lies below the one before, and by how much at most."""
    steps = medians.diff().dropna()
    falls = steps[steps < 0]
    if falls.empty:
        return ""
    largest = points(-falls.min(), signed=False)
    return f", with {counted(len(falls), 'fall')} on the way, the largest by {largest} points"


def _with_images(median: pd.Series, draws: pd.DataFrame) -> pd.Series:
    """Widen the interval of the median over draws by that of the images, which they share."""
    numbers = draws["n_images"].dropna()
    if numbers.empty:
        return median
    value, n = float(median["value"]), int(numbers.min())
    joined = joined_interval(value, [Interval(median["low"], median["high"]), rate_interval(value * n, n)])
    return pd.Series({"value": value, "low": max(0.0, joined.low), "high": min(1.0, joined.high)})
