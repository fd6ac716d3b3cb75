"""What the paper claims, and whether the numbers of a run bear it out.

Each function takes tables and returns a `Claim` with a verdict. The thresholds are part of the claim's text
and were fixed before anything was measured. A verdict follows from intervals: a number is *surely* above a
threshold when its whole interval is, and where the intervals do not settle a claim, it is not decided. A claim
without a table is not measured.

"Learnt" is the distance from the error of guessing (all classes equally likely) to that of the intact
network. A network that has learnt little can lose little, so claims about it are then not decided.

Source of the claims here: Veit, Wilber and Belongie (2016); the numbers are those of the paper's text and figures.
That removing a skip should cost as much as deleting a branch nobody claimed: it is asked here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.figures.path import PAPER_N_MODULES
from unravelnet.figures.rows import Measured, chance_error, measured, n_images_text
from unravelnet.intervals import Interval, joined_interval, rate_interval
from unravelnet.reporting.sentences import (
    counted,
    listed,
    percent,
    percent_with_interval,
    points,
    points_with_interval,
    threshold,
)
from unravelnet.reporting.verdicts import (
    AT_CHANCE,
    MOST,
    NEAR,
    NOTICEABLE,
    PAPER_EPOCHS,
    PAPER_ERROR,
    SMALL,
    Verdict,
    by_share,
    median_with_interval,
    of_all_or_some,
    of_error,
    of_loss,
    of_lower,
    of_steps,
    rank_correlation,
    too_little,
)

if TYPE_CHECKING:
    from unravelnet.record import Table

VEIT, HE, HUANG = "Veit et al. (2016)", "He et al. (2015)", "Huang et al. (2016)"
LITTWIN, WU = "Littwin and Wolf (2016)", "Wu et al. (2016)"
# What follows from a reading of the paper, and nobody claimed.
OWN = "this project"

_DIFFERENCE = "error_rate_difference"
_ONE_EACH = "One training each: how much trainings differ is not in the intervals."
_N_GROUPS = 10


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim of the paper beside what was measured.

    `text`: the claim with its thresholds. `paper`: what the paper reports. `measured`: what was found, with n
    and interval. `why`: how the verdict follows. `chapter`: where in the report to read on. `rows`: the tables that
    were read, as paths inside the directory of the run. `source`: who claims it.
    """

    text: str
    paper: str
    measured: str
    verdict: Verdict
    why: str
    chapter: str = ""
    rows: tuple[str, ...] = ()
    source: str = VEIT

    @property
    def origin(self) -> str:
        """Whose claim it is, in words."""
        return "asked by this project" if self.source == OWN else f"claimed by {self.source}"


def claim_error(
    table: Table | None,
    *,
    network: str = "the residual network",
    n_modules: int,
    epochs: int | None = None,
) -> Claim:
    """Compare the error of the intact network with the paper's, on the paper's data only.

    `table`: any study of the network; its intact row and its data_name are read. `epochs`: of its training.
    """
    text = (
        f"The intact network ({network}) errs as the paper's does: the 95 % intervals overlap. (In kind: "
        f"within {threshold(NEAR)}.)"
    )
    paper = f"{100 * PAPER_ERROR:.2f} % on CIFAR-10, 54 modules, {PAPER_EPOCHS} epochs."
    study = _measured(table)
    if study is None or study.intact is None:
        return not_measured(text, paper, "delete_each", "networks")
    found = f"{percent_with_interval(study.intact)}, {n_images_text(study.rows)}."
    data = str(study.intact.get("data_name", ""))
    is_comparable = bool(re.search(r"cifar-?10(?!\d)", data.lower()))
    if not is_comparable or n_modules != PAPER_N_MODULES:
        other = f"data {data}" if not is_comparable else counted(n_modules, "module")
        return Claim(text, paper, found, "not decided", f"Not comparable: {other}.", "networks")
    verdict, why = of_error(study.intact)
    trained = f" Trained for {counted(epochs, 'epoch')}, the paper's for {PAPER_EPOCHS}." if epochs else ""
    return Claim(text, paper, found, verdict, f"{why}{trained}", "networks")


