"""Residual networks for photographs: against torchvision, and against the counts of the papers."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import nn

from unravelnet import zoo
from unravelnet._extras import require
from unravelnet.errors import ModelError, UnknownNameError

needs_torchvision = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed"
)


@needs_torchvision
@pytest.mark.parametrize("depth", [18, 50])
def test_with_its_weights_it_computes_what_torchvision_computes(depth):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = getattr(require("torchvision.models", "this test"), f"resnet{depth}")().eval()
        images = torch.randn(2, 3, 64, 64)
    net = zoo.imagenet_resnet(depth, input_shape=(3, 64, 64)).eval()
    # Both name their layers in the order in which they stand: stem, the blocks with their projections, head.
    own = list(net.state_dict())
    net.load_state_dict(dict(zip(own, theirs.state_dict().values(), strict=True)))
    with torch.no_grad():
        torch.testing.assert_close(net(images), theirs(images))


# Of 1,000 classes, as torchvision and the authors count them.
PARAMETERS = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}


@pytest.mark.parametrize(("depth", "n_parameters"), PARAMETERS.items())
def test_sizes_are_those_of_the_paper(depth, n_parameters):
    with torch.device("meta"):
        net = zoo.create(f"imagenet-resnet{depth}", input_shape=(3, 32, 32))
    assert sum(parameter.numel() for parameter in net.parameters()) == n_parameters


def test_the_network_of_figure_4_has_66_modules_that_change_shape_at_four_places():
    with torch.device("meta"):
        net = zoo.create("imagenet-preact-resnet200", input_shape=(3, 32, 32))
    assert len(net.residual_modules) == 66
    # 3, 24, 36 and 3 modules; the first widens the stream of the stem.
    assert net.downsampling == net.stages == [0, 3, 27, 63]
    n_weights = sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in net.modules())
    assert n_weights == 200 + len(net.downsampling)


@pytest.mark.parametrize("kind", ["resnet", "preact-resnet"])
def test_shortcuts_project_where_their_letter_says(kind):
    kinds, counts = {}, {}
    for shortcut in ("A", "B", "C"):
        with torch.device("meta"):
            net = zoo.create(f"imagenet-{kind}34", shortcut=shortcut, input_shape=(3, 32, 32))
        kinds[shortcut] = [module.index for module in net.residual_modules if module.kind == "projection"]
        counts[shortcut] = sum(
            isinstance(layer, nn.Conv2d) for module in net.residual_modules for layer in module.skip.modules()
        )
    assert kinds == {"A": [3, 7, 13], "B": [3, 7, 13], "C": list(range(16))}
    assert counts == {"A": 0, "B": 3, "C": 16}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"depth": 20}, ModelError, "Depths are 18, 34, 50, 101, 152, 200"),
        ({"shortcut": "D"}, UnknownNameError, "There is no shortcut 'D'"),
        ({"widths": (8, 8)}, ModelError, "has 4 stages, and widths are given for 2"),
    ],
)
def test_what_cannot_be_built_is_explained(options, error, message):
    with pytest.raises(error, match=message):
        zoo.imagenet_resnet(**options)
