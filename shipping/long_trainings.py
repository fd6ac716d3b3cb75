"""Trains ResNet-110 for many epochs and in variants, one network after the other, and goes on wherever it was stopped.

Each network is a directory of `unravelnet train` below one directory. A call begins with the first network that has
not finished, from its last full epoch, so the same call is made again after any interruption. `log.jsonl` beside them
says which machine trained which epochs, and how long that took.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unravelnet import zoo
from unravelnet.data import ImageData
from unravelnet.network import UnraveledNetwork
from unravelnet.records import provenance
from unravelnet.records.record import load_table
from unravelnet.training.checkpoint import epochs_done
from unravelnet.training.directory import HISTORY_FILE
from unravelnet.training.loop import train
from unravelnet.training_plan import TrainingPlan

LOG_FILE = "log.jsonl"
NETWORK = "preact-resnet110"
_EVERY_TENTH = ",".join(str(epoch) for epoch in range(0, 100, 10))

# One cycle of the rate over 100 epochs, on images that grow.
PROCESSOR_RECIPE = TrainingPlan(
    epochs=100,
    learning_rate=0.2,
    weight_decay=5e-4,
    schedule="one-cycle",
    label_smoothing=0.1,
    precision="bfloat16",
    image_sizes="16,24,32,32",
    test_every=10,
    # What is one operation differs by device, and an accelerator may go on with what a processor has begun.
    fused=False,
    keep_epochs=_EVERY_TENTH,
)
# He et al. 2015 and 2016: 164 epochs, 0.1 divided by ten after 82 and 123, warm-up, weight decay 1e-4.
PAPER_RECIPE = TrainingPlan(
    epochs=164,
    learning_rate=0.1,
    weight_decay=1e-4,
    precision="bfloat16",
    test_every=10,
    fused=False,
    keep_epochs=_EVERY_TENTH + ",100,110,120,130,140,150,160",
)

# 35 epochs, half of them on the smallest images. A network on exactly 23 modules was trained so before, and the variant
# that keeps the down-sampling modules is compared with it.
SHORT_RECIPE = PROCESSOR_RECIPE.changed(
    {"epochs": 35, "image_sizes": "16,16,24,32", "test_every": 5, "keep_epochs": ""}
)
# The last tenth of a one-cycle training of the full network begins at about this rate, and falls along a cosine too.
WARM_RECIPE = PROCESSOR_RECIPE.changed(
    {
        "epochs": 10,
        "learning_rate": 0.01,
        "schedule": "cosine",
        "image_sizes": "",
        "test_every": 1,
        "keep_epochs": "",
    }
)
WARM_START = f"zoo:{NETWORK}-cifar10"
# Of the curve "error against epochs". All modules were trained for 10 and 24 epochs before (results/other_trainings.csv
# and the network that was shipped until then).
_LENGTHS = {"all": (50, 5), "exactly:23": (50, 24, 10, 5)}


@dataclass(frozen=True, slots=True)
class LongTraining:
    """One network to train: the directory's name, and the plan."""

    name: str
    plan: TrainingPlan


def long_trainings(recipe: TrainingPlan, n_seeds: int = 1) -> list[LongTraining]:
    """List what is trained, in order: all modules and exactly 23 of 54 for each seed, stochastic depth after the first.

    >>> [training.name.removeprefix("preact-resnet110") for training in long_trainings(PROCESSOR_RECIPE)]
    ['', '-exactly23', '-stochastic-depth', '-epochs50', '-epochs5', '-exactly23-epochs50', '-exactly23-epochs24',
     '-exactly23-epochs10', '-exactly23-epochs5', '-exactly23-keep-downsampling', '-exactly23-warm-start']

    Then the same in fewer epochs, for the curve *error against epochs*. Then variants of exactly 23, which are shorter.
    With the down-sampling modules always among the 23, it has the recipe of the earlier network of 35 epochs, and is
    compared with that. With a warm start, the shipped network that was trained on all modules is trained for ten epochs
    more, on exactly 23.
    """
    return list(_trainings(recipe, n_seeds))


