"""The chapter about deleting several modules at random."""

from __future__ import annotations

from unravelnet import figures
from unravelnet.papers import veit
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.topics.chapter import Chapter
from unravelnet.reporting.topics.random_lesions.findings import on_many_deletions
from unravelnet.reporting.topics.samples import on_shared_sample, samples


def delete_many(run: Run) -> Chapter:
    """Write the chapter about deleting several modules at random."""
    chapter = Chapter(
        "delete-many",
        "Deleting many modules",
        "How does the error grow when more and more modules, drawn at random, are deleted at once?",
        paper=f"{veit.MANY_DELETIONS.said} {veit.MANY_LEFT.said}",
    )
    chosen = run.with_table("delete_many")
    if not chosen:
        chapter.lacks(run, "delete_many")
    for network in chosen:
        for study in ("delete_many", "delete_many_same_shape"):
            if study in network.tables:
                _show_many(chapter, network, study)
    chapter.how += samples(chosen, "delete_many")
    if chosen:
        chapter.how.append(on_shared_sample(chosen, "delete_many"))
    return chapter


def _show_many(chapter: Chapter, network: StudiedNetwork, study: str) -> None:
    table = network.tables[study]
    drawn_from = "" if study == "delete_many" else ", only modules that keep the shape"
    chapter.show(
        f"{study}_{network.name}",
        lambda: figures.figure_delete_many(
            table,
            downsampling=network.downsampling,
            n_classes=network.n_classes,
            title=f"Error when deleting many modules: {network.title}{drawn_from}",
        ),
        table,
        caption=f"{network.title}: error over the number of deleted modules{drawn_from} "
        f"({veit.MANY_DELETIONS.source.place} of the paper).",
        alt="Box plots of the error over random draws, one box for each number of deleted modules.",
    )
    if study == "delete_many":
        chapter.find(on_many_deletions, network, table)
