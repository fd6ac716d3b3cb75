"""Which modules matter and which score knows, in sentences computed from the tables."""

from __future__ import annotations

from unravelnet import columns
from unravelnet.readers.importance import EFFECTS, comparisons
from unravelnet.readers.rows import ordered, unit_of, with_interval
from unravelnet.records.record import Table
from unravelnet.reporting.contents import StudiedNetwork
from unravelnet.reporting.words.sentences import listed, number, number_with_interval, points_with_interval
from unravelnet.wording import counted


def on_importance(network: StudiedNetwork, table: Table) -> list[str]:
    """Say which modules matter most and least, how each score orders the modules, and what was decided."""
    return [*on_extremes(network, table), *_on_order(network, table), *_on_decisions(network, table)]


def on_extremes(network: StudiedNetwork, table: Table) -> list[str]:
    """Say without which module the network loses most, and without which least."""
    effect = next((name for name in EFFECTS if name in table.columns), None)
    if effect is None:
        return []
    rows = ordered(table, by="module", needs=[effect])
    values = with_interval(rows, effect).assign(module=rows["module"]).sort_values("value", kind="stable")
    write = points_with_interval if columns.find(effect).is_share else number_with_interval  # type: ignore[union-attr]
    unit = "" if write is points_with_interval else " nats"
    least, most = (
        f"module {int(row['module'])} ({write(row)}{unit})" for _, row in values.iloc[[0, -1]].iterrows()
    )
    what = "error" if effect == "deletion_error_rate" else "loss"
    return [f"{network.title}: the {what} rises most without {most}, and least without {least}."]


def _on_order(network: StudiedNetwork, table: Table) -> list[str]:
    found = comparisons(table)
    told = [f"{columns.title(one.score)} {number(round(one.spearman, 2))}" for one in found]
    return [
        f"{network.title}: rank correlation of Spearman with the {columns.title(found[0].truth)[0].lower()}"
        f"{columns.title(found[0].truth)[1:]} over {counted(len(found[0].rows), 'module')}: {listed(told)}."
    ]


def _on_decisions(network: StudiedNetwork, table: Table) -> list[str]:
    if "decision" not in table.columns:
        return []
    decisions = [row["decision"] for row in table if row["decision"] is not None]
    told = [f"{decisions.count(name)} {name}" for name in ("above", "below", "open")]
    unit = unit_of([table.to_pandas()])
    n_exact, n_all = sum(table["n_exact"]), len(decisions) * max(table["n_images"])
    return [
        f"{network.title}: with the threshold {number(table[0]['threshold'])}, {listed(told)}; this took "
        f"{n_exact / n_all:.0%} of the {unit} that all deletions on all {unit} would have taken.".replace(
            "%", " %"
        )
    ]
