"""The figure of errors over epochs: within trainings, and of whole trainings of several lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from unravelnet import columns
from unravelnet.figures import frame, style
from unravelnet.figures.look import Look
from unravelnet.mathematics.intervals import rate_interval
from unravelnet.mathematics.learning_curves import LearningCurve
from unravelnet.readers.epochs import EpochsCurve, whole_trainings, within_trainings

if TYPE_CHECKING:
    from unravelnet.records.record import Table

# The prediction goes on to four times the longest training.
_BEYOND = 4
_N_PREDICTED = 9


@frame.styled
def figure_epochs(
    histories: Mapping[str, Sequence[Table]],
    whole: Table | None = None,
    *,
    title: str = "Test error over the epochs",
    **look: Unpack[Look],
) -> Figure:
    """Draw the test error within trainings, and beside it that of whole trainings of several lengths.

    >>> from unravelnet.records.record import Table
    >>> history = Table([{"epoch": 10, "test_error_rate": 0.3}, {"epoch": 20, "test_error_rate": 0.1}])
    >>> figure = figure_epochs({"all modules": [history], "exactly 23": [history, history]})

    `histories`: tables that `train` returned, one a seed, by title; further seeds are thin lines. `whole`: rows of
    whole_trainings; of the same title, the colour is the same. Where there are enough lengths, a line shows a floor
    plus a power of the epochs, with a band behind the longest training. Hollow marks are trainings on images of other
    sizes, which are not fitted. Raises EvaluationError where no history has a test error.
    """
    within = within_trainings(histories)
    finals = [] if whole is None else whole_trainings(whole)
    figure = frame.new_figure(title, height=3.5, **look)
    panels = frame.panels(figure, 1 + bool(finals), columns=2)
    titles = list(dict.fromkeys((*within, *(curve.title for curve in finals))))
    colours = {title: frame.colour(panels[0], title, place) for place, title in enumerate(titles)}
    for name, curves in within.items():
        _draw_within(panels[0], curves, colours[name])
    _finish(panels[0], "Within one training each" if finals else "")
    panels[0].xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    if finals:
        for curve in finals:
            _draw_whole(panels[1], curve, colours[curve.title])
        _finish(panels[1], "Whole trainings, by their length")
        _set_lengths(panels[1], finals)
    # The legend knows the curves of its own axes only.
    for name in titles[len(within) :]:
        panels[0].plot([], [], color=colours[name], marker="o", markersize=3, label=name)
    frame.legend_above(panels[0])
    frame.caption(figure, _caption(within, finals))
    return figure


def _caption(within: Mapping[str, Sequence[EpochsCurve]], finals: Sequence[EpochsCurve]) -> str:
    texts = [
        "Within a training the error falls with the learning rate; it is not that of a shorter training."
    ]
    if any(len(curves) > 1 for curves in within.values()):
        texts.append("Thin lines: further seeds.")
    if finals:
        texts.append("Whole trainings: a mark each; bars: 95 % interval of the images.")
    if any(len(curve.different.rows) for curve in finals):
        texts.append("Hollow: images of other sizes, not fitted.")
    if any(curve.fit for curve in finals):
        texts.append(
            "Lines: a floor plus a power of the epochs; bands: 95 % interval of one longer training, images and seeds."
            if all(curve.seed_variance is not None for curve in finals)
            else "Lines: a floor plus a power of the epochs; bands: 95 % interval of one longer training, images only."
        )
    return " ".join(texts)


def _finish(axes: Axes, title: str) -> None:
    y = columns.label("test_error_rate") if frame.is_leftmost(axes) else ""
    style.style_axes(axes, x=columns.label("epochs"), y=y)
    if title:
        frame.title_panel(axes, title)
    axes.set_ylim(bottom=0)
    style.show_share_as_percent(axes)


def _draw_within(axes: Axes, curves: Sequence[EpochsCurve], colour: str) -> None:
    first, *others = curves
    axes.plot(first.epochs, first.errors, color=colour, marker="o", markersize=3, label=first.title)
    for other in others:
        axes.plot(other.epochs, other.errors, color=colour, linewidth=0.6, alpha=0.7)


def _draw_whole(axes: Axes, curve: EpochsCurve, colour: str) -> None:
    for epochs, error, n_images in zip(curve.epochs, curve.errors, curve.rows["n_images"], strict=True):
        if n_images > 0:
            ends = rate_interval(error * n_images, int(n_images))
            axes.vlines(epochs, *ends, color=colour, linewidth=1, alpha=0.55)
    for part, face in ((curve.alike, colour), (curve.different, axes.get_facecolor())):
        axes.plot(
            part.epochs, part.errors, linestyle="none", marker="o", markersize=4, color=colour,
            markerfacecolor=face, markeredgecolor=colour, markeredgewidth=1,
        )  # fmt: skip
    if curve.fit is not None:
        longest = max(curve.fit.epochs)
        lengths = np.geomspace(min(curve.fit.epochs), _BEYOND * longest, 100).tolist()
        axes.plot(lengths, [curve.fit.at(length) for length in lengths], color=colour, linewidth=1)
        _draw_prediction(
            axes, curve.fit, np.geomspace(longest, _BEYOND * longest, _N_PREDICTED).tolist(), colour
        )


def _draw_prediction(axes: Axes, fit: LearningCurve, lengths: Sequence[float], colour: str) -> None:
    """Draw where one longer training would end, which scatters as the longest one did."""
    predicted = [fit.predict(length, fit.variances[-1]) for length in lengths]
    lows, highs = ([interval[place] for interval in predicted] for place in (0, 1))
    axes.fill_between(lengths, lows, highs, color=colour, alpha=0.12, linewidth=0)


def _set_lengths(axes: Axes, finals: Sequence[EpochsCurve]) -> None:
    lengths = sorted({epochs for curve in finals for epochs in curve.epochs})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(lengths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda epochs, _: f"{epochs:g}"))
