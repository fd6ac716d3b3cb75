"""The chapter about which modules matter."""

from __future__ import annotations

from functools import partial

from unravelnet.registry import FIGURES
from unravelnet.reporting.contents import Run
from unravelnet.reporting.topics.chapter import Chapter
from unravelnet.reporting.topics.importance.findings import on_importance
from unravelnet.reporting.topics.of_study import show_plot
from unravelnet.reporting.topics.samples import on_plain_sample
from unravelnet.reporting.topics.together import note

TABLE = "importance"


def importance(run: Run) -> Chapter:
    """Write the chapter about which modules matter."""
    chapter = Chapter(
        "importance",
        "Which modules matter",
        "Which modules does the network need, and which score knows without deleting them?",
        paper="Not measured: the paper deletes modules, and does not foresee what this costs.",
    )
    chosen = run.with_table(TABLE)
    show_plot(chapter, chosen, FIGURES.find(TABLE), TABLE)
    for network in chosen:
        table = network.tables[TABLE]
        chapter.find(on_importance, network, table)
        note(chapter, network.title, partial(on_plain_sample, by="module"), table)
    return chapter
