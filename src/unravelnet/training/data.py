"""The data of a training: mini-batches in a new order each epoch, augmented, with labels that fit."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from unravelnet.data import Augmentation, ImageData, load
from unravelnet.data.source import Batch, DatasetSource, LoadedSource, Source, TensorSource, open_source
from unravelnet.data.targets import class_targets
from unravelnet.errors import DataError, TrainingError
from unravelnet.network import Inputs
from unravelnet.training_plan import TrainingPlan
from unravelnet.wording import counted


class TrainingData:
    """Data that is gone through once an epoch.

    Order and augmentation are drawn from `generator`, and from nothing else, so that its state says how to go
    on. Image data is augmented as the plan says; data in other forms is taken as it is.
    """

    def __init__(self, source: Source, plan: TrainingPlan) -> None:
        if len(source) < 2:
            raise DataError(
                f"{source.name} has one image; batch normalisation needs two or more to train on."
            )
        self.source = source
        self.plan = plan
        self.name = source.name
        self.generator = torch.Generator().manual_seed(plan.seed)
        loaded = source.data if isinstance(source, LoadedSource) else None
        self.images = loaded if isinstance(loaded, ImageData) else None
        self.augmentation = _augmentation(self.images, plan)
        full, rest = divmod(len(source), plan.batch_size)
        # A last batch of one image is left out: its normalisation would have no variance to divide by.
        self.n_batches = max(1, full + (rest > 1))

    @classmethod
    def open(cls, data: object, plan: TrainingPlan) -> TrainingData:
        """Open data of any form that can be indexed; of a specification, the training split.

        Raises DataError for a stream of batches, and for data that is missing or empty.
        """
        source = open_source(load(data, "train") if isinstance(data, str) else data)
        if source is None:
            raise DataError(
                f"A network cannot be trained on a {type(data).__name__}: the order of the images is drawn "
                "anew each epoch. Give image data, a pair of tensors, a torch Dataset with a length, or a "
                "name such as 'digits'."
            )
        return cls(source, plan)

    def draw_epoch(self) -> tuple[Tensor, ...]:
        """Draw the order of an epoch: the positions of the images of each mini-batch."""
        order = torch.randperm(len(self.source), generator=self.generator)
        return order.split(self.plan.batch_size)[: self.n_batches]

    def batch(self, positions: Tensor, image_size: int | None = None) -> Batch:
        """Give a mini-batch, augmented anew; of images with this height, if one is given."""
        inputs, targets = self._augmented(positions)
        if image_size is not None:
            inputs = self._resized(inputs, image_size)
        return inputs, targets

    def _augmented(self, positions: Tensor) -> Batch:
        if self.images is None or self.augmentation is None:
            return self.source.gather(positions)
        images = self.augmentation.apply(
            self.images.images[positions], self.generator, fill=self.images.mean_pixel
        )
        return self.images.normalise(images), self.images.targets[positions]

    def _resized(self, inputs: Inputs, height: int) -> Tensor:
        if not isinstance(inputs, Tensor) or inputs.dim() != 4:
            raise TrainingError(
                f"The training setting image_sizes is for images, and {self.name} holds none. Leave it out."
            )
        if inputs.shape[2] == height:
            return inputs
        width = round(inputs.shape[3] * height / inputs.shape[2])
        return F.interpolate(inputs, (height, width), mode="bilinear", antialias=True)

    def probe(self, image_size: int | None = None) -> Batch:
        """Give the first two images without augmentation, to try a network with."""
        inputs, targets = self.source.gather(torch.arange(2))
        return (inputs if image_size is None else self._resized(inputs, image_size)), targets

    def check_labels(self, n_outputs: int, network: str) -> None:
        """Raise where labels, as far as they are known beforehand, do not fit the outputs of a network."""
        images = self.images
        if images is not None and images.n_classes > n_outputs:
            raise TrainingError(
                f"{network} gives {counted(n_outputs, 'output')}, but {images.name} has "
                f"{counted(images.n_classes, 'class')}. "
                f"Make it with n_classes={images.n_classes}."
            )
        if isinstance(self.source, TensorSource):
            training_targets(self.source.targets, n_outputs, self.name)

    def identity(self) -> str:
        """Name the data and its content: the same text means the same training images."""
        # Items of a Dataset may differ each time they are read (random transforms), so they are not hashed.
        if isinstance(self.source, DatasetSource):
            return f"{self.name} {len(self.source)}"
        return f"{self.name} {self.source.fingerprint(torch.arange(len(self.source)))}"

    def facts(self) -> dict[str, Any]:
        """Say what a network that was trained on it needs to know: class names and normalisation."""
        images = self.images
        if images is None:
            return {"data": self.name}
        return {"data": self.name, "classes": images.classes, "mean": images.mean, "std": images.std}


def training_targets(targets: Tensor | None, n_outputs: int, name: str) -> Tensor:
    """Return targets as one class a prediction, int64; of a text -100 stands for a position without one.

    Raises DataError where they are neither one class an image nor one a position.
    """
    if targets is None or targets.dim() not in (1, 2):
        form = "none" if targets is None else f"of shape {tuple(targets.shape)}"
        raise DataError(
            f"Training needs one label an image, or one a token, and the targets of {name} are {form}."
        )
    is_text = targets.dim() == 2
    return class_targets(targets, n_classes=n_outputs, name=name, may_be_ignored=is_text).flatten()


def _augmentation(images: ImageData | None, plan: TrainingPlan) -> Augmentation | None:
    """Choose the augmentation: the usual one for the shape of the images, but for what the plan says."""
    if not plan.augment or images is None:
        return None
    usual = Augmentation.standard(images.image_shape)
    return Augmentation(
        pad=usual.pad if plan.pad is None else plan.pad,
        flip=usual.flip if plan.flip is None else plan.flip,
    )
