"""Saved networks come back the same, and damaged ones are explained."""

from __future__ import annotations

import errno
import json
import os

import pytest
import torch
from torch import nn

from unravelnet import zoo
from unravelnet.errors import CheckpointError
from unravelnet.network import ResidualModule, UnraveledNetwork


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


def small(**options):
    return zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0, **options)


def test_a_network_comes_back_bit_by_bit(tmp_path):
    net = small().train()
    net(torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)))  # moves the running statistics
    for number, module in enumerate(net.residual_modules):
        module.branch_scale = 1 - number / 7  # not all of them short in binary
    net.to(memory_format=torch.channels_last)
    zoo.save(net, tmp_path, classes=list("abcdefghij"), mean=[0.3], std=[0.4], data="digits", facts={"n": 1})
    again = zoo.load(tmp_path)
    assert again.fingerprint() == net.fingerprint()
    assert not again.training
    assert zoo.recipe_of(again) == zoo.recipe_of(net)
    description = zoo.read_description(tmp_path)
    assert (description.name, description.mean, description.data) == ("preact-resnet8", (0.3,), "digits")
    assert description.classes == tuple("abcdefghij")
    assert description.facts == {"n": 1}


def test_only_two_files_are_written(tmp_path):
    zoo.save(small(), tmp_path / "new" / "place")
    assert names_in(tmp_path / "new" / "place") == ["network.json", "weights.safetensors"]


def test_a_full_disk_leaves_the_old_network(tmp_path, monkeypatch):
    old = small()
    zoo.save(old, tmp_path)

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left"):
        zoo.save(zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=1), tmp_path)
    monkeypatch.undo()
    assert zoo.load(tmp_path).fingerprint() == old.fingerprint()
    assert names_in(tmp_path) == ["network.json", "weights.safetensors"]


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


DAMAGES = {
    "no directory": (lambda d: [f.unlink() for f in d.iterdir()] + [d.rmdir()], "There is no directory"),
    "no description": (lambda d: (d / "network.json").unlink(), "There is no network.json"),
    "no weights": (lambda d: (d / "weights.safetensors").unlink(), "There is no file"),
    "cut weights": (lambda d: cut(d / "weights.safetensors"), "damaged"),
    "no safetensors": (lambda d: (d / "weights.safetensors").write_text("hello"), "damaged"),
    "cut description": (lambda d: cut(d / "network.json"), "cannot be read as JSON"),
    "a list": (lambda d: (d / "network.json").write_text("[]"), "JSON object"),
    "another file": (lambda d: (d / "network.json").write_text("{}"), "KeyError: 'name'"),
    "unknown name": (lambda d: edit(d / "network.json", name="lenet"), "There is no zoo network 'lenet'"),
    "another network": (
        lambda d: edit(d / "network.json", name="preact-resnet14"),
        "does not hold the weights",
    ),
    "too few scales": (lambda d: edit(d / "network.json", branch_scales=[1.0]), "1 branch scales"),
    "not finished": (
        lambda d: [(d / "network.json").unlink(), (d / "checkpoint").mkdir()],
        "has not finished",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_explained(tmp_path, damage):
    directory = tmp_path / "net"
    zoo.save(small(), directory)
    harm, message = DAMAGES[damage]
    harm(directory)
    with pytest.raises(CheckpointError) as caught:
        zoo.load(directory)
    assert message in str(caught.value)


def test_another_number_of_classes_is_explained(tmp_path):
    zoo.save(small(), tmp_path / "ten")
    zoo.save(small(n_classes=5), tmp_path / "five")
    (tmp_path / "ten" / "weights.safetensors").replace(tmp_path / "five" / "weights.safetensors")
    with pytest.raises(CheckpointError, match=r"head\.linear\.weight.*\[10, 64\].*\[5, 64\]"):
        zoo.load(tmp_path / "five")


def test_a_network_that_is_not_of_the_zoo_cannot_be_saved(tmp_path):
    module = ResidualModule(nn.Linear(2, 2), nn.Identity())
    net = UnraveledNetwork(nn.Identity(), [module], nn.Identity(), example=torch.zeros(1, 2), name="mine")
    with pytest.raises(CheckpointError, match="mine was not made by the zoo"):
        zoo.save(net, tmp_path)
