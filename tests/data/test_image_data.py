"""Image data against numpy."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from unravelnet.data import ImageData
from unravelnet.errors import DataError


def random_images(n=50, shape=(3, 6, 5), seed=0):
    generator = np.random.default_rng(seed)
    # Channels of different brightness, so that mixing them up would show.
    scale = np.linspace(60, 255, shape[0]).reshape(-1, 1, 1)
    return torch.from_numpy((generator.random((n, *shape)) * scale).astype(np.uint8))


def random_data(n=50, n_classes=4, **options):
    return ImageData.of(random_images(n, **options), torch.arange(n) % n_classes, name="noise")


def test_statistics_are_those_of_numpy():
    data = random_data(5000)  # more than one chunk
    values = data.images.numpy().astype(np.float64) / 255
    np.testing.assert_allclose(data.mean, values.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(data.std, values.std((0, 2, 3)), rtol=1e-12)


def test_statistics_are_rounded_once_so_that_every_processor_has_the_same():
    data = random_data(5000)
    for channel in range(3):
        values = data.images[:, channel].flatten().tolist()
        mean = Fraction(sum(values), 255 * len(values))
        variance = Fraction(sum(value * value for value in values), 255**2 * len(values)) - mean**2
        assert data.mean[channel] == float(mean)
        assert data.std[channel] == math.sqrt(float(variance))


def test_normalised_images_have_mean_0_and_deviation_1():
    data = random_data()
    images, targets = data.batch(torch.arange(len(data)))
    assert images.dtype == torch.float32
    assert targets.dtype == torch.int64
    by_hand = (data.images.numpy() / 255 - np.reshape(data.mean, (3, 1, 1))) / np.reshape(data.std, (3, 1, 1))
    np.testing.assert_allclose(images.numpy(), by_hand, atol=1e-5)
    np.testing.assert_allclose(images.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(images.std((0, 2, 3), correction=0), 1, atol=1e-5)


def test_the_mean_pixel_normalises_to_about_zero():
    data = random_data()
    pixel = data.normalise(data.mean_pixel.view(1, 3, 1, 1)).flatten()
    # At most half a step of a byte away.
    assert (pixel.abs() <= 0.5 / 255 / torch.tensor(data.std) + 1e-5).all()


def test_a_channel_without_variation_is_not_divided_by_zero():
    data = ImageData.of(
        torch.full((4, 1, 2, 2), 7, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64), name="flat"
    )
    assert data.batch(torch.arange(4))[0].abs().max() < 1e-4


def test_a_subset_is_drawn_without_replacement_and_smaller_ones_are_parts_of_larger():
    images = torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1)
    data = ImageData.of(images, torch.arange(100) % 3, name="numbered")
    drawn = {n: data.subset(n, seed=1).images.flatten().tolist() for n in (10, 40, 100)}
    assert drawn[40] == sorted(set(drawn[40]))
    assert set(drawn[10]) < set(drawn[40])
    assert drawn[100] == list(range(100))
    assert data.subset(40, seed=2).images.flatten().tolist() != drawn[40]
    chosen = data.subset(40, seed=1)
    assert torch.equal(chosen.targets, chosen.images.flatten().long() % 3)
    assert (chosen.mean, chosen.std, chosen.classes) == (data.mean, data.std, data.classes)


def test_the_fingerprint_is_that_of_the_content():
    data = random_data()
    assert data.fingerprint() == random_data().fingerprint()
    changed = data.images.clone()
    changed[3, 1, 2, 2] += 1
    others = [
        ImageData(changed, data.targets, data.classes, data.name, data.mean, data.std),
        ImageData(data.images, data.targets.flip(0), data.classes, data.name, data.mean, data.std),
        ImageData(data.images, data.targets, data.classes, data.name, (0.5, 0.5, 0.5), data.std),
        data.take(torch.arange(49)),
    ]
    assert len({data.fingerprint(), *(other.fingerprint() for other in others)}) == 5
    renamed = ImageData(data.images, data.targets, data.classes, "other", data.mean, data.std)
    assert renamed.fingerprint() == data.fingerprint()


@pytest.mark.parametrize(
    ("images", "targets", "message"),
    [
        (random_images(0), torch.zeros(0, dtype=torch.int64), "noise is empty"),
        (random_images(3).float(), torch.zeros(3, dtype=torch.int64), "float32 .3, 3, 6, 5.; expected uint8"),
        (random_images(3)[:, 0], torch.zeros(3, dtype=torch.int64), "uint8 .3, 6, 5.; expected uint8"),
        (random_images(3), torch.zeros(2, dtype=torch.int64), "3 images and labels of shape .2,."),
        (
            random_images(3),
            torch.zeros(3),
            "targets of noise are real numbers .float32., and classes are whole",
        ),
        (random_images(3), torch.tensor([0, -1, 1]), "label of image 1 of noise is -1"),
        (
            random_images(3),
            torch.tensor([0, 2, 1]),
            "label of image 1 of noise is 2; classes are numbered 0 to 1",
        ),
    ],
)
def test_bad_images_and_labels_are_explained(images, targets, message):
    with pytest.raises(DataError, match=message):
        ImageData(images, targets, ("a", "b"), "noise", (0.5,) * 3, (0.5,) * 3)


def test_more_images_than_there_are_cannot_be_drawn():
    with pytest.raises(DataError, match="51 images of noise were asked for, and it has 50"):
        random_data().subset(51)
    with pytest.raises(DataError, match="ask for 1 to 50"):
        random_data().subset(0)
