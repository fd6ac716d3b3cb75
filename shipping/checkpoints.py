"""Measures the weights that a training kept on its way: their tables are shipped beside the network, and not they."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from shipping.card import CARD_FILE, CHECKPOINTS_FACT, card
from shipping.same_data import check_data
from shipping.training_command import plan_of, training_command
from unravelnet import zoo
from unravelnet.data import load
from unravelnet.errors import TrainingError
from unravelnet.records import provenance
from unravelnet.records.record import load_table, read_json
from unravelnet.training.checkpoint import epochs_kept
from unravelnet.training.directory import HISTORY_FILE
from unravelnet.training.dynamics import over_training
from unravelnet.zoo import Description
from unravelnet.zoo.store import DESCRIPTION_FILE, write_json


def measure(run: Path, place: Path, data: str) -> dict[str, Any]:
    """Split the gradient at the checkpoints of a training by path length, save the tables, and say what was measured.

    `run`: a finished directory of `unravelnet train` with --keep-epochs. `place`: of the shipped network, or where it
    is made; the facts say whether its weights are those of this training.
    """
    for name, table in over_training(run, load(data, "train")).by_study().items():
        table.save(place / f"{name}.csv")
    ran, history = provenance.read_run(run), load_table(run / HISTORY_FILE)
    return {
        "epochs": epochs_kept(run),
        "commit": ran["commit"],
        "finished_utc": ran["time_utc"],
        "error_rate": history[-1]["test_error_rate"],
        "has_stored_weights": _has_weights_of(run, place),
    }


def record_checkpoints(run: Path, name: str, data: str) -> Path:
    """Measure the checkpoints of a training that repeats the one of a shipped network, and return its directory.

    `run`: as for `measure`. `name`: of the shipped network. Raises TrainingError for a training by another command, and
    DataError for other data.
    """
    place = zoo.pretrained_directory(name)
    shipped, repeated = zoo.read_description(place), zoo.read_description(run)
    if _command(shipped) != _command(repeated):
        raise TrainingError(
            f"{name} was trained by `{_command(shipped)}`, and {run} by `{_command(repeated)}`. Give a training that "
            "differs in the epochs that are kept alone."
        )
    check_data(load(data, "test"), shipped)
    facts = {**shipped.facts, CHECKPOINTS_FACT: measure(run, place, data)}
    described = read_json(place / DESCRIPTION_FILE)
    write_json(place / DESCRIPTION_FILE, {**described, "facts": facts})
    (place / CARD_FILE).write_text(card(name, place), encoding="utf-8")
    return place


def _command(description: Description) -> str:
    """Write the command of a training, whatever weights it kept."""
    plan = replace(plan_of(description), keep_epochs="")
    facts = {**description.facts, "training": asdict(plan)}
    return training_command(replace(description, facts=facts), "NAME")


def _has_weights_of(run: Path, place: Path) -> bool:
    """Whether the weights that are stored are those of a training, but for their rounding to half precision."""
    stored, trained = zoo.load(place).state_dict(), zoo.load(run).state_dict()
    return all(torch.equal(stored[name].half(), tensor.half()) for name, tensor in trained.items())
