"""Findings: sentences computed from tables. None is written before the numbers are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from unravelnet.escaping import shortened
from unravelnet.figures.rows import Measured, chance_error, interval_text, measured, n_images_text
from unravelnet.reporting.sentences import (
    listed,
    percent,
    percent_with_interval,
    points,
    points_with_interval,
)
from unravelnet.wording import counted

if TYPE_CHECKING:
    from unravelnet.records.record import Table
    from unravelnet.reporting.contents import StudiedNetwork

_DIFFERENCE = "error_rate_difference"


def on_residual_deletions(network: StudiedNetwork, table: Table) -> list[str]:
    """Say what deleting each module of a residual network does, at and between down-sampling modules."""
    changes = measured(table, metric=_DIFFERENCE, needs=["module"]).lesions
    errors = measured(table, needs=["module"]).lesions
    if changes.empty:
        return []
    worst = changes.loc[changes["value"].idxmax()]
    kind = ", a down-sampling module" if worst["module"] in network.downsampling else ""
    error = errors.loc[errors["module"] == worst["module"]].iloc[0]
    sentences = [
        f"{network.title}: deleting one module changes the error by {points(changes['value'].median())} "
        f"points in the median of {counted(len(changes), 'module')}, and by at most "
        f"{points_with_interval(worst)}, at module {int(worst['module'])}{kind}; the error is then "
        f"{percent_with_interval(error)}."
    ]
    return [*sentences, *_on_downsampling(network, changes), _on_no_change(changes)]


def on_plain_deletions(network: StudiedNetwork, table: Table) -> list[str]:
    """Say what deleting each layer of a plain network does."""
    study = measured(table, needs=["module"])
    errors = study.lesions
    if errors.empty:
        return []
    chance = chance_error(network.n_classes)
    sentences = [
        f"{network.title}: after deleting one of its layers the error is {percent(errors['value'].min())} to "
        f"{percent(errors['value'].max())}, {percent(errors['value'].median())} in the median"
        + (f"; guessing errs in {percent(chance)}" if chance is not None else "")
        + (
            f", the intact network in {percent_with_interval(study.intact)}."
            if study.intact is not None
            else "."
        )
    ]
    left_out = network.n_modules - len(errors)
    if left_out > 0:
        sentences.append(
            f"{left_out} of its {counted(network.n_modules, 'layer')} cannot be deleted, since the next one would not "
            "fit."
        )
    return sentences


def on_stochastic_depth(
    network: StudiedNetwork, table: Table, base: StudiedNetwork, base_table: Table
) -> list[str]:
    """Compare the deletions of a network trained with stochastic depth with those of one trained without."""
    changes, base_changes = (
        measured(part, metric=_DIFFERENCE, needs=["module"]).lesions for part in (table, base_table)
    )
    if changes.empty or base_changes.empty:
        return []
    sentences = [
        f"In the median, deleting one module changes the error by {points(changes['value'].median())} points "
        f"with stochastic depth and by {points(base_changes['value'].median())} without; at most by "
        f"{points(changes['value'].max())} and {points(base_changes['value'].max())}."
    ]
    for module in network.downsampling:
        both = [part[part["module"] == module] for part in (changes, base_changes)]
        if not both[0].empty and not both[1].empty:
            with_it, without = (points_with_interval(part.iloc[0]) for part in both)
            sentences.append(
                f"Down-sampling module {module}: {with_it} with stochastic depth, {without} without."
            )
    return sentences


def on_many_deletions(network: StudiedNetwork, table: Table) -> list[str]:
    """Say what the median draw loses for some numbers of deleted modules, and when half is lost."""
    study = measured(table, needs=["n_deleted"])
    groups = {int(count): rows["value"] for count, rows in study.lesions.groupby("n_deleted")}
    if not groups:
        return []
    counts = list(groups)
    shown = sorted({counts[0], counts[len(counts) // 2], counts[-1]})
    parts = [
        f"{count} deleted: {percent(groups[count].median())} ({percent(groups[count].min())} to "
        f"{percent(groups[count].max())} over {counted(len(groups[count]), 'draw')})"
        for count in shown
    ]
    intact = f"; intact: {percent_with_interval(study.intact)}" if study.intact is not None else ""
    return [
        f"{network.title}, median error: {'; '.join(parts)}{intact}.",
        *_on_half_lost(network, study, groups),
    ]


def on_orders(network: StudiedNetwork, table: Table) -> list[str]:
    """Say what the orders nearest to the original cost, and those farthest from it."""
    study = measured(table, needs=["kendall_tau"])
    orders = study.lesions.sort_values("kendall_tau", ascending=False, kind="stable")
    if orders.empty:
        return []
    tenth = max(1, len(orders) // 10)
    near, far = _on_group(orders.iloc[:tenth]), _on_group(orders.iloc[-tenth:])
    intact = f"; intact: {percent_with_interval(study.intact)}" if study.intact is not None else ""
    return [
        f"{network.title}: of {counted(len(orders), 'random order')}, the {tenth} nearest to the original "
        f"({near[0]}) have a median error of {near[1]}, the {tenth} farthest ({far[0]}) of {far[1]}{intact}."
    ]


def on_removed_skips(network: StudiedNetwork, skips: Table, branches: Table) -> list[str]:
    """Compare removing each skip with deleting each branch of the same modules."""
    changes = [measured(part, metric=_DIFFERENCE, needs=["module"]).lesions for part in (skips, branches)]
    pairs = changes[0].merge(changes[1], on="module", suffixes=("_skip", "_branch"))
    if pairs.empty:
        return []
    more, less = pairs["low_skip"] > pairs["high_branch"], pairs["high_skip"] < pairs["low_branch"]
    worst = pairs.loc[pairs["value_skip"].idxmax()]
    return [
        f"{network.title}: removing the skip of a module changes the error by "
        f"{points(pairs['value_skip'].median())} points in the median of {counted(len(pairs), 'module')} and "
        f"by at most {points(worst['value_skip'])} (module {int(worst['module'])}); deleting its branch by "
        f"{points(pairs['value_branch'].median())} in the median and at most "
        f"{points(pairs['value_branch'].max())}.",
        f"At {more.sum()} of {counted(len(pairs), 'module')} the skip surely costs more than the branch, at "
        f"{less.sum()} surely less; either leaves half of the paths.",
    ]


def on_sample(table: Table) -> str:
    """Say what was measured: n, data, precision, intervals, seeds, and what is not complete."""
    study = measured(table)
    rows = study.rows
    parts = [n_images_text(rows)]
    for column, words in (("data_name", "of {}"), ("precision", "in {}")):
        known = _distinct(rows, column)
        parts += [words.format(listed(known))] if known else []
    parts.append(f"; {interval_text(rows)}")
    seeds = _distinct(rows, "seed")
    parts += [f"; seed {listed(seeds)}"] if seeds else []
    text = " ".join(parts).replace(" ;", ";")
    return f"{text}.{_on_trouble(rows)}"


def _on_trouble(rows: pd.DataFrame) -> str:
    partial = int((~rows["complete"].astype(bool)).sum()) if "complete" in rows else 0
    broken = int((rows["n_not_finite"] > 0).sum())
    text = f" {partial} of {counted(len(rows), 'row')} saw only a part of the images." if partial else ""
    if broken:
        text += f" In {counted(broken, 'row')} some outputs were not finite numbers."
    return text


def _on_downsampling(network: StudiedNetwork, changes: pd.DataFrame) -> list[str]:
    """Set the down-sampling modules apart: what is largest without them, or how small they are."""
    is_down = changes["module"].isin(network.downsampling)
    peaks, others = changes[is_down], changes[~is_down]
    if peaks.empty or others.empty:
        return []
    worst = others.loc[others["value"].idxmax()]
    if peaks["value"].max() > worst["value"]:
        modules = listed([int(module) for module in peaks["module"]])
        return [
            f"Without the down-sampling modules ({modules}) it changes by at most {points_with_interval(worst)}, "
            f"at module {int(worst['module'])}."
        ]
    parts = [f"{points_with_interval(row)} at module {int(row['module'])}" for _, row in peaks.iterrows()]
    return [f"Deleting a down-sampling module changes it by {listed(parts)}."]


def _on_no_change(changes: pd.DataFrame) -> str:
    unclear = (changes["low"] <= 0) & (changes["high"] >= 0)
    return f"At {unclear.sum()} of {counted(len(changes), 'module')} the interval of the change includes 0."


def _on_half_lost(network: StudiedNetwork, study: Measured, groups: dict[int, pd.Series]) -> list[str]:
    chance = chance_error(network.n_classes)
    if chance is None or study.intact is None or study.intact["value"] >= chance:
        return []
    half = (chance + float(study.intact["value"])) / 2
    first = next((count for count, values in groups.items() if values.median() > half), None)
    if first is None:
        return [f"Up to {max(groups)} deleted, the median draw keeps more than half of what was learnt."]
    return [f"The median draw has lost more than half of what was learnt from {first} deleted modules on."]


def _on_group(orders: pd.DataFrame) -> tuple[str, str]:
    low, high = orders["kendall_tau"].min(), orders["kendall_tau"].max()
    span = f"τ {high:.3f}" if np.isclose(low, high) else f"τ {low:.3f} to {high:.3f}"
    return span, percent(orders["value"].median())


def _distinct(rows: pd.DataFrame, column: str) -> list[str]:
    return (
        list(dict.fromkeys(shortened(str(value)) for value in rows[column].dropna()))
        if column in rows
        else []
    )
