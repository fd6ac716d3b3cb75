"""How much a reproduction measures: the settings of a run, given, found in its directory, or by default.

Networks that are trained here keep the run short on two cores: two minutes for a thousand images smaller than
32 × 32, and with two epochs about an hour, most of it training, for data of the size of CIFAR-10. Networks that are
shipped cost no training, so that their studies can be those of the paper in full: an hour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from unravelnet.costs import check_half_width
from unravelnet.data import ImageData
from unravelnet.errors import DataError, EvaluationError, StoreError, TrainingError
from unravelnet.network import UnraveledNetwork
from unravelnet.precision import PrecisionChoice
from unravelnet.records.directory_lock import locked
from unravelnet.records.provenance import collect, read_run, write_run
from unravelnet.registry import STUDIES
from unravelnet.reproduction.plan import DELETED_COUNTS, GRADIENTS_OVER_TRAINING, SWAP_COUNTS, NetworkPlan
from unravelnet.studies import Draws, Trial
from unravelnet.training_plan import TrainingPlan
from unravelnet.wording import counted

# Epochs after which the weights are kept, beside the last: early in a training most changes.
_KEPT_EPOCHS = (0, 1, 2, 5, 10, 20, 50, 100)
_RUN_KEY = "reproduction"
_SMALL_SIDE = 32
_GRADIENT_IMAGES, _FEW_GRADIENT_IMAGES = 64, 16
_PATH_DRAWS, _FEW_PATH_DRAWS = 1000, 100
# Two networks of 54 modules are taken apart in a minute.
_SMALL_EPOCHS, _SMALL_IMAGES, _SMALL_REPEATS = 8, 200, 8
_QUICK_IMAGES, _QUICK_REPEATS = 1000, 10
# On 1,000 images an error of 10 % is known to ±1.9 points and one of 50 % to ±3.1, less than draws differ.
_MOST_DRAW_IMAGES, _FEWEST_DRAW_IMAGES = 1000, 250
# The normal deviate of a 95 % interval, as `evaluate` gives it.
_DEVIATE = 1.96


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a reproduction trains and measures; an option of `reproduce`, which explains each.

    What is None is as in an earlier run in the same directory, else chosen by default.
    """

    quick: bool | None = None
    epochs: int | None = None
    images: int | None = None
    repeats: int | None = None
    until_ci: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the tables of a reproduction depend on, as JSON values.

    `epochs`: of each training; None where all networks are shipped. `images`: test images for the studies that change
    one module at a time; `draw_images`: for each random draw of the others, of which there are `repeats` a count, and
    for what is measured of modules. `until_ci`: half the width of the interval at which a draw stops, on as many
    images as that needs; None: every draw sees `draw_images`. `quick`: fewer of everything. `gradient_images`:
    training images whose gradient is split by path length, `path_draws`: random paths of each length. `train_data`,
    `test_data`: fingerprints.
    """

    data: str
    train_data: str
    test_data: str
    quick: bool
    epochs: int | None
    images: int
    draw_images: int
    repeats: int
    until_ci: float | None
    gradient_images: int
    path_draws: int
    precision: PrecisionChoice
    seed: int
    networks: list[dict[str, Any]]

    def training(self, network: NetworkPlan) -> TrainingPlan:
        """Give the settings of one training. Raises TrainingError where they cannot be."""
        assert self.epochs is not None, "a network that is not shipped is trained"
        return TrainingPlan(
            epochs=self.epochs,
            learning_rate=network.learning_rate,
            schedule="one-cycle",
            routes=network.routes,
            precision=self.precision,
            seed=self.seed,
            keep_epochs=self._kept_epochs_text(network),
        )

    @property
    def kept_epochs(self) -> tuple[int, ...]:
        """The epochs after which weights are kept to be compared; none where nothing is trained."""
        if self.epochs is None:
            return ()
        return (*(epoch for epoch in _KEPT_EPOCHS if epoch < self.epochs), self.epochs)

    def _kept_epochs_text(self, network: NetworkPlan) -> str:
        return ",".join(map(str, self.kept_epochs)) if GRADIENTS_OVER_TRAINING in network.measurements else ""

    def trials(self, study: str, network: NetworkPlan, net: UnraveledNetwork) -> list[Trial]:
        """List the trials of a study; counts that a small network does not allow are left out."""
        counts = {
            "delete_many": DELETED_COUNTS if self.quick else network.deleted_counts,
            "delete_many_same_shape": DELETED_COUNTS,
            "reorder": SWAP_COUNTS if self.quick else network.swap_counts,
        }
        draws = Draws(repeats=self.repeats, seed=self.seed)
        if study in counts:
            draws = replace(draws, counts=counts[study])
        return STUDIES.find(study).plan(net, draws)

    def n_images(self, study: str, network: NetworkPlan) -> int:
        """Give the number of images for a study; with `until_ci`, the most that a draw can need."""
        found = STUDIES.find(study)
        if not found.is_drawn and not found.has_many_trials:
            return self.draw_images if network.few_images else self.images
        if not found.is_drawn or self.until_ci is None:
            return self.draw_images
        # The interval of a rate is widest at one half.
        return min(self.images, math.ceil((_DEVIATE / (2 * self.until_ci)) ** 2))

    def until_ci_of(self, study: str) -> float | None:
        """Give the width at which the trials of a study stop; None where they see all their images."""
        return self.until_ci if STUDIES.find(study).is_drawn else None


def settle(
    directory: Path,
    train_data: ImageData,
    test_data: ImageData,
    given: Mapping[str, Any],
    *,
    seed: int,
    networks: Sequence[NetworkPlan],
) -> Settings:
    """Fill in what was not given: from the run in the directory if there is one, else by default.

    `given`: quick, epochs, images, repeats, until_ci and precision, None where left open. Raises StoreError where the
    directory holds another run, naming the first setting that differs; DataError for more images than there are;
    EvaluationError for an interval that is none; TrainingError for epochs of networks that are not trained.
    """
    found = found_settings(directory)
    own = {name: value for name, value in given.items() if value is not None}
    quick = bool(own.get("quick", found.get("quick", False)))
    is_trained = any(network.is_trained_here for network in networks)
    defaults = _defaults(test_data, quick=quick, is_trained=is_trained)
    chosen = defaults | {name: found[name] for name in defaults if name in found} | own
    is_short = quick or (is_trained and is_small(test_data))
    _check_images(chosen["images"], test_data)
    _check_width(chosen["until_ci"])
    settings = Settings(
        data=test_data.name,
        train_data=train_data.fingerprint(),
        test_data=test_data.fingerprint(),
        draw_images=_draw_images(chosen["images"], is_half=is_small(test_data)),
        gradient_images=min(_FEW_GRADIENT_IMAGES if is_short else _GRADIENT_IMAGES, len(train_data)),
        path_draws=_FEW_PATH_DRAWS if is_short else _PATH_DRAWS,
        seed=seed,
        networks=[network.to_json() for network in networks],
        **chosen,
    )
    _check_same(directory, found, settings)
    if settings.epochs is not None and not is_trained:
        raise TrainingError(
            f"Training for {counted(settings.epochs, 'epoch')} was asked for, and no network is "
            "trained: all have their weights. Leave "
            "the epochs out, or give networks that are to be trained."
        )
    return settings


def _check_images(images: int, data: ImageData) -> None:
    if not 1 <= images <= len(data):
        raise DataError(
            f"{images} test images of {data.name} were asked for, and it has {len(data)}; ask for 1 to {len(data)}."
        )


def _check_width(until_ci: float | None) -> None:
    check_half_width(until_ci)
    if until_ci is not None and until_ci >= 1:
        raise EvaluationError(
            f"Draws cannot stop when half their interval is {until_ci}; give a number between 0 and 1, such as 0.03."
        )


def _draw_images(images: int, *, is_half: bool) -> int:
    if is_half:
        return (images + 1) // 2
    return min(images, _MOST_DRAW_IMAGES, max(_FEWEST_DRAW_IMAGES, images // 8))


def begin(directory: Path, settings: Settings, command: Sequence[str] | None) -> bool:
    """Write down what is about to be done, unless the directory says so already; return whether it did not.

    Code of another commit that goes on with a run is named, too: what it adds is of that code.
    """
    facts = {_RUN_KEY: asdict(settings), "seed": settings.seed, "threads": torch.get_num_threads()}
    with locked(directory):
        # Another process may have begun since the settings were settled.
        found = found_settings(directory)
        _check_same(directory, found, settings)
        now = collect(command, **facts)
        if not found:
            write_run(directory, now)
        else:
            _note_other_code(directory, now)
    return not found


def _note_other_code(directory: Path, now: Mapping[str, Any]) -> None:
    run = read_run(directory)
    continued: dict[str, str | None] = run.get("continued", {})
    last = [run.get("commit"), *continued.values()][-1]
    if now["commit"] != last:
        write_run(directory, {**run, "continued": {**continued, now["time_utc"]: now["commit"]}})


def end(directory: Path, seconds: float) -> None:
    """Write down how long a run took that one call began and finished; of several it is not known."""
    write_run(directory, {**read_run(directory), "seconds": round(seconds, 1)})


def found_settings(directory: Path) -> dict[str, Any]:
    """Read the settings of the run in a directory; empty where there is none."""
    if not (directory / "run.json").exists():
        return {}
    found = read_run(directory).get(_RUN_KEY)
    if not isinstance(found, dict):
        raise StoreError(
            f"{directory} holds another kind of run, not a reproduction. Give another directory for this one."
        )
    return found


def _check_same(directory: Path, found: Mapping[str, Any], settings: Settings) -> None:
    own = asdict(settings)
    for field in fields(Settings):
        name = field.name
        if found and found.get(name) != own[name]:
            # Long lists, of which the difference would be hard to see.
            values = "" if name == "networks" else f": {found.get(name)!r} there and {own[name]!r} here"
            raise StoreError(
                f"{directory} holds a reproduction with another setting of {name.replace('_', ' ')}{values}. Give "
                "the same settings to continue it, or another directory."
            )


def _defaults(data: ImageData, *, quick: bool, is_trained: bool) -> dict[str, Any]:
    small, n = is_small(data), len(data)
    if not is_trained:
        epochs, images, repeats = None, n, 50
    elif small:
        epochs, images, repeats = _SMALL_EPOCHS, min(_SMALL_IMAGES, n), _SMALL_REPEATS
    else:
        epochs, images, repeats = 30, min(2000, n), 15
    if quick:
        images, repeats = min(_QUICK_IMAGES, images), _QUICK_REPEATS
    return {
        "quick": quick,
        "epochs": epochs,
        "images": images,
        "repeats": repeats,
        "until_ci": None,
        "precision": "auto",
    }


def limit_of(n_images: int, data: ImageData) -> int | None:
    """Give the limit that takes so many images; None where it is all of them."""
    return None if n_images == len(data) else n_images


def is_small(data: ImageData) -> bool:
    """Whether the images are smaller than those of the paper."""
    return max(data.image_shape[1:]) < _SMALL_SIDE
