"""What `unravelnet prune` prints and keeps of its result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from unravelnet.cli.output import heading, plain_values, print_csv, print_json, print_line, print_table
from unravelnet.wording import percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unravelnet.pruning.result import PruningResult
    from unravelnet.records.record import Row, Table

_NUMBERS = ("estimate", "selection_difference")
_OF_OVERLAP = (
    *("first_set", "second_set", "n_deleted", "n_deleted_second", "n_shared"),
    *("jaccard", "jaccard_by_chance", "chance_of_overlap"),
)
_SHARES = ("selection_error_rate", "error_rate", "macs_left", "parameters_left", "latency_left")


def show(found: Mapping[str, PruningResult], shared: Table | None, form: str, out: Path | None) -> None:
    """Print results by calibration set as "json", "csv" or "table": the first one, and what all have in common.

    `shared`: the overlap of what they delete, where there are several.
    """
    result = next(iter(found.values()))
    if form == "json":
        tables = {"steps": list(result.steps), "curve": list(result.curve)}
        print_json({**receipt_of(found), **tables, **({} if shared is None else {"overlap": list(shared)})})
    elif form == "csv":
        print_csv(result.steps)
    else:
        columns = [
            name for name in (*_NUMBERS, *_SHARES) if any(_is_known(row.get(name)) for row in result.steps)
        ]
        headings = [heading(name) for name in ("step", "label", *columns, "is_chosen")]
        about = (
            f"Steps of {result.strategy.name}. The estimate is {result.strategy.estimate}. Error without further words "
            f"is that on {result.steps[0]['n_images']:,} images that were not chosen on"
        )
        about, *headings = (text.replace("images", result.examples) for text in (about, *headings))
        print_table(about, headings, [_cells(row, columns) for row in result.steps])
        print_line()
        for line in str(result).split("\n"):
            print_line(line)
        if shared is not None:
            _print_overlap(found, shared)
        if out is not None:
            print_line(f"Tables, figure and receipt are in {out}.")


def _print_overlap(found: Mapping[str, PruningResult], shared: Table) -> None:
    print_line()
    about = "What the same search deletes on several calibration sets"
    print_table(about, list(map(heading, _OF_OVERLAP)), [_overlap_cells(row) for row in shared])
    print_line()
    for name, result in list(found.items())[1:]:
        print_line(f"route on {name}: {result.route}")


def receipt_of(found: Mapping[str, PruningResult]) -> dict[str, Any]:
    """Say what was pruned, how, and what it cost, as plain values; of further calibration sets the routes."""
    from unravelnet.network.choosing import ChoosingNetwork
    from unravelnet.records.provenance import collect

    result, *_ = found.values()
    row, intact, net = result.chosen, result.steps[0], result.net
    kept = ("n_deleted", "n_modules", "macs_left", "parameters_left", "latency_left", "selected_by")
    measured = [name for name in ("error_rate", "loss", str(row["selected_by"])) if name in row]
    receipt = {
        "network": row["network_name"],
        "fingerprint": (net.language_model if isinstance(net, ChoosingNetwork) else net).fingerprint(),
        "route": str(result.route),
        "strategy": result.strategy.name,
        "budget": str(result.budget),
        "shortfall": result.shortfall,
        **{name: row[name] for name in kept},
        "data": row["data_name"],
        "selection_data": result.selection_name,
        "n_selection_images": row["n_selection_images"],
        "n_images": row["n_images"],
        "before": {name: intact[name] for name in measured},
        "after": {name: row[name] for name in measured},
        "passes_of_the_search": result.spent.n_passes,
        "compare_data": {name: str(other.route) for name, other in list(found.items())[1:]},
        "run": collect(),
    }
    plain: dict[str, Any] = plain_values(receipt)
    return plain


def _cells(row: Row, columns: list[str]) -> list[str]:
    cells = [str(row["step"]), str(row["label"])]
    for name in columns:
        value = row[name]
        if not _is_known(value):
            cells.append("")
        elif name in _SHARES:
            cells.append(percent(float(str(value))))
        else:
            cells.append(f"{float(str(value)):.4g}")
    return [*cells, "the result" if row["is_chosen"] else ""]


def _overlap_cells(row: Row) -> list[str]:
    *counts, jaccard, by_chance, chance = (row[name] for name in _OF_OVERLAP)
    return [*map(str, counts), f"{jaccard:.2f}", f"{by_chance:.2f}", percent(float(str(chance)))]


def _is_known(value: object) -> bool:
    return value is not None and value == value
