"""Figures of the gradient by path length: Figs. 6b and 6c of the paper, and what it did not measure.

Each takes the tables of one network that `path_gradients` returned. Three quantities stay apart: the norm on
single paths (`path_gradient_norm`, `path_gradient_rms`), the norm of the vector sum of all paths of a length
(`length_gradient_norm`), and the number of paths times their mean norm (`length_contribution`).
"""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unravelnet import columns
from unravelnet.errors import EvaluationError
from unravelnet.figures import frame, style
from unravelnet.figures.look import Look
from unravelnet.figures.marks import draw_with_bars, set_index_axis, show_decades
from unravelnet.figures.path import paper_label, shade_effective
from unravelnet.mathematics.decay import Decay
from unravelnet.papers import veit
from unravelnet.readers.rows import interval_text, n_images_text, ordered, with_interval
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
from unravelnet.wording import percent

if TYPE_CHECKING:
    from unravelnet.records.record import Table

_RMS = "path_gradient_rms"
_X = columns.label("length")
# Series, as the legend and the choice of colours name them.
_MEAN = "mean over random paths"
_NORMS, _SUMS = "number of paths × their mean norm", "norm of the sum of all paths of a length"
_UNITS = {"cross_entropy": "nats"}
_BANDS = (("q05", "q95", "90 % of the paths"), ("q25", "q75", "middle half of the paths"))
_QUANTILES = tuple(f"{PATH_NORM}_{name}" for low, high, _ in _BANDS for name in (low, high))
# A quantile far below all means would squeeze them into a corner.
_LOWEST_QUANTILE = 1e-3


@frame.styled
def figure_path_gradient(
    table: Table,
    *,
    rms: Table | None = None,
    title: str = "How the gradient falls with path length",
    **look: Unpack[Look],
) -> Figure:
    """Draw the norm of the gradient that arrives on single paths, over their length: Fig. 6b of the paper.

    >>> from unravelnet.records.record import Table
    >>> norms = Table([{"length": length, "path_gradient_norm": 0.25**length} for length in range(5)])
    >>> figure = figure_path_gradient(norms)

    `table`: the rows of `path_gradients` by the method "sampled", or by "exact" with single paths drawn. `rms`:
    those by the method "rms" of the same network. The straight line is the fitted decay; the bands are
    quantiles over paths, where the table has them. Raises EvaluationError for tables without such norms.
    """
    rows = ordered(table, by="length", needs=[PATH_NORM], wants=_QUANTILES)
    squares = None if rms is None else ordered(rms, by="length", needs=[_RMS])
    figure = frame.new_figure(title, **look)
    axes = figure.add_subplot()
    _draw_bands(axes, rows, style.fainter(frame.colour(axes, _MEAN)))
    fit = _draw_fit(axes, table, rows["length"])
    _draw_norms(axes, rows, PATH_NORM, place=0, label=_MEAN)
    if squares is not None:
        _draw_norms(axes, squares, _RMS, place=1, label="root mean square over all paths")
    style.style_axes(axes, x=_X, y=f"{columns.title(PATH_NORM)}\n({_unit(rows)})", grid="both")
    _set_norm_axis(axes, rows, squares)
    set_index_axis(axes, int(rows["length"].max()))
    frame.legend_above(axes, last=[label for *_, label in _BANDS])
    frame.caption(figure, f"{sample_text(rows)}; {_intervals_text(rows, squares)}. {fit}")
    return figure


