"""Reading tables of the gradient by path length: shares, the lengths that carry most, and the decay.

Figures, findings and verdicts all read them here. Two shares are never mixed: that of `contributions` adds up
the norms of single paths, as Fig. 6c of the paper does; that of `vector_sums` takes the norm of the sum of all
paths of a length, in which they may cancel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.escaping import shortened
from unravelnet.mathematics.decay import Decay, fit_decay
from unravelnet.mathematics.intervals import Interval, joined_interval
from unravelnet.paths import effective_lengths, surviving_share
from unravelnet.readers.rows import n_images_text, ordered, unit_of
from unravelnet.routes.route import Route
from unravelnet.wording import with_article

if TYPE_CHECKING:
    from unravelnet.records.record import Table

PATH_NORM = "path_gradient_norm"
PLACES = {"stem": "the stem's output", "input": "the network's input"}
_LENGTH_NORM = "length_gradient_norm"
_CONFIDENCE = 0.95
_DRAWN = {
    "sampled": "random path{s} of each length",
    "exact": "random path{s} of each length {each}",
    "rms": "draw{s} of signs",
}


@dataclass(frozen=True, slots=True)
class Spectrum:
    """How the gradient is divided among the path lengths of one network.

    `rows`: columns length, value (the share), low and high, and up_to_low and up_to_high for the share up to a length,
    in the order of length. The latter are of images drawn again, NaN where none were. `path_counts`: paths of these
    lengths, exact. `n_paths`: of all lengths, measured or not. `unit`: what the examples are, such as images.
    """

    rows: pd.DataFrame
    path_counts: tuple[int, ...]
    n_paths: int
    n_modules: int
    unit: str

    @property
    def lengths(self) -> list[int]:
        """The lengths that were measured, one after the other."""
        return [int(length) for length in self.rows["length"]]

    @property
    def is_complete(self) -> bool:
        """Tell whether all lengths that there are were measured."""
        return sum(self.path_counts) == self.n_paths

    @property
    def mean_length(self) -> float:
        """The mean of the lengths, weighted with their shares."""
        return float(np.average(self.rows["length"], weights=self.rows["value"]))

    @property
    def dominating_length(self) -> int:
        """The length with the largest share."""
        return self.lengths[int(self.rows["value"].argmax())]

    def effective_lengths(self, *, share: float = 0.95) -> tuple[int, int]:
        """Give the shortest range of lengths that holds a share of the gradient."""
        low, high = effective_lengths(self.rows["value"].tolist(), share=share)
        return self.lengths[low], self.lengths[high]

    def held_by(self, shortest: float, longest: float) -> pd.Series:
        """Give the share of the gradient of the lengths between two, both included: value, low and high.

        It is what lies up to the longest less what lies below the shortest, of which both intervals, of images drawn
        again, are joined as if they were independent: as they rise together, that is too wide rather than too narrow.
        Without such intervals the ends are those at which every length lies at the end of its own interval that moves
        the share most; NaN where a length has none.
        """
        if self.knows_images:
            return self._held_by_images(shortest, longest)
        is_inside = self.rows["length"].between(shortest, longest)
        inside, outside = (
            self.rows.loc[part, ["value", "low", "high"]].sum(skipna=False)
            for part in (is_inside, ~is_inside)
        )
        with np.errstate(invalid="ignore"):
            value = inside["value"] / (inside["value"] + outside["value"])
            low = inside["low"] / (inside["low"] + outside["high"])
            high = inside["high"] / (inside["high"] + outside["low"])
        return pd.Series({"value": value, "low": low, "high": high})

    @property
    def held_by_short_paths(self) -> pd.Series:
        """The share of the gradient on paths shorter than the mean of all, n / 2: value, low and high."""
        # Strictly shorter than n / 2, which is a length itself where n is even.
        return self.held_by(0, (self.n_modules - 1) // 2)

    @property
    def knows_images(self) -> bool:
        """Tell whether intervals are of images drawn again, which all lengths share."""
        return bool(self.rows[["up_to_low", "up_to_high"]].notna().all(axis=None))

    def _held_by_images(self, shortest: float, longest: float) -> pd.Series:
        ends = self._up_to(longest), self._up_to(math.ceil(shortest) - 1)
        value = ends[0][0] - ends[1][0]
        up, down = (Interval(low - share, high - share) for share, low, high in ends)
        parts = [Interval(value + up.low, value + up.high), Interval(value - down.high, value - down.low)]
        joined = joined_interval(value, parts)
        return pd.Series({"value": value, "low": max(0.0, joined.low), "high": min(1.0, joined.high)})

    def _up_to(self, longest: float) -> tuple[float, float, float]:
        """Give the share of the gradient up to a length, with its interval; all of it, and none, are known."""
        is_inside = self.rows["length"] <= longest
        if is_inside.all() or not is_inside.any():
            return (float(is_inside.all()),) * 3
        last = self.rows[is_inside].iloc[-1]
        return float(self.rows.loc[is_inside, "value"].sum()), last["up_to_low"], last["up_to_high"]

    @property
    def share_through_branch(self) -> float:
        """The share of the gradient on paths that enter a module, in the mean over modules; the rest takes its skip.

        Exact for shares that add up norms; of vector sums it is what paths of a length that carry alike would have.
        """
        return self.mean_length / self.n_modules

    def left_after(self, n_deleted: int) -> float:
        """Give the share of the gradient on the paths that deletions leave, in the mean over the modules deleted.

        Exact for shares that add up norms; of vector sums it is what paths that carry alike would leave.
        """
        survive = [surviving_share(self.n_modules, n_deleted, length) for length in self.lengths]
        return float(np.average(survive, weights=self.rows["value"]))

    def share_of_paths(self, shortest: int, longest: int) -> float:
        """Give the share of all paths whose length lies between two, both included."""
        pairs = zip(self.lengths, self.path_counts, strict=True)
        return sum(count for length, count in pairs if shortest <= length <= longest) / self.n_paths


def contributions(table: Table) -> Spectrum:
    """Read the shares that the paper adds up: number of paths of a length times their mean norm.

    >>> from unravelnet.records.record import Table
    >>> facts = {"path_gradient_norm": 1.0, "n_modules": 1}
    >>> table = Table([{"length": k, "path_count": 1, "share": s, **facts} for k, s in enumerate((0.8, 0.2))])
    >>> contributions(table).effective_lengths(share=0.7)
    (0, 0)

    Raises EvaluationError where the table lacks them, or is not that of one network.
    """
    return _spectrum(table, share="share", norm=PATH_NORM, up_to="cumulative_share")


def vector_sums(table: Table) -> Spectrum:
    """Read the shares of the exact sums: the norm of the vector sum of all paths of a length.

    Raises EvaluationError where the table lacks them, or is not that of one network.
    """
    return _spectrum(table, share="length_share", norm=_LENGTH_NORM, up_to="cumulative_length_share")


def decay_of(table: Table) -> Decay:
    """Fit how the mean norm on a path falls with its length.

    Raises EvaluationError where the table has no such norms, or only of one length.
    """
    rows = ordered(table, by="length", needs=[PATH_NORM])
    levels = rows["confidence"].dropna()
    confidence = float(levels.iloc[0]) if len(levels) else _CONFIDENCE
    return fit_decay(rows["length"].tolist(), rows[PATH_NORM].tolist(), confidence)


def sample_text(rows: pd.DataFrame, *, data: str = "") -> str:
    """Say what gradients are of: how many images, as batches or alone, and how many random paths.

    >>> frame = pd.DataFrame({"n_images": [128], "n_draws": [1000], "method": ["sampled"]})
    >>> sample_text(frame)
    'n = 128 images, 1,000 random paths of each length'
    """
    parts = [f"{n_images_text(rows)} of {data}" if data else n_images_text(rows)]
    if fact(rows, "per", otherwise="image") == "batch":
        parts.append("norms of whole batches")
    draws = rows["n_draws"].dropna()
    if len(draws) and draws.max() > 0:
        ending = "" if draws.max() == 1 else "s"
        noun = _DRAWN.get(fact(rows, "method"), _DRAWN["sampled"]).format(
            s=ending, each=with_article(unit_of([rows]).removesuffix("s"))
        )
        parts.append(f"{int(draws.max()):,} {noun}")
    return ", ".join(parts)


def fact(rows: pd.DataFrame, column: str, *, otherwise: str = "") -> str:
    """Give a text that is the same in all rows.

    >>> fact(pd.DataFrame({"at": ["stem", "stem"]}), "at")
    'stem'
    """
    known = [shortened(str(value)) for value in rows[column].dropna()] if column in rows else []
    return known[0] if known else otherwise


def _spectrum(table: Table, *, share: str, norm: str, up_to: str) -> Spectrum:
    needs = [share, norm, "n_modules"]
    rows = ordered(table, by="length", needs=needs, wants=[up_to], keeps=["path_count"])
    _check_consecutive(rows["length"])
    # An interval of the norm of one length, as a share of the same total.
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = np.where(rows[norm] > 0, rows[share] / rows[norm], 0.0)
    low, high = (rows[f"{norm}_{end}"].replace([np.inf, -np.inf], np.nan) for end in ("low", "high"))
    shares = pd.DataFrame(
        {
            "length": rows["length"].astype(int),
            "value": rows[share],
            "low": (unit * low).clip(lower=0),
            "high": unit * high,
            "up_to_low": rows[f"{up_to}_low"],
            "up_to_high": rows[f"{up_to}_high"],
        }
    )
    n_modules = int(rows["n_modules"].iloc[0])
    if rows["path_count"].isna().any():
        raise EvaluationError(
            "The paths of a network with parallel streams are not counted, so the lengths that carry its gradient "
            "cannot be compared with their number."
        )
    counts = tuple(int(count) for count in rows["path_count"])
    return Spectrum(shares, counts, _path_count(rows, n_modules), n_modules, unit_of([rows]))


def _path_count(rows: pd.DataFrame, n_modules: int) -> int:
    route = str(rows["route"].iloc[0] or "") if "route" in rows else ""
    return Route.parse(route).path_count if route else 2**n_modules


def _check_consecutive(lengths: pd.Series) -> None:
    steps = np.diff(lengths)
    if (steps == 0).any():
        raise EvaluationError(
            f"The table has several rows of length {int(lengths[:-1][steps == 0].iloc[0])}; give the table of one "
            "network and one method."
        )
    if (steps > 1).any():
        raise EvaluationError(
            f"The table has no row for length {int(lengths[:-1][steps > 1].iloc[0]) + 1}, so its shares are not of "
            "the whole; measure all lengths, or all up to a longest."
        )
