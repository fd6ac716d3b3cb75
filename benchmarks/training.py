"""Training of the network that is given: images a second, against the plain layers in bfloat16 in the same run."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import unravelnet as un
from benchmarks.measure import Row
from unravelnet.data import ImageData
from unravelnet.fused_normalisation import load_operator
from unravelnet.network import UnraveledNetwork

N_IMAGES = 3840
ROUNDS = 3
_PLAIN = "plain layers, bfloat16"
_FUSED = "bfloat16"
_CASES: dict[str, dict[str, Any]] = {
    "plain layers, float32": {"precision": "float32", "fused": False},
    _PLAIN: {"fused": False},
    _FUSED: {},
    "bfloat16, exactly:23": {"routes": "exactly:23"},
    "bfloat16, stochastic-depth:0.5": {"routes": "stochastic-depth:0.5"},
    "bfloat16, images of 24": {"image_sizes": "24"},
    "bfloat16, images of 16": {"image_sizes": "16"},
}


def run(net: UnraveledNetwork, data: ImageData) -> Iterator[Row]:
    """Train for some batches in each way, in turns, and give the fastest turn of each."""
    load_operator()  # compiled before it is timed
    images = data.subset(N_IMAGES)
    speeds: dict[str, list[float]] = {case: [] for case in _CASES}
    for _ in range(ROUNDS):
        for case, settings in _CASES.items():
            plan = {"epochs": 1, "precision": "bfloat16", "fused": True, **settings}
            history = un.train(copy.deepcopy(net), images, **plan)
            speeds[case].append(float(history[0]["images_per_second"]))
    best = {case: max(found) for case, found in speeds.items()}
    for case, speed in best.items():
        yield {
            "benchmark": "training",
            "case": case,
            "images_per_second": speed,
            "times_plain_layers": speed / best[_PLAIN],
            "times_all_modules": speed / best[_FUSED],
            "n_images": N_IMAGES,
        }
