"""The claim about the error of the intact network."""

from __future__ import annotations

import re

from unravelnet.papers import he, veit
from unravelnet.readers.rows import n_images_text
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.topics.lesions.rows import errors_of
from unravelnet.reporting.words.claim import Claim, not_measured, with_rows
from unravelnet.reporting.words.protocol import compared
from unravelnet.reporting.words.sentences import percent_with_interval, threshold
from unravelnet.reporting.words.verdict import NEAR, of_error
from unravelnet.wording import counted


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


def _about_error(network: StudiedNetwork) -> Claim:
    table = network.tables.get("delete_each")
    claim = claim_error(table, network=network.title, n_modules=network.n_modules, epochs=network.epochs)
    return with_rows(claim, (network, "delete_each"), short="The intact network errs as the paper's")


def judge(run: Run) -> list[Claim]:
    """Judge the error of each ordinary residual network."""
    return [_about_error(network) for network in run.lesioned("resnet")]
