"""What comes with the package loads, is what its card says, and stays small."""

from __future__ import annotations

import importlib
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from safetensors.torch import load_file

from unravelnet import path_gradients, zoo
from unravelnet.cli.command_line import app
from unravelnet.data import load
from unravelnet.errors import CheckpointError, UnknownNameError
from unravelnet.mathematics.intervals import rate_interval
from unravelnet.measuring.evaluation import evaluate
from unravelnet.models import load as load_model
from unravelnet.models import load_subject
from unravelnet.records.record import load_table
from unravelnet.training.dynamics import CHECKPOINT_STUDIES
from unravelnet.training_plan import TrainingPlan

ROOT = Path(__file__).parents[2]
CIFAR10 = ROOT.parent / "shared" / "data" / "cifar10"
# The module, which the function of the same name hides.
PRETRAINED = importlib.import_module("unravelnet.zoo.pretrained")
# He et al. 2015, table 6, counted exactly; preact-resnet110 with projections is the network of Veit et al. 2016.
N_PARAMETERS = {
    "resnet20": 269_722,
    "plain20": 269_722,
    "resnet56": 853_018,
    "plain56": 853_018,
    "preact-resnet110": 1_730_522,
}


def small(**options):
    return zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0, **options).eval()


def files_of(name):
    return list(zoo.pretrained_directory(name).iterdir())


def settings_of(command):
    """What the command line itself makes of a command: the settings of the training, network and data."""
    program, name, *words = shlex.split(command)
    assert (program, name) == ("unravelnet", "train")
    commands: Any = typer.main.get_command(app)
    return commands.commands["train"].make_context("train", words).params


# -- half precision --


def test_compact_weights_are_rounded_to_halves_where_there_are_many(tmp_path):
    net = small()
    net.train()(torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)))  # moves the statistics
    zoo.save(net, tmp_path / "full")
    zoo.save(net, tmp_path / "compact", compact=True)
    stored = load_file(tmp_path / "compact" / "weights.safetensors")
    again = zoo.load(tmp_path / "compact").state_dict()
    for name, tensor in net.state_dict().items():
        if tensor.dim() >= 2:
            assert stored[name].dtype == torch.float16
            assert torch.equal(again[name], tensor.half().float())
        else:
            assert stored[name].dtype == tensor.dtype
            assert torch.equal(again[name], tensor)
        assert again[name].dtype == tensor.dtype
    sizes = [(tmp_path / kind / "weights.safetensors").stat().st_size for kind in ("compact", "full")]
    n_large = sum(tensor.numel() for tensor in net.state_dict().values() if tensor.dim() >= 2)
    assert abs(sizes[1] - sizes[0] - 2 * n_large) < 100  # the header names other types
    assert zoo.read_description(tmp_path / "compact") == zoo.read_description(tmp_path / "full")


def test_a_weight_beyond_half_precision_is_refused(tmp_path):
    net = small()
    with torch.no_grad():
        net.head.linear.weight[0, 0] = 1e5
    with pytest.raises(
        CheckpointError, match=r"weight of head.linear.weight is 100000, and float16 ends at 65,504"
    ):
        zoo.save(net, tmp_path / "net", compact=True)
    assert not (tmp_path / "net").exists()
    zoo.save(net, tmp_path / "net")


