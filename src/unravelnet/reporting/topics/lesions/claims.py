"""Claims about the deletion of single modules.

Source: Veit, Wilber and Belongie (2016), Figs. 3 and 4; the numbers are those of the paper's text and figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from unravelnet.papers import veit
from unravelnet.readers.rows import chance_error, n_images_text
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.topics.lesions.rows import errors_of, learnt_too_little, rises_of
from unravelnet.reporting.words.claim import Claim, not_measured, with_rows
from unravelnet.reporting.words.sentences import (
    percent_with_interval,
    points,
    points_with_interval,
    threshold,
)
from unravelnet.reporting.words.verdict import (
    AT_CHANCE,
    MOST,
    NOTICEABLE,
    SMALL,
    Verdict,
    by_share,
    median_with_interval,
    of_all_or_some,
)
from unravelnet.wording import counted, percent

_EACH = "delete-each"


def claim_single_deletions(
    table: Table | None,
    *,
    downsampling: Sequence[int] = (),
    n_classes: int | None = None,
    network: str = "the residual network",
    paper: str = veit.SINGLE_DELETIONS.said,
) -> Claim:
    """Judge: deleting any one module changes little, except at down-sampling modules (Figs. 3 and 4)."""
    text = (
        f"Deleting any one module of {network} that does not down-sample raises the error by less than "
        f"{threshold(SMALL)}. (In kind: {100 * MOST:.0f} % of them do by less than {threshold(NOTICEABLE)}.)"
    )
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
    paper: str = veit.PEAKS.said,
) -> Claim:
    """Judge: the down-sampling modules matter more than a usual module (Figs. 3 and 4)."""
    text = (
        f"In {network} every down-sampling module raises the error more than the median of the others. (In kind: "
        "some do, and none surely less. That the peaks are modest is not judged: we know no height of the paper's.)"
    )
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
        f"{found}; median of the others: {points_with_interval(usual)}, interval as if these modules were drawn from "
        f"many, largest: {points_with_interval(_largest(others))}; {n_images_text(rises)}."
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


def _largest(rows: pd.DataFrame) -> pd.Series:
    return rows.loc[rows["value"].idxmax()]


def _index(row: pd.Series) -> int:
    return int(row["module"])


def _about_deletions(network: StudiedNetwork) -> list[Claim]:
    table, down = network.tables.get("delete_each"), network.downsampling
    judged: dict[str, Callable[..., Claim]] = {
        "Deleting one module changes little": claim_single_deletions,
        "Down-sampling modules matter more": claim_downsampling_peaks,
    }
    of_imagenet = {"paper": veit.ON_IMAGENET.said} if network.is_of_imagenet else {}
    return [
        with_rows(
            claim(
                table,
                downsampling=down,
                n_classes=network.n_classes,
                network=network.title,
                **of_imagenet,
            ),
            (network, "delete_each"),
            short=short,
        )
        for short, claim in judged.items()
    ]


def _about_plain(network: StudiedNetwork) -> Claim:
    table = network.tables.get("delete_each")
    claim = claim_plain_collapses(table, n_classes=network.n_classes, network=network.title)
    return with_rows(claim, (network, "delete_each"), short="Deleting one plain layer ruins the network")


def judge(run: Run) -> list[Claim]:
    """Judge the deletions from residual and from plain networks."""
    residual = [claim for network in run.lesioned("resnet") for claim in _about_deletions(network)]
    return [*residual, *(_about_plain(network) for network in run.lesioned("vgg"))]
