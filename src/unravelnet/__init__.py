"""Opens any residual network and shows it as a collection of paths of many lengths.

The names below are the public interface. They are loaded when first used, so that importing the package costs
nothing and does not import torch.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

TYPE_CHECKING = (
    False  # without `typing`, so that the command line understands Ctrl-C a few milliseconds earlier
)
if TYPE_CHECKING:
    from typing import Any

_HOME_OF_NAME = {
    "unravel": "unravelnet.capture",
    "load": "unravelnet.models",
    "angular_distances": "unravelnet.pruning.angles",
    "UnraveledNetwork": "unravelnet.network",
    "ResidualModule": "unravelnet.network",
    "Route": "unravelnet.routes.route",
    "Step": "unravelnet.routes.route",
    "Sample": "unravelnet.measuring.sample",
    "evaluate": "unravelnet.measuring.evaluation",
    "export": "unravelnet.exporting",
    "importance": "unravelnet.pruning.importance",
    "ensemble_of_routes": "unravelnet.measuring.ensembles",
    "effective_depths": "unravelnet.gradient",
    "layer_responses": "unravelnet.gradient",
    "measure_means": "unravelnet.measuring.means",
    "module_measures": "unravelnet.gradient",
    "over_training": "unravelnet.training.dynamics",
    "path_gradients": "unravelnet.gradient",
    "path_logits": "unravelnet.gradient",
    "prune": "unravelnet.pruning.search",
    "Method": "unravelnet.gradient",
    "Members": "unravelnet.measuring.ensembles",
    "Effort": "unravelnet.reproduction",
    "train": "unravelnet.training.loop",
    "report": "unravelnet.reporting",
    "reproduce": "unravelnet.reproduction",
    "load_table": "unravelnet.records.record",
    "repair_torchvision": "unravelnet._extras",
    "Table": "unravelnet.records.record",
    "ResultsStore": "unravelnet.records.store",
}
_ROOMS = ("data", "errors", "figures", "gradient", "paths", "studies", "zoo")
# Names that the door also opens, and that are listed in their rooms, or in the README for a broken installation: the
# door itself stays short.
_UNLISTED = {
    "Effort",
    "Members",
    "Method",
    "Step",
    "angular_distances",
    "effective_depths",
    "ensemble_of_routes",
    "layer_responses",
    "measure_means",
    "module_measures",
    "over_training",
    "path_logits",
    "repair_torchvision",
}

__all__ = [*sorted(_HOME_OF_NAME.keys() - _UNLISTED), *_ROOMS]


def __getattr__(name: str) -> Any:
    if name not in __all__ and name not in _UNLISTED:
        raise AttributeError(f"module 'unravelnet' has no attribute {name!r}")
    return _public(name)


@cache
def _public(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"unravelnet.{name}")
    value = getattr(import_module(_HOME_OF_NAME[name]), name)
    if isinstance(value, type):
        return value
    from unravelnet.door import guarded

    return guarded(value)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
