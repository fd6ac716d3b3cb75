"""The directory of a run, in the layout that `report` reads: networks.json and one table a study.

Every entry of networks.json has the keys of `reporting.contents.StudiedNetwork`, and the fingerprint of the network
where it is known.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unravelnet.errors import StoreError
from unravelnet.network import Kind, UnraveledNetwork
from unravelnet.records.files import usable_path
from unravelnet.records.record import read_json, whole_file

NETWORKS_FILE = "networks.json"
_WORDS_OF_KIND: dict[Kind, str] = {
    "identity": "identity skips",
    "projection": "projecting skips",
    "plain": "without a skip",
}


def default_directory(data: str, *, quick: bool = False) -> Path:
    """Say where a reproduction goes that was given no directory: into one with the name of its data.

    >>> default_directory("path/to/cifar10", quick=True)
    PosixPath('runs/cifar10-quick')
    """
    path = usable_path(data)
    # Of ".." and "." only the resolved path has a name.
    name = path.name if path.name not in ("", "..") else path.resolve().name
    return Path("runs") / f"{name or 'data'}{'-quick' if quick else ''}"


def table_path(directory: Path, network: str, study: str) -> Path:
    """Say where the table of a study is."""
    return directory / "tables" / network / f"{study}.csv"


def trained_networks_path(directory: Path) -> Path:
    """Say where the table of all shipped networks is."""
    return directory / "tables" / "trained_networks.csv"


def whole_trainings_path(directory: Path) -> Path:
    """Say where the table of whole trainings of several lengths is."""
    return directory / "tables" / "whole_trainings.csv"


def describe_network(
    net: UnraveledNetwork, *, name: str, title: str, role: str, n_classes: int | None, **facts: Any
) -> dict[str, Any]:
    """Make the entry of a network in networks.json; `facts` are further JSON values."""
    return {
        "name": name,
        "title": title,
        "role": role,
        "n_modules": len(net.residual_modules),
        "n_parameters": sum(parameter.numel() for parameter in net.parameters()),
        "downsampling": net.downsampling,
        "stages": net.stages,
        "n_classes": n_classes,
        "structure": _structure(net),
        **facts,
    }


def _structure(net: UnraveledNetwork) -> str:
    """Count the kinds of skips, and say what normalises."""
    kinds = Counter(module.kind for module in net.residual_modules)
    skips = [f"{number} {_WORDS_OF_KIND[kind]}" for kind, number in kinds.items()]
    normalisations = {type(layer).__name__ for layer in net.modules() if "Norm" in type(layer).__name__}
    return "; ".join([", ".join(skips), ", ".join(sorted(normalisations)) or "no normalisation"])


def write_networks(directory: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Write networks.json, whole or not at all. Raises StoreError where that fails."""
    with whole_file(directory / NETWORKS_FILE) as temporary:
        temporary.write_text(json.dumps(list(entries), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_networks(directory: Path) -> list[dict[str, Any]]:
    """Read the entries of networks.json; none where there is no such file. Raises StoreError for a damaged one."""
    path = directory / NETWORKS_FILE
    try:
        entries = read_json(path)
    except FileNotFoundError:
        return []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise StoreError(f"{path} does not list networks. Move it away, or give another directory.")
    return entries
