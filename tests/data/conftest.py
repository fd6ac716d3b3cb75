"""Small data sets on disk, and caches that do not outlive a test."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def own_caches(tmp_path_factory, monkeypatch):
    """Keep caches of ours and of `datasets` away from the user's."""
    import datasets

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("datasets")))


@pytest.fixture
def pixels():
    """Images by split and class, uint8 [n, height, width, 3]."""
    generator = np.random.default_rng(0)
    return {
        (split, label): generator.integers(0, 256, (n, 6, 5, 3), dtype=np.uint8)
        for split, n in (("train", 4), ("test", 2))
        for label in ("cat", "dog")
    }


@pytest.fixture
def image_folder(tmp_path, pixels):
    """A folder train/cat/0.png … as people keep images."""
    for (split, label), images in pixels.items():
        write_images(tmp_path / "pets" / split / label, images)
    return tmp_path / "pets"


def write_images(folder, images, *, mode="RGB"):
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).convert(mode).save(folder / f"{number}.png")
