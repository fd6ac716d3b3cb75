"""Reading errors after numbers of epochs: within one training, and of whole trainings of several lengths.

These are two curves. A training lowers its learning rate towards its end, so its error halfway is not that of a
training of half the length. Only whole trainings are fitted, and of these only such as saw images of the same sizes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import special

from unravelnet.errors import EvaluationError
from unravelnet.mathematics.comparisons import variance_of_seeds
from unravelnet.mathematics.intervals import Interval, rate_interval
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

# Half of a 95 % interval, in standard deviations.
_HALF = float(special.ndtri(0.975))
# A quarter more, as a logarithm.
_NEAR = math.log(1.25)
_ALIKE = ["zoo_name", "routes", "start", "epochs", "image_sizes"]


@dataclass(frozen=True)
class EpochsCurve:
    """Errors of one network after numbers of epochs, in their order.

    `title`: network and routes. `rows`: with the columns epochs, error_rate (a share) and n_images, and of whole
    trainings zoo_name, routes and image_sizes. `seed_variance`: of errors that differ in their seed only, in squares of
    shares; None where it is not known.
    """

    title: str
    rows: pd.DataFrame
    seed_variance: float | None = None

    @property
    def epochs(self) -> list[float]:
        """The numbers of epochs, in order; one stands as often as there are trainings of it."""
        return [float(epochs) for epochs in self.rows["epochs"]]

    @property
    def errors(self) -> list[float]:
        """The errors, as shares."""
        return [float(error) for error in self.rows["error_rate"]]

    @property
    def variances(self) -> list[float] | None:
        """The variance of each error by its images and its seed, in squares of shares; None without n_images.

        That of the images is the square of half of Wilson's interval, in standard deviations: above 0 for no error.
        """
        if self.rows["n_images"].isna().any():
            return None
        of_images = [
            (rate_interval(error * n, int(n)).half_width / _HALF) ** 2
            for error, n in zip(self.errors, self.rows["n_images"], strict=True)
        ]
        return [variance + (self.seed_variance or 0.0) for variance in of_images]

    @property
    def n_lengths(self) -> int:
        """How many different numbers of epochs there are."""
        return len(set(self.epochs))

    @cached_property
    def by_sizes(self) -> dict[str, EpochsCurve]:
        """The same curve for each sizes of the images in training."""
        return {str(sizes): self._of(rows) for sizes, rows in self.rows.groupby("image_sizes", sort=True)}

    @cached_property
    def alike(self) -> EpochsCurve:
        """The trainings that are fitted: of the sizes of images that have most lengths, of equal ones the longest."""
        return max(self.by_sizes.values(), key=lambda curve: (curve.n_lengths, curve.epochs[-1]))

    @property
    def different(self) -> EpochsCurve:
        """The trainings that are not fitted, because they saw images of other sizes."""
        return self._of(self.rows[self.rows["image_sizes"] != self.alike.rows["image_sizes"].iloc[0]])

    def after(self, epochs: float) -> EpochsCurve:
        """Keep the errors after so many epochs."""
        return self._of(self.rows[self.rows["epochs"] == epochs])

    def predicted(self, epochs: float) -> tuple[float, Interval] | None:
        """Give the error that the curve predicts of one more training, with its 95 % interval; None without a curve."""
        if self.fit is None:
            return None
        return self.fit.at(epochs), self.fit.predict(epochs, self.fit.variances[-1])

    @cached_property
    def fit(self) -> LearningCurve | None:
        """A floor plus a power of the epochs, through trainings on images of the same sizes.

        None where there are too few lengths to test its form, or where the number of images is not known.
        """
        alike, variances = self.alike, self.alike.variances
        if alike.n_lengths < FEWEST or variances is None:
            return None
        return fit_learning_curve(alike.epochs, alike.errors, variances)

    @cached_property
    def end(self) -> list[Predicted]:
        """The errors of the longest third of the lengths, beside what those of the others predict.

        An empty list where these are too few to fit, or where the number of images is not known.
        """
        alike, variances = self.alike, self.alike.variances
        return [] if variances is None else held_out(alike.epochs, alike.errors, variances)

    def _of(self, rows: pd.DataFrame) -> EpochsCurve:
        return EpochsCurve(self.title, rows.reset_index(drop=True), self.seed_variance)


def within_trainings(histories: Mapping[str, Sequence[Table]]) -> dict[str, list[EpochsCurve]]:
    """Read the test errors in histories of trainings, one a seed, by the title of the network.

    >>> from unravelnet.records.record import Table
    >>> history = Table([{"epoch": 1, "test_error_rate": float("nan")}, {"epoch": 2, "test_error_rate": 0.5}])
    >>> curves = within_trainings({"ResNet-20": [history]})
    >>> [(curve.title, curve.epochs, curve.errors) for curve in curves["ResNet-20"]]
    [('ResNet-20', [2.0], [0.5])]

    Epochs without a test are left out, and so are histories in which none has one. Raises EvaluationError where no
    history is left.
    """
    curves: dict[str, list[EpochsCurve]] = {}
    for title, tables in histories.items():
        for table in tables:
            frame = table.to_pandas()
            if {"epoch", "test_error_rate"} <= set(frame.columns) and frame["test_error_rate"].notna().any():
                rows = ordered(table, by="epoch", needs=["test_error_rate"])
                rows = rows.rename(columns={"epoch": "epochs", "test_error_rate": "error_rate"})
                curves.setdefault(title, []).append(EpochsCurve(title, rows))
    if not curves:
        raise EvaluationError("No history has a test error, so there is no curve over the epochs to show.")
    return curves


def whole_trainings(table: Table) -> list[EpochsCurve]:
    """Read the errors of whole trainings, for networks that were trained for several numbers of epochs.

    >>> from unravelnet.records.record import Table
    >>> row = {"zoo_name": "resnet20", "routes": "all", "epochs": 10, "error_rate": 0.1}
    >>> [curve.epochs for curve in whole_trainings(Table([row, {**row, "epochs": 5}]))]
    [[5.0, 10.0]]

    A curve for each kind of routes; one with a single length stays beside those with several of the same network. An
    empty list where no network has two lengths. Raises EvaluationError for a table without these columns.
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
    Trainings on images of other sizes are paired only where none of the same sizes are as long. An empty list where no
    network has such a pair. Raises EvaluationError for a table without such rows.
    """
    pairs = []
    for alike in _curves(table):
        for routes, part in alike.items():
            for other in dict.fromkeys((ALL_MODULES, routes.removesuffix(KEPT))):
                shared = sorted(set(part.epochs) & set(alike[other].epochs)) if other in alike else []
                pairs += [
                    (n, *pair) for n in shared if other != routes for pair in _paired(part, alike[other], n)
                ]
    return pairs


def of_equal_operations(table: Table) -> list[tuple[EpochsCurve, EpochsCurve]]:
    """Pair whole trainings of a network that took about as many operations: on a part of its modules, and on all.

    >>> from unravelnet.records.record import Table
    >>> row = {"zoo_name": "resnet20", "routes": "all", "epochs": 10, "error_rate": 0.1, "training_macs": 4e9}
    >>> part = {**row, "routes": "exactly:4", "epochs": 20, "training_macs": 5e9}
    >>> [(first, second)] = of_equal_operations(Table([row, part]))
    >>> first.epochs, second.epochs
    ([20.0], [10.0])

    The nearest are paired, if neither took more than a quarter more. An empty list where operations are not known.
    Raises EvaluationError for a table without such rows.
    """
    if "training_macs" not in table.columns:
        return []
    return [
        (part.after(epochs), other)
        for alike in _curves(table)
        for routes, part in alike.items()
        if routes != ALL_MODULES and ALL_MODULES in alike
        for epochs in sorted(set(part.epochs))
        if (other := _as_costly(part.after(epochs), alike[ALL_MODULES])) is not None
    ]


def _as_costly(part: EpochsCurve, whole: EpochsCurve) -> EpochsCurve | None:
    """Choose the length of a curve whose trainings took nearly as many operations as those of another network."""
    ratios = whole.rows.groupby("epochs")["training_macs"].mean() / part.rows["training_macs"].mean()
    distances = np.log(ratios).abs()
    nearest = distances.idxmin()
    return whole.after(float(nearest)) if distances[nearest] <= _NEAR else None


def seed_groups(table: Table) -> list[pd.DataFrame]:
    """Sort whole trainings into groups that differ in their seeds only.

    >>> from unravelnet.records.record import Table
    >>> row = {"zoo_name": "resnet20", "routes": "all", "epochs": 10, "error_rate": 0.1}
    >>> [len(group) for group in seed_groups(Table([row, row, {**row, "epochs": 20}]))]
    [2, 1]

    Raises EvaluationError for a table without such rows.
    """
    return [group.reset_index(drop=True) for _, group in _rows(table).groupby(_ALIKE, sort=True)]


def _paired(part: EpochsCurve, other: EpochsCurve, epochs: float) -> list[tuple[EpochsCurve, EpochsCurve]]:
    a, b = part.after(epochs).by_sizes, other.after(epochs).by_sizes
    alike = [(a[sizes], b[sizes]) for sizes in a if sizes in b]
    return alike or [(first, second) for first in a.values() for second in b.values()]


def _rows(table: Table) -> pd.DataFrame:
    """Give the rows with an error, in the order of their epochs; what is not known of a recipe is empty."""
    rows = ordered(table, by="epochs", needs=["error_rate"], keeps=["zoo_name", "routes"])
    for column in ("start", "image_sizes"):
        rows[column] = rows[column].fillna("") if column in rows else ""
    # A training that stands twice is one training.
    return rows.drop_duplicates([*_ALIKE, "training_seed"], keep="last") if "training_seed" in rows else rows


def _curves(table: Table) -> list[dict[str, EpochsCurve]]:
    """Give the curves of each network by their routes."""
    rows = _rows(table)
    known = variance_of_seeds([group["error_rate"] for group in seed_groups(table)])
    variance = None if known is None else known[0]
    rows = rows[rows["start"] == ""]  # what was trained before is in no number of epochs
    return [
        {
            str(routes): EpochsCurve(
                training_text(str(name), str(routes)), part.reset_index(drop=True), variance
            )
            for routes, part in of_network.groupby("routes", sort=True)
        }
        for name, of_network in rows.groupby("zoo_name", sort=False)
    ]