@frame.styled
def figure_length_contribution(
    table: Table | None = None,
    *,
    exact: Table | None = None,
    share: float = 0.95,
    title: str = "Which path lengths the gradient comes from",
    **look: Unpack[Look],
) -> Figure:
    """Draw the share of the gradient by path length: Fig. 6c of the paper, with the exact sums on top.

    >>> from unravelnet.records.record import Table
    >>> facts = {"length": 0, "path_count": 1, "n_modules": 0, "path_gradient_norm": 2.0, "share": 1.0}
    >>> figure = figure_length_contribution(Table([facts]))

    `table`: rows with the shares of path_count × path_gradient_norm, as bars. `exact`: the rows by the method
    "exact", whose shares of the vector sums are the line. Dark bars, and the brackets, are the shortest ranges of
    lengths with `share` of either; for 54 modules the lengths that the paper found are shaded. Raises
    EvaluationError without any such shares.
    """
    if table is None and exact is None:
        raise EvaluationError("No table was given; give one of path_gradients.")
    norms = None if table is None else contributions(table)
    sums = None if exact is None else vector_sums(exact)
    shown = [spectrum for spectrum in (norms, sums) if spectrum is not None]
    figure = frame.new_figure(title, **look)
    axes = figure.add_subplot()
    paper = paper_label()
    if shown[0].n_modules == veit.N_MODULES.count:
        shade_effective(axes)
    if norms is not None:
        _draw_contributions(axes, norms, share)
    if sums is not None:
        colour, label = frame.colour(axes, _SUMS, 1), f"{_SUMS} ({_range_label(sums, share)})"
        axes.plot(sums.rows["length"], sums.rows["value"], color=colour, linewidth=0.9, alpha=0.6)
        draw_with_bars(axes, sums.rows["length"], sums.rows, colour=colour, marker="s", label=label)
    # The interval of a heavy tail may reach beyond all that there is; the brackets stand above the rest.
    highest = min(1.0, max(float(spectrum.rows[["value", "high"]].max(axis=None)) for spectrum in shown))
    for place, spectrum in enumerate(shown):
        colour = frame.colour(axes, _SUMS, 1) if spectrum is sums else frame.colour(axes, _NORMS)
        _draw_bracket(axes, spectrum, share, colour=colour, height=(1.08 + 0.08 * place) * highest)
    style.style_axes(axes, x=_X, y=columns.label("share"))
    style.show_share_as_percent(axes)
    axes.set_ylim(0, 1.25 * highest)
    set_index_axis(axes, max(spectrum.lengths[-1] for spectrum in shown))
    frame.legend_above(axes, last=[paper])
    frame.caption(figure, f"{_samples(table, exact)}. {_ranges_text(norms, sums, share)}")
    return figure


@frame.styled
def figure_coherence(
    table: Table, *, title: str = "How far paths of one length pull the same way", **look: Unpack[Look]
) -> Figure:
    """Draw the coherence of the paths of each length: the norm of their sum over the sum of their norms.

    >>> from unravelnet.records.record import Table
    >>> figure = figure_coherence(Table([{"length": 1, "path_count": 2, "coherence": 0.8}]))

    `table`: rows of `path_gradients` by the method "exact" with single paths drawn. Lines: 1, where all paths of a
    length point the same way, and 1/√path_count, where their directions are independent. The paper did not
    measure it. Raises EvaluationError for a table without coherence.
    """
    rows = ordered(table, by="length", needs=["coherence"], keeps=["path_count"])
    # Counts may be beyond every float; their logarithms are not.
    independent = [exp(-log(int(count)) / 2) for count in rows["path_count"]]
    figure = frame.new_figure(title, **look)
    axes = figure.add_subplot()
    dashes, dots = (0, (4, 2.5)), (0, (1, 1.8))
    axes.axhline(1, color=style.INK, linewidth=1.0, linestyle=dashes, label="all paths the same way")
    axes.plot(
        rows["length"], independent, color=style.MUTED, linewidth=1.2, linestyle=dots,
        label="independent directions: 1/√(number of paths)",
    )  # fmt: skip
    axes.plot(
        rows["length"], rows["coherence"], color=frame.colour(axes, "measured"), marker="o", markersize=3.6,
        markeredgewidth=0, linewidth=0.8, label="measured",
    )  # fmt: skip
    style.style_axes(axes, x=_X, y=columns.label("coherence"), grid="both")
    show_decades(axes, [1.0, *independent, *rows["coherence"]])
    set_index_axis(axes, int(rows["length"].max()))
    frame.legend_above(axes)
    meaning = "Coherence: norm of the sum of all paths of a length over (number of paths × mean norm of one)."
    frame.caption(figure, f"{sample_text(rows)}. {meaning}")
    return figure


# -- norms on paths --


