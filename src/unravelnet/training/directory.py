"""The directory that a training writes to: whose it is, and whether it is still there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unravelnet.errors import TrainingError
from unravelnet.records import provenance
from unravelnet.training.checkpoint import INDEX_FILE
from unravelnet.zoo.store import DESCRIPTION_FILE, WEIGHTS_FILE

HISTORY_FILE = "history.csv"


def claim(directory: Path, facts: Mapping[str, Any]) -> None:
    """Write down in `run.json` that a directory belongs to this training, unless the training is finished.

    `facts`: with what determines the training as "training". What an earlier, finished training of the same kind left
    is removed where its checkpoint was: it is trained anew. Raises TrainingError where the directory holds a run of
    another kind, or a network that this training has not made.
    """
    found = provenance.read_run(directory) if (directory / provenance.FACTS_FILE).exists() else None
    if found is not None and "training" not in found:
        raise TrainingError(
            f"{directory} holds a run of another kind, whose {provenance.FACTS_FILE} would be lost. Give another "
            "directory."
        )
    network = [directory / name for name in (DESCRIPTION_FILE, WEIGHTS_FILE) if (directory / name).exists()]
    if (directory / INDEX_FILE).exists():
        if not network:
            provenance.write_run(directory, facts)
        return
    own = json.loads(json.dumps(facts["training"]))
    if network and (found is None or found["training"] != own):
        raise TrainingError(
            f"{directory} holds a network that this training has not made ({network[0].name}). Give another directory."
        )
    for path in network:
        path.unlink(missing_ok=True)
    provenance.write_run(directory, facts)


def check_there(directory: Path) -> None:
    """Raise TrainingError where something of a training was removed while it went on."""
    missing = [
        name for name in (provenance.FACTS_FILE, INDEX_FILE, HISTORY_FILE) if not (directory / name).exists()
    ]
    if missing:
        raise TrainingError(
            f"{directory / missing[0]} was removed while the training went on. Train again, in a directory that "
            "nothing else changes."
        )
