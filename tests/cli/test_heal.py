"""`heal` trains as the library does, and writes what is left. Oracles: the library, bit for bit, and other labels."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from tests.cli.conftest import assert_one_sentence
from unravelnet import load as load_model
from unravelnet import zoo
from unravelnet.data import load
from unravelnet.models import load_beside
from unravelnet.pruning.healing import before_and_after, heal
from unravelnet.routes.route import Route
from unravelnet.zoo.store import read_weights

ROUTE = "0-1,2s,3-5"
FAST = ("--epochs", 1, "--train-limit", 200, "--limit", 60, "--precision", "float32")


@pytest.mark.parametrize("distilled", [False, True])
def test_the_network_is_that_of_the_library_bit_for_bit(call, trained, tmp_path, distilled):
    words = ("--distil", "--distil-weight", 1, "--distil-temperature", 2) if distilled else ()
    ran = call("heal", trained, "--data", "digits", "--route", ROUTE, "--out", "out", *FAST, *words, "--json")
    assert ran.status == 0, ran.err
    net, training = zoo.load(trained), load("digits", "train").subset(200)
    if distilled:  # the teacher alone is followed, so labels mean nothing
        training = replace(training, targets=9 - training.targets)
    options = {"distil": True, "weight": 1.0, "temperature": 2.0} if distilled else {}
    healed = heal(net, Route.parse(ROUTE), training, epochs=1, precision="float32", **options)
    stored, expected = read_weights(tmp_path / "out" / "weights.safetensors"), healed.net.state_dict()
    assert stored
    assert all(torch.equal(tensor, expected[name]) for name, tensor in stored.items())
    assert not any(name.startswith("residual_modules.2.branch") for name in stored)
    given = json.loads(ran.out)["before_and_after"]
    rows = before_and_after(net, healed, load("digits"), limit=60)
    assert [(row["label"], row["error_rate"], row["loss"]) for row in given] == [
        (row["label"], row["error_rate"], row["loss"]) for row in rows
    ]


def test_what_was_pruned_is_healed_and_then_a_model_for_every_command(call, trained, tmp_path):
    ran = call(
        "prune", trained, "--data", "digits", "--n-deleted", 2, "--draws", 0, "--limit", 60, "--out", "cut"
    )
    assert ran.status == 0, ran.err
    route = json.loads((tmp_path / "cut" / "pruned-net.json").read_text())["route"]
    words = ("heal", trained, "--data", "digits", "--route", "cut", "--out", "small", *FAST)
    ran = call(*words)
    assert ran.status == 0, ran.err
    assert f"on route {route}, trained for 1 epoch" in ran.out
    assert "It was tested on 60 other images of digits" in ran.out
    assert "chosen on 30 images of digits" in ran.out
    assert "It is saved in small. Load it by unravelnet.load(DIRECTORY)" in ran.out
    assert [line.split()[0] for line in ran.out.splitlines() if "%]" in line] == [
        "intact",
        "pruned",
        "healed",
    ]
    kept = json.loads((tmp_path / "small" / "healed.json").read_text())
    assert (kept["route"], len(kept["history"])) == (route, 1)

    # What was trained is not trained again.
    again = json.loads(call(*words, "--json").out)
    assert again["history"] == kept["history"]

    small = load_model("small")
    assert len(small.residual_modules) == 4
    assert (
        json.loads(call("lesion", "small", "--data", "digits", "--limit", 20, "--json").out)["n_modules"] == 4
    )
    assert call("export", "small", "--out", "small.pt2").status == 0
    x = torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(torch.export.load(tmp_path / "small.pt2").module()(x), small(x))
    assert call("export", trained, "--route", "cut", "--out", "cut.pt2").status == 0
    program, net = torch.export.load(tmp_path / "cut.pt2").module(), zoo.load(trained)
    torch.testing.assert_close(program(x), net(x, Route.parse(route)))
    # A healed network is pruned and healed once more.
    ran = call("heal", "small", "--data", "digits", "--route", "0-2,3s", "--out", "smaller", *FAST)
    assert ran.status == 0, ran.err
    assert len(load_model("smaller").residual_modules) == 3

    other = call("heal", "small", "--data", "digits", "--route", "cut", "--out", "other", *FAST)
    assert_one_sentence(other)
    assert "Give the model that was pruned, with its weights" in other.err


def test_images_beside_others_are_prepared_for_the_network():
    net = zoo.resnet(8, input_shape=(3, 16, 16))
    images = load_beside("zoo:resnet20", "digits", load("digits"), split="train", images_for=net)
    assert (images.image_shape, len(images)) == ((3, 16, 16), 1347)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--route", "0-9"), "There is no module"),
        (("--route", "empty"), "empty holds no route. Give a route, or a directory"),
        (("--route", ROUTE, "--distil", "--distil-weight", 2), "give a share from 0 to 1"),
        (("--route", ROUTE, "--learning-rate", 0), "learning_rate"),
        (("--route", ROUTE, "--data", "-"), "can be read once"),
        (("--route", ROUTE, "--out", "full"), "Give a new directory"),
        (("--route", ROUTE, "--form", "original"), "has no original class"),
    ],
)
def test_wrong_use_is_one_sentence(call, trained, tmp_path, words, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    ran = call("heal", trained, "--data", "digits", "--out", "out", *FAST, *words)
    assert ran.status == 2
    assert_one_sentence(ran)
    assert message in ran.err
    assert not (tmp_path / "out").exists()
