"""Trains a network, each mini-batch on a route that a sampler draws.

What is to be done is a `TrainingPlan`; this room does it. After every epoch the whole state (weights,
momentum, generators) goes to disk, and a training that was stopped anywhere goes on from the last full epoch
to the same weights as one that never stopped (float32, same machine and number of threads). Routes are
explained in `route_sampler`, settings in `training_plan`, files in `checkpoint`.
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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unravelnet import zoo
from unravelnet.data import Batches, as_batches
from unravelnet.data.source import Batch
from unravelnet.devices import usable_device
from unravelnet.errors import CheckpointError, StoreError, TrainingError, first_line
from unravelnet.machine import choose_precision, full_float32, in_precision
from unravelnet.memory_layout import Layout, choose_layout, lay, place
from unravelnet.network import Inputs, UnraveledNetwork, first_tensor
from unravelnet.precision import PRECISIONS, Precision
from unravelnet.records import provenance
from unravelnet.records.directory_lock import locked
from unravelnet.records.files import writable_directory
from unravelnet.records.record import Table, load_table
from unravelnet.routes.route import Route
from unravelnet.training import checkpoint as checkpoints
from unravelnet.training import directory as training_directory
from unravelnet.training.checkpoint import Checkpoint
from unravelnet.training.data import TrainingData, training_targets
from unravelnet.training.directory import HISTORY_FILE
from unravelnet.training.fused_normalisation import fused_normalisations, load_operator
from unravelnet.training.replay import Replay, can_be_replayed, own_stream, record_graph
from unravelnet.training_plan import TrainingPlan, TrainingStatus
from unravelnet.zoo.recipe import recipe_or_none
from unravelnet.zoo.store import DESCRIPTION_FILE, WEIGHTS_FILE, residual_modules_of, write_weights

_log = logging.getLogger(__name__)

_EVALUATION_BATCH = 250
# vgg15 without normalisation on digits stays at chance with 0.05 and learns with 0.02 and less.
_RATE_WITHOUT_NORMALISATION = 0.01
# Forwards; some minutes on two cores, against which compiling, once a machine, is short.
_MACS_WORTH_COMPILING_FOR = 1e13

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
    **options: Any,
) -> Table:
    """Train a network in place and return its history, one row an epoch; it is left in evaluation mode.

    >>> net = zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0)
    >>> history = train(net, "digits", epochs=2, schedule="one-cycle")
    >>> history.columns[:4]
    ('epoch', 'train_loss', 'train_error_rate', 'test_error_rate')

    `data`: a specification (its training split; validated on its test split), `ImageData`, a pair of tensors
    or a torch `Dataset`. `validation`: data for `test_error_rate`, in any form; without any it is NaN.
    `options`: settings of the plan by name, in place of a plan or over it. `out`: directory for checkpoints,
    history and the finished network; a training found there goes on, and a finished one is loaded at once. The
    weights after the epochs of `keep_epochs` stay in its folder `epochs`, a file each.
    `progress` wraps the mini-batches of an epoch, as `tqdm` does; `on_batch` is called after each. Raises
    TrainingError where the settings do not fit, the loss is not finite, or `out` holds another training, run or
    network; StoreError where another process trains in `out`; and DataError for bad data.
    """
    if net.training_obstacle:
        raise TrainingError(net.training_obstacle)
    plan = _with_learning_rate((plan or TrainingPlan()).changed(options), net)
    training_data = TrainingData.open(data, plan)
    if validation is None and isinstance(data, str):
        validation = data
    batches = None if validation is None else as_batches(validation, batch_size=_EVALUATION_BATCH)
    if plan.keep_epochs and out is None:
        raise TrainingError(
            f"The weights after the epochs {plan.keep_epochs} are to be kept, and there is no directory to keep them "
            "in. Give one: out=DIRECTORY."
        )
    training = _Training(net, training_data, batches, plan, None if out is None else writable_directory(out))
    alone = contextlib.nullcontext() if training.out is None else locked(training.out, wait_seconds=0)
    with alone:
        with training.borrowing_network():
            while training.epoch < plan.epochs:
                training.run_epoch(progress, on_batch)
        training.finish()
    return training.table()


class _Training:
    """One training: network, data, optimiser and generators, and how far it is."""

    def __init__(
        self,
        net: UnraveledNetwork,
        data: TrainingData,
        validation: Batches | None,
        plan: TrainingPlan,
        out: Path | None,
    ) -> None:
        self.net, self.data, self.validation, self.plan, self.out = net, data, validation, plan, out
        self.modules = residual_modules_of(net)
        self.sampler = plan.sampler
        self.always = [m.index for m in self.modules if not m.is_deletable]
        self.sampler.check(len(self.modules), always=self.always)
        self.route_generator = np.random.default_rng(plan.seed)
        self.device = _device(plan.device)
        self.title = net.name or "the network"
        self.is_fused = self._decide_on_fusing()
        self.identity: dict[str, Any] = {}
        self.epoch = 0
        self.history: list[dict[str, Any]] = []
        self.was_finished = False

    # -- the network is borrowed: placed, trained, and given back where it was --

    @contextlib.contextmanager
    def borrowing_network(self) -> Iterator[None]:
        """Place network and random state for training, and give both back afterwards."""
        found = self._found()
        home = next(self.net.parameters()).device
        buffers = [(module, dict(module._buffers)) for module in self.net.modules()]
        with torch.random.fork_rng(devices=[]), own_stream(self.device):
            torch.default_generator.manual_seed(self.plan.seed)
            try:
                self._check_output()
                self._choose_precision(found)
                self._identify()
                self._scale_branches()
                self.optimiser = self._make_optimiser()
                self.replay = self._make_replay()
                if found is not None:
                    self._restore(found)
                self._open_directory(is_new=found is None)
                self.started, self.epochs_before = time.perf_counter(), self.epoch
                fused = (
                    fused_normalisations(self.net)
                    if self.is_fused and not self.replay
                    else contextlib.nullcontext()
                )
                with self.layout.in_use(), fused, full_float32():
                    yield
            finally:
                lay(self.net, Layout(channels_last=False), home)
                _give_back(buffers)
                self.net.zero_grad(set_to_none=True)
                self.net.eval()

    def _scale_branches(self) -> None:
        scales = self.sampler.branch_scales(len(self.modules), always=self.always)
        for module, scale in zip(self.modules, scales, strict=True):
            # Where a plain layer is left out the identity takes its place, so there is nothing to scale.
            module.branch_scale = 1.0 if module.skip is None else scale

    def _decide_on_fusing(self) -> bool:
        """Say whether normalisation and ReLU will be one operation. Raises where that was asked for and cannot be."""
        macs = self.plan.epochs * len(self.data.source) * self.net.total_macs
        pays = self.device.type == "cpu" and macs > _MACS_WORTH_COMPILING_FOR
        # Only of zoo networks is it known that nothing but the next layer reads what a normalisation gives.
        if not self.plan.fused and not (self.plan.fused is None and pays and recipe_or_none(self.net)):
            return False
        if self.device.type == "cuda":
            return True  # compiled with the pieces that are replayed
        can_be = load_operator()
        if self.plan.fused and not can_be:
            raise TrainingError(
                "The training setting fused is True, and the operation could not be compiled or loaded (see the "
                "warning above). Mend the compiler, or leave the setting out to train with the plain layers."
            )
        return can_be

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

    def _make_optimiser(self) -> torch.optim.SGD:
        for parameter in self.net.parameters():
            parameter.grad = torch.zeros_like(parameter)
        on_gpu = self.device.type == "cuda"
        rate = self.plan.peak_learning_rate
        optimiser = torch.optim.SGD(
            self.net.parameters(),
            # A replayed step reads the rate on the device, where it can be changed.
            lr=torch.tensor(rate, device=self.device) if on_gpu else rate,
            momentum=self.plan.momentum,
            weight_decay=self.plan.weight_decay,
            nesterov=self.plan.momentum > 0,
            foreach=not on_gpu,
            fused=on_gpu,
        )
        if on_gpu and self.plan.momentum:
            for parameter in self.net.parameters():
                optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return optimiser

    def _make_replay(self) -> Replay | None:
        """Prepare to replay full batches. Raises TrainingError where that was asked for and cannot be."""
        fits = self.device.type == "cuda" and can_be_replayed(self.net, self.data.probe()[0])
        if self.plan.replayed and not fits:
            raise TrainingError(
                f"The training setting replayed is True, and {self.title} on {self.device} cannot be replayed: that "
                "needs a CUDA device, and a network that reads one tensor and hands nothing past its modules. Leave "
                "the setting out."
            )
        # Of captured networks it is not known whether they look at values while they run, which no graph can.
        if not fits or self.plan.replayed is False or not (self.plan.replayed or recipe_or_none(self.net)):
            if self.plan.fused and self.device.type == "cuda":
                raise TrainingError(
                    "The training setting fused is True, and on CUDA only modules that are replayed are compiled. "
                    "Set replayed to True too, or leave fused out."
                )
            return None
        return Replay(
            self.net,
            self.optimiser,
            record_graph,
            autocast=lambda: in_precision(self.device, self.plan.precision),
            batch_size=self.plan.batch_size,
            every=self.net.full_route if self.plan.routes == "all" else None,
            label_smoothing=self.plan.label_smoothing,
            compiled=self.is_fused,
        )

    # -- one epoch --

    def run_epoch(self, progress: Progress | None, on_batch: OnBatch | None) -> None:
        """Go through the data once, evaluate, and put the state on disk."""
        began = time.perf_counter()
        sums = _Sums()
        self.net.train()
        positions_of_batches = self.data.draw_epoch()
        for positions in progress(positions_of_batches) if progress else positions_of_batches:
            self._train_batch(positions, sums)
            if on_batch is not None:
                on_batch(self._status(sums, began))
        images_per_second = sums.n / (time.perf_counter() - began)
        if not math.isfinite(sums.loss):
            raise self._diverged(f"The loss is {sums.loss} in")
        self._check_weights()
        row = {
            "epoch": self.epoch + 1,
            "train_loss": sums.loss,
            "train_error_rate": sums.error_rate,
            "test_error_rate": self._test_error_rate(),
            "learning_rate": self._learning_rate,
            "images_per_second": images_per_second,
            "seconds": time.perf_counter() - began,
        }
        self.history.append(row)
        self.epoch += 1
        # First, so that what a checkpoint has behind it is there, wherever the process is killed.
        self._keep_weights()
        self._save_state()

    def _train_batch(self, positions: Tensor, sums: _Sums) -> None:
        self._set_learning_rate(self.epoch * self.data.n_batches + sums.batch)
        batch = self.data.batch(positions, self.plan.image_size_at(self.epoch))
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
        loss = F.cross_entropy(logits, targets.to(self.device), label_smoothing=self.plan.label_smoothing)
        value = loss.item()
        if not math.isfinite(value):
            raise self._diverged(f"The loss is {value} in batch {sums.batch + 1} of")
        if not loss.requires_grad:
            raise self._without_gradient()
        loss.backward()
        self.optimiser.step()
        sums.add(value * len(targets), _n_wrong(logits.detach(), targets), len(targets))

    def _set_learning_rate(self, iteration: int) -> None:
        n_iterations = self.plan.epochs * self.data.n_batches
        rate = self.plan.learning_rate_at(iteration, n_iterations)
        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    @property
    def _learning_rate(self) -> float:
        return float(self.optimiser.param_groups[0]["lr"])

    def _draw_route(self) -> Route | None:
        if self.plan.routes == "all":
            return None
        return self.sampler.sample(len(self.modules), self.route_generator, always=self.always)

    def _logits(self, batch: Batch, route: Route | None = None) -> Tensor:
        output = self.net(place(batch[0], self.layout, self.device), route)
        logits = output if isinstance(output, Tensor) else getattr(output, "logits", output)
        if not isinstance(logits, Tensor) or logits.dim() != 2:
            form = f"a tensor {list(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
            raise TrainingError(
                f"{self.title} gives {form}; training needs one score a class: a tensor [images, classes]."
            )
        return logits.float()

    def _test_error_rate(self) -> float:
        if self.validation is None or not self.plan.tests_after(self.epoch + 1):
            return math.nan
        self.net.eval()
        sums = _Sums()
        with torch.no_grad(), in_precision(self.device, self.plan.precision):
            for batch in self.validation:
                targets = training_targets(batch[1], self.n_outputs, self.validation.name)
                sums.add(0.0, _n_wrong(self._logits(batch), targets), len(targets))
        return sums.error_rate

    def _status(self, sums: _Sums, began: float) -> TrainingStatus:
        now = time.perf_counter()
        n_done = (self.epoch - self.epochs_before) * self.data.n_batches + sums.batch
        n_left = (self.plan.epochs - self.epoch) * self.data.n_batches - sums.batch
        return TrainingStatus(
            epoch=self.epoch + 1,
            n_epochs=self.plan.epochs,
            batch=sums.batch,
            n_batches=self.data.n_batches,
            loss=sums.loss,
            error_rate=sums.error_rate,
            images_per_second=sums.n / (now - began),
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
        if self.out is not None and self.epoch:
            kept = f" The last good checkpoint, after epoch {self.epoch}, is in {self.out}."
        return TrainingError(
            f"{what} epoch {self.epoch + 1}, at a learning rate of {self._learning_rate:g}: the training "
            f"diverges.{kept} Lower the learning rate, or warm up for longer."
        )

    # -- what is on disk --

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
            "network": f"{self.title} {digest}",
            "data": self.data.identity(),
            "validation": None if validation is None else f"{validation.name} {validation.n_images}",
        }

    def _found(self) -> Checkpoint | None:
        """Read the checkpoint that is there. Raises TrainingError where it is of another training."""
        found = None if self.out is None else checkpoints.read(self.out)
        if found is not None:
            own = self._identity()
            if self.plan.precision == "auto":
                own["precision"] = found.identity.get("precision")
            checkpoints.check_same(found, own, str(self.out))
        return found

    def _identify(self) -> None:
        """Say what this training is, now that its precision is known."""
        if self.out is None:
            return
        self.identity = self._identity()
        # Now, and not at the end: meanwhile another commit may be checked out.
        threads = torch.get_num_threads()
        device = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        self.provenance = provenance.collect(
            training=self.identity, seed=self.plan.seed, threads=threads, device=device
        )

    def _save_state(self) -> None:
        if self.out is None:
            return
        tensors = {f"weights.{name}": tensor for name, tensor in self.net.state_dict().items()}
        for name, parameter in self.net.named_parameters():
            momentum = self.optimiser.state[parameter].get("momentum_buffer")
            if momentum is not None:
                tensors[f"momentum.{name}"] = momentum
        tensors["generator.data"] = self.data.generator.get_state()
        tensors["generator.default"] = torch.default_generator.get_state()
        route_generator = dict(self.route_generator.bit_generator.state)
        state = Checkpoint(self.identity, self.epoch, self.history, route_generator, tensors)
        checkpoints.write(self.out, state)
        self._write_history()
        training_directory.check_there(self.out)

    def _write_history(self) -> None:
        if self.out is None:
            return
        path = self.out / HISTORY_FILE
        with contextlib.suppress(StoreError):  # missing or damaged
            if load_table(path) == self.table():
                return
        self.table().save(path)

    def _restore(self, found: Checkpoint) -> None:
        place = f"the checkpoint in {self.out}"
        try:
            self.net.load_weights(found.under("weights."), source=place)
            for name, momentum in found.under("momentum.").items():
                parameter = self.net.get_parameter(name)
                # In the layout of the parameter, which the optimiser's arithmetic expects.
                self.optimiser.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(
                    momentum
                )
            self.data.generator.set_state(found.tensors["generator.data"])
            torch.default_generator.set_state(found.tensors["generator.default"])
            self.route_generator.bit_generator.state = dict(found.route_generator)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{place} does not hold the state of this training: {error}. Remove it to start anew."
            ) from error
        self.epoch, self.history = found.epoch, list(found.history)
        self.was_finished = self.epoch == self.plan.epochs

    def _open_directory(self, *, is_new: bool) -> None:
        """Claim the directory, and bring it to where the training is: history and kept weights.

        Says which weights should have been kept earlier and were not.
        """
        if self.out is None:
            return
        training_directory.claim(self.out, self.provenance)
        if is_new:
            checkpoints.forget_epochs(self.out)
        else:  # a process that was killed may have left the history an epoch behind, and the checkpoint before
            self._write_history()
            checkpoints.remove_others(self.out, self.epoch)
        kept = checkpoints.epochs_kept(self.out)
        if self.epoch not in kept:
            self._keep_weights()
        lost = [str(epoch) for epoch in self.plan.kept_epochs if epoch < self.epoch and epoch not in kept]
        if lost:
            _log.warning(
                "The weights after epoch %s were not kept when the training in %s passed there, and are not in %s.",
                ", ".join(lost),
                self.out,
                self.out / checkpoints.EPOCHS_DIRECTORY,
            )

    def _keep_weights(self) -> None:
        if self.out is not None and self.epoch in self.plan.kept_epochs:
            checkpoints.write_epoch(self.out, self.epoch, self.net.state_dict())

    def finish(self) -> None:
        """Write the trained network and how it came about, unless they are there."""
        is_from_zoo = recipe_or_none(self.net) is not None
        files = (WEIGHTS_FILE, DESCRIPTION_FILE) if is_from_zoo else (WEIGHTS_FILE,)
        if self.out is None or (self.was_finished and all((self.out / name).exists() for name in files)):
            return
        ended = datetime.now(UTC).isoformat(timespec="seconds")
        times = {"started_utc": self.provenance["time_utc"], "time_utc": ended}
        provenance.write_run(self.out, {**self.provenance, **times})
        if is_from_zoo:
            zoo.save(self.net, self.out, facts={"training": asdict(self.plan)}, **self.data.facts())
        else:
            write_weights(self.out / WEIGHTS_FILE, self.net.state_dict())
        training_directory.check_there(self.out)

    def table(self) -> Table:
        """Return the history as a table."""
        return Table(self.history)


class _Sums:
    """Running sums over mini-batches, on the device where they arise; ratios are taken when somebody looks."""

    def __init__(self) -> None:
        self.batch = self.n = 0
        self._wrong: int | Tensor = 0
        self._loss: float | Tensor = 0.0

    def add(self, loss: float | Tensor, wrong: int | Tensor, n: int) -> None:
        """Add a mini-batch: its summed loss, and how many of its n images are taken for another class."""
        self.batch += 1
        self.n += n
        self._wrong = self._wrong + wrong
        self._loss = self._loss + loss

    @property
    def loss(self) -> float:
        """The mean loss of an image."""
        return float(self._loss) / self.n

    @property
    def error_rate(self) -> float:
        """The share of images that are taken for another class."""
        return int(self._wrong) / self.n


def _n_wrong(logits_BC: Tensor, targets_B: Tensor) -> int:
    return int((logits_BC.argmax(1).cpu() != targets_B).sum())


def _with_learning_rate(plan: TrainingPlan, net: UnraveledNetwork) -> TrainingPlan:
    """Settle the learning rate where the plan leaves it open."""
    recipe = recipe_or_none(net)
    if plan.learning_rate is None and recipe and not recipe.options.get("normalisation", True):
        return replace(plan, learning_rate=_RATE_WITHOUT_NORMALISATION)
    return replace(plan, learning_rate=plan.peak_learning_rate)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return usable_device(name, otherwise="Give 'auto', 'cpu' or 'cuda'.", error=TrainingError)


def _give_back(buffers: list[tuple[nn.Module, dict[str, Tensor | None]]]) -> None:
    """Put what became of buffers into the tensors that they were: a captured network shares them with its model."""
    for module, before in buffers:
        for name, buffer in before.items():
            now = module._buffers[name]
            if buffer is not None and now is not None and now is not buffer:
                buffer.copy_(now)
                module._buffers[name] = buffer
