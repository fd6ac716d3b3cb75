"""A model that the user names, with trained weights; its images are prepared as it was trained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from unravelnet.data import ImageData
from unravelnet.models import check_fits, load, load_images_for, transform_of
from unravelnet.network import UnraveledNetwork
from unravelnet.reproduction.plan import GivenModel, NetworkPlan

# Those that read training images; all others measure on the images that errors are measured on.
_READ_TRAINING_IMAGES = (
    "path_gradients_exact",
    "path_gradients_rms",
    "path_gradients_sampled",
    "effective_depths",
)
_MOST_CHARACTERS = 80


@dataclass(frozen=True)
class NamedModel:
    """A model that the user named, opened, and how a run calls it."""

    given: GivenModel
    net: UnraveledNetwork

    @classmethod
    def open(cls, given: GivenModel) -> NamedModel:
        """Open the model; raises as `models.load`."""
        weights = Path(given.weights) if given.weights else None
        return cls(given, load(given.model, weights=weights, weights_key=given.weights_key or None))

    def plan(self) -> NetworkPlan:
        """Plan to measure it as the paper's networks: as a residual one where it has skips, else as a plain one."""
        has_skips = any(module.skip is not None for module in self.net.residual_modules)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", self.given.model)[-_MOST_CHARACTERS:].strip("-.")
        plan = NetworkPlan(
            name or "network", self.net.name, "resnet" if has_skips else "vgg", "", given=self.given
        )
        return plan if has_skips else plan.of_plain()

    @property
    def facts(self) -> dict[str, object]:
        """What is known of it, as JSON values: where it comes from, and how its images are prepared."""
        return {"model": self.given.model, "transform": asdict(transform_of(self.net))}

    def load(self, data: str) -> ImageData:
        """Load test images as the model takes them.

        Raises as `data.load` does, and DataError where the model does not take them or has other classes.
        """
        images = load_images_for(self.net, data)
        check_fits(self.net, images)
        return images

    def load_for(self, measurements: Sequence[str], data: str, test_data: ImageData) -> ImageData:
        """Load training images for some measurements; the test images where nothing reads them."""
        reads_them = not set(_READ_TRAINING_IMAGES).isdisjoint(measurements)
        return load_images_for(self.net, data, "train") if reads_them else test_data
