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
from unravelnet.readers.epochs import EpochsCurve, whole_trainings, within_trainings

if TYPE_CHECKING:
    from unravelnet.records.record import Table

# Of whole trainings the curve goes on so far behind the longest.
_BEYOND = 4


@frame.styled
def figure_epochs(
    histories: Mapping[str, Table],
    whole: Table | None = None,
    *,
    title: str = "Test error over the epochs",
    **look: Unpack[Look],
) -> Figure:
    """Draw the test error within trainings, and beside it that of whole trainings of several lengths.

    >>> from unravelnet.records.record import Table
    >>> history = Table([{"epoch": 10, "test_error_rate": 0.3}, {"epoch": 20, "test_error_rate": 0.1}])
    >>> figure = figure_epochs({"all modules": history, "exactly 23": history})

    `histories`: tables that `train` returned, by title. `whole`: rows of whole_trainings; of the same title, the colour
    is the same. Where there are enough,
    dashed lines with a band show what the first two thirds within a training predict of the last, and full lines a
    floor plus a power of the epochs through whole trainings. Raises EvaluationError where no history has a test error.
    """
    within = within_trainings(histories)
    finals = [] if whole is None else whole_trainings(whole)
    figure = frame.new_figure(title, height=3.5, **look)
    panels = frame.panels(figure, 1 + bool(finals), columns=2)
    titles = list(dict.fromkeys(curve.title for curve in (*within, *finals)))
    colours = {title: frame.colour(panels[0], title, place) for place, title in enumerate(titles)}
    for curve in within:
        _draw_within(panels[0], curve, colours[curve.title])
    _finish(panels[0], "Within one training each" if finals else "")
    panels[0].xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    if finals:
        for curve in finals:
            _draw_whole(panels[1], curve, colours[curve.title])
        _finish(panels[1], "Whole trainings, by their length")
        _set_lengths(panels[1], finals)
    # The legend knows the curves of its own axes only.
    for title in titles[len(within) :]:
        panels[0].plot([], [], color=colours[title], marker="o", markersize=3, label=title)
    frame.legend_above(panels[0])
    frame.caption(figure, _caption(within, finals))
    return figure


def _caption(within: Sequence[EpochsCurve], finals: Sequence[EpochsCurve]) -> str:
    texts = [
        "Within a training the error falls with the learning rate; it is not that of a shorter training."
    ]
    if any(curve.end for curve in within):
        texts.append("Dashed, with a band: what the first two thirds predict of the last, 95 %.")
    if finals:
        texts.append("Whole trainings: a mark each; bars: 95 % interval of the images.")
    if any(curve.fit for curve in finals):
        texts.append("Lines: a floor plus a power of the epochs.")
    return " ".join(texts)


def _finish(axes: Axes, title: str) -> None:
    y = columns.label("test_error_rate") if frame.is_leftmost(axes) else ""
    style.style_axes(axes, x=columns.label("epochs"), y=y)
    if title:
        frame.title_panel(axes, title)
    axes.set_ylim(bottom=0)
    style.show_share_as_percent(axes)


def _draw_within(axes: Axes, curve: EpochsCurve, colour: str) -> None:
    axes.plot(curve.epochs, curve.errors, color=colour, marker="o", markersize=3, label=curve.title)
    if curve.end:
        epochs = [each.epochs for each in curve.end]
        axes.plot(epochs, [each.predicted for each in curve.end], color=colour, linestyle="--", linewidth=1)
        lows, highs = ([each.interval[place] for each in curve.end] for place in (0, 1))
        axes.fill_between(epochs, lows, highs, color=colour, alpha=0.12, linewidth=0)


def _draw_whole(axes: Axes, curve: EpochsCurve, colour: str) -> None:
    for epochs, error, n_images in zip(curve.epochs, curve.errors, curve.rows["n_images"], strict=True):
        if n_images > 0:
            axes.vlines(
                epochs, *rate_interval(error * n_images, int(n_images)), color=colour, linewidth=1, alpha=0.55
            )
    axes.plot(
        curve.epochs, curve.errors, linestyle="none", marker="o", markersize=4, color=colour,
        markeredgewidth=0,
    )  # fmt: skip
    if curve.fit is not None:
        lengths = np.geomspace(min(curve.epochs), _BEYOND * max(curve.epochs), 100).tolist()
        axes.plot(lengths, [curve.fit.at(length) for length in lengths], color=colour, linewidth=1)


def _set_lengths(axes: Axes, finals: Sequence[EpochsCurve]) -> None:
    lengths = sorted({epochs for curve in finals for epochs in curve.epochs})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(lengths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda epochs, _: f"{epochs:g}"))
