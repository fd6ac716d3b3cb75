"""A model that the user names, in the place of the paper's networks: Figure 4, and figures one by one."""

from __future__ import annotations

import importlib.util
import json
import logging
from dataclasses import asdict

import pytest
import torch
from PIL import Image

from unravelnet.cli.command_line import run
from unravelnet.data import Transform, load
from unravelnet.errors import DataError, ModelError, StoreError, TrainingError, UnknownNameError
from unravelnet.records.record import load_table
from unravelnet.reporting import report
from unravelnet.reproduction import GivenModel, reproduce
from unravelnet.reproduction.paper_figures import planned_for
from unravelnet.reproduction.plan import NETWORKS, NetworkPlan

# Two stages of residual blocks, the second with half of the map; written as networks for photographs are.
FILE = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, n_in, n_out, stride):
        super().__init__()
        first, second = nn.Conv2d(n_in, n_out, 3, stride, 1), nn.Conv2d(n_out, n_out, 3, 1, 1)
        self.branch = nn.Sequential(first, nn.ReLU(), second)
        self.skip = nn.Identity() if n_in == n_out else nn.Conv2d(n_in, n_out, 1, stride)

    def forward(self, x):
        return torch.relu(self.skip(x) + self.branch(x))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(
            Block(3, 6, 1), Block(6, 6, 1), Block(6, 8, 2), Block(8, 8, 1), Block(8, 8, 1)
        )
        self.head = nn.Linear(8, 10)
        self.pretrained_cfg = dict(input_size=(3, 12, 12), crop_pct=0.75, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))

    def forward(self, x):
        return self.head(self.blocks(x).mean((2, 3)))


class Plain(Net):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(
            nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1)
        )
