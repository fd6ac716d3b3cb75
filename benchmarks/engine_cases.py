"""The cases that `benchmarks.against` runs with two versions of the package: only its public interface is used."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import unravelnet as un

Work = Callable[[], Any]


def _sweep() -> Work:
    net = un.zoo.preact_resnet(depth=110, seed=0)
    return lambda: un.evaluate(net, un.studies.delete_each(net), _images(64), precision="float32")


def _gradients() -> Work:
    net = un.zoo.preact_resnet(depth=110, seed=0)
    return lambda: un.path_gradients(net, _images(32), draws=0)


def _training() -> Work:
    net = un.zoo.preact_resnet(depth=110, seed=0)
    return lambda: un.train(net, _images(512), epochs=1, precision="float32", fused=False)


def _growth() -> Work:
    net = un.zoo.preact_resnet(depth=404, seed=0)
    trials = un.studies.delete_each(net)[::4]
    return lambda: un.evaluate(net, trials, _images(16), precision="float32")


CASES: dict[str, tuple[str, Callable[[], Work]]] = {
    "sweep": ("delete each of 54 modules, 64 images", _sweep),
    "path_gradients": ("exact, 54 modules, 32 images", _gradients),
    "training": ("54 modules, 512 images, plain layers", _training),
    "growth": ("delete 51 of 201 modules, 16 images", _growth),
}


def measure(name: str) -> None:
    """Run a case twice in this process; print the seconds of the second run, and the peak memory of the process.

    What is imported belongs to it: versions differ in when they import what.
    """
    work = CASES[name][1]()
    work()
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "memory_mib": _peak_mib()}))


def _images(n_images: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(n_images, 3, 32, 32, generator=generator)
    return images, torch.randint(0, 10, (n_images,), generator=generator)


def _peak_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
