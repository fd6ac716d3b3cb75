"""Figures of trainings: error and loss over the epochs, deeper beside shallower networks, errors of all seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Unpack

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from unravelnet import columns
from unravelnet.errors import EvaluationError
from unravelnet.figures import frame, style
from unravelnet.figures.look import Look
from unravelnet.readers.groups import TrainedGroup, trained_groups
from unravelnet.readers.rows import interval_text, n_images_text
from unravelnet.wording import counted

if TYPE_CHECKING:
    from unravelnet.records.record import Table

_VALIDATION_PREFIXES = ("validation_", "test_")
_TRAINING_PREFIXES = ("train_", "training_", "")
_PANELS = ("error_rate", "loss")
_DOTTED = (0, (1, 1.5))
# Curves are shown up to this many times the largest error at their end: the first epochs lie above.
_SHOWN = 2.5
# Errors that differ by a larger factor are drawn on a logarithmic axis, where each can still be told apart.
_WIDE = 4
_ERROR_TICKS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)

# Place among the colours, and mark, of each way to test a network.
_MARKS = {
    "unscaled": (0, "o"),
    "unscaled, re-estimated": (0, "^"),
    "scaled": (1, "s"),
    "scaled, re-estimated": (1, "v"),
    "random routes": (2, "D"),
}


@frame.styled
def figure_training(
    histories: Mapping[str, Table], *, title: str = "Training", **look: Unpack[Look]
) -> Figure:
    """Draw error and loss over the epochs, one colour a network.

    >>> from unravelnet.records.record import Table
    >>> history = Table([{"epoch": 1, "train_loss": 2.1, "train_error_rate": 0.8, "test_error_rate": 0.7}])
    >>> figure = figure_training({"a ResNet": history})

    `histories`: tables that `train` returned, by the name of the network. Columns: epoch, and error_rate or
    loss with the prefix train_, or test_ or validation_ for data that was not trained on. Raises
    EvaluationError where no table has any of them.
    """
    given = {name: table.to_pandas() for name, table in histories.items()}
    panels = [panel for panel in _PANELS if any(_columns(history, panel) for history in given.values())]
    if not panels:
        raise EvaluationError(
            "No history has a column error_rate or loss; give the tables that train returned."
        )
    figure = frame.new_figure(title, height=3.2, **look)
    row = frame.panels(figure, len(panels), columns=2)
    for axes, quantity in zip(row, panels, strict=True):
        for place, (name, history) in enumerate(given.items()):
            _draw_history(axes, history, quantity, name=name, colour=frame.colour(axes, name, place))
        style.style_axes(axes, x=columns.label("epoch"), y=columns.label(quantity))
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    if panels[0] == "error_rate":
        style.show_share_as_percent(row[0])
    frame.legend_above(row[0])
    epochs = ", ".join(f"{name}: {counted(len(history), 'epoch')}" for name, history in given.items())
    frame.caption(
        figure, f"Full lines: data not trained on; dotted: training data. {epochs}; one training each."
    )
    return figure


@frame.styled
def figure_degradation(
    panels: Mapping[str, Mapping[str, Table]],
    *,
    title: str = "Deeper networks beside shallower ones",
    **look: Unpack[Look],
) -> Figure:
    """Draw the error over the epochs of networks of several depths, a panel a kind: Fig. 6 of He et al. (2015).

    >>> from unravelnet.records.record import Table
    >>> history = Table([{"epoch": 1, "train_error_rate": 0.8, "test_error_rate": 0.7}])
    >>> figure = figure_degradation({"Plain networks": {"20 layers": history, "56 layers": history}})

    `panels`: by the name of a kind, the tables that `train` returned by depth; a depth has one colour in all panels.
    Raises EvaluationError where no table has an error of test data.
    """
    given = {
        kind: {depth: table.to_pandas() for depth, table in tables.items()} for kind, tables in panels.items()
    }
    ends = [end for kind in given.values() for history in kind.values() for end in _last_errors(history)]
    if not ends:
        raise EvaluationError("No history has a column test_error_rate; give the tables that train returned.")
    depths = list(dict.fromkeys(depth for kind in given.values() for depth in kind))
    figure = frame.new_figure(title, height=3.4, **look)
    row = frame.panels(figure, len(given), columns=len(given), sharey=True)
    colours = {depth: frame.colour(row[0], depth, place) for place, depth in enumerate(depths)}
    for axes, (kind, histories) in zip(row, given.items(), strict=True):
        for depth, history in histories.items():
            _draw_history(axes, history, "error_rate", name=depth, colour=colours[depth])
        y = columns.label("error_rate") if frame.is_leftmost(axes) else ""
        style.style_axes(axes, x=columns.label("epoch"), y=y)
        frame.title_panel(axes, kind)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    top = min(1.0, _SHOWN * max(ends))
    row[0].set_ylim(0, top)
    style.show_share_as_percent(row[0])
    # The legend knows the curves of its own axes only.
    for depth in depths:
        if depth not in next(iter(given.values())):
            row[0].plot([], [], color=colours[depth], label=depth)
    frame.legend_above(row[0])
    left_out = f" Errors above {100 * top:.0f} % are not shown." if top < 1 else ""
    frame.caption(
        figure,
        "Full lines: test images; dotted: training images, augmented, while the epoch ran. One training "
        f"each.{left_out}",
    )
    return figure


@frame.styled
def figure_trained_errors(
    table: Table, *, title: str = "Error of each trained network", **look: Unpack[Look]
) -> Figure:
    """Draw the test error of every training, those that differ in their seed only side by side.

    >>> from unravelnet.records.record import Table
    >>> row = {"group": "plain20", "network_name": "plain20", "zoo_name": "plain20", "routes": "all"}
    >>> tested = {"training_seed": 0, "test_time": "unscaled", "is_as_trained": True, "error_rate": 0.09}
    >>> figure = figure_trained_errors(Table([{**row, **tested}]))

    `table`: rows of trained_networks. Filled marks: tested as the method tests; hollow: in another way. An upright line
    is the mean of several trainings. Raises EvaluationError for a table without such rows.
    """
    groups = trained_groups(table)
    every = pd.concat([part for group in groups for part in (group.rows, group.others)])
    if unknown := set(every["test_time"]) - set(_MARKS):
        raise EvaluationError(
            f"Networks are tested {', '.join(_MARKS)}; the table says {sorted(map(str, unknown))[0]}."
        )
    figure = frame.new_figure(title, height=1.35 + 0.27 * len(groups), **look)
    axes = figure.add_subplot()
    frame.name_rows(axes, [group.title for group in groups])
    for place, group in enumerate(groups):
        _draw_group(axes, group, place)
    axes.set_ylim(len(groups) - 0.4, -0.6)
    style.style_axes(axes, x=columns.label("test_error_rate"), y="", grid="x")
    _set_error_axis(axes, every["error_rate"])
    frame.legend_above(axes)
    frame.caption(
        figure,
        f"One mark a training, {n_images_text(every)}; bars: {interval_text(every)}, wider by how much routes differ "
        "where these are random; upright lines: means of several trainings; hollow: not as the method tests. Scaled: "
        "each branch times its chance to be there in training; re-estimated: statistics of normalisation measured anew "
        "on all modules; random routes: mean over routes as in training.",
    )
    return figure


def _draw_group(axes: Axes, group: TrainedGroup, place: int) -> None:
    """Draw the trainings of a group around its line, other ways of testing hollow."""
    others = [rows for _, rows in group.others.groupby("test_time")]
    for rows, is_filled in ((group.rows, True), *((rows, False) for rows in others)):
        n = len(rows)
        for number, (_, row) in enumerate(rows.iterrows()):
            y = place + 0.14 * (number - (n - 1) / 2)
            label = row["test_time"]
            series, marker = _MARKS[label]
            colour = frame.colour(axes, label, series)
            axes.hlines(
                y, row["error_rate_low"], row["error_rate_high"], color=colour, linewidth=1, alpha=0.55
            )
            axes.plot(
                row["error_rate"], y, linestyle="none", marker=marker, markersize=4, color=colour,
                markerfacecolor=colour if is_filled else style.PAPER, markeredgewidth=0 if is_filled else 0.9,
                label=None if label in axes.get_legend_handles_labels()[1] else label,
            )  # fmt: skip
        if n > 1:
            axes.vlines(rows["error_rate"].mean(), place - 0.32, place + 0.32, color=colour, linewidth=1.2)


def _set_error_axis(axes: Axes, errors: pd.Series) -> None:
    if errors.min() > 0 and errors.max() > _WIDE * errors.min():
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(_ERROR_TICKS))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g}"))


def _last_errors(history: pd.DataFrame) -> list[float]:
    """Give the errors at the end of a training, where there are such of test data."""
    columns = _columns(history, "error_rate")
    if True not in columns.values():
        return []
    return [float(pd.to_numeric(history[name], errors="coerce").dropna().iloc[-1]) for name in columns]


def _draw_history(axes: Axes, history: pd.DataFrame, quantity: str, *, name: str, colour: str) -> None:
    epochs = history["epoch"] if "epoch" in history else pd.Series(range(1, len(history) + 1))
    columns = _columns(history, quantity)
    for column, is_validation in columns.items():
        # Of epochs without a test there is no number: the line goes on to the next, and marks show where they are.
        known = pd.to_numeric(history[column], errors="coerce").dropna()
        axes.plot(
            epochs[known.index], known, color=colour, linestyle="-" if is_validation else _DOTTED,
            marker="o" if len(known) < max(2, len(history)) else None, markersize=3,
            label=name if column == next(iter(columns)) else None,
        )  # fmt: skip


def _columns(history: pd.DataFrame, quantity: str) -> dict[str, bool]:
    """Find the columns of a quantity, and whether each is of validation data."""
    found = {}
    for prefixes, is_validation in ((_VALIDATION_PREFIXES, True), (_TRAINING_PREFIXES, False)):
        name = next((prefix + quantity for prefix in prefixes if prefix + quantity in history), None)
        if name is not None and history[name].notna().any():
            found[name] = is_validation
    return found
