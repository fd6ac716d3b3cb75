"""The directory of one training: its checkpoint, its history, the weights that are kept, and the finished network."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from unravelnet import zoo
from unravelnet.errors import StoreError
from unravelnet.network import UnraveledNetwork
from unravelnet.records import provenance
from unravelnet.records.record import load_table
from unravelnet.training import checkpoint as checkpoints
from unravelnet.training import directory as training_directory
from unravelnet.training.checkpoint import Checkpoint
from unravelnet.training.directory import HISTORY_FILE
from unravelnet.training.state import TrainingState
from unravelnet.training_plan import TrainingPlan
from unravelnet.zoo.recipe import recipe_or_none
from unravelnet.zoo.store import DESCRIPTION_FILE, WEIGHTS_FILE, write_weights

_log = logging.getLogger(__name__)


class TrainingHome:
    """Where a training lives on disk; without a directory nothing is read or written.

    `plan`: what is trained, settled by `identify` as far as it was open.
    """

    def __init__(self, directory: Path | None, plan: TrainingPlan) -> None:
        self.directory = directory
        self.plan = plan
        self.identity: dict[str, Any] = {}
        self.provenance: dict[str, Any] = {}
        self._was_finished = False

    def find(self, identity: Mapping[str, Any]) -> Checkpoint | None:
        """Read the checkpoint that is there. Raises TrainingError where it is of another training."""
        found = None if self.directory is None else checkpoints.read(self.directory)
        if found is not None:
            own = dict(identity)
            if self.plan.precision == "auto":
                own["precision"] = found.identity.get("precision")
            checkpoints.check_same(found, own, str(self.directory))
            self._was_finished = found.epoch == self.plan.epochs
        return found

    def identify(self, identity: dict[str, Any], plan: TrainingPlan, device: torch.device) -> None:
        """Say what this training is, now that nothing of it is open any more."""
        self.plan = plan
        if self.directory is None:
            return
        self.identity = identity
        # Now, and not at the end: meanwhile another commit may be checked out.
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        self.provenance = provenance.collect(
            training=identity, seed=plan.seed, threads=torch.get_num_threads(), device=name
        )

    def open(self, state: TrainingState, *, is_new: bool) -> None:
        """Claim the directory, and bring it to where the training is: history and kept weights.

        Says which weights should have been kept earlier and were not.
        """
        if self.directory is None:
            return
        training_directory.claim(self.directory, self.provenance)
        if is_new:
            checkpoints.forget_epochs(self.directory)
        else:  # a process that was killed may have left the history an epoch behind, and the checkpoint before
            self._write_history(self.directory, state)
            checkpoints.remove_others(self.directory, state.epoch)
        kept = checkpoints.epochs_kept(self.directory)
        if state.epoch not in kept:
            self.keep_weights(state)
        lost = [str(epoch) for epoch in self.plan.kept_epochs if epoch < state.epoch and epoch not in kept]
        if lost:
            _log.warning(
                "The weights after epoch %s were not kept when the training in %s passed there, and are not in %s.",
                ", ".join(lost),
                self.directory,
                self.directory / checkpoints.EPOCHS_DIRECTORY,
            )

    def keep_weights(self, state: TrainingState) -> None:
        """Keep the weights for good where the plan says so."""
        if self.directory is not None and state.epoch in self.plan.kept_epochs:
            checkpoints.write_epoch(self.directory, state.epoch, state.net.state_dict())

    def save(self, state: TrainingState) -> None:
        """Put on disk where the training is."""
        if self.directory is None:
            return
        checkpoints.write(self.directory, state.to_checkpoint(self.identity))
        self._write_history(self.directory, state)
        training_directory.check_there(self.directory)

    def finish(self, net: UnraveledNetwork, facts: Mapping[str, Any]) -> None:
        """Write the trained network and how it came about, unless they are there.

        `facts`: what is known of the data that it learned from.
        """
        is_from_zoo = recipe_or_none(net) is not None
        files = (WEIGHTS_FILE, DESCRIPTION_FILE) if is_from_zoo else (WEIGHTS_FILE,)
        if self.directory is None or (
            self._was_finished and all((self.directory / name).exists() for name in files)
        ):
            return
        ended = datetime.now(UTC).isoformat(timespec="seconds")
        times = {"started_utc": self.provenance["time_utc"], "time_utc": ended}
        provenance.write_run(self.directory, {**self.provenance, **times})
        if is_from_zoo:
            zoo.save(net, self.directory, facts={"training": asdict(self.plan)}, **facts)
        else:
            write_weights(self.directory / WEIGHTS_FILE, net.state_dict())
        training_directory.check_there(self.directory)

    @staticmethod
    def _write_history(directory: Path, state: TrainingState) -> None:
        path = directory / HISTORY_FILE
        with contextlib.suppress(StoreError):  # missing or damaged
            if load_table(path) == state.table():
                return
        state.table().save(path)
