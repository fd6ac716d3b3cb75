"""Opens any residual network and shows it as a collection of paths of many lengths.

The names below are the public interface. They are loaded when first used, so that importing the package costs
nothing and does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME_OF_NAME = {
    "unravel": "unravelnet.capture",
    "UnraveledNetwork": "unravelnet.network",
    "ResidualModule": "unravelnet.network",
    "Route": "unravelnet.route",
    "Step": "unravelnet.route",
    "evaluate": "unravelnet.evaluation",
    "ensemble_of_routes": "unravelnet.ensembles",
    "effective_depths": "unravelnet.gradient",
    "layer_responses": "unravelnet.gradient",
    "module_measures": "unravelnet.gradient",
    "over_training": "unravelnet.training_dynamics",
    "path_gradients": "unravelnet.gradient",
    "path_logits": "unravelnet.gradient",
    "train": "unravelnet.training",
    "report": "unravelnet.reporting",
    "load_table": "unravelnet.record",
    "Table": "unravelnet.record",
    "ResultsStore": "unravelnet.record",
}
_ROOMS = ("data", "errors", "figures", "paths", "studies", "zoo")

__all__ = [*sorted(_HOME_OF_NAME), *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF_NAME:
        return getattr(import_module(_HOME_OF_NAME[name]), name)
    if name in _ROOMS:
        return import_module(f"unravelnet.{name}")
    raise AttributeError(f"module 'unravelnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
