"""The chapter about the networks, and how each study of them was measured."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from unravelnet import columns, figures
from unravelnet.papers import veit
from unravelnet.readers.rows import chance_error, n_images_text
from unravelnet.records.record import Table
from unravelnet.registry import STUDIES
from unravelnet.reporting.contents import HISTORY, Run, StudiedNetwork
from unravelnet.reporting.topics.chapter import Chapter, ShownTable, joined
from unravelnet.reporting.topics.gradients.findings import how_gradients, which_images
from unravelnet.reporting.topics.lesions.rows import errors_of
from unravelnet.reporting.topics.samples import on_shared_sample, samples
from unravelnet.reporting.words.sentences import listed, percent_with_interval
from unravelnet.wording import counted, percent

_KIND_OF_ROLE = {
    "resnet": "residual",
    "stochastic-depth": "residual, stochastic depth",
    "effective-paths": "residual, effective paths only",
    "vgg": "plain",
}
# Each with what stands for a fact that is not known.
_FACTS = {
    columns.title("network_name"): "",
    "Kind": "",
    columns.title("n_modules"): "",
    "Structure": "not recorded",
    "Down-sampling": "none",
    columns.title("n_parameters"): "not recorded",
    columns.title("intact_error_rate"): "not measured with lesions",
    columns.title("epochs"): "not recorded",
}


def networks(run: Run) -> Chapter:
    """Write the chapter about what was trained."""
    chapter = Chapter(
        "networks",
        "The networks",
        "Which networks were studied, and how well do they do before anything is done to them?",
        paper=f"{veit.NETWORKS.said} {veit.INTACT.said}",
    )
    chapter.tables.append(table_of_studied(run))
    histories = {network.title: network.history for network in run.studied if network.history is not None}
    if histories:
        chapter.show(
            "training",
            lambda: figures.figure_training(histories),
            joined(histories),
            caption="Error and loss over the epochs of training.",
            alt=f"Curves of error and loss over epochs for {listed(list(histories))}.",
        )
    else:
        chapter.lacks(run, HISTORY)
    chapter.findings += [
        _how_good(network, error) for network in run.studied if (error := _intact_error(network, run))
    ]
    chapter.how += samples(run.studied, "delete_each")
    return chapter


def table_of_studied(run: Run) -> ShownTable:
    """Write the networks that were studied as a table."""
    facts = [_facts_of(network, run) for network in run.studied]
    # What a reproduction does not know of any network is worth saying.
    shown = [
        title
        for title, unknown in _FACTS.items()
        if run.is_reproduction or any(of_network[title] != unknown for of_network in facts)
    ]
    rows = tuple(tuple(of_network[title] for title in shown) for of_network in facts)
    return ShownTable("The networks of this run.", tuple(shown), rows)


def how_measured(run: Run) -> list[str]:
    """Say of each study how it was measured, one sentence or more."""
    sentences = []
    for study in STUDIES.usable()[0]:
        if chosen := run.with_table(study.name):
            on_sample = [on_shared_sample(chosen, study.name), *_on_intact(chosen, study.name)]
            shared = on_sample if study.is_drawn else []
            sentences.append(f"{study.title}: {' '.join([*samples(chosen, study.name), *shared])}")
    if gradients := how_gradients(run.studied):
        sentences.append(f"Gradients by path length: {' '.join([*gradients, *which_images(run)])}")
    return sentences


def _facts_of(network: StudiedNetwork, run: Run) -> dict[str, str]:
    told = (
        network.title,
        _KIND_OF_ROLE[network.role],
        str(network.n_modules),
        network.structure,
        listed(network.downsampling) if network.downsampling else "",
        "" if network.n_parameters is None else f"{network.n_parameters:,}",
        _intact_error(network, run),
        "" if network.epochs is None else str(network.epochs),
    )
    return {title: text or unknown for text, (title, unknown) in zip(told, _FACTS.items(), strict=True)}


def _how_good(network: StudiedNetwork, error: str) -> str:
    trained = "" if network.epochs is None else f" after {counted(network.epochs, 'epoch')}"
    chance = chance_error(network.n_classes)
    guessing = (
        ""
        if chance is None or network.n_classes is None
        else f"; guessing among {counted(network.n_classes, 'class')} errs in {percent(chance)}"
    )
    return f"{network.title}: error {error}{trained}{guessing}."


def _intact_error(network: StudiedNetwork, run: Run) -> str:
    """Write the error of the intact network with its images: of all test images where a shipped one was tested so."""
    known = [_error_as_shipped(network, run), *map(_intact_of, network.tables.values())]
    errors = [error for error in known if error is not None]
    if not errors:
        return ""
    widest = max(errors, key=lambda error: error.get("n_images", 0))
    return f"{percent_with_interval(widest)}, {n_images_text(widest.to_frame().T)}"


def _intact_of(table: Table) -> pd.Series | None:
    study = errors_of(table)
    return None if study is None else study.intact


def _error_as_shipped(network: StudiedNetwork, run: Run) -> pd.Series | None:
    """Find the error of a shipped network, tested as it was trained to be."""
    rows = Table([]) if run.trained_networks is None else run.trained_networks
    for row in rows.where(network_name=network.pretrained) if network.pretrained else ():
        if row["is_as_trained"]:
            ends = {"low": row["error_rate_low"], "high": row["error_rate_high"]}
            return pd.Series({"value": row["error_rate"], "n_images": row["n_images"], **ends})
    return None


def _on_intact(chosen: Sequence[StudiedNetwork], study: str) -> list[str]:
    """Say what the intact networks err in, of the images of a study."""
    known = [(network.title, errors_of(network.tables[study])) for network in chosen]
    errors = [
        f"{title} errs in {percent(found.intact['value'])} of them"
        for title, found in known
        if found is not None and found.intact is not None
    ]
    return [f"Intact, {listed(errors)}."] if errors else []
