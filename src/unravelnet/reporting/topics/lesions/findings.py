"""What deleting single modules does, in sentences computed from the tables."""

from __future__ import annotations

import pandas as pd

from unravelnet.readers.rows import chance_error, measured
from unravelnet.records.record import Table
from unravelnet.reporting.contents import StudiedNetwork
from unravelnet.reporting.words.sentences import listed, percent_with_interval, points, points_with_interval
from unravelnet.wording import counted, percent

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
