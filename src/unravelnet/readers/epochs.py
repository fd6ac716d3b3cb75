"""Reading errors after numbers of epochs: within one training, and of whole trainings of several lengths.

These are two curves. A training lowers its learning rate towards its end, so its error halfway is not that of a
training of half the length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.mathematics.learning_curves import (
    FEWEST,
    LearningCurve,
    Predicted,
    fit_learning_curve,
    held_out,
)
from unravelnet.readers.groups import ALL_MODULES, KEPT, training_text
from unravelnet.readers.rows import ordered

if TYPE_CHECKING:
    from unravelnet.records.record import Table


@dataclass(frozen=True)
class EpochsCurve:
    """Errors of one network after numbers of epochs, in their order.

    `rows`: with the columns epochs, error_rate and n_images, where it is known.
    """

    title: str
    rows: pd.DataFrame

    @property
    def epochs(self) -> list[float]:
        """The numbers of epochs, in order; one stands as often as there are trainings of it."""
        return [float(epochs) for epochs in self.rows["epochs"]]

    @property
    def errors(self) -> list[float]:
        """The errors, as shares."""
        return [float(error) for error in self.rows["error_rate"]]

    def after(self, epochs: float) -> EpochsCurve:
        """Keep the errors after so many epochs."""
        return EpochsCurve(self.title, self.rows[self.rows["epochs"] == epochs].reset_index(drop=True))

    @property
    def n_lengths(self) -> int:
        """How many different numbers of epochs there are."""
        return len(set(self.epochs))

    @cached_property
    def fit(self) -> LearningCurve | None:
        """A floor plus a power of the epochs; None where there are too few to fit."""
        return fit_learning_curve(self.epochs, self.errors) if self.n_lengths >= FEWEST else None

    @cached_property
    def end(self) -> list[Predicted]:
        """The last third of the errors, beside what those before predict; none where these are too few to fit."""
        return held_out(self.epochs, self.errors)


def within_trainings(histories: Mapping[str, Table]) -> list[EpochsCurve]:
    """Read the test errors in histories of trainings, by the title of the network.

    >>> from unravelnet.records.record import Table
    >>> history = Table([{"epoch": 1, "test_error_rate": float("nan")}, {"epoch": 2, "test_error_rate": 0.5}])
    >>> [(curve.title, curve.epochs, curve.errors) for curve in within_trainings({"ResNet-20": history})]
    [('ResNet-20', [2.0], [0.5])]

    Epochs without a test are left out, and so are histories with fewer than two. Raises EvaluationError where no
    history is left.
    """
    curves = []
    for title, table in histories.items():
        frame = table.to_pandas()
        if {"epoch", "test_error_rate"} <= set(frame.columns) and frame["test_error_rate"].notna().any():
            rows = ordered(table, by="epoch", needs=["test_error_rate"])
            curves.append(
                EpochsCurve(title, rows.rename(columns={"epoch": "epochs", "test_error_rate": "error_rate"}))
            )
    if not curves:
        raise EvaluationError("No history has a test error, so there is no curve over the epochs to show.")
    return curves


def whole_trainings(table: Table) -> list[EpochsCurve]:
    """Read the errors of whole trainings, for networks that were trained for several numbers of epochs.

    >>> from unravelnet.records.record import Table
    >>> row = {"zoo_name": "resnet20", "routes": "all", "epochs": 10, "error_rate": 0.1}
    >>> [curve.epochs for curve in whole_trainings(Table([row, {**row, "epochs": 5}]))]
    [[5.0, 10.0]]

    A curve for each kind of routes; one with a single length stays beside those with several of the same network. None
    where no network has two lengths. Raises EvaluationError for a table without these columns.
    """
    return [
        curve
        for alike in _curves(table)
        if any(curve.n_lengths > 1 for curve in alike.values())
        for curve in alike.values()
    ]


def of_equal_length(table: Table) -> list[tuple[float, EpochsCurve, EpochsCurve]]:
    """Pair whole trainings of a network, after as many epochs: on a part of its modules, and what that stands beside.

    >>> from unravelnet.records.record import Table
    >>> row = {"zoo_name": "resnet20", "routes": "all", "epochs": 10, "error_rate": 0.1}
    >>> [(epochs, part, whole)] = of_equal_length(Table([row, {**row, "routes": "exactly:4"}]))
    >>> epochs, part.title, whole.title
    (10.0, 'ResNet-20, exactly 4', 'ResNet-20')

    Each stands beside all modules; with the down-sampling modules always kept, also beside the same without that.
    Raises EvaluationError for a table without such rows.
    """
    pairs = []
    for alike in _curves(table):
        for routes, part in alike.items():
            for other in dict.fromkeys((ALL_MODULES, routes.removesuffix(KEPT))):
                shared = sorted(set(part.epochs) & set(alike[other].epochs)) if other in alike else []
                pairs += [(n, part.after(n), alike[other].after(n)) for n in shared if other != routes]
    return pairs


def _curves(table: Table) -> list[dict[str, EpochsCurve]]:
    """Give the curves of each network by their routes."""
    rows = ordered(table, by="epochs", needs=["error_rate"], keeps=["zoo_name", "routes"])
    if "start" in rows:  # what was trained before is in no number of epochs
        rows = rows[rows["start"].isna() | (rows["start"] == "")]
    return [
        {
            str(routes): EpochsCurve(training_text(str(name), str(routes)), part.reset_index(drop=True))
            for routes, part in of_network.groupby("routes", sort=True)
        }
        for name, of_network in rows.groupby("zoo_name", sort=False)
    ]