def claim_single_deletions(
    table: Table | None,
    *,
    downsampling: Sequence[int] = (),
    n_classes: int | None = None,
    network: str = "the residual network",
) -> Claim:
    """Judge: deleting any one module changes little, except at down-sampling modules (Fig. 3)."""
    text = (
        f"Deleting any one module of {network} that does not down-sample raises the error by less than "
        f"{threshold(NOTICEABLE)}."
    )
    paper = "No noticeable change, except modest peaks at the down-sampling modules (Fig. 3)."
    rises = _rises(table)
    if rises is None:
        return not_measured(text, paper, "delete_each", "delete-each")
    others = rises[~rises["module"].isin(list(downsampling))]
    if others.empty:
        return Claim(
            text, paper, "No other module.", "not decided", "Every module down-samples.", "delete-each"
        )
    below, above = others["high"] < NOTICEABLE, others["low"] > NOTICEABLE
    found = (
        f"{counted(len(others), 'module')}, {n_images_text(others)}: {points(others['value'].median())} "
        f"points in the median, at most {points_with_interval(_largest(others))} at module "
        f"{_index(_largest(others))}. Surely below the threshold: {below.sum()}; surely above: {above.sum()}. A rise "
        f"of less than {threshold(SMALL)}: {(others['value'] < SMALL).sum()}."
    )
    verdict, why = by_share(below, above, what="rise by less than the threshold")
    if little := _learnt_too_little(table, n_classes):
        verdict, why = "not decided", little
    return Claim(text, paper, found, verdict, why, "delete-each")


def claim_downsampling_peaks(
    table: Table | None, *, downsampling: Sequence[int] = (), network: str = "the residual network"
) -> Claim:
    """Judge: the down-sampling modules matter more than a usual module (Fig. 3)."""
    text = f"In {network} every down-sampling module raises the error more than the median other module does."
    paper = "Modest peaks at the down-sampling modules, 18 and 36 of 0 to 53 (Fig. 3)."
    rises = _rises(table)
    if rises is None:
        return not_measured(text, paper, "delete_each", "delete-each")
    is_peak = rises["module"].isin(list(downsampling))
    peaks, others = rises[is_peak], rises[~is_peak]
    if peaks.empty or others.empty:
        why = (
            "The network has no deletable down-sampling module." if peaks.empty else "It has no other module."
        )
        return Claim(text, paper, "Nothing to compare.", "not decided", why, "delete-each")
    ranks = rises["value"].rank(ascending=False, method="min")[is_peak]
    found = "; ".join(
        f"module {_index(row)}: {points_with_interval(row)}, rank {int(rank)} of {len(rises)}"
        for (_, row), rank in zip(peaks.iterrows(), ranks, strict=True)
    )
    usual = others.iloc[(others["value"] - others["value"].median()).abs().argsort().iloc[0]]
    found = (
        f"{found}; median other module: {points_with_interval(usual)}, largest: "
        f"{points_with_interval(_largest(others))}; {n_images_text(rises)}."
    )
    found = found[0].upper() + found[1:]
    above, below = peaks["low"] > usual["high"], peaks["high"] < usual["low"]
    verdict, why = of_all_or_some(above, below, what="rise surely more than the median other module")
    return Claim(text, paper, found, verdict, why, "delete-each")