# -- by name --


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A package with one shipped network, and a directory that is none yet."""
    monkeypatch.setattr(PRETRAINED, "SHIPPED_DIRECTORY", tmp_path / "shipped")
    facts = {"test": {"data_fingerprint": "123e4567"}}
    zoo.save(
        small(), tmp_path / "shipped" / "preact-resnet8-digits", data="digits", facts=facts, compact=True
    )
    (tmp_path / "shipped" / "unfinished").mkdir()
    return tmp_path / "shipped"


def test_a_shipped_network_is_found_by_its_name(shipped):
    assert zoo.pretrained_names() == ["preact-resnet8-digits"]
    assert zoo.pretrained_directory("preact-resnet8-digits") == shipped / "preact-resnet8-digits"
    net = zoo.pretrained("preact-resnet8-digits")
    assert not net.training
    assert net.name == "preact-resnet8-digits"
    assert net.fingerprint() == zoo.load(shipped / "preact-resnet8-digits").fingerprint()
    assert zoo.recipe_of(net).name == "preact-resnet8"


def test_networks_are_found_by_what_they_were_tested_on(shipped):
    assert zoo.pretrained_for("123e4567") == ["preact-resnet8-digits"]
    assert zoo.pretrained_for("89ab") == []


@pytest.mark.parametrize("ask", [zoo.pretrained, zoo.pretrained_directory])
def test_an_unknown_name_is_answered_with_the_known_ones(shipped, ask):
    with pytest.raises(
        UnknownNameError, match=r"no shipped network 'unfinished'.* Known: preact-resnet8-digits"
    ):
        ask("unfinished")


def test_a_package_without_networks_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(PRETRAINED, "SHIPPED_DIRECTORY", tmp_path / "nowhere")
    assert zoo.pretrained_names() == []
    assert zoo.pretrained_for("123e4567") == []


def test_the_command_line_takes_shipped_names(shipped, caplog):
    net, data = load_subject("zoo:preact-resnet8-digits", "digits")
    assert net.name == "zoo:preact-resnet8-digits"
    assert net.fingerprint() == zoo.pretrained("preact-resnet8-digits").fingerprint()
    assert "random" not in caplog.text
    images, _ = data.batch(torch.arange(4))
    from_directory = load_model(str(shipped / "preact-resnet8-digits"), data=data)
    assert torch.equal(net(images), from_directory(images))


def test_the_command_line_names_shipped_networks_in_its_errors(shipped):
    with pytest.raises(UnknownNameError, match=r"Did you mean 'preact-resnet8-digits'\? Known: .*vgg15"):
        load_model("zoo:preact-resnet8-digit")
    with pytest.raises(Exception, match="The zoo network is called zoo:preact-resnet8-digits"):
        load_model("preact-resnet8-digits")


# -- what is really shipped --


def test_shipped_networks_are_small_together():
    assert sum(path.stat().st_size for name in zoo.pretrained_names() for path in files_of(name)) < 40e6


@pytest.mark.parametrize("name", zoo.pretrained_names())
def test_a_shipped_network_is_what_its_card_says(name):
    net, description = zoo.pretrained(name), zoo.read_description(zoo.pretrained_directory(name))
    n_parameters = sum(parameter.numel() for parameter in net.parameters())
    made = zoo.create(description.name)
    assert n_parameters == sum(parameter.numel() for parameter in made.parameters())
    assert n_parameters == N_PARAMETERS.get(description.name, n_parameters)
    sampler = TrainingPlan().changed(description.facts["training"]).sampler
    always = sampler.always_kept(net.residual_modules)
    scales = sampler.branch_scales(len(net.residual_modules), always=always)
    kinds = [module.kind for module in net.residual_modules]
    assert description.branch_scales == tuple(
        1.0 if kind == "plain" else scale for kind, scale in zip(kinds, scales, strict=True)
    )
    test = description.facts["test"]
    assert test["error_rate"] == test["wrong"] / test["n_images"]
    card = (zoo.pretrained_directory(name) / "card.md").read_text(encoding="utf-8")
    assert f"**{100 * test['error_rate']:.2f} %** of {test['n_images']:,} test images" in card
    assert f"{n_parameters:,} parameters" in card
    assert description.facts["command"] in card
    assert f'zoo.pretrained("{name}")' in card


@pytest.mark.parametrize("name", zoo.pretrained_names())
def test_the_command_of_a_shipped_network_has_its_settings(name):
    description = zoo.read_description(zoo.pretrained_directory(name))
    given = settings_of(description.facts["command"])
    assert (given["network"], given["data"]) == (description.name, description.data)
    for setting, value in description.facts["training"].items():
        if setting in given and not (setting == "learning_rate" and given[setting] is None):
            assert given[setting] == value


@pytest.mark.parametrize("name", zoo.pretrained_names())
def test_a_shipped_network_holds_plain_files_only(name):
    text = (zoo.pretrained_directory(name) / "network.json").read_text(encoding="utf-8")
    facts = json.loads(text)["facts"]
    tables = {f"{study}.csv" for study in CHECKPOINT_STUDIES} if "checkpoints" in facts else set()
    assert {path.name for path in files_of(name)} == tables | {
        "weights.safetensors",
        "network.json",
        "history.csv",
        "card.md",
    }
    assert facts["test"]["data_fingerprint"]


WITH_CHECKPOINTS = [
    name
    for name in zoo.pretrained_names()
    if "checkpoints" in zoo.read_description(zoo.pretrained_directory(name)).facts
]


def tables_of(name):
    directory = zoo.pretrained_directory(name)
    return [load_table(directory / f"{study}.csv") for study in CHECKPOINT_STUDIES]


@pytest.mark.parametrize("name", WITH_CHECKPOINTS)
def test_tables_of_checkpoints_belong_to_the_network(name):
    checkpoints, spectra, _ = tables_of(name)
    facts = zoo.read_description(zoo.pretrained_directory(name)).facts
    n_modules = len(zoo.pretrained(name).residual_modules)
    assert [row["epoch"] for row in checkpoints] == facts["checkpoints"]["epochs"]
    assert checkpoints[-1]["epoch"] == facts["training"]["epochs"]
    for row in checkpoints:
        shares = [each["length_share"] for each in spectra.where(epoch=row["epoch"])]
        assert len(shares) == n_modules + 1
        assert sum(shares) == pytest.approx(1)
        assert np.dot(shares, range(n_modules + 1)) == pytest.approx(row["mean_length"])
        assert row["length_change"] == pytest.approx(row["mean_length"] - checkpoints[0]["mean_length"])


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory):
    if not CIFAR10.is_dir():
        pytest.skip("CIFAR-10 is not beside the repository, at ../shared/data/cifar10")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("datasets")))
        return load(str(CIFAR10), "test")


def test_their_data_has_the_statistics_that_everybody_uses(cifar10):
    assert cifar10.classes[0] == "airplane"
    assert cifar10.image_shape == (3, 32, 32)
    np.testing.assert_allclose(cifar10.mean, [0.4914, 0.4822, 0.4465], atol=6e-5)
    np.testing.assert_allclose(cifar10.std, [0.2470, 0.2435, 0.2616], atol=6e-5)


def test_a_shipped_network_errs_as_often_as_its_card_says(cifar10):
    if "resnet20-cifar10" not in zoo.pretrained_names():
        pytest.skip("resnet20-cifar10 is not shipped yet")
    said = zoo.read_description(zoo.pretrained_directory("resnet20-cifar10")).facts["test"]
    assert "resnet20-cifar10" in zoo.pretrained_for(cifar10.fingerprint())
    net = zoo.pretrained("resnet20-cifar10")
    row = evaluate(net, [net.full_route], cifar10.take(torch.arange(1000)))[0]
    # Of the first 1,000 images; the card is of all 10,000, so their error is a draw around it.
    low, high = rate_interval(row["error_rate"] * 1000, 1000, confidence=0.999)
    assert low < said["error_rate"] < high


def test_the_last_checkpoint_is_the_shipped_network(cifar10):
    if "resnet20-cifar10" not in WITH_CHECKPOINTS:
        pytest.skip("the checkpoints of resnet20-cifar10 are not shipped yet")
    row = tables_of("resnet20-cifar10")[0][-1]
    net = zoo.pretrained("resnet20-cifar10")
    images = load(str(CIFAR10), "train")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[: row["n_images"]]
    inputs, targets = images.batch(order)
    # By hand: statistics of these images, as torch collects them in training mode.
    for norm in net.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = 1.0
    with torch.no_grad():
        net.train()(inputs)
    shares = [each["length_share"] for each in path_gradients(net.eval(), (inputs, targets))]
    # Weights at half precision give nearly the same gradient.
    assert np.dot(shares, range(10)) == pytest.approx(row["mean_length"], rel=0.01)
