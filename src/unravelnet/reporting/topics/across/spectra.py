"""From which path lengths the gradient of every trained network comes, in sentences and one table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from unravelnet import columns
from unravelnet.readers.rows import n_images_text, ordered
from unravelnet.readers.spectrum import Spectrum
from unravelnet.reporting.topics.across.groups import LesionedGroup, pairs_of_trainings
from unravelnet.reporting.topics.chapter import ShownTable
from unravelnet.reporting.topics.gradients.findings import EXACT
from unravelnet.reporting.words.sentences import listed, number
from unravelnet.wording import counted, percent

_SHARE = 0.95
_HEADER = (
    columns.title("network_name"),
    columns.title("n_modules"),
    "Trainings",
    "Mean length of all paths",
    "Mean length of the gradient",
    f"Lengths with {100 * _SHARE:g} % of the gradient",
    "Share of all paths with these lengths",
    "Gradient on paths shorter than the mean of all",
)


def with_spectra(groups: Sequence[LesionedGroup]) -> list[LesionedGroup]:
    """List the groups of which a training has its gradient measured by path length."""
    return [group for group in groups if group.spectra]


def table_of_spectra(groups: Sequence[LesionedGroup]) -> ShownTable:
    """Write from which path lengths the gradient comes, one row for trainings that differ in their seed only."""
    tables = [network.tables[EXACT] for group in groups for network in group.with_spectrum]
    n_images = n_images_text(pd.concat([ordered(table, by="length") for table in tables]))
    caption = (
        "Path lengths that the gradient of every trained network comes from, by the norms of the exact sums over all "
        f"paths of a length. Lengths are in modules. Numbers are one a training, of {n_images}."
    )
    return ShownTable(caption, _HEADER, tuple(map(_row, groups)))


def on_spectra(groups: Sequence[LesionedGroup]) -> list[str]:
    """Say which mean length the gradient has in each training, and how it changes with depth, routes and seed."""
    full = [group for group in groups if group.is_trained_on_all]
    sentences = (_on_mean_lengths(full), _on_depth(full), _on_routes(groups), _on_seeds(groups))
    return [sentence for sentence in sentences if sentence]


def _on_mean_lengths(groups: Sequence[LesionedGroup]) -> str:
    if not groups:
        return ""
    parts = [f"{group.title} ({counted(group.n_modules, 'module')}) {_means_text(group)}" for group in groups]
    return f"By the norms of the exact sums, the mean path length of the gradient is: {'; '.join(parts)}."


def _on_depth(groups: Sequence[LesionedGroup]) -> str:
    """Set the shallowest networks beside the deepest."""
    if len({group.n_modules for group in groups}) < 2:
        return ""
    ends = [
        [group for group in groups if group.n_modules == depth]
        for depth in (groups[0].n_modules, groups[-1].n_modules)
    ]
    names = [listed([group.title for group in end]) for end in ends]
    halves = [f"{end[0].n_modules / 2:g}" for end in ends]
    means = [
        number(float(np.mean([one.mean_length for group in end for one in group.spectra]))) for end in ends
    ]
    return (
        f"From {names[0]} to {names[1]}, the mean length of all paths grows from {halves[0]} to "
        f"{halves[1]} modules. That of the gradient goes from {means[0]} to {means[1]}, in the mean of the trainings."
    )


def _on_routes(groups: Sequence[LesionedGroup]) -> str:
    """Set networks that were trained on random routes beside the same trained on all modules."""
    parts = [
        f"{part.title} {_means_text(part)} (on all modules {_means_text(full)})"
        for full, part in pairs_of_trainings(groups)
    ]
    return (
        f"Trained on random routes, the mean length of the gradient is: {'; '.join(parts)}." if parts else ""
    )


def _on_seeds(groups: Sequence[LesionedGroup]) -> str:
    """Say how far trainings that differ in their seed only lie apart at most."""
    spreads = {
        group.title: float(np.ptp([one.mean_length for one in group.spectra]))
        for group in groups
        if len(group.spectra) > 1
    }
    if not spreads:
        return ""
    widest = max(spreads, key=lambda title: spreads[title])
    return (
        f"Seeds of one network differ in the mean length of the gradient by at most {number(spreads[widest])} modules "
        f"({widest})."
    )


def _row(group: LesionedGroup) -> tuple[str, ...]:
    spectra = group.spectra
    ranges = [one.effective_lengths(share=_SHARE) for one in spectra]
    return (
        group.title,
        str(group.n_modules),
        str(len(spectra)),
        f"{group.n_modules / 2:g}",
        _means_text(group),
        listed([f"{low} to {high}" for low, high in ranges]),
        listed([percent(one.share_of_paths(*ends)) for one, ends in zip(spectra, ranges, strict=True)]),
        listed([percent(_short(one)) for one in spectra]),
    )


def _means_text(group: LesionedGroup) -> str:
    return listed([number(one.mean_length) for one in group.spectra])


def _short(spectrum: Spectrum) -> float:
    return float(spectrum.held_by_short_paths["value"])
