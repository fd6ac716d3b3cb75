"""Training of ResNet-110: images a second, against the plain layers in bfloat16, turn by turn in the same run."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from statistics import median
from typing import Any

import unravelnet as un
from benchmarks.measure import Row
from unravelnet.data import ImageData
from unravelnet.network import UnraveledNetwork

N_IMAGES = 3840
TURNS = 5
_PLAIN = "plain layers, bfloat16"
_FUSED = "fused layers, bfloat16"
_CASES: dict[str, dict[str, Any]] = {
    "plain layers, float32": {"precision": "float32", "fused": False},
    _PLAIN: {"fused": False},
    _FUSED: {},
    "fused layers, bfloat16, exactly:23": {"routes": "exactly:23"},
    "fused layers, bfloat16, stochastic-depth:0.5": {"routes": "stochastic-depth:0.5"},
    "fused layers, bfloat16, images of 24": {"image_sizes": "24"},
    "fused layers, bfloat16, images of 16": {"image_sizes": "16"},
}


def run(net: UnraveledNetwork, data: ImageData) -> Iterator[Row]:
    """Train for some batches in each way, in turns, and give medians over the turns with their range."""
    images = data.subset(N_IMAGES)
    turns = [{case: _speed(net, images, settings) for case, settings in _CASES.items()} for _ in range(TURNS)]
    for case in _CASES:
        speeds = [turn[case] for turn in turns]
        yield {
            "benchmark": "training",
            "case": case,
            "images_per_second": median(speeds),
            "images_per_second_low": min(speeds),
            "images_per_second_high": max(speeds),
            **_ratio("times_plain_layers", [turn[case] / turn[_PLAIN] for turn in turns]),
            **_ratio("times_all_modules", [turn[case] / turn[_FUSED] for turn in turns]),
            "turns": TURNS,
            "n_images": N_IMAGES,
        }


def _speed(net: UnraveledNetwork, images: ImageData, settings: dict[str, Any]) -> float:
    plan = {"epochs": 1, "precision": "bfloat16", "fused": True, **settings}
    history = un.train(copy.deepcopy(net), images, **plan)
    return float(history[0]["images_per_second"])


def _ratio(name: str, ratios: list[float]) -> Row:
    return {name: median(ratios), f"{name}_low": min(ratios), f"{name}_high": max(ratios)}
