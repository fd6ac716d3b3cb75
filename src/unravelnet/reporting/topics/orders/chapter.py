"""The chapter about putting modules into another order."""

from __future__ import annotations

from unravelnet import figures
from unravelnet.papers import veit
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.topics.chapter import Chapter
from unravelnet.reporting.topics.orders.findings import on_orders
from unravelnet.reporting.topics.samples import on_shared_sample, samples


def reorder(run: Run) -> Chapter:
    """Write the chapter about putting modules into another order."""
    chapter = Chapter(
        "reorder",
        "Reordering modules",
        "If modules were steps that build on each other, another order would ruin the network. Does it?",
        paper=veit.REORDERING.said,
    )
    chosen = run.with_table("reorder")
    if not chosen:
        chapter.lacks(run, "reorder")
    for network in chosen:
        _show_orders(chapter, network)
    chapter.how += samples(chosen, "reorder")
    if chosen:
        chapter.how.append("Modules that change the shape stay where they are; the others move as units.")
        chapter.how.append(on_shared_sample(chosen, "reorder"))
    return chapter


def _show_orders(chapter: Chapter, network: StudiedNetwork) -> None:
    table = network.tables["reorder"]
    chapter.show(
        f"reorder_{network.name}",
        lambda: figures.figure_reorder(
            table, n_classes=network.n_classes, title=f"Error when reordering modules: {network.title}"
        ),
        table,
        caption=f"{network.title}: error over Kendall's τ between the new and the original order "
        f"({veit.REORDERING.source.place} of the paper).",
        alt="Points, one an order, with a line of medians; the original order is at the left.",
    )
    chapter.find(on_orders, network, table)
