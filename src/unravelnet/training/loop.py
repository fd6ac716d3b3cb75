"""Trains a network, each mini-batch on a route that a sampler draws.

What is to be done is a `TrainingPlan`. After every epoch the whole state goes to disk, and a training that was stopped
anywhere goes on from the last full epoch to the same weights as one that never stopped (float32, same machine and
number of threads).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from unravelnet.data import Batches, as_batches
from unravelnet.data.source import Batch
from unravelnet.devices import usable_device
from unravelnet.errors import TrainingError, first_line
from unravelnet.machine import choose_precision, full_float32, in_precision
from unravelnet.memory_layout import Layout, choose_layout, lay, place
from unravelnet.network import Inputs, UnraveledNetwork, first_tensor
from unravelnet.precision import PRECISIONS, Precision
from unravelnet.records.directory_lock import locked
from unravelnet.records.files import writable_directory
from unravelnet.records.record import Table
from unravelnet.routes.route import Route
from unravelnet.training.acceleration import decide_on_fusing, prepare_replay
from unravelnet.training.checkpoint import Checkpoint
from unravelnet.training.data import TrainingData, training_targets
from unravelnet.training.fused_normalisation import fused_normalisations
from unravelnet.training.home import TrainingHome
from unravelnet.training.objective import Objective, Teacher, scores_of
from unravelnet.training.optimiser import (
    learning_rate_of,
    make_optimiser,
    set_learning_rate,
    settle_learning_rate,
)
from unravelnet.training.replay import own_stream
from unravelnet.training.start import starting_network
from unravelnet.training.state import TrainingState, buffers_of, give_back
from unravelnet.training.sums import Sums, count_targets, count_wrong
from unravelnet.training_plan import TrainingPlan, TrainingStatus
from unravelnet.zoo.store import residual_modules_of

_log = logging.getLogger(__name__)

_EVALUATION_BATCH = 250


Progress = Callable[[Iterable[Tensor]], Iterable[Tensor]]
OnBatch = Callable[[TrainingStatus], None]


def train(
    net: UnraveledNetwork,
    data: object,
    *,
    plan: TrainingPlan | None = None,
    out: str | os.PathLike[str] | None = None,
    validation: object = None,
    progress: Progress | None = None,
    on_batch: OnBatch | None = None,
    teacher: Teacher | None = None,
    **options: Any,
) -> Table:
    """Train a network in place and return its history, one row an epoch; it is left in evaluation mode.

    >>> import unravelnet as un
    >>> net = un.zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0)
    >>> history = train(net, "digits", epochs=2, schedule="one-cycle")
    >>> history.columns[:4]
    ('epoch', 'train_loss', 'train_error_rate', 'test_error_rate')

    `data`: a specification (its training split; validated on its test split), `ImageData`, a pair of tensors
    or a torch `Dataset`; for a language model, what `data.load_text(path, split="train")` gives. `validation`: data for
    `test_error_rate`, in any form; without any it is NaN.
    `options`: settings of the plan by name, in place of a plan or over it. `out`: directory for checkpoints,
    history and the finished network; a training found there goes on, and a finished one is loaded at once. The
    weights after the epochs of `keep_epochs` stay in its folder `epochs`, a file each.
    `teacher`: a network whose outputs this one learns beside the labels.
    `progress` wraps the mini-batches of an epoch, as `tqdm` does; `on_batch` is called after each. Raises
    TrainingError where the settings do not fit, the loss is not finite, or `out` holds another training, run or
    network; StoreError where another process trains in `out`; and DataError for bad data.
    """
    if net.training_obstacle:
        raise TrainingError(net.training_obstacle)
    plan = settle_learning_rate((plan or TrainingPlan()).changed(options), net)
    training_data = TrainingData.open(data, plan)
    if validation is None and isinstance(data, str):
        validation = data
    batches = None if validation is None else as_batches(validation, batch_size=_EVALUATION_BATCH)
    if plan.keep_epochs and out is None:
        raise TrainingError(
            f"The weights after the epochs {plan.keep_epochs} are to be kept, and there is no directory to keep them "
            "in. Give one: out=DIRECTORY."
        )
    directory = None if out is None else writable_directory(out)
    training = Training(net, training_data, batches, plan, directory, teacher)
    home = training.home
    alone = contextlib.nullcontext() if home.directory is None else locked(home.directory, wait_seconds=0)
    with alone:
        with training.borrowing_network():
            while training.state.epoch < plan.epochs:
                training.run_epoch(progress, on_batch)
        home.finish(net, training.data.facts())
    return training.state.table()


class Training:
    """One training: network, data, optimiser and generators, and how far it is."""

    def __init__(
        self,
        net: UnraveledNetwork,
        data: TrainingData,
        validation: Batches | None,
        plan: TrainingPlan,
        out: Path | None,
        teacher: Teacher | None = None,
    ) -> None:
        self.net, self.data, self.validation, self.plan = net, data, validation, plan
        self.home = TrainingHome(out, plan)
        self.modules = residual_modules_of(net)
        self.sampler = plan.sampler
        self.always = self.sampler.always_kept(self.modules)
        self.sampler.check(len(self.modules), always=self.always)
        if self.sampler.tested is not None:
            net.check(self.sampler.tested)
        self.route_generator = np.random.default_rng(plan.seed)
        self.device = _device(plan.device)
        self.title = net.name or "the network"
        self.start = starting_network(plan.start, net) if plan.start else None
        self.objective = Objective(plan.label_smoothing, teacher, device=self.device)
        self.is_fused = decide_on_fusing(net, plan, self.device, n_images=len(data.source))

    # -- the network is borrowed: placed, trained, and given back where it was --

    @contextlib.contextmanager
    def borrowing_network(self) -> Iterator[None]:
        """Place network and random state for training, and give both back afterwards."""
        found = self.home.find(self._identity())
        device = next(self.net.parameters()).device
        buffers = buffers_of(self.net)
        with torch.random.fork_rng(devices=[]), own_stream(self.device):
            torch.default_generator.manual_seed(self.plan.seed)
            try:
                self._check_output()
                self._choose_precision(found)
                self.home.identify(self._identity(), self.plan, self.device)
                self._scale_branches()
                self.optimiser = make_optimiser(self.net, self.plan, self.device)
                self.replay = (
                    None
                    if self.objective.teacher
                    else prepare_replay(
                        self.net,
                        self.optimiser,
                        self.plan,
                        self.device,
                        self.data.probe()[0],
                        compiled=self.is_fused,
                    )
                )
                self.state = TrainingState(
                    self.net, self.optimiser, self.data.generator, self.route_generator
                )
                if found is None and self.start is not None:
                    self.net.load_weights(self.start.state_dict(), source=self.plan.start)
                if found is not None:
                    self.state.restore(found, f"the checkpoint in {self.home.directory}")
                self.home.open(self.state, is_new=found is None)
                self.started, self.epochs_before = time.perf_counter(), self.state.epoch
                fused = (
                    fused_normalisations(self.net)
                    if self.is_fused and not self.replay
                    else contextlib.nullcontext()
                )
                with self.layout.in_use(), fused, full_float32():
                    yield
            finally:
                lay(self.net, Layout(channels_last=False), device)
                give_back(buffers)
                self.net.zero_grad(set_to_none=True)
                self.net.eval()

    def _scale_branches(self) -> None:
        scales = self.sampler.branch_scales(len(self.modules), always=self.always)
        for module, scale in zip(self.modules, scales, strict=True):
            # Where a plain layer is left out the identity takes its place, so there is nothing to scale.
            module.branch_scale = 1.0 if module.skip is None else scale

    def _check_output(self) -> None:
        """Raise where the network cannot take the data, before any weight is changed."""
        self.net.eval()
        try:
            with torch.no_grad(), in_precision(self.device, self.plan.precision):
                self.layout = choose_layout(self._run_once, channels_last=self.plan.channels_last)
        except (RuntimeError, ValueError, IndexError) as error:
            raise TrainingError(
                f"{self.title} cannot take the images of {self.data.name}: {first_line(error)}. Make it with "
                "the input_shape of the data."
            ) from error
        self.data.check_labels(self.n_outputs, self.title)
        self._check_last_size()
        if self.plan.channels_last and not self.layout.channels_last:
            _log.info(
                "%s is trained in the default memory layout%s, which takes somewhat longer than channels last: in that "
                "oneDNN overruns memory in the gradients of its strided 1x1 convolutions with few channels.",
                self.title,
                "" if self.layout.uses_onednn else " and without oneDNN",
            )

    def _choose_precision(self, found: Checkpoint | None) -> None:
        """Settle the precision where the plan leaves it open; a training that was begun goes on in its own."""
        begun = None if found is None else found.identity.get("precision")

        def run(inputs: Inputs, precision: Precision) -> Tensor:
            with in_precision(self.device, precision):
                return self._logits((inputs, None))

        precision = choose_precision(
            self.plan.precision,
            self.net,
            self.device,
            run,
            lambda: self.data.probe()[0],
            doing="trained",
            begun=begun if begun in PRECISIONS else None,
        )
        self.plan = replace(self.plan, precision=precision)

    def _run_once(self, layout: Layout) -> None:
        """Lay the network out and run it on images of every size."""
        self.layout = layout
        lay(self.net, layout, self.device)
        self.n_outputs = self._logits(self.data.probe()).shape[1]
        for size in {self.plan.image_size_at(epoch) for epoch in range(self.plan.epochs)} - {None}:
            self._logits(self.data.probe(size))

    def _check_last_size(self) -> None:
        size, own = (
            self.plan.image_size_at(self.plan.epochs - 1),
            first_tensor(self.data.probe()[0]).shape[-2],
        )
        if size not in (None, own):
            _log.warning(
                "The last epochs train on images of height %s, and %s has %s: the network will be used on others than "
                "it learned from. Let image_sizes end with %s.",
                size,
                self.data.name,
                own,
                own,
            )

    # -- one epoch --

    def run_epoch(self, progress: Progress | None, on_batch: OnBatch | None) -> None:
        """Go through the data once, evaluate, and put the state on disk."""
        began = time.perf_counter()
        sums = Sums()
        self.net.train()
        positions_of_batches = self.data.draw_epoch()
        for positions in progress(positions_of_batches) if progress else positions_of_batches:
            self._train_batch(positions, sums)
            if on_batch is not None:
                on_batch(self._status(sums, began))
        images_per_second = sums.n_images / (time.perf_counter() - began)
        if not math.isfinite(sums.loss):
            raise self._diverged(f"The loss is {sums.loss} in")
        self._check_weights()
        row = {
            "epoch": self.state.epoch + 1,
            "train_loss": sums.loss,
            "train_error_rate": sums.error_rate,
            "test_error_rate": self._test_error_rate(),
            "learning_rate": learning_rate_of(self.optimiser),
            "images_per_second": images_per_second,
            "seconds": time.perf_counter() - began,
        }
        self.state.history.append(row)
        self.state.epoch += 1
        # First, so that what a checkpoint has behind it is there, wherever the process is killed.
        self.home.keep_weights(self.state)
        self.home.save(self.state)

    def _train_batch(self, positions: Tensor, sums: Sums) -> None:
        iteration = self.state.epoch * self.data.n_batches + sums.batch
        n_iterations = self.plan.epochs * self.data.n_batches
        set_learning_rate(self.optimiser, self.plan.learning_rate_at(iteration, n_iterations))
        batch = self.data.batch(positions, self.plan.image_size_at(self.state.epoch))
        targets = training_targets(batch[1], self.n_outputs, self.data.name)
        if self.replay is not None:
            placed = cast(Tensor, place(batch[0], self.layout, self.device))
            loss_sum, n_wrong = self.replay.step(placed, targets, self._draw_route() or self.net.full_route)
            sums.add(loss_sum, n_wrong, len(targets))
            return
        # Zero, not None: a parameter of a skipped branch has gradient zero, and still decays and coasts.
        self.optimiser.zero_grad(set_to_none=False)
        with in_precision(self.device, self.plan.precision):
            logits = self._logits(batch, self._draw_route())
        loss = self.objective(logits, targets, batch[0])
        value = loss.item()
        if not math.isfinite(value):
            raise self._diverged(f"The loss is {value} in batch {sums.batch + 1} of")
        if not loss.requires_grad:
            raise self._without_gradient()
        loss.backward()
        self.optimiser.step()
        n = count_targets(targets)
        sums.add(value * n, count_wrong(logits.detach(), targets), n, len(positions))

    def _draw_route(self) -> Route | None:
        if self.plan.routes == "all":
            return None
        return self.sampler.sample(len(self.modules), self.route_generator, always=self.always)

    def _logits(self, batch: Batch, route: Route | None = None) -> Tensor:
        return scores_of(self.net(place(batch[0], self.layout, self.device), route), self.title).float()

    def _test_error_rate(self) -> float:
        if self.validation is None or not self.plan.tests_after(self.state.epoch + 1):
            return math.nan
        self.net.eval()
        sums = Sums()
        with torch.no_grad(), in_precision(self.device, self.plan.precision):
            for batch in self.validation:
                targets = training_targets(batch[1], self.n_outputs, self.validation.name)
                logits = self._logits(batch, self.sampler.tested)
                sums.add(0.0, count_wrong(logits, targets), count_targets(targets))
        return sums.error_rate

    def _status(self, sums: Sums, began: float) -> TrainingStatus:
        now = time.perf_counter()
        n_done = (self.state.epoch - self.epochs_before) * self.data.n_batches + sums.batch
        n_left = (self.plan.epochs - self.state.epoch) * self.data.n_batches - sums.batch
        return TrainingStatus(
            epoch=self.state.epoch + 1,
            n_epochs=self.plan.epochs,
            batch=sums.batch,
            n_batches=self.data.n_batches,
            loss=sums.loss,
            error_rate=sums.error_rate,
            images_per_second=sums.n_images / (now - began),
            seconds_left=(now - self.started) / n_done * n_left,
        )

    def _check_weights(self) -> None:
        # The last step of an epoch has no loss after it to show that it went wrong.
        if not all(bool(tensor.isfinite().all()) for tensor in self.net.state_dict().values()):
            raise self._diverged("Weights are not finite at the end of")

    def _without_gradient(self) -> TrainingError:
        return TrainingError(
            f"{self.title} cannot be trained: no gradient reaches its weights. Either all of them are frozen, or its "
            "model computes all under torch.no_grad. Let weights be trained, net.requires_grad_(True), or take "
            "torch.no_grad out of the model's forward and unravel it again."
        )

    def _diverged(self, what: str) -> TrainingError:
        kept = ""
        if self.home.directory is not None and self.state.epoch:
            kept = f" The last good checkpoint, after epoch {self.state.epoch}, is in {self.home.directory}."
        rate = learning_rate_of(self.optimiser)
        return TrainingError(
            f"{what} epoch {self.state.epoch + 1}, at a learning rate of {rate:g}: the training "
            f"diverges.{kept} Lower the learning rate, or warm up for longer."
        )

    def _identity(self) -> dict[str, Any]:
        """Say what this training is of; the same dictionary means the same training."""
        structure = [f"{module} {module.kind}" for module in self.modules]
        structure += [f"{name} {tuple(tensor.shape)}" for name, tensor in self.net.state_dict().items()]
        digest = hashlib.sha256("\n".join(structure).encode()).hexdigest()[:16]
        validation = self.validation
        settings = asdict(self.plan)
        # It changes nothing of the training: one that was begun without it may keep what is still to come.
        del settings["keep_epochs"]
        return {
            **settings,
            "fused": self.is_fused,
            **({} if self.start is None else {"start": f"{self.plan.start} {self.start.fingerprint()}"}),
            **({} if self.objective.teacher is None else {"teacher": self.objective.teacher.identity()}),
            "network": f"{self.title} {digest}",
            "data": self.data.identity(),
            "validation": None if validation is None else f"{validation.name} {validation.n_images}",
        }


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return usable_device(name, otherwise="Give 'auto', 'cpu' or 'cuda'.", error=TrainingError)
