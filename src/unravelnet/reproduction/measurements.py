"""What a reproduction measures of a trained network beside its lesions: gradients, modules, ensembles.

Each gives one table, or several that belong together. A table that is there already is not measured again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unravelnet.data import ImageData
from unravelnet.gradient import effective_depths, layer_responses, module_measures, path_gradients
from unravelnet.measuring.ensembles import ensemble_of_routes
from unravelnet.network import UnraveledNetwork
from unravelnet.records.record import Table
from unravelnet.records.store import ResultsStore
from unravelnet.reproduction.plan import GRADIENTS_OVER_TRAINING
from unravelnet.reproduction.settings import Settings
from unravelnet.training.dynamics import over_training

Progress = Callable[[Iterable[Any]], Iterable[Any]]

_N_ROUTES = 64
_SIGN_DRAWS = 4
# Random paths of each length and image for the coherence.
_PATH_DRAWS = 2
# A product with a branch backwards, in float32 and with normalisation unfolded, against a forward pass of a lesion.
_COST_OF_GRADIENT = 4.0


@dataclass(frozen=True)
class Subject:
    """What is measured: a trained network with its data, and where its training left its weights.

    As in the paper gradients are those of training images; errors are those of test images.
    """

    net: UnraveledNetwork
    train_data: ImageData
    test_data: ImageData
    training: Path
    settings: Settings
    store: ResultsStore

    def gradients(self, progress: Progress) -> dict[str, Any]:
        """Give the options of what is measured by gradients."""
        return self._options(self.settings.gradient_images, progress)

    def draws(self, progress: Progress) -> dict[str, Any]:
        """Give the options of what is measured by as many images as a random draw."""
        return self._options(self.settings.draw_images, progress)

    def _options(self, limit: int, progress: Progress) -> dict[str, Any]:
        return {"limit": limit, "seed": self.settings.seed, "store": self.store, "progress": progress}


def measure(name: str, subject: Subject, progress: Progress) -> Mapping[str, Table]:
    """Make the tables of one measurement, by the names of their studies."""
    if name == GRADIENTS_OVER_TRAINING:
        found = over_training(
            subject.training,
            subject.train_data,
            n_images=subject.settings.gradient_images,
            seed=subject.settings.seed,
            progress=progress,
        )
        return found.by_study()
    return {name: _MEASUREMENTS[name](subject, progress)}


def cost(name: str, n_modules: int, settings: Settings) -> float:
    """Estimate the cost of a measurement, in forward passes of one image."""
    # Products with one branch after the other, for every length.
    by_length = _COST_OF_GRADIENT * n_modules / 2
    n = settings.gradient_images
    return {
        "path_gradients_exact": n * by_length * (1 + _PATH_DRAWS),
        "path_gradients_rms": n * by_length * _SIGN_DRAWS,
        "path_gradients_sampled": settings.path_draws * by_length,
        "effective_depths": n * by_length,
        "module_measures": 4.0 * settings.draw_images,
        "layer_responses": settings.draw_images,
        "ensemble": 0.8 * _N_ROUTES * settings.draw_images,
        GRADIENTS_OVER_TRAINING: n * by_length * 4 * len(settings.kept_epochs),
    }[name]


def _exact(subject: Subject, progress: Progress) -> Table:
    return path_gradients(subject.net, subject.train_data, draws=_PATH_DRAWS, **subject.gradients(progress))


def _rms(subject: Subject, progress: Progress) -> Table:
    options = subject.gradients(progress)
    return path_gradients(subject.net, subject.train_data, method="rms", draws=_SIGN_DRAWS, **options)


def _sampled(subject: Subject, progress: Progress) -> Table:
    n_draws = subject.settings.path_draws
    options = {**subject.gradients(progress), "limit": min(n_draws, len(subject.train_data))}
    return path_gradients(subject.net, subject.train_data, method="sampled", draws=n_draws, **options)


def _depths(subject: Subject, progress: Progress) -> Table:
    return effective_depths(subject.net, subject.train_data, **subject.gradients(progress))


def _modules(subject: Subject, progress: Progress) -> Table:
    return module_measures(subject.net, subject.test_data, **subject.draws(progress))


def _responses(subject: Subject, progress: Progress) -> Table:
    return layer_responses(subject.net, subject.test_data, **subject.draws(progress))


def _ensemble(subject: Subject, progress: Progress) -> Table:
    options = {**subject.draws(progress), "precision": subject.settings.precision}
    return ensemble_of_routes(subject.net, subject.test_data, n_routes=_N_ROUTES, **options)


_MEASUREMENTS: dict[str, Callable[[Subject, Progress], Table]] = {
    "path_gradients_exact": _exact,
    "path_gradients_rms": _rms,
    "path_gradients_sampled": _sampled,
    "effective_depths": _depths,
    "module_measures": _modules,
    "layer_responses": _responses,
    "ensemble": _ensemble,
}
