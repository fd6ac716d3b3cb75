"""Claims about random deletions: how the error grows with the number of deleted modules.

Source: Veit, Wilber and Belongie (2016), Fig. 5a and section 6; the numbers are those of the paper's text and figures.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from unravelnet.mathematics.intervals import Interval, joined_interval, rate_interval
from unravelnet.papers import veit
from unravelnet.readers.draws import deletes_any
from unravelnet.readers.rows import chance_error, n_images_text, unit_of
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.topics.lesions.rows import errors_of, learnt_too_little
from unravelnet.reporting.topics.random_lesions.graded import ON_STEPS, graded
from unravelnet.reporting.words.claim import OWN, Claim, not_measured, with_rows
from unravelnet.reporting.words.sentences import listed, percent_with_interval, points_with_interval
from unravelnet.reporting.words.verdict import (
    mean_with_interval,
    median_with_interval,
    of_all_or_some,
    of_loss,
    weaker,
)
from unravelnet.wording import counted, percent

_DELETIONS = "delete-many"


_SAME_SHAPE = "delete_many_same_shape"


def few_of(n_modules: int) -> int:
    """Give as many modules as 10 are of the paper's 54.

    >>> few_of(54), few_of(27), few_of(3)
    (10, 5, 1)
    """
    return max(1, round(veit.FEW_DELETED.count * n_modules / veit.N_MODULES.count))


def claim_delete_many(
    table: Table | None, *, n_classes: int | None = None, network: str = "the residual network"
) -> Claim:
    """Judge: the error grows with the number of deleted modules, and nowhere collapses (Fig. 5a)."""
    text = (
        f"The error of {network} grows with the number of deleted modules, and without a collapse: from one number to "
        "the next neither the median nor the mean loses more than a quarter of what was learnt; a plain network loses "
        f"most of it at the first. {ON_STEPS}"
    )
    paper = veit.MANY_DELETIONS.said
    study = errors_of(table, needs=["n_deleted"])
    if study is None or study.lesions.empty:
        return not_measured(text, paper, "delete_many", _DELETIONS)
    damage = study.lesions["n_deleted"]
    groups = [rows["value"].to_numpy() for _, rows in study.lesions.groupby("n_deleted")]
    return graded(text, paper, study, damage, groups, n_classes, chapter=_DELETIONS, of="number deleted")


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
    target = few_of(n_modules)
    which = ", none of them down-sampling," if keeps_shape else ""
    text = (
        f"After deleting {target} of {counted(n_modules, 'module')} at random{which} {network} has lost less than a "
        "third of what it learnt, in the median over draws and in their mean. (In kind: less than half.)"
    )
    paper = veit.MANY_LEFT.said
    study, chance = errors_of(table, needs=["n_deleted"]), chance_error(n_classes)
    if study is None or study.lesions.empty:
        name = "delete_many_same_shape" if keeps_shape else "delete_many"
        return not_measured(text, paper, name, _DELETIONS)
    draws = study.lesions[study.lesions["n_deleted"] == target]
    if draws.empty:
        return Claim(text, paper, "Not measured.", "not measured", f"No draw deletes {target}.", _DELETIONS)
    values = draws["value"].to_numpy()
    median, mean = (
        _with_images(level, draws) for level in (median_with_interval(values), mean_with_interval(values))
    )
    intact = "" if study.intact is None else f"; intact {percent(study.intact['value'])}"
    found = (
        f"Median {percent_with_interval(median)} over {counted(len(draws), 'draw')}, mean "
        f"{percent_with_interval(mean)}, {n_images_text(draws)}{intact}; the intervals are of draws and "
        f"{unit_of([draws])}.{_on_hits(draws, downsampling)}"
    )
    little = learnt_too_little(table, n_classes)
    if chance is None or study.intact is None or little:
        why = little or "The level of chance is not known."
        return Claim(text, paper, found, "not decided", why, _DELETIONS)
    learnt = chance - study.intact["value"]
    of_median, of_mean = (of_loss((level - study.intact["value"]) / learnt) for level in (median, mean))
    verdict = weaker(of_median[0], of_mean[0])
    why = f"By the median, i{of_median[1][1:]} By the mean, i{of_mean[1][1:]}"
    return Claim(text, paper, found, verdict, why, _DELETIONS)


def _on_hits(draws: pd.DataFrame, downsampling: Sequence[int]) -> str:
    """Tell the draws that delete a down-sampling module from the others: errors are of two kinds."""
    is_hit = deletes_any(draws, downsampling)
    if is_hit is None:
        return ""
    hits = f" {is_hit.sum()} of them delete module {listed(downsampling, last='or')}"
    if is_hit.all() or not is_hit.any():
        return f"{hits}."
    hit, other = (draws.loc[mask, "value"] for mask in (is_hit, ~is_hit))
    return (
        f"{hits}; their median is {percent(hit.median())} and their mean {percent(hit.mean())}, those of the others "
        f"{percent(other.median())} and {percent(other.mean())}."
    )


def claim_later_deletions(
    table: Table | None,
    *,
    n_modules: int,
    n_classes: int | None = None,
    network: str = "the residual network",
) -> Claim:
    """Judge: the second ten deletions of 54 cost more than the first ten, or as many in proportion (section 6)."""
    few = few_of(n_modules)
    many = 2 * few
    text = (
        f"Deleting modules of {network} at random hurts more and more: from {few} to {many} of {n_modules} the error "
        f"rises more than from 0 to {few}, in the median of the draws and in their mean, by the 95 % intervals of the "
        "differences. (In kind: in one of them, and in the other not surely less.)"
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
    (first, mean_first), (second, mean_second) = (
        (median_with_interval(values), mean_with_interval(values)) for values in draws
    )
    row = _first_rise_against_second(intact, first, second)
    of_means = _first_rise_against_second(intact, mean_first, mean_second)
    found = (
        f"Median error {percent(intact)} intact, {percent_with_interval(first)} with {few} deleted, "
        f"{percent_with_interval(second)} with {many}; the first rise minus the second: {points_with_interval(row)}, "
        f"by means {points_with_interval(of_means)}; "
        f"{counted(len(draws[0]), 'draw')} each, {n_images_text(study.lesions)}; intervals of draws, "
        f"{unit_of([study.lesions])} are not in them."
    )
    if little := learnt_too_little(table, n_classes):
        return Claim(text, paper, found, "not decided", little, _DELETIONS)
    both = pd.DataFrame([row, of_means])
    what = "statistics rise surely less at first"
    verdict, why = of_all_or_some(both["high"] < 0, both["low"] > 0, what=what)
    return Claim(text, paper, found, verdict, why, _DELETIONS)


def _first_rise_against_second(intact: float, first: pd.Series, second: pd.Series) -> pd.Series:
    """Give (first - intact) - (second - first) with its interval from those of the draws."""
    value = 2 * first["value"] - second["value"] - intact
    parts = [
        Interval(value - 2 * (first["value"] - first["low"]), value + 2 * (first["high"] - first["value"])),
        Interval(value - (second["high"] - second["value"]), value + (second["value"] - second["low"])),
    ]
    interval = joined_interval(value, parts)
    return pd.Series({"value": value, "low": interval.low, "high": interval.high})


def _with_images(level: pd.Series, draws: pd.DataFrame) -> pd.Series:
    """Widen the interval of a median or mean over draws by that of the images, which they share."""
    numbers = draws["n_images"].dropna()
    if numbers.empty:
        return level
    value, n = float(level["value"]), int(numbers.min())
    joined = joined_interval(value, [Interval(level["low"], level["high"]), rate_interval(value * n, n)])
    return pd.Series({"value": value, "low": max(0.0, joined.low), "high": min(1.0, joined.high)})


def _about_many(network: StudiedNetwork) -> list[Claim]:
    many, same_shape = map(network.tables.get, ("delete_many", _SAME_SHAPE))
    n, classes, title = network.n_modules, network.n_classes, network.title
    down = network.downsampling
    of_many = {
        "More deletions hurt more, without a collapse": claim_delete_many(
            many, n_classes=classes, network=title
        ),
        f"Deleting {few_of(n)} of {n} leaves most": claim_many_left(
            many, n_modules=n, downsampling=down, n_classes=classes, network=title
        ),
        "Later deletions hurt more": claim_later_deletions(
            many, n_modules=n, n_classes=classes, network=title
        ),
    }
    judged = [with_rows(claim, (network, "delete_many"), short=short) for short, claim in of_many.items()]
    if same_shape is not None:
        claim = claim_many_left(same_shape, n_modules=n, keeps_shape=True, n_classes=classes, network=title)
        # Another reading of the same sentence of the paper, so not counted as a claim of its own.
        short = f"Deleting {few_of(n)} of {n} leaves most, down-sampling kept"
        judged.insert(2, with_rows(claim, (network, _SAME_SHAPE), short=short, source=OWN))
    return judged


def judge(run: Run) -> list[Claim]:
    """Judge the random deletions from each ordinary residual network."""
    return [claim for network in run.lesioned("resnet") for claim in _about_many(network)]
