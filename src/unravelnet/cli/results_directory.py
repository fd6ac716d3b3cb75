"""A directory in the layout of a run, to which commands add tables of any networks, and which `report` reads."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unravelnet.errors import StoreError
from unravelnet.files import usable_path

if TYPE_CHECKING:
    from unravelnet.network import UnraveledNetwork
    from unravelnet.record import Table

# The commands that share a directory; each leaves its name in run.json, with the model that it measured.
_COMMANDS = ("lesion", "paths")
# Of the directory of a network's tables, whose specification may be longer than a name may be.
_MOST_CHARACTERS = 80
Command = Literal["lesion", "paths"]


class ResultsDirectory:
    """A directory with the layout of a run, to which studies of any networks add their tables.

    `command`: that measures. `specification`: of the network. Raises StoreError where the directory holds a
    reproduction, whose tables belong to its own settings.
    """

    def __init__(
        self,
        directory: Path,
        net: UnraveledNetwork,
        *,
        command: Command,
        specification: str,
        n_classes: int | None,
    ) -> None:
        from unravelnet.provenance import collect, write_run
        from unravelnet.reproduction.directory import describe_network, read_networks, write_networks

        measured = _measured_before(directory)
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
        write_run(directory, collect(["unravelnet", *sys.argv[1:]], **{**measured, command: specification}))
        write_networks(directory, list(entries.values()))

    def save(self, table: Table, study: str) -> None:
        """Save the table of a study."""
        from unravelnet.reproduction.directory import table_path

        table.save(table_path(self.directory, self.name, study))


def _measured_before(directory: Path) -> dict[str, str]:
    """Say which commands have written to a directory, each with the model it measured last."""
    from unravelnet.provenance import read_run

    if not (directory / "run.json").exists():
        return {}
    facts = read_run(directory)
    measured = {command: str(facts[command]) for command in _COMMANDS if command in facts}
    if not measured:
        raise StoreError(f"{directory} holds a run of another kind. Give --out a directory of its own.")
    return measured


def _free_name(specification: str, fingerprint: str, entries: Mapping[str, Mapping[str, object]]) -> str:
    """Name a network after its specification; another network of that name keeps its own."""
    path = usable_path(specification)
    text = path.resolve().name if path.is_dir() else specification
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:_MOST_CHARACTERS].strip("-.") or "network"
    number, candidate = 1, name
    while candidate in entries and entries[candidate].get("fingerprint") != fingerprint:
        number += 1
        candidate = f"{name}-{number}"
    return candidate
