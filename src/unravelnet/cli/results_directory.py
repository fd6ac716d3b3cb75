"""A directory in the layout of a run, to which commands add tables of any networks, and which `report` reads."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unravelnet.errors import StoreError
from unravelnet.records.files import usable_path

if TYPE_CHECKING:
    from unravelnet.network import UnraveledNetwork
    from unravelnet.records.record import Table
    from unravelnet.records.store import ResultsStore

# Of the directory of a network's tables, whose specification may be longer than a name may be.
_MOST_CHARACTERS = 80
Command = Literal["lesion", "paths", "importance", "prune"]


def open_store(directory: Path | None) -> contextlib.AbstractContextManager[ResultsStore | None]:
    """Open the store of a directory of results, where there is one, to go on with what was interrupted."""
    from unravelnet.records.store import ResultsStore

    return contextlib.nullcontext() if directory is None else ResultsStore(directory)


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
        from unravelnet.records.directory_lock import locked

        self.directory = directory
        self._tables: list[Path] = []
        facts: dict[str, str] = {command: specification}
        with locked(directory):
            self.name = self._enter(net, specification, n_classes, facts)

    def _enter(
        self, net: UnraveledNetwork, specification: str, n_classes: int | None, facts: Mapping[str, str]
    ) -> str:
        """Enter the network into the directory beside those that are there, and return its name."""
        from unravelnet.records.provenance import collect, write_run
        from unravelnet.reproduction.directory import describe_network, read_networks, write_networks

        measured = _measured_before(self.directory)
        fingerprint = net.fingerprint()
        entries = {str(entry.get("name")): entry for entry in read_networks(self.directory)}
        name = _free_name(specification, fingerprint, entries)
        has_skips = any(module.skip is not None for module in net.residual_modules)
        entries[name] = describe_network(
            net,
            name=name,
            title=net.name,
            role="resnet" if has_skips else "vgg",
            n_classes=n_classes,
            fingerprint=fingerprint,
        )
        write_run(self.directory, collect(["unravelnet", *sys.argv[1:]], **{**measured, **facts}))
        write_networks(self.directory, list(entries.values()))
        return name

    def save(self, table: Table, study: str) -> None:
        """Save the table of a study. Raises StoreError where something was removed since the command began."""
        from unravelnet.reproduction.directory import NETWORKS_FILE, table_path

        path = table_path(self.directory, self.name, study)
        table.save(path)
        self._tables.append(path)
        for written in (self.directory / "run.json", self.directory / NETWORKS_FILE, *self._tables):
            if not written.exists():
                raise StoreError(f"{written} was removed while the command went on. Run it again.")


def _measured_before(directory: Path) -> dict[str, str]:
    """Say which commands have written to a directory, each with the model it measured last."""
    from unravelnet.records.provenance import read_run
    from unravelnet.reporting.contents import MEASURING

    if not (directory / "run.json").exists():
        return {}
    facts = read_run(directory)
    measured = {command: str(facts[command]) for command in MEASURING if command in facts}
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
