"""Removing a skip beside deleting a branch: the experiment that the paper did not do, and what it says of its reading.

Either leaves half of the paths. That both should cost alike nobody claimed; it is asked here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from unravelnet.figures.rows import n_images_text
from unravelnet.figures.spectrum import Spectrum
from unravelnet.reporting.claims import Claim, not_measured
from unravelnet.reporting.lesion_rows import errors_of, learnt_too_little, rises_of
from unravelnet.reporting.sentences import percent, points, threshold
from unravelnet.reporting.verdicts import MOST, NOTICEABLE, by_share
from unravelnet.wording import counted

if TYPE_CHECKING:
    from unravelnet.records.record import Table

_CHAPTER = "remove-skip"


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
    pairs = _skips_beside_branches(skips, branches)
    if pairs is None:
        study = "remove_skip_each" if rises_of(skips) is None else "delete_each"
        return not_measured(text, paper, study, _CHAPTER)
    if pairs.empty:
        return Claim(text, paper, "No module has both.", "not decided", "Nothing to compare.", _CHAPTER)
    dearer, cheaper = _surges(pairs), pairs["low_branch"] - pairs["high_skip"] > NOTICEABLE
    alike = _most_apart(pairs) < NOTICEABLE
    found = (
        f"{counted(len(pairs), 'module')}, {n_images_text(pairs)}: {points(pairs['value_skip'].median())} "
        f"points in the median without the skip, {points(pairs['value_branch'].median())} without the "
        f"branch. Surely further apart than the threshold: the skip dearer at {dearer.sum()}, the branch at "
        f"{cheaper.sum()}{_on_cheaper(pairs[cheaper])}."
    )
    verdict, why = by_share(alike, dearer | cheaper, what="cost about the same either way")
    if verdict == "does not agree":
        why += " So it is not the number of paths alone that counts."
    if little := learnt_too_little(branches, n_classes):
        verdict, why = "not decided", little
    return Claim(text, paper, found, verdict, why, _CHAPTER)


def on_surges(
    skips: Table | None,
    branches: Table | None,
    draws: Table | None = None,
    spectrum: Spectrum | None = None,
    *,
    n_modules: int,
    n_classes: int | None = None,
    network: str = "the residual network",
) -> str:
    """Say what it means for the reading as an ensemble that the error surges without skips; empty where it does not.

    `draws`: the study of random deletions. `spectrum`: the gradient by path length, complete, in which norms are added
    up as the paper does.
    """
    pairs = _skips_beside_branches(skips, branches)
    if pairs is None or not _surges(pairs).any() or learnt_too_little(branches, n_classes):
        return ""
    first = (
        f"{network}: at {_surges(pairs).sum()} of {counted(len(pairs), 'module')} the error surges "
        "without the skip. Removing a "
        f"skip and deleting its branch leave equally many paths, 2^{n_modules - 1} of 2^{n_modules}, yet not the same "
        "error: paths do not count alike, and the reading as an ensemble has to say which of them do."
    )
    about_weights = (
        "" if spectrum is None else f"{_on_weights(spectrum)} {_on_equal_losses(pairs, draws, spectrum)}"
    )
    last = "How we read it, and did not measure: skips carry on the stream that all later modules were trained to read."
    return " ".join(" ".join([first, about_weights, last]).split())


def _on_weights(spectrum: Spectrum) -> str:
    """Weight the paths of a skip and of a branch by the gradient that paths of their lengths carry."""
    through_branch = spectrum.share_through_branch
    lead = (
        "The paper's effective paths predict which of the two costs more, since the gradient comes from short paths"
        if through_branch < 0.5
        else "The lengths that the gradient comes from do not predict which of the two costs more"
    )
    return (
        f"{lead}: in the intact network, by number of paths × their mean norm, {percent(1 - through_branch)} of it "
        f"is on paths through a module's skip and {percent(through_branch)} on those through its branch, in the mean "
        "over modules."
    )


def _on_equal_losses(pairs: pd.DataFrame, draws: Table | None, spectrum: Spectrum) -> str:
    """Set a removed skip beside as many random deletions as leave the same share of the gradient."""
    study = errors_of(draws, needs=["n_deleted"])
    if study is None or study.intact is None or study.lesions.empty:
        return ""
    medians = study.lesions.groupby("n_deleted")["value"].median() - float(study.intact["value"])
    left = {int(n): spectrum.left_after(int(n)) for n in medians.index}
    nearest = min(left, key=lambda n: abs(left[n] - spectrum.share_through_branch))
    return (
        f"They do not predict how much: deleting {counted(nearest, 'module')} at random leaves paths with "
        f"{percent(left[nearest])} of it, and raises the error by "
        f"{points(medians[nearest], signed=False)} points in the median of the draws; removing a skip raises it by "
        f"{points(pairs['value_skip'].median(), signed=False)} in the median of the modules."
    )


def _skips_beside_branches(skips: Table | None, branches: Table | None) -> pd.DataFrame | None:
    """Put the rise without each skip beside that without its branch; None where one was not measured."""
    without_skip, without_branch = rises_of(skips), rises_of(branches)
    if without_skip is None or without_branch is None:
        return None
    numbers = without_branch.drop(columns="n_images")
    return without_skip.merge(numbers, on="module", suffixes=("_skip", "_branch"))


def _surges(pairs: pd.DataFrame) -> pd.Series:
    surges: pd.Series = pairs["low_skip"] - pairs["high_branch"] > NOTICEABLE
    return surges


def _most_apart(pairs: pd.DataFrame) -> pd.Series:
    """Give how far apart skip and branch are at most, by the far ends of their intervals."""
    ends = [pairs["high_skip"] - pairs["low_branch"], pairs["high_branch"] - pairs["low_skip"]]
    most: pd.Series = pd.concat(ends, axis=1).max(axis=1)
    return most


def _on_cheaper(pairs: pd.DataFrame) -> str:
    modules = [
        f"module {int(row['module'])}: {points(row['value_skip'])} and {points(row['value_branch'])}"
        for _, row in pairs.iterrows()
    ]
    return f" ({'; '.join(modules)})" if modules else ""
