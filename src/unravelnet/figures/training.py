"""The figure of a training: error and loss over the epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from unravelnet.errors import EvaluationError
from unravelnet.figures import style

if TYPE_CHECKING:
    from unravelnet.record import Table

_VALIDATION_PREFIXES = ("validation_", "test_")
_TRAINING_PREFIXES = ("train_", "training_", "")
_PANELS = (("error_rate", "Error (%)"), ("loss", "Cross-entropy loss (nats)"))


@style.styled
def figure_training(histories: Mapping[str, Table], *, title: str = "Training") -> Figure:
    """Draw error and loss over the epochs, one colour a network.

    >>> from unravelnet.record import Table
    >>> history = Table([{"epoch": 1, "train_loss": 2.1, "train_error_rate": 0.8, "test_error_rate": 0.7}])
    >>> figure = figure_training({"a ResNet": history})

    `histories`: tables that `train` returned, by the name of the network. Columns: epoch, and error_rate or
    loss with the prefix train_, or test_ or validation_ for data that was not trained on. Raises
    EvaluationError where no table has any of them.
    """
    frames = {name: table.to_pandas() for name, table in histories.items()}
    panels = [panel for panel in _PANELS if any(_columns(frame, panel[0]) for frame in frames.values())]
    if not panels:
        raise EvaluationError(
            "No history has a column error_rate or loss; give the tables that train returned."
        )
    figure = style.new_figure(title, height=3.2)
    row = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (quantity, label) in zip(row, panels, strict=True):
        for place, (name, frame) in enumerate(frames.items()):
            _draw_history(axes, frame, quantity, name=name, colour=style.SERIES_COLOURS[place % 6])
        style.style_axes(axes, x="Epochs", y=label)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    if panels[0][0] == "error_rate":
        style.show_share_as_percent(row[0])
    style.legend_above(row[0])
    epochs = ", ".join(f"{name}: {len(frame)} epochs" for name, frame in frames.items())
    style.caption(
        figure, f"Full lines: data not trained on; dotted: training data. {epochs}; one training each."
    )
    return figure


def _draw_history(axes: Axes, frame: pd.DataFrame, quantity: str, *, name: str, colour: str) -> None:
    epochs = frame["epoch"] if "epoch" in frame else pd.Series(range(1, len(frame) + 1))
    columns = _columns(frame, quantity)
    for column, is_validation in columns.items():
        axes.plot(
            epochs, pd.to_numeric(frame[column], errors="coerce"), color=colour,
            linestyle="-" if is_validation else (0, (1, 1.5)), marker="o" if len(frame) == 1 else None,
            label=name if column == next(iter(columns)) else None,
        )  # fmt: skip


def _columns(frame: pd.DataFrame, quantity: str) -> dict[str, bool]:
    """Find the columns of a quantity, and whether each is of validation data."""
    found = {}
    for prefixes, is_validation in ((_VALIDATION_PREFIXES, True), (_TRAINING_PREFIXES, False)):
        name = next((prefix + quantity for prefix in prefixes if prefix + quantity in frame), None)
        if name is not None and frame[name].notna().any():
            found[name] = is_validation
    return found