"""
TRANSFORM = Transform((12, 12), 16, "bicubic", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "net.py"
    path.write_text(FILE)
    return path


@pytest.fixture(scope="module")
def weights(file, tmp_path_factory):
    """The model with drawn weights, and the file that they are in."""
    spec = importlib.util.spec_from_file_location("net_of_this_test", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = module.Net().eval()
    path = tmp_path_factory.mktemp("weights") / "net.pt"
    torch.save(model.state_dict(), path)
    return model, path


@pytest.fixture(scope="module")
def figure_4(file, weights, tmp_path_factory):
    directory = tmp_path_factory.mktemp("figure4")
    words = ["--figure", "4", "--model", f"{file}:Net", "--weights", str(weights[1]), "--images", "40"]
    with pytest.MonkeyPatch.context() as patch:
        without_report(patch)
        assert run(["reproduce", *words, "--out", str(directory)]) == 0
    return directory


def without_report(patch):
    """Leave out the report, which takes longer than all that it tells."""
    patch.setattr("unravelnet.reproduction.report", lambda directory: directory / "report.html")


def table_of(directory):
    (path,) = (directory / "tables").glob("*/delete_each.csv")
    return load_table(path)


def test_errors_are_those_of_forward_hooks_on_images_as_the_model_takes_them(figure_4, weights):
    chosen = load("digits").subset(40, seed=0)
    pixels = [torch.from_numpy(TRANSFORM.apply(image_of(image))) for image in chosen.images]
    inputs = torch.stack(pixels).float() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (TRANSFORM.mean, TRANSFORM.std))
    inputs, model = (inputs - mean) / std, weights[0]
    rows = table_of(figure_4)
    assert [row["module"] for row in rows] == [None, 0, 1, 2, 3, 4]
    for row in rows:
        hooks = []
        if row["module"] is not None:
            # A branch that gives zeros is a branch that is not there.
            branch = model.blocks[row["module"]].branch
            hooks.append(branch.register_forward_hook(lambda module, args, output: output * 0))
        with torch.no_grad():
            ranks = model(inputs).argsort(dim=1, descending=True)
        for hook in hooks:
            hook.remove()
        is_right = ranks == chosen.targets[:, None]
        assert row["error_rate"] == pytest.approx(1 - float(is_right[:, 0].float().mean()))
        assert row["top5_error_rate"] == pytest.approx(1 - float(is_right[:, :5].any(dim=1).float().mean()))


def image_of(pixels):
    return Image.fromarray(pixels[0].numpy())


def test_it_measures_what_figure_4_shows_and_nothing_else(figure_4):
    assert [path.name for path in (figure_4 / "tables").rglob("*.csv")] == ["delete_each.csv"]
    (network,) = json.loads((figure_4 / "networks.json").read_text())
    assert (network["role"], network["stages"], network["n_classes"]) == ("resnet", [0, 2], 10)
    assert network["transform"] == json.loads(json.dumps(asdict(TRANSFORM)))


def test_the_figure_marks_where_stages_begin(figure_4):
    page = report(figure_4).read_text()
    assert "Vertical lines: a stage begins." in page


def test_the_same_call_goes_on_without_naming_the_model_again(figure_4, monkeypatch, capsys):
    without_report(monkeypatch)
    monkeypatch.setattr("unravelnet.measuring.evaluation.walk", None)
    assert run(["reproduce", "--out", str(figure_4), "--json"]) == 0
    printed = capsys.readouterr()
    assert "Goes on with the run in" in printed.err
    (network,) = json.loads(printed.out)["networks"]
    assert network["top5_error_rate"] == table_of(figure_4)[0]["top5_error_rate"]


def test_another_model_in_the_same_directory_is_refused(figure_4, file):
    with pytest.raises(StoreError, match="another setting of networks"):
        reproduce("digits", figure_4, model=f"{file}:Plain", paper_figures=[4])


def test_a_network_without_skips_is_measured_as_the_papers_vgg(file, tmp_path, monkeypatch):
    without_report(monkeypatch)
    reproduce("digits", tmp_path, model=f"{file}:Plain", paper_figures=[4], images=20)
    (network,) = json.loads((tmp_path / "networks.json").read_text())
    assert network["role"] == "vgg"
    # The first layer changes the number of channels.
    assert [row["module"] for row in table_of(tmp_path)] == [None, 1, 2]


def test_what_a_model_cannot_do_is_left_out(file, tmp_path, monkeypatch, caplog):
    without_report(monkeypatch)
    with caplog.at_level(logging.INFO, logger="unravelnet"):
        reproduce("digits", tmp_path, model="zoo:resnet8", paper_figures=[3, 5], images=10, repeats=1)
    assert "Reordering modules is left out. No two of the 3 residual modules may be swapped" in caplog.text
    assert {path.stem for path in (tmp_path / "tables").rglob("*.csv")} == {"delete_each", "delete_many"}


def test_a_model_may_be_measured_for_other_figures(file, tmp_path, monkeypatch):
    without_report(monkeypatch)
    reproduce("digits", tmp_path, model=f"{file}:Net", paper_figures=[5, 6], images=10, repeats=1, quick=True)
    found = {path.stem for path in (tmp_path / "tables").rglob("*.csv")}
    gradients = {f"path_gradients_{method}" for method in ("exact", "rms", "sampled")}
    assert found == {"delete_many", "reorder", *gradients}


# -- figures of the networks of the package --


def test_a_figure_keeps_the_networks_that_it_shows():
    def shown(*numbers):
        return {plan.name: (*plan.studies, *plan.measurements) for plan in planned_for(numbers, NETWORKS)}

    assert shown(3) == {"resnet": ("delete_each",), "vgg": ("delete_each",)}
    assert shown(8) == {"resnet": ("delete_each",), "stochastic-depth": ("delete_each",)}
    assert shown(5, 3)["resnet"] == ("delete_many", "reorder", "delete_each")
    assert planned_for((), NETWORKS) == NETWORKS


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"paper_figures": [4]}, ModelError, "Figure 4 of the paper is about a network for ImageNet"),
        ({"paper_figures": [9]}, UnknownNameError, "There is no measured figure of the paper '9'"),
        ({"model": "torchvision:resnet0"}, UnknownNameError, "There is no torchvision model 'resnet0'"),
        ({"model": GivenModel("zoo:preact-resnet8", "missing.pt")}, Exception, "missing.pt"),
        ({"model": "zoo:preact-resnet110-cifar10"}, DataError, "An image has 8×8 pixels, and 32×32"),
        ({"model": "zoo:preact-resnet8", "epochs": 3}, TrainingError, "no network is trained"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        reproduce("digits", tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_weights_need_a_model(capsys):
    assert run(["reproduce", "--weights", "net.pt"]) == 2
    assert "it does nothing without --model" in " ".join(capsys.readouterr().err.split())


def test_a_plan_of_a_given_model_comes_back_from_its_file(tmp_path):
    (tmp_path / "net.pt").write_bytes(b"weights")
    plan = NetworkPlan("a", "A", "resnet", "", given=GivenModel("timm:resnet18", str(tmp_path / "net.pt")))
    stored = json.loads(json.dumps(plan.to_json()))
    assert NetworkPlan.of_json(stored) == plan
    (tmp_path / "net.pt").write_bytes(b"others")
    assert plan.to_json() != stored
    # Runs of networks of the package say nothing of models.
    assert "given" not in NETWORKS[0].to_json()
