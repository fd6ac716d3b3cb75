"""Devices that are not there, or hold no values, are named in a sentence at every door."""

from __future__ import annotations

import pytest
import torch

import unravelnet as un
from unravelnet.devices import usable_device
from unravelnet.errors import EvaluationError, TrainingError

# What this build of torch, for processors only or for CUDA, cannot compute on.
ABSENT = [
    "meta",
    "hpu",
    "privateuseone",
    "cuda:99",
    "xla",
    "vulkan",
    "mkldnn",
    "opengl",
    "nonsense",
    "",
    -1,
    3.5,
]


def small_net():
    return un.zoo.resnet(8, input_shape=(1, 8, 8), seed=0)


def test_the_processor_computes():
    assert usable_device("cpu") == torch.device("cpu")
    assert usable_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("device", ABSENT)
def test_other_devices_are_refused(device):
    with pytest.raises(EvaluationError, match=r"The device '.*' cannot be used: .*\. Leave the device out"):
        usable_device(device)


@pytest.mark.parametrize("device", ["meta", "hpu", "privateuseone"])
def test_every_door_refuses(device):
    net, images = small_net(), (torch.zeros(4, 1, 8, 8), torch.zeros(4, dtype=torch.long))
    with pytest.raises(EvaluationError, match=rf"The device '{device}' cannot be used"):
        un.evaluate(net, [net.full_route], images, device=device)
    with pytest.raises(
        TrainingError, match=rf"The device '{device}' cannot be used: .* Give 'auto', 'cpu' or 'cuda'"
    ):
        un.train(net, "digits", epochs=1, device=device)
