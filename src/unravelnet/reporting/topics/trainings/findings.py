"""Findings about trained networks: sentences and the table of all of them, computed from their table."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from unravelnet import columns
from unravelnet.mathematics.comparisons import difference_of_trainings, mean_interval_of
from unravelnet.papers import he, veit
from unravelnet.readers.groups import EFFECTIVE_PATHS, RECIPE, STOCHASTIC_DEPTH, TrainedGroup, pairs_of
from unravelnet.readers.rows import n_images_text
from unravelnet.reporting.topics.chapter import ShownTable
from unravelnet.reporting.words.sentences import (
    fine_percent,
    listed,
    number,
    points_with_interval,
)
from unravelnet.wording import counted

_HEADER = (
    columns.title("network_name"),
    "Trained on",
    *map(columns.title, ("n_modules", "n_parameters", "epochs")),
    "Seeds",
    columns.title("test_error_rate"),
    columns.title("train_error_rate"),
    columns.title("fit_error_rate"),
    "Training TMACs",
    "Minutes",
    columns.title("training_hardware"),
)
_WAYS_OF_TESTING = ("unscaled", "unscaled, re-estimated", "scaled", "scaled, re-estimated", "random routes")
_RECIPE_OF_PAPERS = f"The recipe of {he.PAPER.authors}, which {veit.PAPER.authors} followed: {he.RECIPE.said}"
_UNKNOWN, _NONE = "not recorded", "–"


def table_of_networks(groups: list[TrainedGroup]) -> ShownTable:
    """Write all trained networks as a table, one row for those that differ in their seed only."""
    every = pd.concat([group.rows for group in groups])
    precisions = list(dict.fromkeys(every["precision"].dropna())) if "precision" in every else []
    precision = f", in {listed(precisions)}" if precisions else ""
    caption = (
        f"All trained networks; mean ± standard deviation over seeds, {n_images_text(every)}. Test error: as the "
        f"method tests{precision}. Training error: of the last epoch, on augmented images with the modules of that "
        f"batch. {columns.title('fit_error_rate')}: as they are, tested as the method tests. TMACs: 10¹² "
        "multiply-accumulate operations of all forward passes. Minutes can be compared on the same hardware only, and "
        "most trainings shared theirs with other work."
    )
    return ShownTable(caption, _HEADER, tuple(_network_row(group) for group in groups))


def errors_text(rows: pd.DataFrame, column: str = "error_rate") -> str:
    """Write the error of one training, or the mean of several with its standard deviation and each of them.

    >>> errors_text(pd.DataFrame({"error_rate": [0.078, 0.08, 0.082]}))
    '8.00 ± 0.20 % (3 trainings: 7.80, 8.00 and 8.20)'
    """
    values = rows[column].dropna()
    if len(values) < 2:
        return _mean_text(values)
    return f"{_mean_text(values)} ({counted(len(values), 'training')}: {_each_text(values)})"


def tables_of_test_times(groups: list[TrainedGroup]) -> list[ShownTable]:
    """Write the errors by the way of testing, for networks trained on a part of their modules; none if one way."""
    tested = [group for group in groups if len(_ways_of(group)) > 1]
    if not tested:
        return []
    caption = (
        "Test error by the way of testing. Unscaled: with all branches as they are. Scaled: with each branch times "
        "its chance to be there in training. Re-estimated: with statistics of normalisation measured anew. Random "
        "routes: in the mean over random routes, as in training."
    )
    header = (
        columns.title("network_name"),
        "Seeds",
        *(way[0].upper() + way[1:] for way in _WAYS_OF_TESTING),
    )
    rows = tuple(
        (
            group.title,
            str(len(group.rows)),
            *(_mean_text(group.at_test_time(way)["error_rate"], unknown=_NONE) for way in _WAYS_OF_TESTING),
        )
        for group in tested
    )
    return [ShownTable(caption, header, rows)]


def on_test_times(groups: list[TrainedGroup]) -> list[str]:
    """Say how much the scaling of branches matters for networks that were trained on a part of their modules."""
    sentences = [
        f"{group.title}: {scaling}." for group in groups if (scaling := _scaling_text(_ways_of(group)))
    ]
    if any(group.routes.startswith(EFFECTIVE_PATHS) and len(_ways_of(group)) > 1 for group in groups):
        sentences.append(
            f"{veit.PAPER.authors} do not say how they test a network that was trained on effective paths. The better "
            "of both ways is judged, and tables show the scaled one."
        )
    return sentences


def _ways_of(group: TrainedGroup) -> dict[str, pd.DataFrame]:
    return {way: rows for way in _WAYS_OF_TESTING if len(rows := group.at_test_time(way))}


def _scaling_text(found: Mapping[str, pd.DataFrame]) -> str:
    if not {"scaled", "unscaled"} <= set(found):
        return ""
    both = found["scaled"].merge(found["unscaled"], on="training_seed", suffixes=("", "_unscaled"))
    if both.empty:
        return ""
    change = mean_interval_of(both["error_rate"] - both["error_rate_unscaled"])
    once = "" if len(both) > 1 else ", one training"
    return f"scaling the branches changes the error by {points_with_interval(change, digits=2)}{once}"


def on_cost(groups: list[TrainedGroup]) -> list[str]:
    """Say what training on a part of the modules saves, and what it does to the error."""
    return [
        f"{part.title}: {_cost_text(full, part)}error {_change_text(part, full)}."
        for routes in (EFFECTIVE_PATHS, STOCHASTIC_DEPTH)
        for full, part in pairs_of(groups, routes)
    ]


def on_recipes(groups: list[TrainedGroup]) -> str:
    """Say by which recipes was trained, beside that of the papers; empty where no setting is known."""
    chosen = {words: [group.chosen(column) for group in groups] for column, words in RECIPE.items()}
    known = {
        words: sorted({value for value in values if value}, key=_as_number)
        for words, values in chosen.items()
    }
    ours = [f"{words} {listed(values, last='or')}" for words, values in known.items() if values]
    return f"Recipes: {'; '.join(ours)}. {_RECIPE_OF_PAPERS}" if ours else ""


def _as_number(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return 0.0, value


def _cost_text(full: TrainedGroup, part: TrainedGroup) -> str:
    operations = [group.rows["training_macs"].mean() for group in (part, full)]
    if not all(value > 0 for value in operations):
        return ""
    share = number(operations[0] / operations[1])
    before = f", beside the training of {part.start} before it" if part.start else ""
    return f"its training took {share} times the multiply-accumulate operations{before}; "


def _change_text(part: TrainedGroup, full: TrainedGroup) -> str:
    difference = difference_of_trainings(part.rows, full.rows, others=full.neighbours)
    assert difference is not None, "every group has an error"
    return f"{points_with_interval(difference.row, digits=2)} against all modules; {difference.how}"


def _network_row(group: TrainedGroup) -> tuple[str, ...]:
    rows, errors = group.rows, group.rows["error_rate"]
    seconds, macs = rows["training_seconds"], rows["training_macs"]
    return (
        group.title,
        "all modules" if group.routes == "all" else group.routes,
        _whole(rows["n_modules"]),
        _whole(rows["n_parameters"]),
        _whole(rows["epochs"]),
        str(len(rows)),
        _mean_text(errors),
        _mean_text(rows["train_error_rate"].dropna()),
        _mean_text(_known(rows, "fit_error_rate")),
        f"{macs.mean() / 1e12:,.0f}" if macs.notna().any() else _UNKNOWN,
        f"{seconds.mean() / 60:.0f}" if seconds.notna().any() else _UNKNOWN,
        "; ".join(map(str, dict.fromkeys(_known(rows, "training_hardware")))) or _UNKNOWN,
    )


def _known(rows: pd.DataFrame, column: str) -> pd.Series:
    """Give the values of a column that an older table may lack."""
    return rows[column].dropna() if column in rows else pd.Series(dtype=object)


def _whole(values: pd.Series) -> str:
    """Write what is the same of all trainings, or their mean, as a whole number."""
    return f"{values.mean():,.0f}" if values.notna().any() else _UNKNOWN


def _mean_text(shares: pd.Series, unknown: str = _UNKNOWN) -> str:
    if shares.empty:
        return unknown
    mean = fine_percent(shares.mean())
    return mean if len(shares) < 2 else mean.replace(" %", f" ± {100 * shares.std(ddof=1):.2f} %")


def _each_text(shares: pd.Series) -> str:
    return listed([f"{100 * share:.2f}" for share in shares])