def _trainings(recipe: TrainingPlan, n_seeds: int) -> Iterator[LongTraining]:
    for seed in range(n_seeds):
        ending = f"-seed{seed}" if seed else ""
        yield LongTraining(f"{NETWORK}{ending}", recipe.changed({"seed": seed}))
        yield LongTraining(
            f"{NETWORK}-exactly23{ending}", recipe.changed({"seed": seed, "routes": "exactly:23"})
        )
        if seed == 0:
            yield LongTraining(
                f"{NETWORK}-stochastic-depth", recipe.changed({"routes": "stochastic-depth:0.5"})
            )
    for routes, lengths in _LENGTHS.items():
        ending = "" if routes == "all" else "-exactly23"
        for epochs in lengths:
            shorter = recipe.changed({"routes": routes, "epochs": epochs, "keep_epochs": ""})
            yield LongTraining(f"{NETWORK}{ending}-epochs{epochs}", shorter)
    keeping, warm = {"routes": "exactly:23,keep=downsampling"}, {"routes": "exactly:23", "start": WARM_START}
    yield LongTraining(f"{NETWORK}-exactly23-keep-downsampling", SHORT_RECIPE.changed(keeping))
    yield LongTraining(f"{NETWORK}-exactly23-warm-start", WARM_RECIPE.changed(warm))


def train_long(
    trainings: list[LongTraining], images: ImageData, test_images: ImageData, out: Path, *, at_once: int = 1
) -> None:
    """Train each network to its end, in order; finished ones are passed over.

    `images` are learnt, and `test_images` tested every tenth epoch. `out`: one directory a network. `at_once`: networks
    that are trained side by side, which a GPU gains from. Raises TrainingError where a directory holds another
    training; none of those behind it begins then.
    """
    todo = [training for training in trainings if not _is_finished(out / training.name, training.plan.epochs)]
    # All of them before the first training: initial weights are drawn from the one generator of the process.
    networks = [_network(training, images) for training in todo]
    running: set[Future[None]] = set()
    with ThreadPoolExecutor(at_once) as pool:
        for net, training in zip(networks, todo, strict=True):
            # None begins before there is room for it, so that none begins after one that has failed.
            if len(running) == at_once:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for job in done:
                    job.result()
            running.add(pool.submit(_train_one, net, training, images, test_images, out))
        for job in running:
            job.result()


def _network(training: LongTraining, images: ImageData) -> UnraveledNetwork:
    return zoo.create(
        NETWORK, n_classes=images.n_classes, input_shape=images.image_shape, seed=training.plan.seed
    )


def _train_one(
    net: UnraveledNetwork, training: LongTraining, images: ImageData, test_images: ImageData, out: Path
) -> None:
    log = _Log(training, out / LOG_FILE)
    train(
        net,
        images,
        plan=training.plan,
        out=out / training.name,
        validation=test_images,
        progress=log.progress,
    )
    log.finish()


def epochs_logged(directory: Path) -> list[dict[str, Any]]:
    """Read who trained each epoch of a training, in their order, from the log beside its directory; none without one.

    >>> epochs_logged(Path("nowhere"))
    []
    """
    log = directory.parent / LOG_FILE
    if not log.exists():
        return []
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    # An epoch that was cut off after its line was written is trained, and written, once more.
    own = {line["epoch"]: line for line in lines if line["network"] == directory.name}
    return [own[epoch] for epoch in sorted(own)]


def _is_finished(directory: Path, epochs: int) -> bool:
    history = directory / HISTORY_FILE
    return history.exists() and len(load_table(history)) == epochs


class _Log:
    """Writes a line for every epoch that is done: what, where, how long since this call began."""

    def __init__(self, training: LongTraining, path: Path) -> None:
        self.name, self.path, self.began = training.name, path, time.perf_counter()
        # Of the checkpoint, from which the training goes on: the history of a killed one may be an epoch behind.
        self.epoch = epochs_done(path.parent / training.name)
        self.is_first = True
        machine = provenance.collect()
        self.machine = {name: machine[name] for name in ("cpu", "cores", "commit")}
        self.machine["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
        self.machine["torch"] = torch.__version__

    def progress(self, batches: Iterable[Tensor]) -> Iterable[Tensor]:
        """Write the epoch before, now that the next one begins: it is on disk."""
        self.finish()
        self.is_first = False
        return batches

    def finish(self) -> None:
        """Write the epoch that has ended, if one has: a training may have been at its end before."""
        if not self.is_first:
            self._write()

    def _write(self) -> None:
        """Add a line; only whole lines are ever written."""
        self.epoch += 1
        line: dict[str, Any] = {
            "network": self.name,
            "epoch": self.epoch,
            "minutes": round((time.perf_counter() - self.began) / 60, 2),
            "threads": torch.get_num_threads(),
            **self.machine,
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
