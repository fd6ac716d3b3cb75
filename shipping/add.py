"""Takes a finished training into the package: measured as it will be used, stored compactly, with its card.

Both the weights of the training and those that are stored are measured on the whole test split. The bound on their
difference stands here. Of a training whose weights were kept in half precision only, the difference is not known.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from statistics import harmonic_mean
from typing import Any

import torch

from shipping.card import CARD_FILE, CHECKPOINTS_FACT, card, not_recorded
from shipping.checkpoints import measure
from shipping.long_trainings import epochs_logged
from shipping.other_trainings import FACT, other_trainings
from shipping.same_data import check_data
from shipping.training_command import plan_of, training_command
from unravelnet import zoo
from unravelnet.data import ImageData, load
from unravelnet.errors import CheckpointError, ModelError
from unravelnet.measuring.evaluation import evaluate
from unravelnet.precision import Precision
from unravelnet.records import provenance
from unravelnet.records.record import Table, load_table
from unravelnet.training.checkpoint import epochs_kept
from unravelnet.training.directory import HISTORY_FILE
from unravelnet.training_plan import TrainingPlan
from unravelnet.wording import counted
from unravelnet.zoo import Description
from unravelnet.zoo.pretrained import place_of
from unravelnet.zoo.store import WEIGHTS_FILE, read_weights

# 0.05 points: 5 of 10,000 images.
_LARGEST_DIFFERENCE, _OF_IMAGES = 5, 10_000
_NAME = re.compile(r"(?P<group>[a-z0-9-]+?)(-seed[0-9]+)?")

Facts = dict[str, Any]


def add(
    run: Path, name: str, data: str, *, precision: Precision = "float32", others: Path | None = None
) -> Path:
    """Store a trained network under a name in the package and return its directory; one of that name is replaced.

    `run`: a finished directory of `unravelnet train`; the weights that it kept on its way are measured, and not stored.
    `data`: what it was trained on. `others`: a table of whole trainings that are not shipped, of other lengths and of
    variants; those of the same network are named in the facts, as is the network that is replaced. Raises ModelError
    for a name that does not fit network and seed, DataError for other data, TrainingError where no command makes the
    network again, and CheckpointError where the training has not finished, or half precision changes the error by more
    than 0.05 points.
    """
    description = zoo.read_description(run)
    group = _group(name, description)
    facts = {**description.facts, "group": group, "command": training_command(description, name)}
    facts |= _circumstances(run, plan_of(description))
    facts[FACT] = other_trainings(place_of(name), description, others)
    test = load(data, "test")
    check_data(test, description)
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary) / name
        _save_compact(run, made, description, facts)
        facts |= _measured(run, made, test, precision)
        if epochs_kept(run):
            facts[CHECKPOINTS_FACT] = measure(run, made, data)
        _save_compact(run, made, description, facts)
        shutil.copyfile(run / HISTORY_FILE, made / HISTORY_FILE)
        (made / CARD_FILE).write_text(card(name, made), encoding="utf-8")
        return _put(made, place_of(name))


def _put(made: Path, place: Path) -> Path:
    """Put a directory in its place, whole: it is copied beside it first."""
    beside = place.with_name(f".{place.name}")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(made, beside)
    if place.exists():
        shutil.rmtree(place)
    return beside.rename(place)


def _group(name: str, description: Description) -> str:
    """Return the name without its seed, which all seeds of a recipe share."""
    seed = plan_of(description).seed
    ending = f"-seed{seed}" if seed else ""
    match = _NAME.fullmatch(name)
    if match is None or not name.startswith(f"{description.name}-") or name != match["group"] + ending:
        raise ModelError(
            f"{name} is no name for {description.name} with seed {seed}. Give one of small letters, digits and dashes "
            f"that begins with the network, such as {description.name}-{description.data}{ending}."
        )
    return match["group"]


def _circumstances(run: Path, plan: TrainingPlan) -> Facts:
    """Say on what, when and by which code a network was trained, and how long that took."""
    history = load_table(run / HISTORY_FILE)
    if len(history) != plan.epochs:
        raise CheckpointError(
            f"{run / HISTORY_FILE} has {len(history)} epochs, and the training {plan.epochs}. Let it finish first."
        )
    ran = provenance.read_run(run)
    return {
        "seed": ran["seed"],
        "seconds": _total(history, "seconds"),
        "images_per_second": _speed(history, plan),
        "hardware": _hardware(run, ran, plan),
        "versions": {name: ran[name] for name in ("unravelnet", "python") if ran[name]} | ran["packages"],
        "commit": ran["commit"],
        "has_uncommitted_changes": ran["has_uncommitted_changes"],
        "finished_utc": ran["time_utc"],
        "epochs_logged": _logged(run),
    }


def _logged(run: Path) -> dict[str, dict[str, int]]:
    """Count the epochs of each version of torch and of each commit, where the log of the long trainings tells them."""
    lines = epochs_logged(run)
    if not lines:
        return {}
    return {name: dict(Counter(line[name] for line in lines)) for name in ("torch", "commit")}


def _speed(history: Table, plan: TrainingPlan) -> float:
    """Give the images a second over the epochs at full size: smaller images are faster, and another number."""
    full = plan.image_size_at(plan.epochs - 1)
    epochs = [row for row in history if plan.image_size_at(row["epoch"] - 1) == full]
    return harmonic_mean([float(str(row["images_per_second"])) for row in epochs])


def _total(history: Table, column: str) -> float:
    return sum(float(str(row[column])) for row in history)


def _hardware(run: Path, ran: Facts, plan: TrainingPlan) -> str:
    """Name the machine; where the log of the long trainings tells of several devices, each with its epochs."""
    machine = _machine(ran)
    devices = [_device_text(line) for line in epochs_logged(run)]
    if not devices:
        return machine if ran.get("device") in (None, "cpu") else f"{ran['device']}, beside {machine}"
    n_missing = plan.epochs - len(devices)
    if set(devices) == {ran["cpu"]} and not n_missing:
        return machine
    parts = [f"{counted(devices.count(device), 'epoch')} on {device}" for device in dict.fromkeys(devices)]
    return ", ".join([*parts, *not_recorded(n_missing)])


def _device_text(line: Facts) -> str:
    return str(line["cpu"] if line["device"] == "cpu" else line["device"])


def _machine(ran: Facts) -> str:
    memory = f"{ran['memory_bytes'] / 1e9:.0f} GB" if ran["memory_bytes"] else "unknown"
    threads = f", {ran['threads']} of them used" if "threads" in ran else ""
    return f"{ran['cpu'] or 'unknown processor'}, {ran['cores']} cores{threads}, {memory} of memory"


def _save_compact(run: Path, directory: Path, description: Description, facts: Facts) -> None:
    zoo.save(
        zoo.load(run),
        directory,
        classes=description.classes,
        mean=description.mean,
        std=description.std,
        data=description.data,
        facts=facts,
        compact=True,
    )


def _measured(run: Path, compact: Path, test: ImageData, precision: Precision) -> Facts:
    """Measure the stored weights and, where they are known, those of the training; raise where they differ too much."""
    about = {"data_fingerprint": test.fingerprint(), "data_name": test.name, "precision": precision}
    stored = _error(compact, test, precision)
    facts: Facts = {"is_run_in_half_precision": _is_in_half_precision(run), "test": {**stored, **about}}
    if facts["is_run_in_half_precision"]:
        return {**facts, "test_at_full_precision": None}
    full = _error(run, test, precision)
    difference = abs(stored["wrong"] - full["wrong"])
    if difference * _OF_IMAGES > _LARGEST_DIFFERENCE * len(test):
        raise CheckpointError(
            f"At half precision {stored['wrong']:,} of {len(test):,} test images are wrong, and {full['wrong']:,} with "
            "the weights of the training: more than 0.05 points apart. The network is not stored."
        )
    return {**facts, "test_at_full_precision": full}


def _is_in_half_precision(run: Path) -> bool:
    return any(tensor.dtype == torch.float16 for tensor in read_weights(run / WEIGHTS_FILE).values())


def _error(directory: Path, test: ImageData, precision: Precision) -> Facts:
    net = zoo.load(directory)
    row = evaluate(net, [net.full_route], test, metrics=("error_rate", "loss"), precision=precision)[0]
    n_images = len(test)
    wrong = round(float(str(row["error_rate"])) * n_images)
    return {"error_rate": wrong / n_images, "wrong": wrong, "n_images": n_images, "loss": row["loss"]}
