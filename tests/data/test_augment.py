"""Crops and flips of a batch against a slow one of single images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from unravelnet.data import Augmentation
from unravelnet.errors import DataError


def slow_augmentation(images, fill, *, pad, flip, seed):
    """Draw the same numbers in the same order, then treat image by image with numpy."""
    generator = torch.Generator().manual_seed(seed)
    n, channels, height, width = images.shape
    offsets = torch.randint(0, 2 * pad + 1, (2, n), generator=generator).T if pad else torch.zeros(n, 2)
    mirrored = torch.rand(n, generator=generator) < 0.5 if flip else torch.zeros(n)
    results = []
    for image, (top, left), is_mirrored in zip(images.numpy(), offsets, mirrored, strict=True):
        top, left = int(top), int(left)
        planes = [np.pad(image[c], pad, constant_values=fill[c]) for c in range(channels)]
        crop = np.stack(planes)[:, top : top + height, left : left + width]
        results.append(crop[:, :, ::-1] if is_mirrored else crop)
    return torch.from_numpy(np.stack(results))


@pytest.mark.parametrize("shape", [(3, 9, 7), (1, 8, 8)])
@pytest.mark.parametrize(("pad", "flip"), [(0, True), (2, False), (3, True), (0, False)])
def test_batches_are_augmented_as_image_by_image(shape, pad, flip):
    images = torch.randint(
        0, 256, (40, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    fill = torch.arange(10, 10 + shape[0], dtype=torch.uint8)
    generator = torch.Generator().manual_seed(2)
    fast = Augmentation(pad, flip).apply(images, generator, fill=fill)
    assert fast.dtype == torch.uint8
    slow = slow_augmentation(images, fill.tolist(), pad=pad, flip=flip, seed=2)
    assert torch.equal(fast, slow)


def test_images_are_cropped_everywhere_and_mirrored_half_of_the_time():
    n, pad = 4000, 1
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 1] = 1  # off the centre, so that a mirror shows
    augmented = Augmentation(pad, flip=True).apply(image.repeat(n, 1, 1, 1), torch.Generator().manual_seed(0))
    places = augmented.flatten(1).argmax(1)
    rows, columns = places // 5, places % 5
    assert stats.chisquare(np.bincount(rows, minlength=4)[1:4]).pvalue > 0.001
    # Shifted by -1, 0, 1 from column 1, or from its mirror image, column 3; column 2 is reached from both.
    expected = n * np.array([1, 1, 2, 1, 1]) / 6
    assert stats.chisquare(np.bincount(columns, minlength=5), expected).pvalue > 0.001


def test_float_images_are_padded_with_zeros():
    images = torch.ones(20, 2, 4, 4)
    augmented = Augmentation(2, flip=False).apply(images, torch.Generator().manual_seed(0))
    assert set(augmented.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("shape", "pad", "flip"), [((3, 32, 32), 4, True), ((1, 8, 8), 1, False), ((3, 64, 96), 8, True)]
)
def test_the_usual_augmentation(shape, pad, flip):
    assert Augmentation.standard(shape) == Augmentation(pad, flip)


def test_a_negative_padding_is_explained():
    with pytest.raises(DataError, match="-1 pixels"):
        Augmentation(-1, flip=True)
