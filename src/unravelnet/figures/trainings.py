"""Figures of many trained networks, those that differ in their seed only side by side.

One shows what single lesions do to each, the other from which path lengths the gradient of each comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, Unpack

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unravelnet import columns
from unravelnet.errors import EvaluationError
from unravelnet.figures import frame, style
from unravelnet.figures.look import Look
from unravelnet.figures.marks import set_index_axis
from unravelnet.paths import effective_lengths, path_counts
from unravelnet.readers.rows import interval_text, n_images_text, ordered
from unravelnet.readers.single_lesions import SingleLesions, single_lesions
from unravelnet.readers.spectrum import Spectrum, vector_sums

if TYPE_CHECKING:
    from unravelnet.records.record import Table

_USUAL, _FIRST, _PEAK = "median of the modules that keep the shape", "first module", "down-sampling module"
# Place among the colours, and mark.
_MARKS = {_USUAL: (0, "o"), _FIRST: (1, "s"), _PEAK: (2, "^")}
_MEAN_LENGTH, _MEAN_OF_ALL = "mean length of the gradient", "mean length of all paths"

Training = TypeVar("Training")


@frame.styled
def figure_lesions_of_trainings(
    trainings: Mapping[str, Sequence[Table]],
    *,
    downsampling: Mapping[str, Sequence[int]] | None = None,
    title: str = "One module deleted, in every training",
    **look: Unpack[Look],
) -> Figure:
    """Draw by how much the deletion of one module raises the error, in each training of each network.

    >>> from unravelnet.records.record import Table
    >>> row = {"label": "module 0", "module": 0, "error_rate_difference": 0.3}
    >>> table = Table([row, {**row, "label": "module 1", "module": 1, "error_rate_difference": 0.01}])
    >>> figure = figure_lesions_of_trainings({"ResNet-20": [table]})

    `trainings`: rows of the study delete_each, a table a seed, by the name of the network. `downsampling`: indices of
    the modules that change the shape, by the same names. Raises EvaluationError for a table without such rows.
    """
    _check_given(trainings)
    read = {
        name: [single_lesions(table, (downsampling or {}).get(name, ())) for table in tables]
        for name, tables in trainings.items()
    }
    figure = frame.new_figure(title, height=1.35 + 0.34 * len(read), **look)
    axes = figure.add_subplot()
    for y, lesions in _in_rows(axes, read):
        _draw_lesions(axes, lesions, y)
    axes.axvline(0, color=style.MUTED, linewidth=0.8)
    style.style_axes(axes, x=columns.label("error_rate_difference"), y="", grid="x")
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:g}")
    frame.legend_above(axes)
    rows = _all_rows(trainings, by="module")
    frame.caption(
        figure,
        f"One row of marks a training, {n_images_text(rows)}; bars: {interval_text(rows, 'error_rate_difference')} of "
        "the difference to the intact network.",
    )
    return figure


@frame.styled
def figure_spectra_of_trainings(
    trainings: Mapping[str, Sequence[Table]],
    *,
    share: float = 0.95,
    title: str = "Which path lengths the gradient comes from, in every training",
    **look: Unpack[Look],
) -> Figure:
    """Draw from which path lengths the gradient of each training comes, beside the lengths of all paths.

    >>> from unravelnet.records.record import Table
    >>> facts = {"n_modules": 1, "path_count": 1, "length_gradient_norm": 1.0, "length_share": 0.5}
    >>> table = Table([{"length": 0, **facts}, {"length": 1, **facts}])
    >>> figure = figure_spectra_of_trainings({"a network": [table]})

    `trainings`: rows of `path_gradients` by the method "exact", a table a seed, by the name of the network. Bars: the
    shortest range of lengths with `share` of the gradient, by the norms of the exact sums, and with as much of all
    paths, whose mean length is half of the modules. Raises EvaluationError for a table without these sums of all
    lengths.
    """
    _check_given(trainings)
    read = {name: [_whole_spectrum(name, table) for table in tables] for name, tables in trainings.items()}
    figure = frame.new_figure(title, height=1.35 + 0.34 * len(read), **look)
    axes = figure.add_subplot()
    for place, spectra in enumerate(read.values()):
        _draw_all_paths(axes, spectra[0].n_modules, share, place)
    for y, spectrum in _in_rows(axes, read):
        _draw_spectrum(axes, spectrum, share, y)
    style.style_axes(axes, x=columns.label("length"), y="", grid="x")
    set_index_axis(axes, max(spectra[0].n_modules for spectra in read.values()))
    frame.legend_above(axes, last=[_MEAN_OF_ALL, f"{100 * share:g} % of all paths"])
    frame.caption(
        figure,
        f"One bar a training, {n_images_text(_all_rows(trainings, by='length'))}: the shortest range of lengths with "
        f"{100 * share:g} % of the gradient, by the norms of the exact sums over all paths of a length.",
    )
    return figure


def _check_given(trainings: Mapping[str, Sequence[Table]]) -> None:
    if not trainings or not all(trainings.values()):
        raise EvaluationError("No table was given; give the rows of at least one training of each network.")


def _all_rows(trainings: Mapping[str, Sequence[Table]], *, by: str) -> pd.DataFrame:
    return pd.concat([ordered(table, by=by) for tables in trainings.values() for table in tables])


def _in_rows(axes: Axes, groups: Mapping[str, Sequence[Training]]) -> Iterator[tuple[float, Training]]:
    """Name a row for each network, and give its trainings with their heights around that row."""
    frame.name_rows(axes, list(groups))
    axes.set_ylim(len(groups) - 0.4, -0.6)
    for place, trainings in enumerate(groups.values()):
        for number, training in enumerate(trainings):
            yield place + 0.2 * (number - (len(trainings) - 1) / 2), training


def _whole_spectrum(name: str, table: Table) -> Spectrum:
    spectrum = vector_sums(table)
    if not spectrum.is_complete:
        raise EvaluationError(
            f"Of {name}, lengths above {spectrum.lengths[-1]} were not measured, so its shares are not of the whole; "
            "measure all lengths."
        )
    return spectrum


def _draw_all_paths(axes: Axes, n_modules: int, share: float, place: int) -> None:
    """Draw which lengths most paths have, and their mean, behind the trainings of a network."""
    low, high = effective_lengths(path_counts(n_modules), share=share)
    most, mean = ("", "") if place else (f"{100 * share:g} % of all paths", _MEAN_OF_ALL)
    axes.barh(place, high - low, left=low, height=0.72, color=style.GRID, zorder=0.5, label=most)
    axes.vlines(n_modules / 2, place - 0.36, place + 0.36, color=style.MUTED, linewidth=1.2, label=mean)


def _draw_spectrum(axes: Axes, spectrum: Spectrum, share: float, y: float) -> None:
    """Draw the mean length of the gradient of one training, and the lengths that carry most of it."""
    colour, known = frame.colour(axes, _MEAN_LENGTH), axes.get_legend_handles_labels()[1]
    most = f"{100 * share:g} % of the gradient"
    axes.plot(
        spectrum.effective_lengths(share=share), [y, y], color=colour, linewidth=1, alpha=0.55, marker="|",
        markersize=4, label=None if most in known else most,
    )  # fmt: skip
    axes.plot(
        spectrum.mean_length, y, linestyle="none", marker="o", markersize=4, color=colour, markeredgewidth=0,
        label=None if _MEAN_LENGTH in known else _MEAN_LENGTH,
    )  # fmt: skip


def _draw_lesions(axes: Axes, lesions: SingleLesions, y: float) -> None:
    """Draw the median, the first module and the down-sampling modules of one training."""
    median = pd.Series({"value": lesions.median, "low": float("nan"), "high": float("nan")})
    parts = [
        (_USUAL, median),
        (_FIRST, lesions.first),
        *((_PEAK, row) for _, row in lesions.peaks.iterrows()),
    ]
    for name, row in parts:
        place, marker = _MARKS[name]
        colour = frame.colour(axes, name, place)
        axes.hlines(y, row["low"], row["high"], color=colour, linewidth=1, alpha=0.55)
        label = None if name in axes.get_legend_handles_labels()[1] else name
        axes.plot(
            row["value"], y, linestyle="none", marker=marker, markersize=4, color=colour, markeredgewidth=0,
            label=label,
        )  # fmt: skip
