"""The chapter about how strongly layers respond."""

from __future__ import annotations

from unravelnet import figures
from unravelnet.papers import he
from unravelnet.reporting.contents import Run
from unravelnet.reporting.topics.chapter import Chapter
from unravelnet.reporting.topics.responses.findings import on_layer_responses
from unravelnet.reporting.topics.together import show_together


def layer_responses(run: Run) -> Chapter:
    """Write the chapter about how strongly layers respond."""
    chapter = Chapter(
        "layer-responses",
        "Layer responses",
        "How strong is what each layer adds, in the order of the layers and sorted?",
        paper=f"Not measured. {he.SMALLER_RESPONSES.said_by} {he.DEEPER_RESPONSES.said}",
    )
    show_together(
        chapter,
        run,
        "layer_responses",
        figures.figure_layer_responses,
        caption=f"Standard deviation of the responses of each layer ({he.SMALLER_RESPONSES.source.named}).",
        alt="Two panels of points, above in the order of the layers, below falling; the numbers are in the data.",
        write=on_layer_responses,
        by="position",
    )
    return chapter
