"""What `unravelnet heal` prints and keeps of its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unravelnet.cli.output import heading, plain_values, print_json, print_line, print_table
from unravelnet.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unravelnet.data import Loaded
    from unravelnet.network import UnraveledNetwork
    from unravelnet.pruning.healing import Healed
    from unravelnet.records.record import Row, Table

_SHOWN = {"error_rate": ".1%", "error_rate_difference": "+.1%", "loss": ".3f", "loss_difference": "+.3f"}


def facts_of(
    net: UnraveledNetwork, healed: Healed, table: Table, training: Loaded, *, distilled: bool
) -> dict[str, Any]:
    """Say what was healed, on what, and what came of it, as plain values."""
    facts: dict[str, Any] = plain_values(
        {
            "network": net.name,
            "fingerprint": net.fingerprint(),
            "route": str(healed.route),
            "trained_on": {"data": training.name, "n_images": len(training)},
            "distilled": distilled,
            "history": list(healed.history),
            "before_and_after": list(table),
        }
    )
    return facts


def show(facts: dict[str, Any], unit: str, search: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a result as JSON or as a table. `unit`: what was tested on; `search`: the receipt of the pruning."""
    if as_json:
        print_json(facts)
        return
    rows, trained_on = facts["before_and_after"], facts["trained_on"]
    about = (
        f"{facts['network']} on route {facts['route']}, trained for {counted(len(facts['history']), 'epoch')} on "
        f"{trained_on['data']}. It was tested on {rows[0]['n_images']:,} other {unit} of {rows[0]['data_name']}; "
        f"{rows[0]['confidence']:.0%} intervals in brackets"
    )
    print_table(about, [heading(name) for name in ("label", *_SHOWN)], [_cells(row) for row in rows])
    print_line()
    if search.get("selection_data") == rows[0]["data_name"]:
        print_line(
            f"The modules to delete were chosen on {search['n_selection_images']:,} {unit} of {rows[0]['data_name']}. "
            "So the pruned network may do better here than on others."
        )
    print_line(f"It is saved in {facts['out']}. Load it by {facts['loading']}.")


def _cells(row: Row) -> list[str]:
    cells = [str(row["label"])]
    for name, form in _SHOWN.items():
        value, low, high = (float(str(row[f"{name}{end}"])) for end in ("", "_low", "_high"))
        cells.append(f"{value:{form}} [{low:{form}}, {high:{form}}]")
    return cells
