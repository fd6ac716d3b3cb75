"""What `unravelnet lesion` prints of its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

from unravelnet.cli.output import heading, print_csv, print_json, print_line, print_table
from unravelnet.registry import STUDIES

if TYPE_CHECKING:
    from unravelnet.measuring.metrics import Metric
    from unravelnet.network import UnraveledNetwork
    from unravelnet.records.record import Row, Table

# Of a study with more trials than this, and than modules, the first ones are printed.
_MANY_ROWS = 100


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
    if not STUDIES.find(study).is_drawn:
        about += f", with {confidence:.0%} intervals in brackets"
        _print_trials(about, study, table, net, metrics)
    else:
        medians = [f"{heading(metric.name)}, median (extremes)" for metric in metrics]
        headings = [*map(heading, ("label", "n_draws", "kendall_tau")), *medians]
        print_table(about, headings, _random_rows(table, metrics))
    print_line()


def _print_trials(
    about: str, study: str, table: Table, net: UnraveledNetwork, metrics: Sequence[Metric]
) -> None:
    """Print one row a trial; of very many, those with the largest values of the first metric."""
    # A block is named by its label, since its modules are several.
    of_modules = all(row.get("unit") != "block" for row in table)
    places = (STUDIES.find(study).columns if of_modules else ()) or ("label",)
    named = ["name"] if "module" in places else []
    quantities = [name for metric in metrics for name, _ in _quantities(metric)]
    headings = [heading(name) for name in (*places, *named, *quantities)]
    rows, most = list(table), max(_MANY_ROWS, len(net.residual_modules))
    if len(rows) > most + 1:
        rows = [rows[0], *table[1:].sort(metrics[0].name, descending=True)[:most]]
        about += f"; the {most} trials of {len(table) - 1:,} with the largest value of {metrics[0].name}"
    print_table(about, headings, [_trial_row(row, places, net, metrics) for row in rows])


def _trial_row(
    row: Row, places: Sequence[str], net: UnraveledNetwork, metrics: Sequence[Metric]
) -> list[str]:
    cells = ["" if row.get(place) is None else str(row[place]) for place in places]
    if row["label"] == "intact":
        cells[0] = "intact"
    if "module" in places:
        module = row["module"]
        cells.append("" if module is None else net.residual_modules[int(module)].name)
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
