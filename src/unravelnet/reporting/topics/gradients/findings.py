"""What the gradient by path length shows, in sentences computed from the tables."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from math import log

import numpy as np
import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.mathematics.decay import Decay
from unravelnet.readers.rows import interval_text, ordered
from unravelnet.readers.spectrum import (
    PATH_NORM,
    PLACES,
    Spectrum,
    contributions,
    decay_of,
    fact,
    sample_text,
    vector_sums,
)
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.topics.samples import seed_text
from unravelnet.reporting.words.sentences import listed, number, number_with_interval
from unravelnet.wording import counted, percent

PAPER_MEASURE = "number of paths × their mean norm"
EXACT_MEASURE = "the norm of the exact vector sum of all paths of a length"


EXACT, RMS, SAMPLED = (f"path_gradients_{method}" for method in ("exact", "rms", "sampled"))


_ON_TRAINING_IMAGES = (
    "Gradients are those of training images, as in the paper, with normalisation as it is after training. The paper "
    "has those of batches; how it normalised we do not know."
)


_LOSSES = {
    "cross_entropy": "the cross entropy without smoothing of labels",
    "squared_norm": "half the squared norm of the output",
}


def path_norms(network: StudiedNetwork) -> Table | None:
    """Give the table with the norms on single paths: as the paper sampled them, else those drawn beside the
    exact sums."""
    for study in (SAMPLED, EXACT):
        table = network.tables.get(study)
        if (
            table is not None
            and PATH_NORM in table.columns
            and any(row[PATH_NORM] is not None for row in table)
        ):
            return table
    return None


def contributions_of(network: StudiedNetwork) -> Spectrum | None:
    """Give the gradient of a network by path length, as the paper adds it up; None where not all was measured."""
    table = path_norms(network)
    if table is not None:
        with suppress(EvaluationError):
            spectrum = contributions(table)
            return spectrum if spectrum.is_complete else None
    return None


def sums_of(network: StudiedNetwork) -> Spectrum | None:
    """Give the gradient of a network by path length, by the exact sums; None where not all was measured."""
    table = network.tables.get(EXACT)
    if table is not None:
        with suppress(EvaluationError):
            spectrum = vector_sums(table)
            return spectrum if spectrum.is_complete else None
    return None


def study_of_norms(network: StudiedNetwork) -> str:
    """Name the table that the norms on single paths are read from; empty where there is none."""
    norms = path_norms(network)
    known = (name for name in (SAMPLED, EXACT) if norms is not None and network.tables.get(name) is norms)
    return next(known, "")


def on_decay(network: StudiedNetwork, table: Table, rms: Table | None) -> list[str]:
    """Say how the norm on a path falls with its length, and how far its square mean lies above its mean."""
    fit = decay_of(table)
    sentences = [
        f"{network.title}: with every module that a path enters, the mean norm of its gradient changes by a factor "
        f"r = {decay_with_interval(fit)}; R² = {fit.r_squared:.3f} of the fit to "
        f"{counted(len(ordered(table, by='length', needs=[PATH_NORM])), 'length')}."
    ]
    return sentences if rms is None else [*sentences, *_on_heavy_tails(table, rms)]


def on_contributions(network: StudiedNetwork, table: Table) -> list[str]:
    """Say which lengths the gradient comes from if norms are added up, as the paper does."""
    return [_on_range(network, contributions(table), PAPER_MEASURE)]


def on_vector_sums(network: StudiedNetwork, table: Table) -> list[str]:
    """Say which lengths the gradient comes from by the exact sums, and that these are the whole."""
    spectrum = vector_sums(table)
    return [
        _on_range(network, spectrum, "the norms of the exact sums"),
        f"{network.title}: the exact sum is largest at length {spectrum.dominating_length}; the mean length, weighted "
        f"with the norms of the sums, is {number(spectrum.mean_length)}.{_on_check(table)}",
    ]


def on_coherence(network: StudiedNetwork, table: Table) -> list[str]:
    """Say how coherent the paths are where they are most coherent of independent ones, and at the sums' peak."""
    rows = ordered(table, by="length", needs=["coherence"], keeps=["path_count"])
    length = vector_sums(table).dominating_length
    at_peak = rows[rows["length"] == length]
    if at_peak.empty:
        return []
    count, coherence = int(at_peak["path_count"].iloc[0]), float(at_peak["coherence"].iloc[0])
    independent = float(np.exp(-log(count) / 2))
    return [
        f"{network.title}: at length {length}, the norm of the sum of its {counted(count, 'path')} is "
        f"{number(coherence)} times the sum of their norms; independent directions would give {number(independent)}."
    ]