def claim_plain_collapses(
    table: Table | None, *, n_classes: int | None = None, network: str = "the plain network"
) -> Claim:
    """Judge: deleting any one layer of a plain network brings it to chance level (Fig. 3)."""
    text = (
        f"Deleting any one of the layers of {network} that can be deleted brings the error to chance: to at most "
        f"{threshold(AT_CHANCE)} below guessing. (In kind: for {100 * MOST:.0f} % of the layers more than "
        "half of what was learnt is lost.)"
    )
    paper = "Chance level, 90 % error, whichever layer is deleted (Fig. 3)."
    study, chance = _measured(table, needs=["module"]), chance_error(n_classes)
    rises = _rises(table)
    if study is None or rises is None or study.lesions.empty:
        return not_measured(text, paper, "delete_each", "delete-each")
    lesions = study.lesions
    found = (
        f"{counted(len(lesions), 'layer')}, {n_images_text(lesions)}: error "
        f"{percent(lesions['value'].min())} to {percent(lesions['value'].max())}, median "
        f"{percent(lesions['value'].median())}; intact "
        f"{percent_with_interval(study.intact) if study.intact is not None else 'not measured'}."
    )
    if chance is None or study.intact is None:
        return Claim(text, paper, found, "not decided", "The level of chance is not known.", "delete-each")
    little = _learnt_too_little(table, n_classes)
    if little:
        return Claim(text, paper, found, "not decided", little, "delete-each")
    if (lesions["low"] > chance - AT_CHANCE).all():
        return Claim(
            text,
            paper,
            found,
            "agrees",
            f"Every interval lies above {percent(chance - AT_CHANCE)}.",
            "delete-each",
        )
    half = (chance - study.intact["value"]) / 2
    verdict, why = by_share(
        rises["low"] > half, rises["high"] < half, what="lose more than half of what was learnt"
    )
    return Claim(text, paper, found, "agrees in kind" if verdict == "agrees" else verdict, why, "delete-each")


def claim_more_resilient(
    plain: Table | None, stochastic: Table | None, *, n_classes: int | None = None
) -> Claim:
    """Judge: training with stochastic depth makes a network more resilient to the deletion of a module (Fig. 8)."""
    text = (
        "After training with stochastic depth, deleting a module costs less than without: the 95 % interval of the "
        "median difference over the modules lies below 0."
    )
    paper = "Slightly more resilient (Fig. 8)."
    both = [_rises(table) for table in (plain, stochastic)]
    if both[0] is None or both[1] is None:
        return not_measured(text, paper, "delete_each", "delete-each")
    pairs = both[0].merge(both[1], on="module", suffixes=("_plain", "_stochastic"))
    if pairs.empty:
        return Claim(text, paper, "No module in both.", "not decided", "Nothing to compare.", "delete-each")
    change = median_with_interval((pairs["value_stochastic"] - pairs["value_plain"]).to_numpy())
    intact = [_intact_text(table) for table in (plain, stochastic)]
    medians = [points(rises["value"].median()) for rises in both if rises is not None]
    found = (
        f"{counted(len(pairs), 'module')}, median rise {medians[0]} points without and {medians[1]} with, median "
        f"difference {points_with_interval(change, digits=2)}, interval with the modules as the sample; intact "
        f"{intact[0]} without, {intact[1]} with; {n_images_text(both[0])}."
    )
    if little := _learnt_too_little(plain, n_classes) or _learnt_too_little(stochastic, n_classes):
        return Claim(text, paper, found, "not decided", little, "delete-each")
    verdict, why = of_lower(change)
    return Claim(text, paper, found, verdict, f"{why} {_ONE_EACH}", "delete-each")


def claim_stochastic_depth(
    plain: Table | None, stochastic: Table | None, *, downsampling: Sequence[int] = ()
) -> Claim:
    """Judge: training with stochastic depth makes a network depend less on its down-sampling modules (Fig.
    8)."""
    text = "After training with stochastic depth, deleting any down-sampling module costs less than without."
    paper = "Slightly more resilient; the dependence on the down-sampling modules shrinks (Fig. 8)."
    both = [_rises(table) for table in (plain, stochastic)]
    if both[0] is None or both[1] is None:
        return not_measured(text, paper, "delete_each", "delete-each")
    pairs = both[0].merge(both[1], on="module", suffixes=("_plain", "_stochastic"))
    peaks = pairs[pairs["module"].isin(list(downsampling))]
    if peaks.empty:
        return Claim(
            text, paper, "No down-sampling module.", "not decided", "Nothing to compare.", "delete-each"
        )
    found = "; ".join(
        f"module {_index(row)}: {points_with_interval(_part(row, 'plain'))} without, "
        f"{points_with_interval(_part(row, 'stochastic'))} with"
        for _, row in peaks.iterrows()
    )
    medians = listed([points(rises["value"].median()) for rises in both if rises is not None])
    sample = n_images_text(both[0])
    found = f"{found[0].upper()}{found[1:]}; median of all modules: {medians} points; {sample}."
    smaller = peaks["high_stochastic"] < peaks["low_plain"]
    larger = peaks["low_stochastic"] > peaks["high_plain"]
    verdict, why = of_all_or_some(smaller, larger, what="cost surely less")
    return Claim(text, paper, found, verdict, f"{why} {_ONE_EACH}", "delete-each")


