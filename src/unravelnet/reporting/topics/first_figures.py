"""The three small figures that open a report: deleting, removing skips, and the gradient by path length."""

from __future__ import annotations

from unravelnet import figures
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run, downsampling_of
from unravelnet.reporting.topics.chapter import Chapter, ShownFigure, joined
from unravelnet.reporting.topics.gradients.findings import EXACT, path_norms
from unravelnet.reporting.topics.skips.surges import ABOUT_SKIPS
from unravelnet.reporting.words.sentences import listed

WIDTH = 3.4
"""Inches: three beside each other fill a page, and one a telephone."""
DELETING, REMOVING, GRADIENT = "first_deleting", "first_removing", "first_gradient"


def first_figures(run: Run) -> list[tuple[ShownFigure, str]]:
    """Draw those of the three figures that a reproduction has tables for, each with the chapter that goes on from it.

    Another run opens with the figures of its chapters.
    """
    if not run.is_reproduction:
        return []
    chapter = Chapter("first", "", "")
    _show_deleting(chapter, run)
    _show_removing(chapter, run)
    _show_gradient(chapter, run)
    anchors = {DELETING: "delete-each", REMOVING: "remove-skip", GRADIENT: "path-gradients"}
    return [(shown, anchors[shown.name]) for shown in chapter.figures]


def _show_deleting(chapter: Chapter, run: Run) -> None:
    chosen = [network for network in run.with_table("delete_each") if network.role in ("resnet", "vgg")]
    if not chosen:
        return
    tables = {network.title: network.tables["delete_each"] for network in chosen}
    chapter.show(
        DELETING,
        lambda: figures.figure_delete_each(
            tables,
            downsampling=downsampling_of(chosen),
            n_classes=chosen[0].n_classes,
            title="Deleting each module",
            width=WIDTH,
            caption="",
        ),
        joined(tables),
        caption="Error after deleting each module or layer. Dashed: nothing deleted.",
        alt=f"Points of the error over the index of the deleted module for {listed(list(tables))}.",
    )


def _show_removing(chapter: Chapter, run: Run) -> None:
    network = next((network for network in run.with_table(*ABOUT_SKIPS) if network.role == "resnet"), None)
    if network is None:
        return
    skips, branches = (network.tables[study] for study in ABOUT_SKIPS)
    chapter.show(
        REMOVING,
        lambda: figures.figure_remove_skip_each(
            {network.title: (skips, branches)},
            downsampling=downsampling_of([network]),
            n_classes=network.n_classes,
            title="Removing each skip",
            width=WIDTH,
            caption="",
        ),
        Table([*skips, *branches]),
        caption=f"{network.title}: error after removing each skip, and after deleting each branch. Either leaves half "
        "of the paths.",
        alt="Two rows of points over the index of the module: removed skips and deleted branches.",
    )


def _show_gradient(chapter: Chapter, run: Run) -> None:
    network = next(iter(run.of_role("resnet")), None)
    norms, exact = (None, None) if network is None else (path_norms(network), network.tables.get(EXACT))
    every = [table for table in (norms, exact) if table is not None]
    if network is None or not every:
        return
    chapter.show(
        GRADIENT,
        lambda: figures.figure_length_contribution(
            norms, exact=exact, title="The gradient by path length", width=WIDTH, caption=""
        ),
        every[0] if norms is exact else Table([row for table in every for row in table]),
        caption=f"{network.title}: share of the gradient by path length, as the exact sum and by the paper's measure, "
        "number of paths × their mean norm.",
        alt="Bars of one share and a line of the other over the path length.",
    )
