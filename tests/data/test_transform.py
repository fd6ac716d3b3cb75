"""Images as networks for photographs take them: against the pipelines of torchvision and timm."""

from __future__ import annotations

import importlib.util
import logging

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.conftest import write_images
from unravelnet._extras import require
from unravelnet.data import Transform, load
from unravelnet.errors import CostError, DataError, UnknownNameError

needs_torchvision = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed"
)
SIZES = [(40, 30), (30, 40), (33, 33), (61, 32), (12, 50), (9, 7)]


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    pixels = np.random.default_rng(width).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(pixels)


@needs_torchvision
@pytest.mark.parametrize("resize", [16, 33, (20, 36), None])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
def test_pixels_are_those_of_torchvision(resize, interpolation):
    transforms = require("torchvision.transforms", "this test")
    steps = [transforms.CenterCrop((14, 12)), transforms.PILToTensor()]
    if resize is not None:
        steps.insert(0, transforms.Resize(resize, transforms.InterpolationMode(interpolation)))
    pipeline, ours = transforms.Compose(steps), Transform((14, 12), resize, interpolation)
    for size in SIZES:
        image = picture(*size)
        if min(size) < 14 and resize is None:
            continue
        np.testing.assert_array_equal(ours.apply(image), pipeline(image).numpy(), err_msg=str(size))


def test_an_image_that_is_too_small_is_explained():
    with pytest.raises(DataError, match=r"An image has 7×9 pixels, and 14×12 are to be cut out of it"):
        Transform((14, 12), None).apply(picture(9, 7))


def test_images_get_the_channels_of_the_network():
    grey, colour = Transform((4, 4), None, mean=(0.5,), std=(0.5,)), Transform((4, 4), None)
    assert grey.apply(picture(4, 4)).shape == (1, 4, 4)
    # The three channels of a grey image are alike.
    image = picture(4, 4, "L")
    np.testing.assert_array_equal(colour.apply(image), np.stack([np.asarray(image)] * 3))


@pytest.fixture
def photographs(tmp_path):
    """Photographs of several sizes, each in a class of its own, in one split."""
    for number, size in enumerate(SIZES):
        write_images(tmp_path / "photos" / f"class{number}", [np.asarray(picture(*size))])
    return str(tmp_path / "photos")


def test_photographs_of_any_size_become_one_tensor(photographs, caplog):
    transform = Transform((14, 12), 16, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    with caplog.at_level(logging.INFO, logger="unravelnet"):
        data = load(photographs, transform=transform)
    assert "photos has no split for testing; its only one, train, is used whole." in caplog.text
    assert (data.image_shape, data.mean, data.std) == ((3, 14, 12), transform.mean, transform.std)
    for number, size in enumerate(SIZES):
        (index,) = (data.targets == number).nonzero().flatten()
        pixels = transform.apply(picture(*size))
        np.testing.assert_array_equal(data.images[index], pixels)
        normalised = (pixels / 255 - np.reshape(data.mean, (3, 1, 1))) / np.reshape(data.std, (3, 1, 1))
        batch, _ = data.batch(index[None])
        np.testing.assert_allclose(batch[0], normalised, atol=1e-5)


def test_what_does_not_fit_memory_is_transformed_batch_by_batch(photographs):
    transform = Transform((14, 12), 16)
    here = load(photographs, transform=transform)
    there = load(photographs, transform=transform, max_bytes=100)
    assert not isinstance(there.images, torch.Tensor)
    assert torch.equal(there.images[:], here.images)
    assert torch.equal(there.subset(3).images[:], here.subset(3).images)
    other = load(photographs, transform=Transform((14, 12), 17), max_bytes=100)
    assert there.fingerprint() != other.fingerprint()


def test_digits_are_transformed_as_photographs_are():
    digits, large = load("digits"), load("digits", transform=Transform((16, 16), 16, "nearest"))
    assert torch.equal(large.targets, digits.targets)
    # Each pixel becomes a square of two by two, in all channels.
    assert torch.equal(large.images[:, 1, ::2, 1::2], digits.images[:, 0])


def test_images_as_they_are_stay_as_they_are(image_folder):
    data = load(str(image_folder))
    transform = Transform(data.image_shape[1:], None, mean=data.mean, std=data.std)
    assert load(str(image_folder), transform=transform).fingerprint() == data.fingerprint()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"size": (0, 4)}, DataError, "whole numbers of pixels"),
        ({"size": (4, 4), "resize": 2.5}, DataError, "whole numbers of pixels"),
        ({"size": (4, 4), "resize": 0}, DataError, "whole numbers of pixels"),
        ({"size": (10**6, 10**6)}, CostError, "values"),
        ({"interpolation": "cubic"}, UnknownNameError, "Did you mean 'bicubic'"),
        ({"mean": (0.5, 0.5)}, DataError, "one of each for grey images, or three"),
        ({"std": (0.1, 0.0, 0.1)}, DataError, "one of each for grey images, or three"),
    ],
)
def test_an_impossible_transform_is_explained(options, error, message):
    with pytest.raises(error, match=message):
        Transform(**options)