def claim_delete_many(
    table: Table | None, *, n_classes: int | None = None, network: str = "the residual network"
) -> Claim:
    """Judge: the error grows smoothly with the number of deleted modules (Fig. 5a)."""
    text = (
        f"The error of {network} grows with the number of deleted modules, and smoothly: from no number to "
        "the next does the median lose more than half of what was learnt."
    )
    paper = "The error increases smoothly with the number of deleted modules (Fig. 5a)."
    study = _measured(table, needs=["n_deleted"])
    if study is None or study.lesions.empty:
        return not_measured(text, paper, "delete_many", "delete-many")
    damage = study.lesions["n_deleted"]
    groups = [rows["value"].to_numpy() for _, rows in study.lesions.groupby("n_deleted")]
    return _graded(text, paper, study, damage, groups, n_classes, chapter="delete-many", of="number deleted")


def claim_reorder(
    table: Table | None, *, n_classes: int | None = None, network: str = "the residual network"
) -> Claim:
    """Judge: the error grows smoothly with the disorder of the modules (Fig. 5b)."""
    text = (
        f"The error of {network} grows with the disorder of its modules (1 − Kendall's τ), and smoothly: "
        "from no tenth of the orders to the next does the median lose more than half of what was learnt."
    )
    paper = "The error increases smoothly as the order is corrupted (Fig. 5b)."
    study = _measured(table, needs=["kendall_tau"])
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
    n_classes: int | None = None,
    network: str = "the residual network",
) -> Claim:
    """Judge: with 10 of 54 modules deleted, or as many in proportion, most of what was learnt is left (Fig.
    5a)."""
    target = max(1, round(10 * n_modules / PAPER_N_MODULES))
    text = (
        f"After deleting {target} of {n_modules} modules at random, {network} has lost less than a third of "
        "what it learnt, in the median over draws. (In kind: less than half.)"
    )
    paper = "10 of 54 deleted: error around 20 %, so 17 % of what was learnt is lost (Fig. 5a)."
    study, chance = _measured(table, needs=["n_deleted"]), chance_error(n_classes)
    if study is None or study.lesions.empty:
        return not_measured(text, paper, "delete_many", "delete-many")
    draws = study.lesions[study.lesions["n_deleted"] == target]
    if draws.empty:
        return Claim(
            text, paper, "Not measured.", "not measured", f"No draw deletes {target}.", "delete-many"
        )
    median = _with_images(median_with_interval(draws["value"].to_numpy()), draws)
    n_draws = counted(len(draws), "draw")
    found = (
        f"Median {percent_with_interval(median)} over {n_draws}, {n_images_text(draws)}; the interval is of draws and "
        "images."
    )
    little = _learnt_too_little(table, n_classes)
    if chance is None or study.intact is None or little:
        why = little or "The level of chance is not known."
        return Claim(text, paper, found, "not decided", why, "delete-many")
    lost = (median - study.intact["value"]) / (chance - study.intact["value"])
    verdict, why = of_loss(lost)
    return Claim(text, paper, found, verdict, why, "delete-many")


