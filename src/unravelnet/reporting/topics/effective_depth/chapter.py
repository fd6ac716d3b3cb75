"""The chapter about effective depth and about single modules."""

from __future__ import annotations

from functools import partial

from unravelnet import figures
from unravelnet.papers import jastrzebski, wu
from unravelnet.reporting.contents import Run
from unravelnet.reporting.topics.chapter import Chapter
from unravelnet.reporting.topics.effective_depth.findings import on_effective_depths, on_module_measures
from unravelnet.reporting.topics.samples import on_plain_sample
from unravelnet.reporting.topics.together import note, show_together


def effective_depth(run: Run) -> Chapter:
    """Write the chapter about effective depth and about single modules."""
    chapter = Chapter(
        "effective-depth",
        "Effective depth, and what modules do",
        "Through how many later modules does the gradient of a module come? And how large is a branch beside the "
        "stream that it is added to: does it go downhill in the loss, and what does it do to the gradient?",
        paper=f"Not measured. {wu.OVER_DEEPENED.said_by} {jastrzebski.DOWNHILL.said_by}",
    )
    for network in run.with_table("effective_depths"):
        table = network.tables["effective_depths"]
        chapter.show(
            f"effective_depths_{network.name}",
            partial(
                figures.figure_effective_depths,
                table,
                title=f"Effective depth of each module: {network.title}",
            ),
            table,
            caption=f"{network.title}: effective depth of each module, and the modules behind it.",
            alt="Points over the index of the module, below a falling line of the modules behind each.",
        )
        chapter.find(on_effective_depths, network, table)
        note(chapter, network.title, partial(on_plain_sample, by="module"), table)
    show_together(
        chapter,
        run,
        "module_measures",
        figures.figure_module_measures,
        caption="Size and direction of each branch, and its gain of a gradient, over the index of the module.",
        alt="Four panels of points over the index of the module; the numbers are in the data.",
        write=on_module_measures,
        by="module",
    )
    return chapter
