"""What a reproduction is made of: networks, studies, and how much of each by default.

The defaults keep the whole run short on two cores: a few minutes for images smaller than 32 × 32, and with two
epochs about an hour, most of it training, for data of the size of CIFAR-10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from unravelnet import studies
from unravelnet.data import ImageData
from unravelnet.errors import DataError, StoreError
from unravelnet.inference import Precision
from unravelnet.network import UnraveledNetwork
from unravelnet.provenance import collect, read_run, write_run
from unravelnet.studies import Trial
from unravelnet.training_plan import TrainingPlan

# Veit et al. (2016), Fig. 5: up to 20 deletions, and as many swaps as lead to their smallest rank correlation.
DELETED_COUNTS = (1, 2, 3, 5, 7, 10, 15, 20)
SWAP_COUNTS = (1, 2, 3, 5, 8, 10, 12, 15)
_STUDIES_OF_RESIDUAL = ("delete_each", "delete_many", "reorder", "remove_skip_each")
GRADIENTS_OVER_TRAINING = "over_training"
_MEASURED_OF_RESIDUAL = (
    "path_gradients_exact",
    "path_gradients_rms",
    "path_gradients_sampled",
    "effective_depths",
    "module_measures",
    "layer_responses",
    "ensemble",
)
# Epochs after which the weights are kept, beside the last: early in a training most changes.
_KEPT_EPOCHS = (0, 1, 2, 5, 10, 20, 50, 100)
_RUN_KEY = "reproduction"
_SMALL_SIDE = 32
_GRADIENT_IMAGES = 64
_PATH_DRAWS = 1000


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """One network of a reproduction: what it is, how it is trained, what is studied.

    `name`: of its directory. `title`: in figures. `role`: what the report compares it as, "resnet",
    "stochastic-depth" or "vgg". `zoo_name`, `routes`: as for `zoo.create` and `train`. `studies`: of lesions.
    `measurements`: of gradients, modules and ensembles; "over_training" keeps weights during the training.
    """

    name: str
    title: str
    role: str
    zoo_name: str
    routes: str = "all"
    studies: tuple[str, ...] = _STUDIES_OF_RESIDUAL
    measurements: tuple[str, ...] = _MEASURED_OF_RESIDUAL


NETWORKS = (
    NetworkPlan(
        "resnet",
        "ResNet-110",
        "resnet",
        "preact-resnet110",
        measurements=(*_MEASURED_OF_RESIDUAL, GRADIENTS_OVER_TRAINING),
    ),
    NetworkPlan(
        "stochastic-depth",
        "ResNet-110 with stochastic depth",
        "stochastic-depth",
        "preact-resnet110",
        routes="stochastic-depth:0.5",
    ),
    NetworkPlan("vgg", "VGG-15", "vgg", "vgg15", studies=("delete_each",), measurements=("layer_responses",)),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the tables of a reproduction depend on, as JSON values.

    `images`: test images for the studies that change one module at a time; `draw_images`: for each random draw
    of the others, of which there are `repeats` a count, and for what is measured of modules. `gradient_images`:
    training images whose gradient is split by path length, `path_draws`: random paths of each length. `train_data`,
    `test_data`: fingerprints.
    """

    data: str
    train_data: str
    test_data: str
    epochs: int
    images: int
    draw_images: int
    repeats: int
    gradient_images: int
    path_draws: int
    precision: Precision
    seed: int
    networks: list[dict[str, Any]]

    def training(self, network: NetworkPlan) -> TrainingPlan:
        """Give the settings of one training. Raises TrainingError where they cannot be."""
        return TrainingPlan(
            epochs=self.epochs,
            schedule="one-cycle",
            routes=network.routes,
            precision=self.precision,
            seed=self.seed,
            keep_epochs=self._kept_epochs_text(network),
        )

    @property
    def kept_epochs(self) -> tuple[int, ...]:
        """The epochs after which weights are kept to be compared."""
        return (*(epoch for epoch in _KEPT_EPOCHS if epoch < self.epochs), self.epochs)

    def _kept_epochs_text(self, network: NetworkPlan) -> str:
        return ",".join(map(str, self.kept_epochs)) if GRADIENTS_OVER_TRAINING in network.measurements else ""

    def trials(self, study: str, net: UnraveledNetwork) -> list[Trial]:
        """List the trials of a study; counts that a small network does not allow are left out."""
        n_deletable = len(studies.delete_each(net)) - 1
        repeats, seed = self.repeats, self.seed
        plans: dict[str, Callable[[], list[Trial]]] = {
            "delete_each": lambda: studies.delete_each(net),
            "remove_skip_each": lambda: studies.remove_skip_each(net),
            "delete_many": lambda: studies.delete_many(
                net,
                [count for count in DELETED_COUNTS if count <= n_deletable],
                repeats=repeats,
                seed=seed,
            ),
            "reorder": lambda: studies.reorder(net, SWAP_COUNTS, repeats=repeats, seed=seed),
        }
        return plans[study]()

    def limit(self, study: str, data: ImageData) -> int | None:
        """Give the number of images for a study; None where it is all of them."""
        n = self.draw_images if study in ("delete_many", "reorder") else self.images
        return None if n == len(data) else n


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

    `given`: epochs, images, repeats and precision, None where left open. Raises StoreError where the directory
    holds another run, naming the first setting that differs, and DataError for more images than there are.
    """
    found = _found(directory)
    chosen = _defaults(test_data) | {
        name: found[name] for name in ("epochs", "images", "repeats", "precision") if name in found
    }
    chosen |= {name: value for name, value in given.items() if value is not None}
    images = chosen["images"]
    if not 1 <= images <= len(test_data):
        raise DataError(
            f"{images} test images of {test_data.name} were asked for, and it has {len(test_data)}; ask for 1 to "
            f"{len(test_data)}."
        )
    settings = Settings(
        data=test_data.name,
        train_data=train_data.fingerprint(),
        test_data=test_data.fingerprint(),
        draw_images=images if _is_small(test_data) else min(images, max(250, images // 8)),
        gradient_images=min(_GRADIENT_IMAGES, len(train_data)),
        path_draws=_PATH_DRAWS,
        seed=seed,
        # Through JSON and back, a tuple is a list: as lists, equal settings compare equal.
        networks=[
            {**asdict(network), "studies": list(network.studies), "measurements": list(network.measurements)}
            for network in networks
        ],
        **chosen,
    )
    _check_same(directory, found, settings)
    return settings


def begin(directory: Path, settings: Settings, command: Sequence[str] | None) -> None:
    """Write down what is about to be done, unless the directory says so already."""
    if not _found(directory):
        facts = {_RUN_KEY: asdict(settings), "seed": settings.seed, "threads": torch.get_num_threads()}
        write_run(directory, collect(command, **facts))


def _found(directory: Path) -> dict[str, Any]:
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
            values = "" if name == "networks" else f": {found.get(name)!r} there and {own[name]!r} here"
            raise StoreError(
                f"{directory} holds a reproduction with another setting of {name.replace('_', ' ')}{values}. Give "
                "the same settings to go on with it, or another directory."
            )


def _defaults(data: ImageData) -> dict[str, Any]:
    if _is_small(data):
        return {"epochs": 15, "images": len(data), "repeats": 20, "precision": "float32"}
    precision = "bfloat16" if _has_fast_bfloat16() else "float32"
    return {"epochs": 30, "images": min(2000, len(data)), "repeats": 15, "precision": precision}


def _is_small(data: ImageData) -> bool:
    return max(data.image_shape[1:]) < _SMALL_SIDE


def _has_fast_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; elsewhere it is emulated, and slower than float32."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name, bool)()) for name in checks)