def claim_later_deletions(
    table: Table | None,
    *,
    n_modules: int,
    n_classes: int | None = None,
    network: str = "the residual network",
) -> Claim:
    """Judge: the second ten deletions of 54 cost more than the first ten, or as many in proportion (section 6)."""
    few = max(1, round(10 * n_modules / PAPER_N_MODULES))
    many = 2 * few
    text = (
        f"Deleting modules of {network} at random hurts more and more: from {few} to {many} of {n_modules} the median "
        f"error rises more than from 0 to {few}, by the 95 % interval of the difference."
    )
    paper = "Only a slight drop of the accuracy up to 10 deletions, a severe one at 20 (section 6)."
    study = _measured(table, needs=["n_deleted"])
    if study is None or study.intact is None or study.lesions.empty:
        return not_measured(text, paper, "delete_many", "delete-many")
    draws = [study.lesions.loc[study.lesions["n_deleted"] == n, "value"].to_numpy() for n in (few, many)]
    if not all(map(len, draws)):
        why = f"No draw deletes {few}, or none {many}."
        return Claim(text, paper, "Not measured.", "not measured", why, "delete-many")
    intact = float(study.intact["value"])
    first, second = (median_with_interval(values) for values in draws)
    row = _first_rise_against_second(intact, first, second)
    found = (
        f"Median error {percent(intact)} intact, {percent_with_interval(first)} with {few} deleted, "
        f"{percent_with_interval(second)} with {many}; the first rise minus the second: {points_with_interval(row)}; "
        f"{counted(len(draws[0]), 'draw')} each, {n_images_text(study.lesions)}; intervals of draws, images are not in "
        "them."
    )
    if little := _learnt_too_little(table, n_classes):
        return Claim(text, paper, found, "not decided", little, "delete-many")
    verdict, why = of_lower(row)
    return Claim(text, paper, found, verdict, f"The first rise: {why[0].lower()}{why[1:]}", "delete-many")


def _first_rise_against_second(intact: float, first: pd.Series, second: pd.Series) -> pd.Series:
    """Give (first - intact) - (second - first) with its interval from those of the draws."""
    value = 2 * first["value"] - second["value"] - intact
    parts = [
        Interval(value - 2 * (first["value"] - first["low"]), value + 2 * (first["high"] - first["value"])),
        Interval(value - (second["high"] - second["value"]), value + (second["value"] - second["low"])),
    ]
    interval = joined_interval(value, parts)
    return pd.Series({"value": value, "low": interval.low, "high": interval.high})


def claim_remove_skip(
    skips: Table | None,
    branches: Table | None,
    *,
    n_classes: int | None = None,
    network: str = "the residual network",
) -> Claim:
    """Judge: losing half of the paths costs the same whichever half: without the skip or without the
    branch."""
    text = (
        f"It is the number of paths that counts: in {network}, removing the skip of a module costs less than "
        f"{threshold(NOTICEABLE)} more than deleting its branch, since either leaves half of the "
        "paths."
    )
    paper = "Not measured. Expected if the network is nothing but a collection of exchangeable paths."
    pairs = _skips_beside_branches(skips, branches)
    if pairs is None:
        return not_measured(
            text, paper, "remove_skip_each" if _rises(skips) is None else "delete_each", "remove-skip"
        )
    if pairs.empty:
        return Claim(text, paper, "No module has both.", "not decided", "Nothing to compare.", "remove-skip")
    alike, worse = pairs["high_skip"] - pairs["low_branch"] < NOTICEABLE, _surges(pairs)
    found = (
        f"{counted(len(pairs), 'module')}, {n_images_text(pairs)}: {points(pairs['value_skip'].median())} "
        f"points in the median without the skip, {points(pairs['value_branch'].median())} without the "
        f"branch. The skip costs surely more than the threshold above the branch at {worse.sum()}, surely "
        f"not at {alike.sum()}."
    )
    verdict, why = by_share(alike, worse, what="cost no noticeably more without the skip")
    if verdict == "does not agree":
        why += " So it is not the number of paths alone that counts."
    if little := _learnt_too_little(branches, n_classes):
        verdict, why = "not decided", little
    return Claim(text, paper, found, verdict, why, "remove-skip")


