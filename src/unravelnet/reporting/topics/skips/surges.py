"""What it says of the reading as an ensemble that the error surges without skips."""

from __future__ import annotations

import pandas as pd

from unravelnet.readers.spectrum import Spectrum
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.topics.gradients.findings import contributions_of
from unravelnet.reporting.topics.lesions.rows import errors_of, learnt_too_little
from unravelnet.reporting.topics.skips.claims import skips_beside_branches, surges
from unravelnet.reporting.words.sentences import points
from unravelnet.wording import counted, percent

ABOUT_SKIPS = ("remove_skip_each", "delete_each")


def on_all_surges(run: Run) -> list[str]:
    """Say of each ordinary residual network whose error surges without some skip what follows."""
    sentences = [_on_surges_of(network) for network in run.of_role("resnet")]
    return [sentence for sentence in sentences if sentence]


def _on_surges_of(network: StudiedNetwork) -> str:
    skips, branches = (network.tables.get(study) for study in ABOUT_SKIPS)
    return on_surges(
        skips,
        branches,
        network.tables.get("delete_many"),
        contributions_of(network),
        n_modules=network.n_modules,
        n_classes=network.n_classes,
        network=network.title,
    )


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
    pairs = skips_beside_branches(skips, branches)
    if pairs is None or not surges(pairs).any() or learnt_too_little(branches, n_classes):
        return ""
    first = (
        f"{network}: at {surges(pairs).sum()} of {counted(len(pairs), 'module')} the error surges "
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
