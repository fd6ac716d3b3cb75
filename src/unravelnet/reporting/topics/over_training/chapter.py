"""The chapter about the path lengths at the checkpoints of a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from unravelnet import figures
from unravelnet.papers import littwin
from unravelnet.reporting.contents import COMPARED, Run, StudiedNetwork
from unravelnet.reporting.topics.chapter import Chapter
from unravelnet.reporting.topics.over_training.claims import STUDY, measured_in
from unravelnet.reporting.topics.over_training.findings import on_over_training, on_scales
from unravelnet.reporting.topics.samples import on_plain_sample
from unravelnet.reporting.topics.together import note

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def over_training(run: Run) -> Chapter:
    """Write the chapter about the path lengths at the checkpoints of a training."""
    chapter = _begun()
    for network in [*run.studied, *_first_of_each(measured_in(run))]:
        for study, (draw, title, caption, alt) in _OVER_TRAINING.items():
            if study in network.tables:
                table = network.tables[study]
                chapter.show(
                    f"{study}_{network.name}",
                    partial(draw, table, title=f"{title}: {network.title}"),
                    table,
                    caption=f"{network.title}: {caption}",
                    alt=alt,
                )
    _tell(chapter, run)
    return chapter


def told_of_over_training(run: Run) -> list[Chapter]:
    """Write the same without the figures, for a page that shows none; none without checkpoints."""
    chapter = _begun()
    _tell(chapter, run)
    return [chapter] if chapter.findings else []


def _begun() -> Chapter:
    return Chapter(
        "over-training",
        "Path lengths over training",
        "Does the virtual ensemble become deeper while the network is trained?",
        paper=f"Not measured. {littwin.DEEPENING.said_by} {littwin.SCALES_GROW.said}",
    )


def _tell(chapter: Chapter, run: Run) -> None:
    measured = [network for network in run.networks if STUDY in network.tables]
    if any(network.pretrained for network in measured):
        chapter.how.append(_OF_SHIPPED)
    if measured:
        chapter.how.append("The interval of a decay says how straight the line is that it is fitted by.")
    for network in measured:
        table = network.tables[STUDY]
        chapter.find(on_over_training, network, table)
        if _SCALES in network.tables:
            chapter.find(on_scales, network, network.tables[_SCALES])
        note(chapter, network.title, partial(on_plain_sample, by="epoch"), table)


_SCALES = "normalisation_scales"
_OF_SHIPPED = (
    "The tables of a shipped network come with it, because the weights of its earlier epochs are not shipped. Its card "
    "says which training was measured."
)


def _first_of_each(networks: Sequence[StudiedNetwork]) -> list[StudiedNetwork]:
    """Choose of the networks that are only compared, which the figures do not all show, one training each."""
    compared = [network for network in networks if network.role == COMPARED]
    first = {network.group or network.name: network for network in reversed(compared)}
    return [network for network in compared if network in first.values()]


_OVER_TRAINING: Mapping[str, tuple[Callable[..., Figure], str, str, str]] = {
    "over_training": (
        figures.figure_over_training,
        "Path lengths over training",
        "decay of the path norm, path lengths and branch sizes at the checkpoints.",
        "Panels of points over the epochs; the numbers are in the data.",
    ),
    "spectra_over_training": (
        figures.figure_spectra_over_training,
        "Shares of the path lengths over training",
        "share of each path length at some checkpoints, and the weights of the theory.",
        "Curves in the shape of bells over the path length, one a checkpoint.",
    ),
    _SCALES: (
        figures.figure_normalisation_scales,
        "Scales of normalisation over training",
        "scales of the normalisation layers at some checkpoints.",
        "Curves over the index of the normalisation layer, one a checkpoint.",
    ),
}
