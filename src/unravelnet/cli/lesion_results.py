"""What `unravelnet lesion` does with its tables: prints them, and keeps them in a directory."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from unravelnet.cli.output import print_csv, print_json, print_line, print_table
from unravelnet.errors import StoreError

if TYPE_CHECKING:
    from unravelnet.metrics import Metric
    from unravelnet.network import UnraveledNetwork
    from unravelnet.record import Row, Table

_SINGLE = ("delete_each", "remove_skip_each")


class ResultsDirectory:
    """A directory with the layout of a run, to which lesion studies of any networks add their tables.

    Raises StoreError where the directory holds a reproduction, whose tables belong to its own settings.
    """

    def __init__(self, directory: Path, net: UnraveledNetwork, specification: str, n_classes: int) -> None:
        from unravelnet.provenance import collect, read_run, write_run
        from unravelnet.reproduce.directory import describe_network, read_networks, write_networks

        if (directory / "run.json").exists() and "lesion" not in read_run(directory):
            raise StoreError(
                f"{directory} holds a run of another kind. Give the lesion study a directory of its own."
            )
        self.directory = directory
        fingerprint = net.fingerprint()
        entries = {str(entry.get("name")): entry for entry in read_networks(directory)}
        self.name = _free_name(specification, fingerprint, entries)
        has_skips = any(module.skip is not None for module in net.residual_modules)
        entries[self.name] = describe_network(
            net,
            name=self.name,
            title=net.name,
            role="resnet" if has_skips else "vgg",
            n_classes=n_classes,
            fingerprint=fingerprint,
        )
        write_run(directory, collect(["unravelnet", *sys.argv[1:]], lesion=specification))
        write_networks(directory, list(entries.values()))

    def save(self, table: Table, study: str) -> None:
        """Save the table of a study."""
        from unravelnet.reproduce.directory import table_path

        table.save(table_path(self.directory, self.name, study))


def _free_name(specification: str, fingerprint: str, entries: Mapping[str, Mapping[str, object]]) -> str:
    """Name a network after its specification; another network of that name keeps its own."""
    path = Path(specification)
    text = path.resolve().name if path.is_dir() else specification
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "network"
    number, candidate = 1, name
    while candidate in entries and entries[candidate].get("fingerprint") != fingerprint:
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def show(tables: Mapping[str, Table], net: UnraveledNetwork, metrics: Sequence[Metric], form: str) -> None:
    """Print the tables of all studies as "json", "csv" or "table"."""
    from unravelnet.record import Table

    if form == "json":
        rows = {study: list(table) for study, table in tables.items()}
        print_json({"network": net.name, "n_modules": len(net.residual_modules), "studies": rows})
    elif form == "csv":
        print_csv(Table([row for table in tables.values() for row in table]))
    else:
        for study, table in tables.items():
            if len(table):
                _print_study(study, table, net, metrics)


def _print_study(study: str, table: Table, net: UnraveledNetwork, metrics: Sequence[Metric]) -> None:
    numbers = sorted({int(str(row["n_images"])) for row in table})
    n_images = f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"
    confidence = float(str(table[0]["confidence"]))
    heading = f"{study} of {net.name} on {table[0]['data_name']}: n = {n_images} images"
    if study in _SINGLE:
        heading += f", in brackets {confidence:.0%} intervals"
        columns = ["module", "name", *(title for metric in metrics for title, _, _ in _quantities(metric))]
        print_table(heading, columns, [_single_row(row, net, metrics) for row in table])
    else:
        columns = ["lesion", "draws", "kendall_tau", *(f"{m.name}, median (extremes)" for m in metrics)]
        print_table(heading, columns, _random_rows(table, metrics))
    print_line()


def _single_row(row: Row, net: UnraveledNetwork, metrics: Sequence[Metric]) -> list[str]:
    module = row["module"]
    cells = ["intact", ""] if module is None else [str(module), net.residual_modules[int(module)].name]
    for metric in metrics:
        for _, name, sign in _quantities(metric):
            value, low, high = (
                _number(row[column], metric, sign) for column in (name, f"{name}_low", f"{name}_high")
            )
            cells.append(f"{value} [{low}, {high}]")
    return cells


def _quantities(metric: Metric) -> list[tuple[str, str, str]]:
    """List title, column and sign of what is shown of a metric; one against the intact network is a change itself."""
    own = (metric.name, metric.name, "")
    return [own] if metric.needs_intact else [own, ("change", f"{metric.name}_difference", "+")]


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