def _draw_bands(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    for (low, high, label), alpha in zip(_BANDS, (0.22, 0.38), strict=True):
        ends = rows[["length", f"{PATH_NORM}_{low}", f"{PATH_NORM}_{high}"]].dropna()
        if not ends.empty:
            lengths, lower, upper = ends.to_numpy().T
            axes.fill_between(
                lengths, lower, upper, color=colour, alpha=alpha, linewidth=0, label=label, zorder=0.5
            )


def _draw_norms(axes: Axes, rows: pd.DataFrame, column: str, *, place: int, label: str) -> None:
    # A norm of 0 has no place on a logarithmic axis. Nor has an end of an interval at 0: a line to it would have
    # no length, so that only the other half is drawn.
    rows = rows[rows[column] > 0]
    points = with_interval(rows, column)
    points["low"] = points["low"].where(points["low"] > 0, points["value"])
    colour, marker = frame.colour(axes, label, place), style.SERIES_MARKERS[place]
    draw_with_bars(axes, rows["length"], points, colour=colour, marker=marker, label=label)


def _intervals_text(rows: pd.DataFrame, squares: pd.DataFrame | None) -> str:
    text = f"bars: {interval_text(rows, PATH_NORM)} of the mean"
    ends = [rows[f"{PATH_NORM}_low"], *([] if squares is None else [squares[f"{_RMS}_low"]])]
    reaches_zero = any((low <= 0).any() for low in ends)
    return f"{text} (of those that reach 0, the upper half)" if reaches_zero else text


def _draw_fit(axes: Axes, table: Table, lengths: pd.Series) -> str:
    """Draw the fitted decay, and say what it is."""
    try:
        fit = decay_of(table)
    except EvaluationError:
        return "Too few norms above 0 to fit a decay."
    ends = np.array([lengths.min(), lengths.max()])
    axes.plot(
        ends, fit.norm_at_0 * fit.rate**ends, color=style.INK, linewidth=1.0, linestyle=(0, (4, 2.5)),
        label=f"fitted decay, r = {fit.rate:.3g}",
    )  # fmt: skip
    return _fit_text(fit)


def _fit_text(fit: Decay) -> str:
    interval = f" ({fit.low:.3g} to {fit.high:.3g})" if np.isfinite(fit.high) else ""
    return (
        f"Line: fit of the logarithm of the mean, a factor r = {fit.rate:.3g}{interval} with every module, "
        f"R² = {fit.r_squared:.3f}."
    )


def _set_norm_axis(axes: Axes, rows: pd.DataFrame, squares: pd.DataFrame | None) -> None:
    norms = [*rows[PATH_NORM], *([] if squares is None else squares[_RMS])]
    least = min((norm for norm in norms if norm > 0), default=1.0)
    bands = rows[list(_QUANTILES)].to_numpy().ravel()
    show_decades(axes, [*norms, *bands[bands > least * _LOWEST_QUANTILE]])


# -- shares of lengths --


def _draw_contributions(axes: Axes, norms: Spectrum, share: float) -> None:
    is_inside = norms.rows["length"].between(*norms.effective_lengths(share=share))
    label, dark = f"{_NORMS} ({_range_label(norms, share)})", frame.colour(axes, _NORMS)
    for rows, colour, name in (
        (norms.rows[is_inside], dark, label),
        (norms.rows[~is_inside], style.fainter(dark), None),
    ):
        axes.bar(rows["length"], rows["value"], width=0.82, color=colour, label=name)
    known = norms.rows.dropna(subset=["value", "low", "high"])
    axes.vlines(known["length"], known["low"], known["high"], color=style.INK, linewidth=0.8, alpha=0.7)


def _draw_bracket(axes: Axes, spectrum: Spectrum, share: float, *, colour: str, height: float) -> None:
    low, high = spectrum.effective_lengths(share=share)
    axes.annotate(
        "", (low - 0.4, height), (high + 0.4, height),
        arrowprops={"arrowstyle": "|-|, widthA=0.25, widthB=0.25", "color": colour, "linewidth": 1.2,
                    "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip


def _range_label(spectrum: Spectrum, share: float) -> str:
    low, high = spectrum.effective_lengths(share=share)
    return f"{100 * share:g} %: {low} to {high}"


def _ranges_text(norms: Spectrum | None, sums: Spectrum | None, share: float) -> str:
    texts = []
    for spectrum, name in ((norms, "paths × mean norm"), (sums, "norms of the exact sums")):
        if spectrum is not None:
            low, high = spectrum.effective_lengths(share=share)
            held = percent(spectrum.share_of_paths(low, high))
            texts.append(
                f"By {name}, lengths {low} to {high} hold {100 * share:g} % of the gradient and {held} of the "
                f"paths."
            )
    shown = norms or sums
    if shown is not None and not shown.is_complete:
        texts.append(f"Lengths above {shown.lengths[-1]} were not measured.")
    return " ".join(texts)


# -- what was measured --


def _unit(rows: pd.DataFrame) -> str:
    loss = _UNITS.get(fact(rows, "loss_name", otherwise="cross_entropy"), "loss")
    place = fact(rows, "at", otherwise="stem")
    return f"{loss} per unit at {PLACES.get(place, place)}"


def _samples(table: Table | None, exact: Table | None) -> str:
    """Say what the contributions are of, and what the exact sums, for which no path is drawn."""
    drawn, sums = (None if part is None else ordered(part, by="length") for part in (table, exact))
    texts = [] if drawn is None else [sample_text(drawn)]
    texts += [] if sums is None else [f"exact sums: {n_images_text(sums)}, all paths"]
    shown = pd.concat([rows for rows in (drawn, sums) if rows is not None])
    return f"{'; '.join(texts)}; thin lines: {interval_text(shown, PATH_NORM)}"
