"""How a network is to be trained, with the learning rate of every iteration, and how far a training is.

Plain data without torch; `train` carries it out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from unravelnet.costs import (
    LARGEST_LEARNING_RATE,
    LARGEST_SEED,
    MOST_EPOCHS,
    MOST_EXAMPLES_AT_A_TIME,
    MOST_PIXELS,
)
from unravelnet.errors import TrainingError, unknown_name
from unravelnet.kinds import expected_kind
from unravelnet.papers import he
from unravelnet.precision import PrecisionChoice, check_precision
from unravelnet.routes.sampler import RouteSampler, parse_route_sampler

Schedule = Literal["step", "cosine", "one-cycle"]
Optimiser = Literal["sgd", "adamw"]

# That of AdamW is the default of torch.
_USUAL_LEARNING_RATES = {"sgd": he.LEARNING_RATE.value, "adamw": 0.001}
_SCHEDULES = ("step", "cosine", "one-cycle")
_STEPS = tuple(step.count / he.ITERATIONS.count for step in (he.FIRST_STEP, he.SECOND_STEP))
_WARMUP_ITERATIONS = he.WARMUP.count
_WARMUP_SHARE = 1 / 20
_WARMUP_FACTOR = 0.1
# One-cycle after Smith and Topin 2017, with the defaults of torch's OneCycleLR.
_RISE_SHARE, _START_DIVISOR, _END_DIVISOR = 0.3, 25.0, 1e4


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """All settings of a training; the defaults are the recipe of He et al. (2015) with Nesterov momentum.

    >>> TrainingPlan(epochs=10, routes="stochastic-depth:0.5").batch_size
    128

    `learning_rate`: None takes 0.1, or 0.01 for a zoo network without normalisation, which would diverge; with "adamw"
    0.001. `optimiser`: "sgd", or "adamw" for transformers (Loshchilov and Hutter 2019), whose first decay rate is
    `momentum`.
    `schedule`: "step" divides the rate by 10 after half and after three quarters of the iterations, "cosine"
    and "one-cycle" are smooth. `warmup_iterations`: begin at a tenth of the rate for so many iterations;
    None: 400, or a twentieth of a shorter training; "one-cycle" has its own beginning. `routes`: "all",
    "stochastic-depth:0.5", "exactly:23", "exactly:23,keep=downsampling", "uniform", or one route,
    "route:0-2,3s,4". `start`: the trained network whose weights the training begins with, "zoo:NAME" or a directory
    that `train` wrote; empty: those that the network has. `precision`: "float32", "bfloat16", or "auto": that of the
    checkpoint where there is one, else bfloat16 where the machine multiplies it itself and the network gains from it
    and tolerates it, else float32. `augment`: random crops and flips, for image data;
    `pad` and `flip` as in `data.Augmentation`, chosen by the image shape if None. `image_sizes`: heights of the
    images over equal parts of the training, such as "16,24,32": smaller ones cost less, and the last should be that
    of the data; empty: always as they are. `test_every`: epochs from one test on the validation data to the next;
    the last epoch is always tested. `fused`: batch normalisation and ReLU as one operation, the same up to rounding
    and faster, on a CPU with an operation of ours, on CUDA compiled by torch; None: on a CPU, for zoo networks, where
    the training takes some minutes. `replayed`: modules are recorded as CUDA graphs, each launched as a whole; None:
    for zoo networks on CUDA. `device`: "auto" takes CUDA where there is one. `keep_epochs`: after which epochs the
    weights are kept for good, such as "0,1,2,5,10" or "all"; 0 is before the first, and if any are kept, the last
    are. Raises TrainingError for impossible settings.
    """

    epochs: int = he.EPOCHS.count
    batch_size: int = he.BATCH_SIZE.count
    learning_rate: float | None = None
    optimiser: Optimiser = "sgd"
    momentum: float = he.MOMENTUM.value
    weight_decay: float = he.WEIGHT_DECAY.value
    schedule: Schedule = "step"
    warmup_iterations: int | None = None
    label_smoothing: float = 0.0
    routes: str = "all"
    start: str = ""
    precision: PrecisionChoice = "auto"
    channels_last: bool = True
    augment: bool = True
    pad: int | None = None
    flip: bool | None = None
    image_sizes: str = ""
    test_every: int = 1
    fused: bool | None = None
    replayed: bool | None = None
    seed: int = 0
    device: str = "auto"
    keep_epochs: str = ""

    def __post_init__(self) -> None:
        for setting in fields(self):
            expected = expected_kind(getattr(self, setting.name), setting.type)
            self._check(setting.name, not expected, expected)
        if self.optimiser not in tuple(_USUAL_LEARNING_RATES):
            raise unknown_name("optimiser", self.optimiser, _USUAL_LEARNING_RATES)
        self._check_whole("epochs", 1, MOST_EPOCHS)
        self._check_whole("batch_size", 1, MOST_EXAMPLES_AT_A_TIME)
        self._check_whole("seed", 0, LARGEST_SEED)
        self._check(
            "learning_rate",
            0 < self.peak_learning_rate <= LARGEST_LEARNING_RATE,
            f"a number above 0 and up to {LARGEST_LEARNING_RATE:,g}, or None",
        )
        self._check("momentum", 0 <= self.momentum < 1, "a number from 0 to below 1")
        self._check(
            "weight_decay",
            0 <= self.weight_decay <= LARGEST_LEARNING_RATE,
            f"0 to {LARGEST_LEARNING_RATE:,g}",
        )
        self._check("warmup_iterations", (self.warmup_iterations or 0) >= 0, "0 or more, or None")
        self._check("label_smoothing", 0 <= self.label_smoothing < 1, "a number from 0 to below 1")
        self._check("pad", 0 <= (self.pad or 0) <= MOST_PIXELS, f"0 to {MOST_PIXELS:,}, or None")
        if self.schedule not in _SCHEDULES:
            raise unknown_name("schedule", self.schedule, _SCHEDULES)
        check_precision(self.precision)
        parse_route_sampler(self.routes)
        self._check("test_every", self.test_every >= 1, "1 or more")
        heights = f'heights of 1 to {MOST_PIXELS:,} pixels, as "16,24,32", or ""'
        self._check("image_sizes", self._image_sizes() is not None, heights)
        n_sizes = len(self._image_sizes() or ())
        self._check("epochs", self.epochs >= n_sizes, f"{n_sizes} or more, one for each of the image sizes")
        self._check(
            "keep_epochs",
            self._kept_epochs() is not None,
            f'epochs from 0 to {self.epochs}, as "1,2,5", or "all"',
        )

    @property
    def kept_epochs(self) -> tuple[int, ...]:
        """The epochs after which the weights are kept for good, in order; none unless `keep_epochs` says so.

        >>> TrainingPlan(epochs=10, keep_epochs="0,1,5").kept_epochs
        (0, 1, 5, 10)
        """
        kept = self._kept_epochs()
        assert kept is not None, "checked when the plan was made"
        return kept

    def image_size_at(self, epoch: int) -> int | None:
        """Give the height of the images in an epoch, counted from 0; None where they stay as they are.

        >>> [TrainingPlan(epochs=5, image_sizes="16,32").image_size_at(epoch) for epoch in range(5)]
        [16, 16, 16, 32, 32]
        """
        sizes = self._image_sizes()
        return sizes[epoch * len(sizes) // self.epochs] if sizes else None

    def tests_after(self, epoch: int) -> bool:
        """Whether the network is tested after an epoch, counted from 1.

        >>> [epoch for epoch in range(1, 6) if TrainingPlan(epochs=5, test_every=2).tests_after(epoch)]
        [2, 4, 5]
        """
        return epoch % self.test_every == 0 or epoch == self.epochs

    @property
    def sampler(self) -> RouteSampler:
        """The route sampler that `routes` names."""
        return parse_route_sampler(self.routes)

    @property
    def peak_learning_rate(self) -> float:
        """The highest learning rate; the usual one of the optimiser where the plan leaves it open."""
        return _USUAL_LEARNING_RATES[self.optimiser] if self.learning_rate is None else self.learning_rate

    def changed(self, options: Mapping[str, Any]) -> TrainingPlan:
        """Return the plan with other values for some settings.

        Raises UnknownNameError for a setting that does not exist.
        """
        known = [field.name for field in fields(self)]
        for name in options:
            if name not in known:
                raise unknown_name("training setting", name, known)
        return replace(self, **options)

    def learning_rate_at(self, iteration: int, n_iterations: int) -> float:
        """Give the learning rate of an iteration, counted from 0.

        >>> plan = TrainingPlan(epochs=1, warmup_iterations=0)
        >>> [round(plan.learning_rate_at(i, 4), 6) for i in range(4)]
        [0.1, 0.1, 0.01, 0.001]
        """
        if self.schedule == "one-cycle":
            return self.peak_learning_rate * _one_cycle(iteration, n_iterations)
        warmup = self.warmup_iterations
        if warmup is None:
            warmup = min(_WARMUP_ITERATIONS, int(n_iterations * _WARMUP_SHARE))
        if iteration < warmup:
            return self.peak_learning_rate * _WARMUP_FACTOR
        if self.schedule == "cosine":
            return self.peak_learning_rate * _half_cosine(
                1, 0, (iteration - warmup) / max(1, n_iterations - warmup)
            )
        n_steps = sum(iteration >= share * n_iterations for share in _STEPS)
        return float(self.peak_learning_rate / 10**n_steps)

    def _kept_epochs(self) -> tuple[int, ...] | None:
        """Read `keep_epochs`; None where it is no list of epochs of this training."""
        if not self.keep_epochs:
            return ()
        if self.keep_epochs == "all":
            return tuple(range(self.epochs + 1))
        try:
            named = {int(number) for number in self.keep_epochs.split(",")}
        except ValueError:
            return None
        return tuple(sorted(named | {self.epochs})) if named <= set(range(self.epochs + 1)) else None

    def _image_sizes(self) -> tuple[int, ...] | None:
        """Read `image_sizes`; None where it is no list of heights."""
        if not self.image_sizes:
            return ()
        sizes = [int(size) if size.strip().isdecimal() else 0 for size in self.image_sizes.split(",")]
        return tuple(sizes) if all(0 < size <= MOST_PIXELS for size in sizes) else None

    def _check_whole(self, name: str, least: int, most: int) -> None:
        self._check(name, least <= getattr(self, name) <= most, f"{least} to {most:,}")

    def _check(self, name: str, is_right: bool, expected: str) -> None:
        if not is_right:
            raise TrainingError(f"The training setting {name} is {getattr(self, name)}; give {expected}.")


@dataclass(frozen=True, slots=True)
class TrainingStatus:
    """How far a training is, after a mini-batch.

    `epoch` and `batch` count from 1. `loss` and `error_rate` are means over the epoch so far, on the routes
    and images as sampled and augmented. `seconds_left`: until the end of the training, evaluation included.
    """

    epoch: int
    n_epochs: int
    batch: int
    n_batches: int
    loss: float
    error_rate: float
    images_per_second: float
    seconds_left: float


def _one_cycle(iteration: int, n_iterations: int) -> float:
    peak, end = _RISE_SHARE * n_iterations - 1, n_iterations - 1
    if peak <= 0:  # three iterations or fewer: no room for a cycle
        return 1.0
    start = 1 / _START_DIVISOR
    if iteration <= peak:
        return _half_cosine(start, 1, iteration / peak)
    return _half_cosine(1, start / _END_DIVISOR, (iteration - peak) / (end - peak))


def _half_cosine(first: float, last: float, share: float) -> float:
    """Go from one value to another along half a cosine; `share` runs from 0 to 1."""
    return last + (first - last) / 2 * (1 + math.cos(math.pi * share))
