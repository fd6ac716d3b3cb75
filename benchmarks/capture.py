"""How long it takes to find the residual modules of well-known models."""

from __future__ import annotations

from collections.abc import Iterator

import torch

import unravelnet as un
from benchmarks.measure import Row, seconds
from unravelnet._extras import require


def run() -> Iterator[Row]:
    """Measure capture, and one forward pass of the same batch beside it."""
    vision = require("torchvision.models", "This benchmark")
    transformers = require("transformers", "This benchmark")
    images, ids = torch.randn(2, 3, 224, 224), torch.randint(0, 50257, (2, 64))
    models = {
        "resnet18": (vision.resnet18(weights=None), images),
        "resnet50": (vision.resnet50(weights=None), images),
        "vit_tiny_patch16_224": (
            require("timm", "This benchmark").create_model("vit_tiny_patch16_224"),
            images,
        ),
        "gpt2, 12 blocks": (transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=12)), ids),
    }
    for name, (model, example) in models.items():
        model.eval()
        with torch.no_grad():
            model(example)
            forward, _ = seconds(lambda m=model, x=example: m(x), repeats=3)
        spent, net = seconds(lambda m=model, x=example: un.unravel(m, x))
        yield {
            "benchmark": "capture",
            "case": f"{name}: {len(net.residual_modules)} modules",
            "seconds": spent,
            "times_one_forward_pass": spent / forward,
        }
