"""Which networks a reproduction studies, and what it studies of each: those it trains, and those that are shipped."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from unravelnet import zoo
from unravelnet.errors import TrainingError
from unravelnet.papers import veit
from unravelnet.zoo.store import WEIGHTS_FILE

# Up to the most of the paper: of swaps as many as lead to its smallest rank correlation.
DELETED_COUNTS = (1, 2, 3, 5, 7, 10, 15, veit.MOST_DELETED.count)
SWAP_COUNTS = (1, 2, 3, 5, 8, 10, 12, veit.MOST_SWAPS.count)
_EVERY_DELETED_COUNT = tuple(range(1, veit.MOST_DELETED.count + 1))
_EVERY_SWAP_COUNT = tuple(range(1, veit.MOST_SWAPS.count + 1))
_STUDIES_OF_RESIDUAL = ("delete_each", "delete_many", "reorder", "remove_skip_each")
_STUDIES_OF_STOCHASTIC_DEPTH = ("delete_each", "remove_skip_each", "delete_many")
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
# How much one training differs from the next, and one depth from another, is seen of these.
_STUDIES_OF_EVERY_NETWORK = ("delete_each", "remove_skip_each")
# As many of 27 modules as 6 are of 54, and one of 9.
_NINTH = (3,)
# Of every training that is lesioned, so that what is said of networks has networks as its sample.
_SPECTRUM = ("path_gradients_exact",)
_MEASURED_OF_RANDOM_ROUTES = ("path_gradients_exact", "path_gradients_rms", "module_measures", "ensemble")


@dataclass(frozen=True, slots=True)
class GivenModel:
    """A model that the user names: a specification as for `models.load`, and a file of weights with its key, if any."""

    model: str
    weights: str = ""
    weights_key: str = ""


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """One network of a reproduction: what it is, where it comes from, what is studied.

    `name`: of its directory. `title`: in figures. `role`: what the report compares it as, "resnet",
    "stochastic-depth", "effective-paths", "vgg" or "compared". `zoo_name`, `routes`: as for `zoo.create` and `train`.
    `studies`: of lesions. `measurements`: of gradients, modules and ensembles; "over_training" keeps weights during
    the training. `pretrained`: the name of a shipped network as for `zoo.pretrained`, which is loaded and not
    trained. `deleted_counts`, `swap_counts`: of the random studies; a quick run has the usual ones. `learning_rate`: of
    its training, None for the usual one. `zero_init_residual`: as for `zoo.preact_resnet`. `given`: the model that the
    user names, which is neither trained nor shipped; of its errors the top-5 one is measured, too.

    Raises TrainingError for "over_training" of a shipped network, whose earlier weights nobody has.
    """

    name: str
    title: str
    role: str
    zoo_name: str
    routes: str = "all"
    studies: tuple[str, ...] = _STUDIES_OF_RESIDUAL
    measurements: tuple[str, ...] = _MEASURED_OF_RESIDUAL
    pretrained: str = ""
    deleted_counts: tuple[int, ...] = DELETED_COUNTS
    swap_counts: tuple[int, ...] = SWAP_COUNTS
    learning_rate: float | None = None
    zero_init_residual: bool = False
    few_images: bool = False
    given: GivenModel | None = None

    def __post_init__(self) -> None:
        if self.pretrained and GRADIENTS_OVER_TRAINING in self.measurements:
            raise TrainingError(
                f"{self.title} is the shipped network {self.pretrained}, of which only the last weights are known: "
                f"{GRADIENTS_OVER_TRAINING} cannot be measured. Leave that out, or train the network."
            )

    @property
    def is_trained_here(self) -> bool:
        """Whether a reproduction trains it first."""
        return not self.pretrained and self.given is None

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured of it beside what a study asks for."""
        return () if self.given is None else ("top5_error_rate",)

    def of_plain(self) -> NetworkPlan:
        """Plan for it what the paper measures of a network without skips."""
        return replace(self, studies=_VGG.studies, measurements=_VGG.measurements)

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> NetworkPlan:
        """Make it from what `to_json` gave."""
        # In JSON a tuple is a list.
        own: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        own.pop("weights", None)
        if own.get("given") is not None:
            own["given"] = GivenModel(**own["given"])
        return cls(**own)

    def to_json(self) -> dict[str, Any]:
        """Give the plan as JSON values, and of a shipped network what its weights are, too."""
        # As lists, what has been through JSON and what has not compare equal.
        values = {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }
        if self.given is None:
            del values["given"]  # as in the runs of those who never named a model
        weights = _file_of_weights(self)
        return values if weights is None else {**values, "weights": _digest(weights)}