def on_gradient_sample(table: Table) -> str:
    """Say how gradients were measured: n, data, where and of what, intervals, seed."""
    rows = ordered(table, by="length")
    place, loss = fact(rows, "at", otherwise="stem"), fact(rows, "loss_name", otherwise="cross_entropy")
    return (
        f"{sample_text(rows, data=fact(rows, 'data_name'))}; gradients of {_LOSSES.get(loss, loss)} at "
        f"{PLACES.get(place, place)}; {interval_text(rows, PATH_NORM)}{seed_text(rows)}."
    )


def how_gradients(
    networks: Sequence[StudiedNetwork], studies: Sequence[str] = (SAMPLED, EXACT, RMS)
) -> list[str]:
    """Say how path gradients were measured, once for all networks where it is the same."""
    told: dict[str, list[str]] = {}
    for network in networks:
        for study in studies:
            if study in network.tables:
                with suppress(EvaluationError):
                    how = f"{study.removeprefix('path_gradients_')}: {on_gradient_sample(network.tables[study])}"
                    told.setdefault(how, []).append(network.title)
    return [f"{listed(titles)}, {how}" for how, titles in told.items()]


def which_images(run: Run) -> list[str]:
    """Say of a reproduction which images its gradients are of: another run has those that it was given."""
    return [_ON_TRAINING_IMAGES] if run.is_reproduction else []


def decay_with_interval(fit: Decay) -> str:
    """Write a fitted decay with its interval."""
    return number_with_interval(pd.Series({"value": fit.rate, "low": fit.low, "high": fit.high}))


def range_text(spectrum: Spectrum, *, share: float = 0.95) -> str:
    """Write the shortest range of lengths with a share of the gradient, and how many of the paths it is."""
    low, high = spectrum.effective_lengths(share=share)
    return (
        f"{100 * share:g} % comes from lengths {low} to {high} of 0 to {spectrum.n_modules}, "
        f"{percent(spectrum.share_of_paths(low, high))} of all paths"
    )


def _on_range(network: StudiedNetwork, spectrum: Spectrum, measure: str) -> str:
    missing = "" if spectrum.is_complete else f" Lengths above {spectrum.lengths[-1]} were not measured."
    return f"{network.title}, by {measure}: {range_text(spectrum)}.{missing}"


def _on_heavy_tails(table: Table, rms: Table) -> list[str]:
    means = ordered(table, by="length", needs=[PATH_NORM])[["length", PATH_NORM]]
    squares = ordered(rms, by="length", needs=["path_gradient_rms"])[["length", "path_gradient_rms"]]
    both = means.merge(squares, on="length")
    both = both[both[PATH_NORM] > 0]
    if both.empty:
        return []
    ratios = both["path_gradient_rms"] / both[PATH_NORM]
    most = both.loc[ratios.idxmax()]
    return [
        f"The root mean square over all paths is {number(ratios.median())} times that mean in the median over "
        f"lengths, at most {number(ratios.max())} times, at length {int(most['length'])}."
    ]


def _on_check(table: Table) -> str:
    if "gradient_error" not in table.columns:
        return ""
    errors = [row["gradient_error"] for row in table if row["gradient_error"] is not None]
    return (
        f" All sums together are the gradient, with a relative error of {number(max(errors))}."
        if errors
        else ""
    )
