"""The state of a training after a full epoch, on disk.

`checkpoint/checkpoint.json` names the file that holds the tensors, so that replacing the JSON, which is
atomic, is the moment when a new checkpoint counts. A process killed at any time leaves the old one or the new
one.

Beside it, `epochs/0005.safetensors` holds the weights alone after an epoch that was to be kept for good.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from unravelnet.errors import CheckpointError, TrainingError
from unravelnet.zoo.store import read_json, read_weights, write_json, write_weights

DIRECTORY = "checkpoint"
EPOCHS_DIRECTORY = "epochs"
_INDEX = "checkpoint.json"
INDEX_FILE = f"{DIRECTORY}/{_INDEX}"
_FORMAT = 1
# What was not asked of older trainings, and how they were made.
_BEFORE = {"optimiser": "sgd", "start": ""}


@dataclass(frozen=True)
class Checkpoint:
    """What a training has done and what it needs to go on.

    `identity`: what the training is of (settings, network, data), to be compared before going on. `epoch`:
    full epochs done. `history`: one row an epoch. `route_generator`: the state of numpy's generator.
    `tensors`: weights, momentum and the states of torch's generators, by name.
    """

    identity: Mapping[str, Any]
    epoch: int
    history: list[dict[str, Any]]
    route_generator: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names start so, without that start."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


def write(directory: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint into a training's directory and remove the one before.

    Raises CheckpointError where that fails; the one before is intact then.
    """
    place = directory / DIRECTORY
    name = _state_name(checkpoint.epoch)
    write_weights(place / name, checkpoint.tensors)
    content = {
        "format": _FORMAT,
        "state": name,
        "identity": checkpoint.identity,
        "epoch": checkpoint.epoch,
        "history": checkpoint.history,
        "route_generator": checkpoint.route_generator,
    }
    write_json(directory / INDEX_FILE, content)
    remove_others(directory, checkpoint.epoch)


def remove_others(directory: Path, epoch: int) -> None:
    """Remove every checkpoint but that after an epoch, also what a killed process left of one."""
    for old in (directory / DIRECTORY).iterdir():
        if old.name not in (_state_name(epoch), _INDEX):
            with contextlib.suppress(OSError):  # a file too many does no harm
                old.unlink()


def check_same(found: Checkpoint, identity: Mapping[str, Any], directory: str) -> None:
    """Raise TrainingError where a checkpoint is of another training, naming the first difference."""
    stored, own = {**_BEFORE, **found.identity}, json.loads(json.dumps(identity))
    for name, value in own.items():
        if stored.get(name) != value:
            raise TrainingError(
                f"{directory} holds another training, with {name} = {stored.get(name)!r}; {name} = {value!r} was "
                "given. Give another directory, or give the same settings to continue that training."
            )


def read(directory: Path) -> Checkpoint | None:
    """Read the checkpoint in a training's directory; None where there is none.

    Raises CheckpointError where it is damaged.
    """
    path = directory / INDEX_FILE
    if not path.exists():
        return None
    content = read_json(path, missing=f"There is no {path}.")
    try:
        tensors = read_weights(path.parent / str(content["state"]))
        return Checkpoint(
            identity=dict(content["identity"]),
            epoch=int(content["epoch"]),
            history=[dict(row) for row in content["history"]],
            route_generator=dict(content["route_generator"]),
            tensors=tensors,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a checkpoint of a training ({type(error).__name__}: {error}). Restore it, or "
            f"remove {path.parent} to start anew."
        ) from error


def epochs_done(directory: Path) -> int:
    """Read how many epochs the checkpoint in a training's directory has behind it, without its tensors.

    >>> epochs_done(Path("nowhere"))
    0

    The history file may be one epoch behind where a process was killed. Raises CheckpointError where it is damaged.
    """
    path = directory / INDEX_FILE
    if not path.exists():
        return 0
    epoch = read_json(path, missing=f"There is no {path}.").get("epoch")
    if not isinstance(epoch, int):
        raise CheckpointError(
            f"{path} is not a checkpoint of a training. Restore it, or remove {path.parent} to start anew."
        )
    return epoch


def write_epoch(directory: Path, epoch: int, weights: Mapping[str, Tensor]) -> None:
    """Keep the weights after an epoch for good. Raises CheckpointError where that fails."""
    write_weights(_epoch_path(directory, epoch), weights)


def read_epoch(directory: Path, epoch: int) -> dict[str, Tensor]:
    """Read the weights after an epoch. Raises CheckpointError where they were not kept, or are damaged."""
    kept = epochs_kept(directory)
    if epoch not in kept:
        there = f"kept are those after {', '.join(map(str, kept))}" if kept else "none were kept"
        raise CheckpointError(
            f"{directory} has no weights after epoch {epoch}: {there}. Give one of these, or train with "
            f'keep_epochs="{epoch}" in another directory.'
        )
    return read_weights(_epoch_path(directory, epoch))


def epochs_kept(directory: Path) -> list[int]:
    """List the epochs whose weights were kept for good, in order.

    >>> write_epoch(directory, 5, {})
    >>> epochs_kept(directory)
    [5]
    """
    files = (directory / EPOCHS_DIRECTORY).glob("*.safetensors")
    # What a killed process left half-written is hidden, and has another name.
    return sorted(int(path.stem) for path in files if path.stem.isdecimal())


def forget_epochs(directory: Path) -> None:
    """Remove the weights that an earlier training kept in this directory."""
    for epoch in epochs_kept(directory):
        _epoch_path(directory, epoch).unlink(missing_ok=True)


def _state_name(epoch: int) -> str:
    return f"state-{epoch:04d}.safetensors"


def _epoch_path(directory: Path, epoch: int) -> Path:
    return directory / EPOCHS_DIRECTORY / f"{epoch:04d}.safetensors"
