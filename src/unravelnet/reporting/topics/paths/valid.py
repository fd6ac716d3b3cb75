"""The claim that an error follows the number of valid paths: what the reading as an ensemble predicts.

A path is valid if it enters no module that was deleted, and takes no skip that was removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import pandas as pd

from unravelnet.papers import veit
from unravelnet.readers.draws import halvings
from unravelnet.readers.rows import n_images_text
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.topics.lesions.rows import errors_of, learnt_too_little
from unravelnet.reporting.words.claim import Claim, not_measured, with_rows
from unravelnet.reporting.words.sentences import listed, points_with_interval, threshold
from unravelnet.reporting.words.verdict import NOTICEABLE, Verdict, median_with_interval, rank_correlation
from unravelnet.wording import counted, superscript

_CHAPTER = "remove-skip"
# Of fewer lesions the median has no interval.
_LEAST_LESIONS = 6
_KINDS = {
    "modules deleted": ("delete_each", "delete_many"),
    "modules deleted that keep the shape": ("delete_many_same_shape",),
    "skips removed": ("remove_skip_each",),
}


def claim_valid_paths(
    tables: Mapping[str, Table],
    *,
    n_modules: int,
    n_classes: int | None = None,
    network: str = "the residual network",
) -> Claim:
    """Judge: the error follows the number of valid paths, whatever lesion leaves them (section 4).

    `tables`: those of lesions, by the name of the study.
    """
    text = (
        f"The error of {network} follows the number of valid paths: it surely grows as deletions leave fewer, and "
        "lesions of another kind that leave as many raise it as much, by the medians of each kind within "
        f"{threshold(NOTICEABLE)}. (In kind: the first.)"
    )
    paper = veit.VALID_PATHS.said
    kinds = {name: _lesions(tables, studies, n_modules) for name, studies in _KINDS.items()}
    deleted = kinds["modules deleted"]
    if deleted.empty:
        return not_measured(text, paper, "delete_many", _CHAPTER)
    rho, low, high = rank_correlation(deleted["halvings"].to_numpy(), deleted["value"].to_numpy())
    levels = _levels(kinds)
    found = (
        f"Rank correlation of the rise of the error with how often deletions halve the paths {rho:.2f} ({low:.2f} to "
        f"{high:.2f}), {counted(len(deleted), 'lesion')}, {n_images_text(deleted)}{_on_widest(levels, n_modules)}."
    ).replace("-", "\u2212")
    if little := learnt_too_little(tables.get("delete_each") or tables.get("delete_many"), n_classes):
        return Claim(text, paper, found, "not decided", little, _CHAPTER)
    verdict, why = _of_levels(levels, grows=low > 0, falls=high < 0)
    return Claim(text, paper, found, verdict, why, _CHAPTER)


def _lesions(tables: Mapping[str, Table], studies: tuple[str, ...], n_modules: int) -> pd.DataFrame:
    """Put the rises of the error of several studies under each other, with how often they halve the paths."""
    parts = []
    for study in studies:
        read = errors_of(tables.get(study))
        count = None if read is None else halvings(read.lesions, n_modules)
        if read is not None and read.intact is not None and count is not None:
            kept = [name for name in ("value", "n_images", "data_unit") if name in read.lesions]
            rows = read.lesions[kept].assign(halvings=count.round().astype(int))
            # Studies have images of their own, of which the intact network errs in more or in fewer.
            parts.append(rows.assign(value=rows["value"] - read.intact["value"]))
    return pd.concat(parts) if parts else pd.DataFrame({"value": [], "n_images": [], "halvings": []})


def _levels(kinds: Mapping[str, pd.DataFrame]) -> dict[int, dict[str, pd.Series]]:
    """Give the median rise of each kind of lesion where several kinds leave as many paths."""
    levels: dict[int, dict[str, pd.Series]] = {}
    for name, lesions in kinds.items():
        for count, rows in lesions.groupby("halvings"):
            if len(rows) >= _LEAST_LESIONS:
                levels.setdefault(int(count), {})[name] = median_with_interval(rows["value"].to_numpy())
    return {count: medians for count, medians in levels.items() if len(medians) > 1}


def _apart(medians: Mapping[str, pd.Series]) -> tuple[float, float]:
    """Give by how much kinds surely differ at least, and at most, taking the two that differ most."""
    pairs = list(combinations(medians.values(), 2))
    least = max(max(a["low"] - b["high"], b["low"] - a["high"]) for a, b in pairs)
    most = max(max(a["high"] - b["low"], b["high"] - a["low"]) for a, b in pairs)
    return float(least), float(most)


def _on_widest(levels: Mapping[int, Mapping[str, pd.Series]], n_modules: int) -> str:
    """Tell the medians of the kinds where they lie furthest apart."""
    if not levels:
        return ""
    count = max(levels, key=lambda number: _apart(levels[number])[0])
    told = [f"{points_with_interval(row)} with {name}" for name, row in levels[count].items()]
    paths = f"2{superscript(n_modules - count)} of 2{superscript(n_modules)} paths"
    return f"; furthest apart with {paths}: {listed(told)}, in the median"


def _of_levels(
    levels: Mapping[int, Mapping[str, pd.Series]], *, grows: bool, falls: bool
) -> tuple[Verdict, str]:
    if falls:
        return "does not agree", "The error surely falls as deletions leave fewer paths."
    if not grows:
        return (
            "not decided",
            "Whether the error grows is not clear: the interval of the correlation reaches 0.",
        )
    apart = [_apart(medians) for medians in levels.values()]
    different, alike = (
        sum(least > NOTICEABLE for least, _ in apart),
        sum(most < NOTICEABLE for _, most in apart),
    )
    why = (
        f"It surely grows. At {different} of {counted(len(apart), 'number')} of paths that several kinds of lesion "
        f"leave, the kinds surely differ by more than {threshold(NOTICEABLE)}, at {alike} surely by less."
    )
    if apart and alike == len(apart):
        return "agrees", why
    if different:
        why += " So the number of valid paths alone does not tell the error."
    return "agrees in kind", why


def about_valid_paths(network: StudiedNetwork) -> Claim:
    """Judge it of the lesions of a network."""
    studies = [study for members in _KINDS.values() for study in members if study in network.tables]
    claim = claim_valid_paths(
        {study: network.tables[study] for study in studies},
        n_modules=network.n_modules,
        n_classes=network.n_classes,
        network=network.title,
    )
    read = [(network, study) for study in studies] or [(network, "delete_many")]
    return with_rows(claim, *read, short="The error follows the number of valid paths")


def judge(run: Run) -> list[Claim]:
    """Judge it of each ordinary residual network."""
    return [about_valid_paths(network) for network in run.lesioned("resnet")]
