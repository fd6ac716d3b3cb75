"""Decoded data sets on disk, so that images are decoded once and not in every process.

One safetensors file a split in the user's cache directory. A file that is damaged, or a directory that cannot
be written, is as good as no cache: the images are decoded again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from unravelnet.data.encoded import file_stamp
from unravelnet.data.image_data import ImageData
from unravelnet.errors import DataError
from unravelnet.records.files import cache_directory, replacing

_FORMAT = "2"
_log = logging.getLogger(__name__)


def directory_key(directory: Path) -> str:
    """Identify what a directory holds by paths, sizes and times of its files, without reading them."""
    directory = directory.resolve()
    files = sorted(str(path) for path in directory.rglob("*") if path.is_file())
    return _hash(b"\n".join([os.fsencode(directory), *map(file_stamp, files)]))


def content_key(*digests: str) -> str:
    """Identify data by the digests of its splits."""
    return _hash(" ".join(digests).encode())


def read(key: str, split: str, name: str) -> ImageData | None:
    """Return a split from the cache, or None where it is not there or not what was written."""
    path = _path(key, split)
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
            images, targets = file.get_tensor("images"), file.get_tensor("targets")
        data = ImageData(
            images,
            targets,
            classes=tuple(facts["classes"]),
            name=name,
            mean=tuple(facts["mean"]),
            std=tuple(facts["std"]),
        )
        if data.fingerprint() != facts["fingerprint"]:
            raise ValueError("the content is not what was written")
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, DataError, KeyError, TypeError, ValueError) as error:
        _log.info("%s is ignored: %s", path, error)
        return None
    return data


def write(key: str, split: str, data: ImageData) -> None:
    """Keep a split that is in memory; where that fails, go on without."""
    if not isinstance(data.images, torch.Tensor):
        return
    facts = {
        "classes": data.classes,
        "mean": data.mean,
        "std": data.std,
        "fingerprint": data.fingerprint(),
    }
    tensors = {"images": data.images.contiguous(), "targets": data.targets.contiguous()}
    try:
        with replacing(_path(key, split)) as temporary:
            save_file(tensors, temporary, metadata={"facts": json.dumps(facts)})
    except (OSError, SafetensorError) as error:
        _log.info("decoded images are not kept: %s", error)


def _path(key: str, split: str) -> Path:
    return cache_directory() / f"images-{key}-{split}.safetensors"


def _hash(content: bytes) -> str:
    return hashlib.blake2b(_FORMAT.encode() + content, digest_size=10).hexdigest()
