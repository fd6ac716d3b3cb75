"""The chapter about all trained networks: errors of every seed, deeper beside shallower ones, layer responses."""

from __future__ import annotations

from collections.abc import Mapping

from unravelnet import figures
from unravelnet.papers import he, huang, veit
from unravelnet.readers.groups import TrainedGroup
from unravelnet.records.record import Table
from unravelnet.reporting.contents import COMPARED, HISTORY, TRAINED_NETWORKS, Run
from unravelnet.reporting.topics.chapter import Chapter, joined
from unravelnet.reporting.topics.responses.findings import RESPONSES, compared_with
from unravelnet.reporting.topics.trainings.epochs import show_epochs
from unravelnet.reporting.topics.trainings.findings import (
    on_cost,
    on_recipes,
    on_test_times,
    table_of_networks,
    tables_of_test_times,
)
from unravelnet.reporting.topics.trainings.groups import CHAPTER, PLAIN, RESIDUAL, groups_of
from unravelnet.reporting.words.sentences import listed

_PANEL_OF_FAMILY = {PLAIN: "Plain networks", RESIDUAL: "Residual networks"}


def training_chapters(run: Run) -> list[Chapter]:
    """Write the chapter where the run compared trained networks, else none."""
    if run.trained_networks is None and not run.of_role(COMPARED):
        return []
    chapter = Chapter(
        CHAPTER,
        "Trained networks",
        "How much do trainings differ by their seed alone? What does it cost to train on effective paths only, or "
        "with stochastic depth? And are deeper networks better, with skips and without?",
        paper=f"{veit.EFFECTIVE_TRAINING.said} {huang.BETTER.said_by} {he.DEGRADATION.said_by} "
        f"{he.DEEPER_IS_BETTER.said} {he.SMALLER_RESPONSES.said}",
    )
    groups = groups_of(run)
    if run.trained_networks is None:
        chapter.lacks(run, TRAINED_NETWORKS)
    elif groups:
        _show_errors(chapter, run.trained_networks, groups)
    else:
        chapter.missing.append(
            f"The table {TRAINED_NETWORKS} has no row with an error, so this was not measured."
        )
    show_epochs(chapter, run)
    _show_degradation(chapter, run)
    _show_responses(chapter, run)
    return [chapter]


def _show_errors(chapter: Chapter, table: Table, groups: list[TrainedGroup]) -> None:
    chapter.tables += [table_of_networks(groups), *tables_of_test_times(groups)]
    chapter.show(
        "trained_errors",
        lambda: figures.figure_trained_errors(table),
        table,
        caption="Test error of every trained network; those that differ in their seed only stand side by side.",
        alt=f"A row of marks for each of {listed([group.title for group in groups])}; the numbers are in the data.",
    )
    chapter.find(on_cost, groups)
    chapter.find(on_test_times, groups)
    if recipes := on_recipes(groups):
        chapter.how.append(recipes)
    chapter.how.append(
        "Seeds differ in the weights at the start, the order of the images and the modules drawn. All networks are "
        "tested on the same images; an interval of the images takes them as independent, and is then too wide."
    )


def _show_degradation(chapter: Chapter, run: Run) -> None:
    networks = compared_with(run, HISTORY)
    if not networks:
        return
    panels: dict[str, Mapping[str, Table]] = {
        title: {
            f"{depth} layers": networks[family, depth].tables[HISTORY]
            for family, depth in sorted(networks)
            if family == wanted
        }
        for wanted, title in _PANEL_OF_FAMILY.items()
        if any(family == wanted for family, _ in networks)
    }
    chapter.show(
        "degradation",
        lambda: figures.figure_degradation(panels),
        joined({network.title: network.tables[HISTORY] for network in networks.values()}),
        caption="Error over the epochs of plain and residual networks of several depths "
        f"({he.DEGRADATION.source.named}).",
        alt="Two panels of falling curves, plain networks left, residual ones right; the numbers are in the data.",
    )


def _show_responses(chapter: Chapter, run: Run) -> None:
    tables = {network.title: network.tables[RESPONSES] for network in compared_with(run, RESPONSES).values()}
    if tables:
        chapter.show(
            "layer_responses_compared",
            lambda: figures.figure_layer_responses(
                tables, title="How strongly layers of plain and residual networks respond"
            ),
            joined(tables),
            caption=f"Standard deviation of the responses of each layer ({he.SMALLER_RESPONSES.source.named}).",
            alt="Two panels of points, above in the order of the layers, below falling; the numbers are in the data.",
        )
