"""The chapter about the experiment that the paper did not do: removing each skip."""

from __future__ import annotations

from unravelnet import figures
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run, downsampling_of
from unravelnet.reporting.topics.chapter import Chapter, joined
from unravelnet.reporting.topics.samples import samples
from unravelnet.reporting.topics.skips.findings import on_removed_skips
from unravelnet.reporting.topics.skips.surges import ABOUT_SKIPS, on_all_surges


def remove_skip(run: Run) -> Chapter:
    """Write the chapter about the experiment that the paper did not do."""
    chapter = Chapter(
        "remove-skip",
        "Removing each skip",
        "Deleting a module leaves half of the paths. Removing its skip instead leaves half too: the other "
        "half. If the number of paths is what counts, both should cost alike. Do they, or does the error "
        "surge?",
        paper="Not measured.",
    )
    chosen = run.with_table(*ABOUT_SKIPS)
    if not chosen:
        chapter.lacks(run, "remove_skip_each")
        return chapter
    tables = {n.title: (n.tables["remove_skip_each"], n.tables["delete_each"]) for n in chosen}
    chapter.show(
        "remove_skip_each",
        lambda: figures.figure_remove_skip_each(
            tables, downsampling=downsampling_of(chosen), n_classes=chosen[0].n_classes
        ),
        joined({title: Table([*both[0], *both[1]]) for title, both in tables.items()}),
        caption="Error after removing each skip, and after deleting each branch.",
        alt="Two rows of points over the index of the module, one for removed skips, one for deleted "
        "branches.",
    )
    for network in chosen:
        skips, branches = network.tables["remove_skip_each"], network.tables["delete_each"]
        chapter.find(on_removed_skips, network, skips, branches)
    chapter.findings += on_all_surges(run)
    chapter.how += samples(chosen, "remove_skip_each")
    return chapter
