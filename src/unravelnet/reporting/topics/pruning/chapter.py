"""The chapter about which modules can go."""

from __future__ import annotations

from functools import partial

from unravelnet import columns, figures
from unravelnet.readers.rows import unit_of
from unravelnet.records.record import Row
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.topics.chapter import Chapter, ShownTable
from unravelnet.reporting.topics.pruning.findings import beside_random, on_overlap, on_pruning
from unravelnet.wording import percent

STEPS, CURVE, OVERLAP = "pruning", "pruning_curve", "pruning_overlap"
_SHARES = ("error_rate", "macs_left", "parameters_left")


def pruning(run: Run) -> Chapter:
    """Write the chapter about which modules can go."""
    chapter = Chapter(
        "pruning",
        "Which modules can go",
        "Which modules can be deleted, and what does the network lose without them?",
    )
    for network in run.with_table(STEPS):
        table = network.tables[STEPS]
        chapter.find(on_pruning, network, table)
        chapter.tables.append(_steps(network))
        if OVERLAP in network.tables:
            chapter.find(on_overlap, network, network.tables[OVERLAP])
        if CURVE in network.tables and "error_rate" in network.tables[CURVE].columns:
            curve = network.tables[CURVE]
            chapter.find(beside_random, network, curve)
            chapter.show(
                f"pruning_{network.name}",
                partial(figures.figure_pruning, curve, title=f"What pruning costs: {network.title}"),
                curve,
                caption=f"{network.title}: error over the multiply-accumulate operations that are left.",
                alt="Lines of the error over the share of operations that is left, one for each strategy; the numbers "
                "are in the data.",
            )
    unit = unit_of(network.tables[STEPS].to_pandas() for network in run.with_table(STEPS))
    chapter.how += [
        f"Modules were chosen on one part of the {unit}. Errors and intervals are those on the other part, which the "
        "search never saw.",
        "unravelnet export MODEL --route ROUTE --out DIR writes the network without the deleted modules. unravelnet "
        "heal trains it before it writes it. The directory of this report can stand for ROUTE.",
    ]
    return chapter


def _steps(network: StudiedNetwork) -> ShownTable:
    names = ("label", "estimate", "selection_difference", *_SHARES)
    table = network.tables[STEPS]
    shown = [name for name in names if name in table.columns]
    header = tuple(columns.title(name) for name in shown)
    rows = tuple(tuple(_cell(row, name) for name in shown) for row in table)
    return ShownTable(f"The steps of the search in {network.title}.", header, rows)


def _cell(row: Row, name: str) -> str:
    value = row[name]
    if value is None or value != value:
        return ""
    if name == "label":
        return f"{value}, the result" if row["is_chosen"] else str(value)
    return percent(float(str(value))) if name in _SHARES else f"{float(str(value)):.4g}"
