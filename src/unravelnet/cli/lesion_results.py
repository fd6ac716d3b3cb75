"""What `unravelnet lesion` prints of its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

from unravelnet.cli.output import heading, print_csv, print_json, print_line, print_table

if TYPE_CHECKING:
    from unravelnet.measuring.metrics import Metric
    from unravelnet.network import UnraveledNetwork
    from unravelnet.records.record import Row, Table

_SINGLE = ("delete_each", "remove_skip_each")


def show(
    tables: Mapping[str, Table],
    net: UnraveledNetwork,
    metrics: Sequence[Metric],
    form: str,
    unit: str = "images",
) -> None:
    """Print the tables of all studies as "json", "csv" or "table". `unit`: what was measured on."""
    from unravelnet.records.record import Table

    if form == "json":
        rows = {study: list(table) for study, table in tables.items()}
        print_json({"network": net.name, "n_modules": len(net.residual_modules), "studies": rows})
    elif form == "csv":
        print_csv(Table([row for table in tables.values() for row in table]))
    else:
        for study, table in tables.items():
            if len(table):
                _print_study(study, table, net, metrics, unit)


def _print_study(
    study: str, table: Table, net: UnraveledNetwork, metrics: Sequence[Metric], unit: str
) -> None:
    numbers = sorted({int(str(row["n_images"])) for row in table})
    n_images = f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"
    confidence = float(str(table[0]["confidence"]))
    about = f"{study} of {net.name} on {table[0]['data_name']}: n = {n_images} {unit}"
    if len(net.outputs) > 1:
        about += f", output {table[0]['output']}"
    if study in _SINGLE:
        about += f", with {confidence:.0%} intervals in brackets"
        quantities = [name for metric in metrics for name, _ in _quantities(metric)]
        headings = [heading(name) for name in ("module", "name", *quantities)]
        print_table(about, headings, [_single_row(row, net, metrics) for row in table])
    else:
        medians = [f"{heading(metric.name)}, median (extremes)" for metric in metrics]
        headings = [*map(heading, ("label", "n_draws", "kendall_tau")), *medians]
        print_table(about, headings, _random_rows(table, metrics))
    print_line()


def _single_row(row: Row, net: UnraveledNetwork, metrics: Sequence[Metric]) -> list[str]:
    module = row["module"]
    cells = ["intact", ""] if module is None else [str(module), net.residual_modules[int(module)].name]
    for metric in metrics:
        for name, sign in _quantities(metric):
            value, low, high = (
                _number(row[column], metric, sign) for column in (name, f"{name}_low", f"{name}_high")
            )
            cells.append(f"{value} [{low}, {high}]")
    return cells


def _quantities(metric: Metric) -> list[tuple[str, str]]:
    """List column and sign of what is shown of a metric; one against the intact network is a change itself."""
    own = (metric.name, "")
    return [own] if metric.needs_intact else [own, (f"{metric.name}_difference", "+")]


def _random_rows(table: Table, metrics: Sequence[Metric]) -> list[list[str]]:
    groups: dict[str, list[Row]] = {}
    for row in table:
        groups.setdefault(str(row["label"]).partition(",")[0], []).append(row)
    return [[label, str(len(rows)), _tau(rows), *_medians(rows, metrics)] for label, rows in groups.items()]


def _tau(rows: Sequence[Row]) -> str:
    return f"{sum(float(str(row['kendall_tau'])) for row in rows) / len(rows):.3f}"


def _medians(rows: Sequence[Row], metrics: Sequence[Metric]) -> list[str]:
    cells = []
    for metric in metrics:
        values = [float(str(row[metric.name])) for row in rows]
        middle, low, high = (_number(value, metric) for value in (median(values), min(values), max(values)))
        cells.append(middle if len(values) == 1 else f"{middle} ({low} to {high})")
    return cells


def _number(value: object, metric: Metric, sign: str = "") -> str:
    number = float(str(value))
    return f"{number:{sign}.1%}" if metric.is_rate else f"{number:{sign}.3f}"
