"""What whole trainings of several lengths say: at equal epochs, at equal operations, and where errors would end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from unravelnet import columns
from unravelnet.mathematics.comparisons import Difference, difference_of_trainings
from unravelnet.mathematics.intervals import Interval
from unravelnet.mathematics.learning_curves import LearningCurve, floor_difference
from unravelnet.readers.epochs import (
    EpochsCurve,
    of_equal_length,
    of_equal_operations,
    seed_groups,
    whole_trainings,
)
from unravelnet.readers.groups import ALL_MODULES, training_text
from unravelnet.readers.rows import ordered
from unravelnet.records.record import Table
from unravelnet.reporting.topics.chapter import ShownTable
from unravelnet.reporting.words.sentences import (
    fine_percent,
    listed,
    more_or_less,
    percent_with_interval,
    points,
    threshold,
)
from unravelnet.reporting.words.verdict import EQUAL
from unravelnet.wording import counted, percent

_HEADER = (
    columns.title("network_name"),
    "Compared with",
    columns.title("epochs"),
    columns.title("test_error_rate"),
    "Test error of the other",
    "Difference",
    "Training TMACs",
    "TMACs of the other",
)
_Pair = tuple[float, EpochsCurve, EpochsCurve]
_UNSURE_OF_SEEDS = " How much trainings differ by their seed is not in the interval."
# A curve is called wrong if errors scatter so far around it by chance in one of twenty.
_SMALL_CHANCE = 0.05


def tables_of_equal_epochs(table: Table) -> list[ShownTable]:
    """Write the errors of two networks after whole trainings of as many epochs; no table where none are as long."""
    seeds = seed_groups(table)
    rows = [
        (part.title, other.title, f"{epochs:g}", *map(_errors_text, (part, other)), more_or_less(gap.row),
         *map(_operations_text, (part, other)))
        for epochs, part, other in of_equal_length(table)
        if (gap := difference_of_trainings(part.rows, other.rows, others=seeds)) is not None
    ]  # fmt: skip
    caption = (
        "Errors after whole trainings of equal length. The difference has its 95 % interval, which includes the chance "
        "of the test images and of the seeds as far as it is known. TMACs: 10¹² multiply-accumulate operations of all "
        "forward passes."
    )
    return [ShownTable(caption, _HEADER, tuple(rows))] if rows else []


def _errors_text(curve: EpochsCurve) -> str:
    return listed([fine_percent(error) for error in curve.errors])


def _operations_text(curve: EpochsCurve) -> str:
    known = "training_macs" in curve.rows and curve.rows["training_macs"].notna().all()
    return f"{curve.rows['training_macs'].mean() / 1e12:,.0f}" if known else "not recorded"


def on_equal_epochs(table: Table) -> list[str]:
    """Say by how much networks differ after whole trainings of as many epochs, and whether that shrinks."""
    seeds = seed_groups(table)
    alike: dict[tuple[str, ...], list[_Pair]] = {}
    for epochs, part, other in of_equal_length(table):
        key = (part.title, other.title, *(curve.rows["image_sizes"].iloc[0] for curve in (part, other)))
        alike.setdefault(key, []).append((epochs, part, other))
    return [_gaps_text(pairs, seeds) for pairs in alike.values()]


def on_equal_operations(table: Table) -> list[str]:
    """Say what networks err after whole trainings that took about as many operations."""
    told: dict[tuple[str, str], list[str]] = {}
    for part, other in of_equal_operations(table):
        first, second = (
            f"{fine_percent(float(np.mean(curve.errors)))} ({counted(int(curve.epochs[0]), 'epoch')})"
            for curve in (part, other)
        )
        told.setdefault((part.title, other.title), []).append(f"{first} against {second}")
    return [
        f"Trainings that took about as many operations of forward passes, at most a quarter more or less: {part} errs "
        f"{'; '.join(errors)} of {other}."
        for (part, other), errors in told.items()
    ]


def on_longer_trainings(table: Table, zoo_name: str, routes: str, epochs: float) -> str:
    """Say what curves predict of a network after more epochs, on some routes and on all modules; empty without both."""
    curves = {curve.title: curve for curve in whole_trainings(table)}
    ends = [curves.get(training_text(zoo_name, kind)) for kind in (routes, ALL_MODULES)]
    texts = [
        percent_with_interval(_row(*predicted))
        for curve in ends
        if curve is not None
        and curve.fit is not None
        and max(curve.epochs) < epochs
        and not _is_wrong(curve.fit)
        and (predicted := curve.predicted(epochs)) is not None
    ]
    if len(texts) < 2:
        return ""
    return (
        f" Curves fitted to whole trainings of several lengths predict, after {epochs:g} epochs, {texts[0]}, and "
        f"{texts[1]} for all modules."
    )


def on_whole_trainings(table: Table) -> list[str]:
    """Say where the errors of whole trainings would end with their length, and by how much they would differ."""
    curves = whole_trainings(table)
    if not curves:
        return ["No network has whole trainings of two lengths, so where longer ones would end is not known."]
    return [
        *(
            f"Whole trainings, {_lengths_text(curve.alike if curve.fit else curve)}: {_end_text(curve)}"
            for curve in curves
        ),
        *_floors_texts(curves),
    ]


def on_warm_starts(table: Table) -> list[str]:
    """Say what networks err after trainings that went on from the weights of others."""
    rows = ordered(table, by="epochs", needs=["error_rate"], keeps=["zoo_name", "routes"])
    if "start" not in rows:
        return []
    is_started = rows["start"].notna() & (rows["start"] != "")
    seeds = seed_groups(table)
    return [_warm_start_text(row, rows[~is_started], seeds) for _, row in rows[is_started].iterrows()]


def _warm_start_text(started: pd.Series, others: pd.DataFrame, seeds: Sequence[pd.DataFrame]) -> str:
    """Compare a training that went on from the weights of another with that one, and with the longest from random ones.

    `others`: trainings from random weights.
    """
    name = training_text(started["zoo_name"], started["routes"], started["start"])
    text = f"{name}, errs {fine_percent(started['error_rate'])} after {counted(int(started['epochs']), 'more epoch')}."
    origin = _shipped_as(others, started["start"])
    whole = (
        f" The network that it started from errs {fine_percent(origin['error_rate'])} on all modules."
        if origin is not None
        else ""
    )
    alike = others[(others["zoo_name"] == started["zoo_name"]) & (others["routes"] == started["routes"])]
    longest = alike[alike["epochs"] == alike["epochs"].max()]
    gap = difference_of_trainings(started.to_frame().T, longest, others=seeds)
    if gap is None:
        return f"{text}{whole}"
    random = f"{counted(int(longest['epochs'].iloc[0]), 'epoch')} from random weights"
    unsure = "" if gap.knows_seeds else _UNSURE_OF_SEEDS
    cost = _warm_cost_text(started, origin, longest)
    return f"{text} That is {more_or_less(gap.row)} than after {random}; {gap.how}.{unsure}{cost}{whole}"


def _shipped_as(trainings: pd.DataFrame, start: str) -> pd.Series | None:
    """Find the training whose weights are shipped under the name that another one started from."""
    if not {"group", "training_seed", "is_shipped"} <= set(trainings.columns):
        return None
    for _, training in trainings[trainings["is_shipped"].astype(bool)].iterrows():
        seed = f"-seed{training['training_seed']}" if training["training_seed"] else ""
        if start == f"zoo:{training['group']}{seed}":
            return training
    return None


def _warm_cost_text(started: pd.Series, origin: pd.Series | None, longest: pd.DataFrame) -> str:
    """Say what share of the operations of the longest training it took, without those of its start and with them."""
    if "training_macs" not in longest:
        return ""
    own, whole = started["training_macs"], longest["training_macs"].mean()
    text = f" In forward passes these epochs take {percent(own / whole)} of the operations of that training"
    if origin is None:
        return f"{text}."
    return f"{text}, and with the training that they started from {percent((own + origin['training_macs']) / whole)}."


def _gaps_text(pairs: Sequence[_Pair], seeds: Sequence[pd.DataFrame]) -> str:
    """List by how much two networks differ after several lengths."""
    _, part, other = pairs[0]
    known = {epochs: difference_of_trainings(a.rows, b.rows, others=seeds) for epochs, a, b in pairs}
    gaps = {epochs: gap for epochs, gap in known.items() if gap is not None}
    (first, gap), *longer = gaps.items()
    texts = [
        f"After {first:g} epochs each, {part.title} errs {more_or_less(gap.row)} than {other.title}",
        *(f"after {epochs:g}, {more_or_less(gap.row)}" for epochs, gap in longer[-1:]),
    ]
    sizes = "" if _have_same_sizes(part, other) else "; the sizes of their images in training differ"
    unsure = "" if all(gap.knows_seeds for gap in gaps.values()) else _UNSURE_OF_SEEDS
    told = {first: gap, **dict(longer[-1:])}
    return f"{'; '.join(texts)}; {_hows_text(told)}{sizes}.{unsure}{_trend_text(gaps)}{_cost_text(pairs)}"


def _hows_text(gaps: Mapping[float, Difference]) -> str:
    """Say what the intervals are of, once where they are all of the same."""
    lengths: dict[str, list[str]] = {}
    for epochs, gap in gaps.items():
        lengths.setdefault(gap.how, []).append(f"{epochs:g}")
    if len(lengths) == 1:
        return next(iter(lengths))
    return "; ".join(f"after {listed(numbers)} epochs {how}" for how, numbers in lengths.items())


def _trend_text(gaps: Mapping[float, Difference]) -> str:
    """Say whether the gap of the longest trainings is surely smaller than that of the shortest, or larger."""
    if len(gaps) < 2:
        return ""
    shortest, *_, longest = gaps.values()
    if _is_surely_below(shortest, longest) or _is_surely_below(longest, shortest):
        return " The gap surely turns round with the length."
    lower, higher = (longest, shortest) if shortest.value > 0 else (shortest, longest)
    ends = "the intervals of the shortest and the longest trainings"
    if lower.interval.high < higher.interval.low:
        return f" The gap shrinks with the length: {ends} do not overlap."
    if higher.interval.high < lower.interval.low:
        return f" The gap grows with the length: {ends} do not overlap."
    return f" Whether the gap shrinks with the length is not decided: {ends} overlap."


def _is_surely_below(gap: Difference, other: Difference) -> bool:
    """Whether one gap is surely below 0 and another surely above."""
    return gap.interval.high < 0 < other.interval.low


def _cost_text(pairs: Sequence[_Pair]) -> str:
    """Say what share of the operations the trainings took, where they are known and differ."""
    if not all("training_macs" in curve.rows for _, *both in pairs for curve in both):
        return ""
    shares = [
        part.rows["training_macs"].mean() / other.rows["training_macs"].mean() for _, part, other in pairs
    ]
    texts = list(dict.fromkeys(percent(share) for share in shares if abs(share - 1) > 0.005))
    return (
        f" Its training takes {listed(texts)} of the multiply-accumulate operations of the other's forward passes."
        if texts
        else ""
    )


def _have_same_sizes(part: EpochsCurve, other: EpochsCurve) -> bool:
    return set(part.rows["image_sizes"]) == set(other.rows["image_sizes"])


def _lengths_text(curve: EpochsCurve) -> str:
    return f"{curve.title}, {_epochs_text(curve.epochs)} epochs"


def _epochs_text(epochs: Sequence[float]) -> str:
    return listed([f"{each:g}" for each in sorted(set(epochs))])


def _end_text(curve: EpochsCurve) -> str:
    """Say where a curve ends, whether its form fits, and whether shorter trainings foretell the longest."""
    return f"{_fit_text(curve)}{_prediction_text(curve)}{_left_out_text(curve)}"


def _fit_text(curve: EpochsCurve) -> str:
    if curve.alike.variances is None:
        return "the number of images is not known, so no curve is fitted."
    if curve.fit is None:
        of_sizes = "" if curve.different.rows.empty else ", with the same sizes of images,"
        n_lengths = curve.alike.n_lengths
        verb = "is" if n_lengths == 1 else "are"
        return f"{counted(n_lengths, 'length')}{of_sizes} {verb} too few to fit a curve."
    is_wrong = _is_wrong(curve.fit)
    end = percent_with_interval(_row(curve.fit.floor, curve.fit.floor_interval))
    form = (
        "The errors scatter further around the curve than they should"
        if is_wrong
        else "The errors scatter around the curve as they should"
    )
    unsure = "" if curve.seed_variance is not None else _UNSURE_OF_SEEDS
    return (
        f"fitted, the error would end at {end}.{unsure} {form} (chi-square {curve.fit.chi_square:.1f}, chance "
        f"{curve.fit.chance:.2g}){', so its end is not to be trusted' if is_wrong else ''}."
    )


def _prediction_text(curve: EpochsCurve) -> str:
    """Say what shorter trainings predict of the longest, and how many of those held out lie in their intervals."""
    if not curve.end:
        return " Too few lengths are left to hold one out and predict it." if curve.fit else ""
    last = curve.end[-1]
    shorter = [epochs for epochs in curve.alike.epochs if epochs < curve.end[0].epochs]
    errors = [fine_percent(each.error) for each in curve.end if each.epochs == last.epochs]
    text = (
        f" Fitted to {_epochs_text(shorter)} epochs, the curve predicts "
        f"{percent_with_interval(_row(last.predicted, last.interval))} after {last.epochs:g}, and "
        f"{listed(errors)} {'was' if len(errors) == 1 else 'were'} measured. "
    )
    if last.interval.half_width > EQUAL:
        return f"{text}The interval is wider than ±{threshold(EQUAL)}: the prediction is too vague to test the curve."
    n_inside = sum(each.is_inside for each in curve.end)
    return (
        f"{text}Of {counted(len(curve.end), 'error')} held out, {n_inside or 'none'} "
        f"{'lies' if n_inside == 1 else 'lie'} in the 95 % interval of the prediction."
    )


def _left_out_text(curve: EpochsCurve) -> str:
    """Name the trainings that the curve is not fitted to."""
    if curve.fit is None or curve.different.rows.empty:
        return ""
    named = [
        f"{_epochs_text(other.epochs)} epochs (image sizes {sizes})"
        for sizes, other in curve.different.by_sizes.items()
    ]
    return f" It is not fitted to trainings of {listed(named)}: their images had other sizes."


def _floors_texts(curves: Sequence[EpochsCurve]) -> list[str]:
    """Compare where curves of one network end with that on all modules."""
    networks: dict[str, list[EpochsCurve]] = {}
    for curve in curves:
        networks.setdefault(str(curve.rows["zoo_name"].iloc[0]), []).append(curve)
    texts = []
    for name, alike in networks.items():
        whole = [curve for curve in alike if _is_of_all(curve)]
        parts = [curve for curve in alike if not _is_of_all(curve)]
        found = [_floor_text(part, other) for other in whole for part in parts if _can_compare(part, other)]
        if whole and parts and not found:
            found = [
                f"{training_text(name, ALL_MODULES)}: its whole trainings do not say whether the gap between its "
                "curves would close."
            ]
        texts += found
    return texts


def _is_of_all(curve: EpochsCurve) -> bool:
    return bool(curve.rows["routes"].iloc[0] == ALL_MODULES)


def _can_compare(part: EpochsCurve, other: EpochsCurve) -> bool:
    fits = [fit for curve in (part, other) if (fit := curve.fit) is not None and not _is_wrong(fit)]
    return len(fits) == 2 and _have_same_sizes(part.alike, other.alike)


def _is_wrong(fit: LearningCurve) -> bool:
    """Tell whether errors scatter so far around a curve that its form is not theirs."""
    assert fit.chance is not None, "as many lengths are fitted as test the form"
    return fit.chance < _SMALL_CHANCE


def _floor_text(part: EpochsCurve, other: EpochsCurve) -> str:
    assert part.fit is not None, "only fitted curves are compared"
    assert other.fit is not None, "and with such"
    value, interval = floor_difference(part.fit, other.fit)
    if interval.low <= 0 <= interval.high and max(-interval.low, interval.high) > EQUAL:
        ends = f"{points(interval.low)} to {points(interval.high)} points"
        return (
            f"Whether {part.title} would end above {other.title} is not decided: the interval of the difference of "
            f"their ends, {ends}, holds 0 as well as more than {threshold(EQUAL)}."
        )
    gap = more_or_less(_row(value, interval), digits=1)
    return f"At the end of its curve, {part.title} would err {gap} than {other.title}."


def _row(value: float, interval: Interval) -> pd.Series:
    return pd.Series({"value": value, "low": interval.low, "high": interval.high})
