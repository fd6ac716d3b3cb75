"""The test error over the epochs: within trainings, and of whole trainings of several lengths; where it would end."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from unravelnet import figures
from unravelnet.mathematics.comparisons import difference_of_trainings
from unravelnet.mathematics.intervals import Interval
from unravelnet.mathematics.learning_curves import FEWEST, N_FITTED, Predicted, floor_difference
from unravelnet.readers.epochs import EpochsCurve, of_equal_length, whole_trainings, within_trainings
from unravelnet.readers.groups import training_text
from unravelnet.readers.rows import ordered
from unravelnet.records.record import Table
from unravelnet.reporting.contents import WHOLE_TRAININGS, Run
from unravelnet.reporting.topics.chapter import Chapter, joined
from unravelnet.reporting.words.sentences import (
    fine_percent,
    listed,
    percent_with_interval,
    points_with_interval,
)
from unravelnet.wording import counted, percent

_HOW = (
    f"Curves over the epochs are a floor plus an amplitude times a power of the epochs ({N_FITTED} numbers, least "
    f"squares), fitted to {FEWEST} different numbers of epochs or more. Intervals of floors and predictions are of the "
    "scatter around the curve (F test). A floor says where the error would end if the curve had this form for ever."
)


def show_epochs(chapter: Chapter, run: Run) -> None:
    """Add the curves of networks that were trained on all modules and on a part of them, where there are both."""
    histories = _histories(run)
    if not histories:
        return
    chapter.show(
        "epochs",
        lambda: figures.figure_epochs(histories, run.whole_trainings),
        joined(histories),
        caption="Test error over the epochs, on all modules and on a part of them; within each training, and of whole "
        "trainings where a network has several lengths.",
        alt=f"Falling curves of {listed(list(histories))}; the numbers are in the data.",
    )
    chapter.find(on_ends, within_trainings(histories))
    if run.whole_trainings is None:
        chapter.lacks(run, WHOLE_TRAININGS)
    else:
        chapter.find(on_equal_epochs, run.whole_trainings)
        chapter.find(on_whole_trainings, run.whole_trainings)
        chapter.find(on_warm_starts, run.whole_trainings)
    chapter.how.append(_HOW)


def on_ends(curves: Sequence[EpochsCurve]) -> list[str]:
    """Say whether errors within trainings go on as they began, and where they would end if they did."""
    sentences = [f"{curve.title}, within its training: {_end_text(curve)}" for curve in curves]
    if any(curve.fit for curve in curves):
        sentences.append(
            "Within a training the error falls with the learning rate. Such a curve says nothing of longer trainings."
        )
    return sentences


def on_whole_trainings(table: Table) -> list[str]:
    """Say where the errors of whole trainings would end with their length, and by how much they would differ."""
    curves = whole_trainings(table)
    sentences = [f"Whole trainings, {_lengths_text(curve)}: {_end_text(curve)}" for curve in curves]
    fitted = [(curve, fit) for curve in curves if (fit := curve.fit) is not None]
    for curve, fit in fitted[1:]:
        value, interval = floor_difference(fit, fitted[0][1])
        sentences.append(
            f"{curve.title} would end {points_with_interval(_row(value, interval))} against "
            f"{fitted[0][0].title}, by whole trainings."
        )
    if not curves:
        return ["No network has whole trainings of two lengths, so where longer ones would end is not known."]
    if len(fitted) < 2:
        sentences.append("Whole trainings are too few to say whether the gap between networks would close.")
    return sentences


def on_equal_epochs(table: Table) -> list[str]:
    """Say by how much networks differ after whole trainings of as many epochs."""
    sentences = []
    for epochs, part, other in of_equal_length(table):
        difference = difference_of_trainings(part.rows, other.rows)
        assert difference is not None, "each has an error"
        sentences.append(
            f"After {epochs:g} epochs each, {part.title} errs {points_with_interval(difference.row, digits=2)} against "
            f"{other.title}; {difference.how}{_sizes_text(part, other)}.{_cost_text(part, other)}"
        )
    return sentences


def on_warm_starts(table: Table) -> list[str]:
    """Say what networks err after trainings that went on from the weights of others."""
    rows = ordered(table, by="epochs", needs=["error_rate"], keeps=["zoo_name", "routes"])
    if "start" not in rows:
        return []
    started = rows[rows["start"].notna() & (rows["start"] != "")]
    return [
        f"{training_text(row['zoo_name'], row['routes'], row['start'])}, errs {fine_percent(row['error_rate'])} after "
        f"{counted(int(row['epochs']), 'epoch')} from there on."
        for _, row in started.iterrows()
    ]


def _cost_text(part: EpochsCurve, other: EpochsCurve) -> str:
    """Say what share of the operations a training took, where they are known."""
    if not all("training_macs" in curve.rows for curve in (part, other)):
        return ""
    share = part.rows["training_macs"].mean() / other.rows["training_macs"].mean()
    return (
        f" It takes {percent(share)} of the operations." if share == share and abs(share - 1) > 0.005 else ""
    )


def _sizes_text(part: EpochsCurve, other: EpochsCurve) -> str:
    """Say where the sizes of images in training differ."""
    sizes = [set(curve.rows.get("image_sizes", pd.Series(dtype=str)).dropna()) for curve in (part, other)]
    return "" if sizes[0] == sizes[1] else "; the sizes of their images in training differ"


def _histories(run: Run) -> dict[str, Table]:
    """Give the histories of networks that were trained on several kinds of routes, by title."""
    known = [network for network in run.studied if network.history is not None and network.zoo_name]
    kinds = {
        name: {network.routes for network in known if network.zoo_name == name}
        for name in {network.zoo_name for network in known}
    }
    histories: dict[str, Table] = {}
    for network in known:
        if len(kinds[network.zoo_name]) > 1 and network.history is not None and _is_tested(network.history):
            # As whole trainings are called, so that both have one colour.
            title = training_text(network.zoo_name, network.routes)
            histories[network.title if title in histories else title] = network.history
    return histories


def _is_tested(history: Table) -> bool:
    return "test_error_rate" in history.columns and bool(history.to_pandas()["test_error_rate"].notna().any())


def _lengths_text(curve: EpochsCurve) -> str:
    lengths = [f"{epochs:g}" for epochs in sorted(set(curve.epochs))]
    return f"{curve.title}, {listed(lengths)} epochs"


def _end_text(curve: EpochsCurve) -> str:
    """Say where a curve ends, and whether its beginning foretells that."""
    if curve.fit is None:
        return (
            f"{counted(curve.n_lengths, 'number')} of epochs {_verb(curve.n_lengths)} too few to fit a curve."
        )
    ends = f"fitted, the error would end at {percent_with_interval(_row(curve.fit.floor, curve.fit.floor_interval))}. "
    if not curve.end:
        return f"{ends}Too few are left to hold out an end and predict it."
    n_inside = sum(each.is_inside for each in curve.end)
    n_first = len(curve.epochs) - len(curve.end)
    return (
        f"{ends}Fitted to the first {n_first} errors, it predicts the last {len(curve.end)}: {n_inside or 'none'} of "
        f"them lie in the 95 % interval of the prediction. {_last_text(curve.end[-1])}"
    )


def _last_text(last: Predicted) -> str:
    predicted = percent_with_interval(_row(last.predicted, last.interval))
    wide = " An interval wider than the error is no test." if _is_wide(last) else ""
    return (
        f"After {last.epochs:g} epochs the error is {fine_percent(last.error)}, and the prediction "
        f"{predicted}.{wide}"
    )


def _is_wide(last: Predicted) -> bool:
    return last.interval.half_width > last.error / 2


def _verb(number: int) -> str:
    return "is" if number == 1 else "are"


def _row(value: float, interval: Interval) -> pd.Series:
    return pd.Series({"value": value, "low": interval.low, "high": interval.high})