_RESNET = NetworkPlan("resnet", "ResNet-110", "resnet", "preact-resnet110")
_STOCHASTIC_DEPTH = replace(
    _RESNET,
    name="stochastic-depth",
    title="ResNet-110 with stochastic depth",
    role="stochastic-depth",
    routes="stochastic-depth:0.5",
)
_EFFECTIVE_PATHS = replace(
    _RESNET,
    name="effective-paths",
    title=f"ResNet-110 trained on {veit.N_SAMPLED.count} of {veit.N_MODULES.text}",
    role="effective-paths",
    routes=f"exactly:{veit.N_SAMPLED.count}",
    # The paper deletes nothing from it: it is compared by its error.
    studies=_STUDIES_OF_EVERY_NETWORK,
    measurements=_MEASURED_OF_RANDOM_ROUTES,
    pretrained="preact-resnet110-exactly23-cifar10",
    few_images=True,
)
_VGG = NetworkPlan(
    "vgg", "VGG-15", "vgg", "vgg15", studies=("delete_each",), measurements=("layer_responses",)
)


def _compared(
    zoo_name: str,
    title: str,
    studies: tuple[str, ...] = (),
    *,
    n_seeds: int = 1,
    routes: str = "all",
    suffix: str = "",
    measurements: tuple[str, ...] = (),
) -> tuple[NetworkPlan, ...]:
    """Plan the shipped trainings of a network that is compared with others by few numbers.

    `measurements`: of the first seed alone; those that are lesioned have their spectrum measured, too. `suffix`: of the
    name, for those that were trained on some `routes`.
    """
    of_all = _SPECTRUM if studies else ()
    first = NetworkPlan(
        f"{zoo_name}{suffix}",
        title,
        "compared",
        zoo_name,
        routes,
        studies,
        (*of_all, *measurements),
        pretrained=f"{zoo_name}{suffix}-cifar10",
        deleted_counts=_NINTH,
        few_images=True,
    )
    return first, *(_of_seed(first, seed, of_all) for seed in range(1, n_seeds))


def _of_seed(first: NetworkPlan, seed: int, measurements: tuple[str, ...]) -> NetworkPlan:
    """Plan another shipped training of a network, which is compared with the first by few numbers."""
    return replace(
        first,
        name=f"{first.name}-seed{seed}",
        title=f"{first.title}, seed {seed}",
        role="compared",
        measurements=measurements,
        pretrained=f"{first.pretrained}-seed{seed}",
    )


_RESPONSES = ("layer_responses",)
_AND_MANY = (*_STUDIES_OF_EVERY_NETWORK, "delete_many")
_COMPARED = (
    *_compared("resnet20", "ResNet-20", _STUDIES_OF_EVERY_NETWORK, n_seeds=3, measurements=_RESPONSES),
    *_compared("resnet56", "ResNet-56", _AND_MANY, measurements=_RESPONSES),
    *_compared("preact-resnet56", "Pre-activation ResNet-56", _AND_MANY, n_seeds=3),
    *_compared(
        "preact-resnet56",
        "Pre-activation ResNet-56 trained on 11 of 27 modules",
        _STUDIES_OF_EVERY_NETWORK,
        n_seeds=3,
        routes="exactly:11",
        suffix="-exactly11",
    ),
    # Of the further seeds the history alone is compared.
    *_compared("plain20", "Plain-20", n_seeds=3, measurements=_RESPONSES),
    *_compared("plain56", "Plain-56", measurements=_RESPONSES),
)


NETWORKS = (
    replace(_RESNET, measurements=(*_MEASURED_OF_RESIDUAL, GRADIENTS_OVER_TRAINING)),
    _STOCHASTIC_DEPTH,
    _VGG,
)
# For images smaller than the paper's. With the usual start and rate the first module of ResNet-110 carried the stream
# (results/digits_recipes.csv).
SMALL_NETWORKS = (
    replace(NETWORKS[0], learning_rate=0.05, zero_init_residual=True),
    replace(
        _STOCHASTIC_DEPTH,
        studies=_STUDIES_OF_STOCHASTIC_DEPTH,
        measurements=_MEASURED_OF_RANDOM_ROUTES,
        learning_rate=0.05,
        zero_init_residual=True,
    ),
    _VGG,
)
# At 1,400 passes a second on two cores the lesions of the first take 24 minutes; the second has fewer counts, and
# takes 9.
SHIPPED_NETWORKS = (
    replace(
        _RESNET,
        pretrained="preact-resnet110-cifar10",
        studies=(*_STUDIES_OF_RESIDUAL, "delete_many_same_shape"),
        deleted_counts=_EVERY_DELETED_COUNT,
        swap_counts=_EVERY_SWAP_COUNT,
    ),
    replace(
        _STOCHASTIC_DEPTH,
        pretrained="preact-resnet110-stochastic-depth-cifar10",
        studies=_STUDIES_OF_STOCHASTIC_DEPTH,
        measurements=_MEASURED_OF_RANDOM_ROUTES,
    ),
    _EFFECTIVE_PATHS,
    _of_seed(_EFFECTIVE_PATHS, 1, _SPECTRUM),
    replace(_VGG, pretrained="vgg15-cifar10"),
    *_COMPARED,
)


def _file_of_weights(network: NetworkPlan) -> Path | None:
    if network.pretrained:
        return zoo.pretrained_directory(network.pretrained) / WEIGHTS_FILE
    return Path(network.given.weights) if network.given is not None and network.given.weights else None


def _digest(weights: Path) -> str:
    """Hash a file of weights: with others, the tables of a run would not belong together."""
    return hashlib.sha256(weights.read_bytes()).hexdigest()[:16]