def n_surges(skips: Table | None, branches: Table | None, *, n_classes: int | None = None) -> int:
    """Count the modules whose skip surely costs noticeably more than their branch; none where nothing was learnt."""
    pairs = _skips_beside_branches(skips, branches)
    if pairs is None or _learnt_too_little(branches, n_classes):
        return 0
    return int(_surges(pairs).sum())


# -- what several claims share --


def _skips_beside_branches(skips: Table | None, branches: Table | None) -> pd.DataFrame | None:
    """Put the rise without each skip beside that without its branch; None where one was not measured."""
    without_skip, without_branch = _rises(skips), _rises(branches)
    if without_skip is None or without_branch is None:
        return None
    numbers = without_branch.drop(columns="n_images")
    return without_skip.merge(numbers, on="module", suffixes=("_skip", "_branch"))


def _surges(pairs: pd.DataFrame) -> pd.Series:
    surges: pd.Series = pairs["low_skip"] - pairs["high_branch"] > NOTICEABLE
    return surges


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
        f"Medians from {percent(ends[0])} to {percent(ends[1])}; rank correlation with the {of} {rho:.2f} "
        f"({low:.2f} to {high:.2f}); {counted(len(damage), 'draw')}, {n_images_text(study.lesions)}."
    ).replace("-", "\u2212")
    chance = chance_error(n_classes)
    if chance is None or study.intact is None:
        return Claim(text, paper, found, "not decided", "The level of chance is not known.", chapter)
    little = too_little(study.intact, chance)
    if little:
        return Claim(text, paper, found, "not decided", little, chapter)
    levels = pd.concat([study.intact[["value", "low", "high"]].astype(float).to_frame().T, medians])
    verdict, why = of_steps(levels, half=(chance - study.intact["value"]) / 2, grows=low > 0, falls=high < 0)
    return Claim(text, paper, found, verdict, why, chapter)


def _learnt_too_little(table: Table | None, n_classes: int | None) -> str:
    """Say so where the intact network is too near to guessing to lose anything; else give an empty text."""
    study, chance = _measured(table), chance_error(n_classes)
    if study is None or study.intact is None or chance is None:
        return ""
    return too_little(study.intact, chance)


def _measured(table: Table | None, *, needs: Sequence[str] = ()) -> Measured | None:
    if table is None:
        return None
    try:
        return measured(table, needs=needs)
    except EvaluationError:
        return None


def _rises(table: Table | None) -> pd.DataFrame | None:
    """Give the change of the error at each module against the intact network, as value, low and high."""
    if table is None:
        return None
    try:
        lesions = measured(table, metric=_DIFFERENCE, needs=["module"]).lesions
    except EvaluationError:
        return None
    return None if lesions.empty else lesions


def _with_images(median: pd.Series, draws: pd.DataFrame) -> pd.Series:
    """Widen the interval of the median over draws by that of the images, which they share."""
    numbers = draws["n_images"].dropna()
    if numbers.empty:
        return median
    value, n = float(median["value"]), int(numbers.min())
    joined = joined_interval(value, [Interval(median["low"], median["high"]), rate_interval(value * n, n)])
    return pd.Series({"value": value, "low": max(0.0, joined.low), "high": min(1.0, joined.high)})


def _intact_text(table: Table | None) -> str:
    study = _measured(table)
    return "not measured" if study is None or study.intact is None else percent_with_interval(study.intact)


def _largest(rows: pd.DataFrame) -> pd.Series:
    return rows.loc[rows["value"].idxmax()]


def _part(row: pd.Series, suffix: str) -> pd.Series:
    return pd.Series({name: row[f"{name}_{suffix}"] for name in ("value", "low", "high")})


def _index(row: pd.Series) -> int:
    return int(row["module"])


def not_measured(text: str, paper: str, study: str, chapter: str) -> Claim:
    """Say of a claim that there is nothing to judge it from."""
    why = f"The table {study} is missing or has no such rows."
    return Claim(text, paper, "Not measured.", "not measured", why, chapter)
