"""Findings about gradients, modules, checkpoints and ensembles: sentences computed from their tables."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from math import log
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.figures.marks import with_interval
from unravelnet.figures.rows import interval_text, n_images_text, ordered
from unravelnet.figures.spectrum import (
    PATH_NORM,
    PLACES,
    Spectrum,
    contributions,
    decay_of,
    fact,
    sample_text,
    vector_sums,
)
from unravelnet.mathematics.decay import Decay
from unravelnet.reporting.sentences import (
    listed,
    number,
    number_with_interval,
    percent,
    percent_with_interval,
)
from unravelnet.wording import counted

if TYPE_CHECKING:
    from unravelnet.records.record import Table
    from unravelnet.reporting.contents import StudiedNetwork

PAPER_MEASURE = "number of paths × their mean norm"
EXACT, RMS, SAMPLED = (f"path_gradients_{method}" for method in ("exact", "rms", "sampled"))
WHICH_IMAGES = (
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
    place, loss = fact(rows, "at", otherwise="stem"), fact(rows, "loss", otherwise="cross_entropy")
    return (
        f"{sample_text(rows, data=fact(rows, 'data_name'))}; gradients of {_LOSSES.get(loss, loss)} at "
        f"{PLACES.get(place, place)}; {interval_text(rows, PATH_NORM)}{_seed_text(rows)}."
    )


def how_gradients(networks: Sequence[StudiedNetwork]) -> list[str]:
    """Say how path gradients were measured, once for all networks where it is the same."""
    told: dict[str, list[str]] = {}
    for network in networks:
        for study in (SAMPLED, EXACT, RMS):
            if study in network.tables:
                with suppress(EvaluationError):
                    how = f"{study.removeprefix('path_gradients_')}: {on_gradient_sample(network.tables[study])}"
                    told.setdefault(how, []).append(network.title)
    return [f"{listed(titles)}, {how}" for how, titles in told.items()]


def on_effective_depths(network: StudiedNetwork, table: Table) -> list[str]:
    """Say how many of the modules behind it the gradient of the first module comes through."""
    rows = ordered(table, by="module", needs=["n_after", "effective_depth", "share", "is_deeper"])
    first = rows.loc[rows["n_after"].idxmax()]
    return [
        f"{network.title}: paths through at most {int(first['effective_depth'])} of the {int(first['n_after'])} "
        f"modules behind module {int(first['module'])} carry {100 * first['share']:g} % of its gradient; "
        f"{int(rows['is_deeper'].sum())} of {counted(len(rows), 'module')} have more modules behind them than their "
        "effective depth."
    ]


def on_module_measures(network: StudiedNetwork, table: Table) -> list[str]:
    """Say how large branches are beside their stream, whether they go downhill, and what they do to gradients."""
    measures = ["branch_to_stream", "branch_gradient_cosine", "gradient_gain"]
    rows = ordered(table, by="module", wants=measures)
    sentences = []
    sizes = rows.dropna(subset=["branch_to_stream"])
    if not sizes.empty:
        largest = sizes.loc[sizes["branch_to_stream"].idxmax()]
        sentences.append(
            f"{network.title}: a branch is {number(sizes['branch_to_stream'].median())} times as large as its stream "
            f"in the median of {counted(len(sizes), 'module')}, at most {number(largest['branch_to_stream'])} times, "
            f"at module {int(largest['module'])}."
        )
    cosines = rows.dropna(subset=["branch_gradient_cosine"])
    if not cosines.empty:
        downhill = int((cosines["branch_gradient_cosine_high"] < 0).sum())
        uphill = int((cosines["branch_gradient_cosine_low"] > 0).sum())
        sentences.append(
            f"{network.title}: {downhill} of {counted(len(cosines), 'branch')} surely go downhill "
            f"in the loss, {uphill} surely uphill."
        )
    gains = rows.loc[rows["gradient_gain"] > 0, "gradient_gain"]
    if not gains.empty:
        mean = float(np.exp(np.log(gains).mean()))
        sentences.append(
            f"{network.title}: a branch passes on {number(mean)} of the norm of a gradient, in the geometric mean."
        )
    return sentences


def on_layer_responses(network: StudiedNetwork, table: Table) -> list[str]:
    """Say how strong the responses of the layers are, with and without normalisation behind them."""
    rows = ordered(table, by="position", needs=["response_std"], keeps=["measured_after"])
    parts = []
    for kind, part in rows.groupby("measured_after", sort=False):
        where = (
            "after the normalisation that follows" if kind == "normalisation" else "after the layer itself"
        )
        parts.append(f"{number(part['response_std'].median())} for the {len(part)} measured {where}")
    return [f"{network.title}, median standard deviation of a layer's responses: {listed(parts)}."]


def on_over_training(network: StudiedNetwork, table: Table) -> list[str]:
    """Say how the decay and the path lengths changed from the first checkpoint to the last."""
    names = ["decay", "mean_length", "dominating_length", "predicted_length"]
    rows = ordered(table, by="epoch", wants=names)
    first, last = rows.iloc[0], rows.iloc[-1]
    epochs = f"from epoch {int(first['epoch'])} to epoch {int(last['epoch'])}"
    sentences = []
    if rows["decay"].notna().any():
        ends = [number_with_interval(with_interval(rows, "decay").iloc[place]) for place in (0, -1)]
        sentences.append(f"{network.title}, {epochs}: the decay r goes from {ends[0]} to {ends[1]}.")
    if rows["mean_length"].notna().any():
        sentences.append(
            f"{network.title}, {epochs}: the mean length by the exact sums goes from {number(first['mean_length'])} to "
            f"{number(last['mean_length'])} modules, the length with the largest sum from "
            f"{number(first['dominating_length'])} to {number(last['dominating_length'])}; n·r / (1 + r) predicts "
            f"{number(first['predicted_length'])} to {number(last['predicted_length'])}."
        )
    return sentences


def on_ensemble(network: StudiedNetwork, table: Table) -> list[str]:
    """Say what averaging routes gains, how much they differ, and the same for separate networks."""
    wants = ["disagreement", "error_correlation", "intact_error_rate"]
    rows = ordered(table, by="n_members", needs=["error_rate"], wants=wants, keeps=["members"])
    sentences = [_on_members(network, str(kind), part) for kind, part in rows.groupby("members", sort=False)]
    intact = rows["intact_error_rate"].dropna()
    return [*sentences, *([f"The intact network errs in {percent(intact.iloc[0])}."] if len(intact) else [])]


def on_plain_sample(table: Table, *, by: str) -> str:
    """Say how else was measured: n, data, intervals, seed."""
    rows = ordered(table, by=by)
    data = fact(rows, "data_name")
    has_intervals = any(column.endswith("_low") for column in table.columns)
    metric = "error_rate" if "error_rate_low" in table.columns else by
    intervals = f"; {interval_text(rows, metric)}" if has_intervals else ""
    text = f"{n_images_text(rows)}{f' of {data}' if data else ''}{intervals}{_seed_text(rows)}."
    if "statistics" in rows and (rows["statistics"] == "images").any():
        text += " Where training had collected no statistics of normalisation yet, they are those of these images."
    return text


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


def _on_members(network: StudiedNetwork, kind: str, rows: pd.DataFrame) -> str:
    name = {"routes": "random routes", "networks": "networks trained separately"}.get(kind, kind)
    points = with_interval(rows, "error_rate")
    first, last = (
        f"{int(rows['n_members'].iloc[place])}: {percent_with_interval(points.iloc[place])}"
        for place in (0, -1)
    )
    known = [
        words.format(value.iloc[-1]).replace("%", " %")
        for column, words in (
            ("disagreement", "two of them disagree on {:.1%} of the images"),
            ("error_correlation", "the errors of two have a correlation of {:.2f}"),
        )
        if len(value := rows[column].dropna())
    ]
    return f"{network.title}, error by number of averaged {name}: {'; '.join([f'{first}, {last}', *known])}."


def _seed_text(rows: pd.DataFrame) -> str:
    seeds = list(dict.fromkeys(str(seed) for seed in rows["seed"].dropna())) if "seed" in rows else []
    return f"; seed {listed(seeds)}" if seeds else ""
