"""Tiny networks in the form of shipped ones, as if they had been trained and tested on the digits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import pytest
import torch

from unravelnet import UnraveledNetwork, zoo
from unravelnet.data import load
from unravelnet.records.record import Table
from unravelnet.reproduction import NetworkPlan
from unravelnet.training_plan import TrainingPlan

# By its name: `zoo.pretrained` is the function.
ROOM = import_module("unravelnet.zoo.pretrained")

PLANS = (
    NetworkPlan(
        "resnet",
        "ResNet-14",
        "resnet",
        "preact-resnet14",
        measurements=("path_gradients_exact", "layer_responses", "ensemble"),
        pretrained="tiny",
        deleted_counts=(1, 2, 3),
        swap_counts=(1, 2),
    ),
    NetworkPlan(
        "stochastic-depth",
        "ResNet-14 SD",
        "stochastic-depth",
        "preact-resnet14",
        routes="stochastic-depth:0.5",
        studies=("delete_each", "remove_skip_each"),
        measurements=("module_measures",),
        pretrained="tiny-stochastic-depth",
    ),
    NetworkPlan(
        "plain8",
        "Plain-8",
        "compared",
        "plain8",
        studies=(),
        measurements=("layer_responses",),
        pretrained="tiny-plain",
    ),
)
# Shipped name, zoo name, routes and seed.
SHIPPED = (
    ("tiny", "preact-resnet14", "all", 0),
    ("tiny-exactly2", "preact-resnet14", "exactly:2", 0),
    ("tiny-plain", "plain8", "all", 0),
    ("tiny-seed1", "preact-resnet14", "all", 1),
    ("tiny-stochastic-depth", "preact-resnet14", "stochastic-depth:0.5", 0),
)


# A training of another length, which the first of them took the place of.
_OTHERS = [
    {
        "routes": "all",
        "start": "",
        "epochs": 1,
        "image_sizes": "",
        "seed": 0,
        "error_rate": 0.75,
        "n_images": 450,
        "precision": "bfloat16",
        "seconds": 6.0,
    }
]


@pytest.fixture(scope="module")
def shipped_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Write the tiny networks to a place where the zoo looks for shipped ones, for the tests of one file."""
    with shipped(tmp_path_factory.mktemp("shipped"), SHIPPED) as place:
        yield place


@contextmanager
def shipped(place: Path, networks: Sequence[tuple[str, str, str, int]]) -> Iterator[Path]:
    """Let the zoo look in a place, where some of `SHIPPED` are written."""
    for name, zoo_name, routes, seed in networks:
        write_network(place / name, zoo_name, routes=routes, seed=seed, group=name.removesuffix("-seed1"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(ROOM, "SHIPPED_DIRECTORY", place)
        yield place


def write_network(directory: Path, zoo_name: str, *, routes: str, seed: int, group: str) -> None:
    """Write one network with random weights."""
    data = load("digits", "test")
    net = zoo.create(zoo_name, input_shape=data.image_shape, seed=seed)
    _fit(net)
    # Epochs whose weights were kept are none of a shorter training.
    plan = TrainingPlan(epochs=2, routes=routes, seed=seed, keep_epochs="0,2")
    scales = plan.sampler.branch_scales(len(net.residual_modules))
    for module, scale in zip(net.residual_modules, scales, strict=True):
        module.branch_scale = scale
    facts = {
        "training": asdict(plan),
        "group": group,
        "seed": seed,
        "other_trainings": _OTHERS if directory.name == "tiny" else [],
        "seconds": 12.5,
        "hardware": "an abacus",
        "test": {
            "data_fingerprint": data.fingerprint(),
            "data_name": data.name,
            "error_rate": 0.5,
            "n_images": len(data),
            "precision": "float32",
        },
    }
    zoo.save(net, directory, data=data.name, facts=facts)
    epochs = [
        {"epoch": epoch, "train_loss": 2.0 / epoch, "train_error_rate": 0.5 / epoch, "test_error_rate": 0.5}
        for epoch in (1, 2)
    ]
    Table(epochs).save(directory / "history.csv")


@torch.no_grad()
def _fit(net: UnraveledNetwork) -> None:
    """Give normalisation its statistics and the last layer its least squares: better than chance, in no time."""
    data = load("digits", "train")
    inputs, targets = data.batch(torch.arange(500))
    normalisations = [part for part in net.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in normalisations]
    for layer in normalisations:
        layer.momentum = None  # the statistics become those of the one batch that follows
    net.train()(inputs)
    net.eval()
    for layer, momentum in zip(normalisations, momenta, strict=True):
        layer.momentum = momentum
    features: list[torch.Tensor] = []
    [*_, last] = [part for part in net.modules() if isinstance(part, torch.nn.Linear)]
    handle = last.register_forward_pre_hook(lambda _, given: features.append(given[0]))
    net(inputs)
    handle.remove()
    wanted = 5 * torch.nn.functional.one_hot(targets, 10).float()
    last.weight.copy_(torch.linalg.lstsq(features[0], wanted, driver="gelsd").solution.T)
    last.bias.zero_()
