"""Which of the things in a checkpoint are the weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from unravelnet.errors import CheckpointError
from unravelnet.models.checkpoint_file import CONVERSION, EXPECTED

_log = logging.getLogger("unravelnet.models")
# Where trainers put the weights in what they save.
_USUAL_KEYS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "weights",
)
_N_SHOWN = 12

Table = Mapping[str, object]


def choose_table(content: object, path: Path, key: str | None = None) -> Table:
    """Choose the table of tensors by name in what a file holds.

    >>> import torch
    >>> content = {"student": {"a": torch.zeros(1)}, "teacher": {"a": torch.ones(1)}, "epoch": 3}
    >>> choose_table(content, Path("both.pt"), "teacher")
    {'a': tensor([1.])}

    `key`: of one table, or what stands in front of the names that are wanted, such as "teacher" for "teacher.fc.bias".
    Raises CheckpointError, with what there is, where there is none, or several and none is chosen.
    """
    tables = _tables(content)
    if not tables:
        raise CheckpointError(
            f"{path} holds no tensors by name, but {_described(content)}. {EXPECTED} {CONVERSION}"
        )
    if key is not None:
        return _named(tables, key, path, content)
    usual = [name for name in tables if name and set(name.split(".")) <= set(_USUAL_KEYS)]
    candidates = usual or ([""] if "" in tables else list(tables))
    if len(candidates) > 1:
        raise CheckpointError(
            f"{path} holds {_described(content)}. Name the weights that are wanted: --weights-key "
            f"{' or '.join(candidates[:_N_SHOWN])}."
        )
    chosen = candidates[0]
    others = [name for name in tables if name != chosen]
    if chosen and others:
        _log.info(
            "%s holds weights under %s; those under %s are taken. --weights-key names others.",
            path.name,
            ", ".join(tables),
            chosen,
        )
    return tables[chosen]


def _named(tables: Mapping[str, Table], key: str, path: Path, content: object) -> Table:
    if key in tables:
        return tables[key]
    start = f"{key}."
    for table in tables.values():
        part = {name.removeprefix(start): value for name, value in table.items() if name.startswith(start)}
        if part:
            return part
    raise CheckpointError(f"{path} holds no weights under {key!r}, but {_described(content)}.")


def _tables(content: object) -> dict[str, Table]:
    """Find every mapping with tensors by name, with the keys that lead to it joined by dots."""
    found: dict[str, Table] = {}
    waiting, seen = [("", content)], {id(content)}
    while waiting:
        name, value = waiting.pop(0)
        if not isinstance(value, Mapping):
            continue
        entries = {key: entry for key, entry in value.items() if isinstance(key, str)}
        if any(isinstance(entry, Tensor) for entry in entries.values()):
            found[name] = entries
        for key, entry in entries.items():
            if id(entry) not in seen:  # what is saved may hold itself
                seen.add(id(entry))
                waiting.append((f"{name}.{key}" if name else key, entry))
    return found


def _described(content: object) -> str:
    """Say what a file holds: its keys, or the kind of its one value."""
    if hasattr(content, "_modules"):
        return "a whole model that was pickled"
    if not isinstance(content, Mapping) or not content:
        return f"an object of type {type(content).__name__}"
    keys = [str(key)[:40] for key in content]
    more = f" and {len(keys) - _N_SHOWN} more" if len(keys) > _N_SHOWN else ""
    return f"the keys {', '.join(keys[:_N_SHOWN])}{more}"
