"""Removing a skip beside deleting a branch: the experiment that the paper did not do.

Either leaves half of the paths. That both should cost alike nobody claimed; it is asked here.
"""

from __future__ import annotations

import pandas as pd

from unravelnet.readers.rows import n_images_text
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.topics.lesions.rows import learnt_too_little, rises_of
from unravelnet.reporting.words.claim import OWN, Claim, not_measured, with_rows
from unravelnet.reporting.words.sentences import points, threshold
from unravelnet.reporting.words.verdict import MOST, NOTICEABLE, by_share
from unravelnet.wording import counted

_CHAPTER = "remove-skip"
# Of fewer modules a third says nothing of its own.
_LEAST_MODULES = 9


def claim_remove_skip(
    skips: Table | None,
    branches: Table | None,
    *,
    n_classes: int | None = None,
    network: str = "the residual network",
) -> Claim:
    """Judge: losing half of the paths costs the same whichever half: without the skip or without the branch."""
    text = (
        f"It is the number of paths that counts: in {network}, removing the skip of any module costs within "
        f"{threshold(NOTICEABLE)} of what deleting its branch costs, since either leaves half of the paths. (In kind: "
        f"of {100 * MOST:.0f} % of the modules.)"
    )
    paper = (
        "Not measured. Expected if the network is nothing but a collection of exchangeable paths; not if the gradient "
        "comes from short paths, as the paper says, since these take most skips."
    )
    pairs = skips_beside_branches(skips, branches)
    if pairs is None:
        study = "remove_skip_each" if rises_of(skips) is None else "delete_each"
        return not_measured(text, paper, study, _CHAPTER)
    if pairs.empty:
        return Claim(text, paper, "No module has both.", "not decided", "Nothing to compare.", _CHAPTER)
    dearer, cheaper = surges(pairs), pairs["low_branch"] - pairs["high_skip"] > NOTICEABLE
    alike = _most_apart(pairs) < NOTICEABLE
    found = (
        f"{counted(len(pairs), 'module')}, {n_images_text(pairs)}: {points(pairs['value_skip'].median())} "
        f"points in the median without the skip, {points(pairs['value_branch'].median())} without the "
        f"branch{_on_late(pairs)}. Surely further apart than the threshold: the skip dearer at {dearer.sum()}, the "
        f"branch at {cheaper.sum()}{_on_cheaper(pairs[cheaper])}."
    )
    verdict, why = by_share(alike, dearer | cheaper, what="cost about the same either way")
    if verdict == "does not agree":
        why += " So it is not the number of paths alone that counts."
    if little := learnt_too_little(branches, n_classes):
        verdict, why = "not decided", little
    return Claim(text, paper, found, verdict, why, _CHAPTER)


def skips_beside_branches(skips: Table | None, branches: Table | None) -> pd.DataFrame | None:
    """Put the rise without each skip beside that without its branch; None where one was not measured."""
    without_skip, without_branch = rises_of(skips), rises_of(branches)
    if without_skip is None or without_branch is None:
        return None
    numbers = without_branch.drop(columns="n_images")
    return without_skip.merge(numbers, on="module", suffixes=("_skip", "_branch"))


def surges(pairs: pd.DataFrame) -> pd.Series:
    """Tell at which modules the error is surely and noticeably higher without the skip than without the branch."""
    surge: pd.Series = pairs["low_skip"] - pairs["high_branch"] > NOTICEABLE
    return surge


def _most_apart(pairs: pd.DataFrame) -> pd.Series:
    """Give how far apart skip and branch are at most, by the far ends of their intervals."""
    ends = [pairs["high_skip"] - pairs["low_branch"], pairs["high_branch"] - pairs["low_skip"]]
    most: pd.Series = pd.concat(ends, axis=1).max(axis=1)
    return most


def _on_late(pairs: pd.DataFrame) -> str:
    """Say what the skips of the last third of the modules cost, which the median of all may hide."""
    late = pairs.sort_values("module").iloc[-(len(pairs) // 3) :] if len(pairs) >= _LEAST_MODULES else None
    if late is None:
        return ""
    first, last = (int(late["module"].iloc[place]) for place in (0, -1))
    return (
        f"; without the skip of a late module, {first} to {last}, {points(late['value_skip'].median())} in the median "
        f"and {points(late['value_skip'].min())} at least"
    )


def _on_cheaper(pairs: pd.DataFrame) -> str:
    modules = [
        f"module {int(row['module'])}: {points(row['value_skip'])} and {points(row['value_branch'])}"
        for _, row in pairs.iterrows()
    ]
    return f" ({'; '.join(modules)})" if modules else ""


def _about_skips(network: StudiedNetwork) -> Claim:
    tables = ((network, "remove_skip_each"), (network, "delete_each"))
    claim = claim_remove_skip(
        *(network.tables.get(study) for _, study in tables),
        n_classes=network.n_classes,
        network=network.title,
    )
    return with_rows(claim, *tables, short="Skip or branch, the cost is alike", source=OWN)


def judge(run: Run) -> list[Claim]:
    """Judge the removed skips of each ordinary residual network."""
    return [_about_skips(network) for network in run.lesioned("resnet")]
