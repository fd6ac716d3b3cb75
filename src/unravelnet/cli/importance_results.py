"""What `unravelnet importance` prints: scores of modules, and how each orders them beside the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unravelnet import columns
from unravelnet.cli.output import heading, print_csv, print_json, print_line, print_table
from unravelnet.registry import SCORES

if TYPE_CHECKING:
    from unravelnet.network import UnraveledNetwork
    from unravelnet.pruning.importance import Importance
    from unravelnet.records.record import Row, Table

_OF_CORRELATIONS = ("score", "truth", "spearman", "kendall", "passes", "truth_passes")
_OF_ESTIMATES = ("n_exact", "decision")


def show(table: Importance, net: UnraveledNetwork, unit: str, form: str) -> None:
    """Print scores and correlations as "json", "csv" (scores only) or "table"."""
    if form == "json":
        print_json(
            {
                "network": net.name,
                "n_modules": len(net.residual_modules),
                "modules": list(table),
                "correlations": list(table.correlations),
            }
        )
    elif form == "csv":
        print_csv(table)
    else:
        _print_scores(table, unit)
        if len(table.correlations):
            print_line()
            _print_correlations(table.correlations, unit)


def _print_scores(table: Table, unit: str) -> None:
    row = table[0]
    scores = [name for name in table.columns if name in SCORES.names()]
    shown = ["module", "name", "kind", *scores, *(name for name in _OF_ESTIMATES if name in table.columns)]
    about = (
        f"importance of the modules of {row['network_name']} on {row['data_name']}: n = {row['n_images']:,} {unit}; "
        f"the loss is the {row['loss_name']}"
    )
    print_table(about, list(map(heading, shown)), [[_cell(row, name) for name in shown] for row in table])


def _print_correlations(table: Table, unit: str) -> None:
    about = (
        f"rank correlation of each score with the effect of a deletion; {table[0]['confidence']:.0%} intervals of a "
        f"bootstrap over {unit} in brackets, costs in forward passes"
    )
    cells = [
        [
            columns.title(row[name]) if name in ("score", "truth") else _cell(row, name)
            for name in _OF_CORRELATIONS
        ]
        for row in table
    ]
    print_table(about, list(map(heading, _OF_CORRELATIONS)), cells)


def _cell(row: Row, name: str) -> str:
    value: Any = row[name]
    if value is None:
        return "-"
    if isinstance(value, str | int):
        return f"{value:,}" if isinstance(value, int) else value
    column = columns.find(name)
    write = "{:.1%}".format if column is not None and column.is_share else "{:.3g}".format
    is_bounded = name in ("spearman", "kendall") and row.get(f"{name}_low") is not None
    if not is_bounded:
        return write(value)
    return f"{write(value)} [{write(row[f'{name}_low'])}, {write(row[f'{name}_high'])}]"
