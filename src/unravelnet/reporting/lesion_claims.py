"""Claims about lesions of one module at a time, and about the intact network that they are compared with.

Source: Veit, Wilber and Belongie (2016), Figs. 3 and 8; the numbers are those of the paper's text and figures.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from unravelnet.figures.rows import chance_error, n_images_text
from unravelnet.papers import he, veit
from unravelnet.reporting.claims import Claim, not_measured
from unravelnet.reporting.lesion_rows import errors_of, learnt_too_little, rises_of
from unravelnet.reporting.protocol import compared
from unravelnet.reporting.sentences import (
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
    SMALL,
    Verdict,
    by_share,
    median_with_interval,
    of_all_or_some,
    of_error,
    of_lower,
)
from unravelnet.wording import counted

if TYPE_CHECKING:
    from unravelnet.records.record import Table

_EACH = "delete-each"
_ONE_EACH = "One training each: how much trainings differ is not in the intervals."
_HOW_TESTED = "branches scaled by their chance to be there in training, as that method tests"


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
        f"The intact network ({network}) errs as the paper's does: all of its 95 % interval lies within "
        f"{threshold(NEAR)} of the paper's error and overlaps that of the paper's. (In kind: it does not overlap. "
        "Where it overlaps and reaches further, nothing is decided.)"
    )
    paper = veit.INTACT.said
    study = errors_of(table)
    if study is None or study.intact is None:
        return not_measured(text, paper, "delete_each", "networks")
    found = f"{percent_with_interval(study.intact)}, {n_images_text(study.rows)}."
    data = str(study.intact.get("data_name", ""))
    is_comparable = bool(re.search(r"cifar-?10(?!\d)", data.lower()))
    if not is_comparable or n_modules != veit.N_MODULES.count:
        other = f"data {data}" if not is_comparable else counted(n_modules, "module")
        return Claim(
            text,
            paper,
            found,
            "not comparable",
            f"The paper's number is of CIFAR-10 and {veit.N_MODULES.text}, this one of {other}.",
            "networks",
        )
    verdict, why = compared(*of_error(study.intact), [epochs], he.EPOCHS)
    return Claim(text, paper, found, verdict, why, "networks")


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
        f"{threshold(SMALL)}. (In kind: {100 * MOST:.0f} % of them do by less than {threshold(NOTICEABLE)}.)"
    )
    paper = veit.SINGLE_DELETIONS.said
    rises = rises_of(table)
    if rises is None:
        return not_measured(text, paper, "delete_each", _EACH)
    others = rises[~rises["module"].isin(list(downsampling))]
    if others.empty:
        return Claim(text, paper, "No other module.", "not decided", "Every module down-samples.", _EACH)
    found = (
        f"{counted(len(others), 'module')}, {n_images_text(others)}: {points(others['value'].median())} "
        f"points in the median, at most {points_with_interval(_largest(others))} at module "
        f"{_index(_largest(others))}. {(others['value'] < SMALL).sum()} rise by less than {threshold(SMALL)}, "
        f"{(others['value'] >= NOTICEABLE).sum()} by {threshold(NOTICEABLE)} or more."
    )
    verdict, why = _of_rises(others)
    if little := learnt_too_little(table, n_classes):
        verdict, why = "not decided", little
    return Claim(text, paper, found, verdict, why, _EACH)


def _of_rises(rises: pd.DataFrame) -> tuple[Verdict, str]:
    """Judge by the strict threshold whether all rise by less, and by the wide one whether most do."""
    if (rises["high"] < SMALL).all():
        return "agrees", f"All {len(rises)} surely rise by less than {threshold(SMALL)}."
    below, above = rises["high"] < NOTICEABLE, rises["low"] > NOTICEABLE
    verdict, why = by_share(below, above, what=f"rise by less than {threshold(NOTICEABLE)}")
    small = f"{(rises['high'] < SMALL).sum()} surely by less than {threshold(SMALL)}"
    return ("agrees in kind" if verdict == "agrees" else verdict), f"{why} {small}."


def claim_downsampling_peaks(
    table: Table | None,
    *,
    downsampling: Sequence[int] = (),
    n_classes: int | None = None,
    network: str = "the residual network",
) -> Claim:
    """Judge: the down-sampling modules matter more than a usual module (Fig. 3)."""
    text = (
        f"In {network} every down-sampling module raises the error more than the median of the others. (In kind: "
        "some do, and none surely less. That the peaks are modest is not judged: we know no height of the paper's.)"
    )
    paper = veit.PEAKS.said
    rises = rises_of(table)
    if rises is None:
        return not_measured(text, paper, "delete_each", _EACH)
    is_peak = rises["module"].isin(list(downsampling))
    peaks, others = rises[is_peak], rises[~is_peak]
    if peaks.empty or others.empty:
        why = (
            "The network has no deletable down-sampling module." if peaks.empty else "It has no other module."
        )
        return Claim(text, paper, "Nothing to compare.", "not decided", why, _EACH)
    ranks = rises["value"].rank(ascending=False, method="min")[is_peak]
    found = "; ".join(
        f"module {_index(row)}: {points_with_interval(row)}, rank {int(rank)} of {len(rises)}"
        for (_, row), rank in zip(peaks.iterrows(), ranks, strict=True)
    )
    usual = median_with_interval(others["value"].to_numpy())
    found = (
        f"{found}; median of the others: {points_with_interval(usual)}, interval with the modules as the sample, "
        f"largest: {points_with_interval(_largest(others))}; {n_images_text(rises)}."
    )
    found = found[0].upper() + found[1:] + _on_what_was_learnt(peaks, table, n_classes)
    above, below = peaks["low"] > usual["high"], peaks["high"] < usual["low"]
    verdict, why = of_all_or_some(above, below, what="rise surely more than the median of the others")
    if little := learnt_too_little(table, n_classes):
        verdict, why = "not decided", little
    return Claim(text, paper, found, verdict, why, _EACH)


def _on_what_was_learnt(peaks: pd.DataFrame, table: Table | None, n_classes: int | None) -> str:
    """Say which share of what the network had learnt the highest peak takes away."""
    study, chance = errors_of(table), chance_error(n_classes)
    if chance is None or study is None or study.intact is None or study.intact["value"] >= chance:
        return ""
    lost = peaks["value"].max() / (chance - study.intact["value"])
    return f" The highest peak loses {100 * lost:.0f} % of what was learnt."


def claim_plain_collapses(
    table: Table | None, *, n_classes: int | None = None, network: str = "the plain network"
) -> Claim:
    """Judge: deleting any one layer of a plain network brings it to chance level (Fig. 3)."""
    text = (
        f"Deleting any one of the layers of {network} that can be deleted brings the error to chance: to at most "
        f"{threshold(AT_CHANCE)} below guessing. (In kind: for {100 * MOST:.0f} % of the layers more than "
        "half of what was learnt is lost.)"
    )
    paper = veit.PLAIN_COLLAPSES.said
    study, chance = errors_of(table, needs=["module"]), chance_error(n_classes)
    rises = rises_of(table)
    if study is None or rises is None or study.lesions.empty:
        return not_measured(text, paper, "delete_each", _EACH)
    lesions = study.lesions
    found = (
        f"{counted(len(lesions), 'layer')}, {n_images_text(lesions)}: error "
        f"{percent(lesions['value'].min())} to {percent(lesions['value'].max())}, median "
        f"{percent(lesions['value'].median())}; intact "
        f"{percent_with_interval(study.intact) if study.intact is not None else 'not measured'}."
    )
    if chance is None or study.intact is None:
        return Claim(text, paper, found, "not decided", "The level of chance is not known.", _EACH)
    little = learnt_too_little(table, n_classes)
    if little:
        return Claim(text, paper, found, "not decided", little, _EACH)
    below = int((lesions["high"] < chance).sum())
    found += f" {below} of {len(lesions)} intervals lie wholly below guessing, {percent(chance)}."
    if (lesions["low"] > chance - AT_CHANCE).all():
        return Claim(
            text,
            paper,
            found,
            "agrees",
            f"Every interval lies above {percent(chance - AT_CHANCE)}.",
            _EACH,
        )
    half = (chance - study.intact["value"]) / 2
    verdict, why = by_share(
        rises["low"] > half, rises["high"] < half, what="lose more than half of what was learnt"
    )
    return Claim(text, paper, found, "agrees in kind" if verdict == "agrees" else verdict, why, _EACH)


def claim_more_resilient(
    plain: Table | None, stochastic: Table | None, *, n_classes: int | None = None
) -> Claim:
    """Judge: training with stochastic depth makes a network more resilient to the deletion of a module (Fig. 8)."""
    text = (
        "After training with stochastic depth, deleting a module costs less than without: the 95 % interval of the "
        "median difference over the modules lies below 0."
    )
    paper = veit.MORE_RESILIENT.said
    pairs = _pairs(plain, stochastic)
    if pairs is None:
        return not_measured(text, paper, "delete_each", _EACH)
    if pairs.empty:
        return Claim(text, paper, "No module in both.", "not decided", "Nothing to compare.", _EACH)
    change = median_with_interval((pairs["value_stochastic"] - pairs["value_plain"]).to_numpy())
    medians = _median_rises(pairs)
    more = pairs["value_stochastic"] > pairs["value_plain"]
    worst = pairs.loc[(pairs["value_stochastic"] - pairs["value_plain"]).idxmax()]
    found = (
        f"{counted(len(pairs), 'module')}, median rise {medians[0]} points without and {medians[1]} with, median "
        f"difference {points_with_interval(change, digits=2)}, interval with the modules as the sample. It costs more "
        f"with stochastic depth at {more.sum()}{_on_worst(worst) if more.any() else ''}. Errors without: "
        f"{_errors_text(plain)}; with ({_HOW_TESTED}): {_errors_text(stochastic)}; {n_images_text(pairs)}."
    )
    if little := learnt_too_little(plain, n_classes) or learnt_too_little(stochastic, n_classes):
        return Claim(text, paper, found, "not decided", little, _EACH)
    verdict, why = of_lower(change)
    return Claim(text, paper, found, verdict, f"{why} {_ONE_EACH}", _EACH)


def claim_stochastic_depth(
    plain: Table | None,
    stochastic: Table | None,
    *,
    downsampling: Sequence[int] = (),
    n_classes: int | None = None,
) -> Claim:
    """Judge: training with stochastic depth makes a network depend less on its down-sampling modules (Fig. 8)."""
    text = (
        "After training with stochastic depth, deleting any down-sampling module costs less than without. (In kind: "
        "some do, and none surely more.)"
    )
    paper = veit.LESS_DEPENDENT.said
    pairs = _pairs(plain, stochastic)
    if pairs is None:
        return not_measured(text, paper, "delete_each", _EACH)
    peaks = pairs[pairs["module"].isin(list(downsampling))]
    if peaks.empty:
        return Claim(text, paper, "No down-sampling module.", "not decided", "Nothing to compare.", _EACH)
    found = "; ".join(
        f"module {_index(row)}: {points_with_interval(_part(row, 'plain'))} without, "
        f"{points_with_interval(_part(row, 'stochastic'))} with"
        for _, row in peaks.iterrows()
    )
    medians = listed(_median_rises(pairs))
    found = f"{found[0].upper()}{found[1:]}; median of all modules: {medians} points; {n_images_text(pairs)}."
    smaller = peaks["high_stochastic"] < peaks["low_plain"]
    larger = peaks["low_stochastic"] > peaks["high_plain"]
    if little := learnt_too_little(plain, n_classes) or learnt_too_little(stochastic, n_classes):
        return Claim(text, paper, found, "not decided", little, _EACH)
    verdict, why = of_all_or_some(smaller, larger, what="cost surely less")
    return Claim(text, paper, found, verdict, f"{why} {_ONE_EACH}", _EACH)


# -- what several claims share --


def _pairs(plain: Table | None, stochastic: Table | None) -> pd.DataFrame | None:
    """Put the rises of the modules of two networks side by side; None where one was not measured."""
    without, with_it = rises_of(plain), rises_of(stochastic)
    if without is None or with_it is None:
        return None
    return without.merge(with_it.drop(columns="n_images"), on="module", suffixes=("_plain", "_stochastic"))


def _median_rises(pairs: pd.DataFrame) -> list[str]:
    return [points(pairs[f"value_{name}"].median()) for name in ("plain", "stochastic")]


def _errors_text(table: Table | None) -> str:
    """Write the error of the intact network and that of the median deletion."""
    study = errors_of(table, needs=["module"])
    if study is None or study.intact is None:
        return "not measured"
    return f"{percent_with_interval(study.intact)} intact, {percent(study.lesions['value'].median())} in the median"


def _on_worst(pair: pd.Series) -> str:
    rises = [points_with_interval(_part(pair, suffix)) for suffix in ("stochastic", "plain")]
    return f", most at module {_index(pair)} ({rises[0]} with, {rises[1]} without)"


def _largest(rows: pd.DataFrame) -> pd.Series:
    return rows.loc[rows["value"].idxmax()]


def _part(row: pd.Series, suffix: str) -> pd.Series:
    return pd.Series({name: row[f"{name}_{suffix}"] for name in ("value", "low", "high")})


def _index(row: pd.Series) -> int:
    return int(row["module"])
