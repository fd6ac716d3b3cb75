"""Model A of Wu et al. against its authors' numbers and against networks written the ordinary way.

It has 109 million parameters. They are drawn once; its variants have the same ones, and are built without any.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tests.zoo.ordinary import (
    n_parameters,
    ordinary_model_a,
    shake_normalisations,
    silenced,
    swapped,
    with_weights_of,
)
from unravelnet import zoo
from unravelnet.errors import ModelError, UnknownNameError

VARIANTS = ("A", "A1", "A1-dilated")
# As an image to be segmented: no side is a multiple of 8.
SEGMENTED = (3, 97, 129)


def without_weights(**options):
    with torch.device("meta"):
        return zoo.wide_resnet38(**options)


@pytest.fixture(scope="module")
def model_a():
    return shake_normalisations(zoo.wide_resnet38(input_shape=(3, 32, 32), seed=0))


@pytest.fixture(scope="module", params=VARIANTS)
def net(request, model_a):
    """One of the variants, with the weights of Model A."""
    made = without_weights(variant=request.param, input_shape=SEGMENTED)
    made.load_state_dict(model_a.state_dict(), assign=True)
    return made.eval()


def images(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


# -- counts and shapes --


def test_parameters_of_wu_2016():
    three = sum(9 * (2 * n_blocks - 1) * c * c for n_blocks, c in ((3, 128), (3, 256), (6, 512)))
    first = 9 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512)
    level5 = 9 * (512 * 512 + 512 * 1024 + 2 * 2 * 1024 * 512)
    level6 = 1024 * 512 + 9 * 512 * 1024 + 1024 * 2048
    level7 = 2048 * 1024 + 9 * 1024 * 2048 + 2048 * 4096
    projections = sum(2**n * 2 ** (n + 1) for n in range(6, 12))
    # Two values a channel: before each convolution of a branch and before the head.
    level2_to_4 = (64 + 5 * 128) + (128 + 5 * 256) + (256 + 11 * 512)
    norms = 2 * (
        level2_to_4 + (512 + 512 + 2 * (1024 + 512)) + (1024 + 512 + 1024) + (2048 + 1024 + 2048) + 4096
    )
    by_hand = three + first + level5 + level6 + level7 + projections + norms
    assert by_hand == 105_070_912
    for variant in VARIANTS:
        assert n_parameters(without_weights(variant=variant)) == by_hand + 4096 * 1000 + 1000 == 109_167_912


def test_layers_of_wu_2016():
    net = without_weights()
    skips = [module.skip for module in net.residual_modules]
    n_projections = sum(isinstance(skip, nn.Conv2d) for skip in skips)
    n_convolutions = sum(isinstance(part, nn.Conv2d) for part in net.modules())
    assert (len(skips), n_projections, n_convolutions - n_projections) == (17, 6, 37)
    assert [[m.name for m in net.residual_modules if m.chain == chain][-1] for chain in range(6)] == [
        "level2.2", "level3.2", "level4.5", "level5.2", "level6.0", "level7.0"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("variant", "sides"),
    [
        ("A", [112, 56, 28, 14, 7, 7]),
        ("A1", [112, 56, 28, 14, 7, 7]),
        ("A1-dilated", [112, 56, 28, 28, 28, 28]),
    ],
)
def test_maps_of_an_image_of_imagenet(variant, sides):
    net = without_weights(variant=variant)
    last_of_level = [2, 5, 11, 14, 15, 16]
    widths = (128, 256, 512, 1024, 2048, 4096)
    shapes = [net.residual_modules[index].output_shape for index in last_of_level]
    assert shapes == [(width, side, side) for width, side in zip(widths, sides, strict=True)]
    assert net.outputs["output"].shape == (1, 1000)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("input_shape", [(1, 1, 1), (1, 8, 8), (4, 33, 20)])
def test_any_input_size_and_channel_count(variant, input_shape):
    net = without_weights(variant=variant, input_shape=input_shape, n_classes=7)
    halvings = 3 if variant == "A1-dilated" else 5
    expected = [math.ceil(side / 2**halvings) for side in input_shape[1:]]
    assert net.residual_modules[16].output_shape == (4096, *expected)
    assert net.outputs["output"].shape == (1, 7)


def test_the_first_convolution_of_a_dilated_level_keeps_the_dilation_before():
    net = without_weights(variant="A1-dilated")
    dilations = [
        [
            part.dilation[0]
            for part in module.branch
            if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3)
        ]
        for module in net.residual_modules
    ]
    assert dilations == [[1, 1]] * 12 + [[1, 2], [2, 2], [2, 2], [4], [4]]


@torch.no_grad()
def test_a_dilated_stream_has_an_eighth_of_the_image(model_a):
    net = without_weights(variant="A1-dilated", input_shape=SEGMENTED)
    net.load_state_dict(model_a.state_dict(), assign=True)
    net.eval()
    state = net.enter(images(2, *SEGMENTED))
    for move in net.full_route.moves:
        state = net.advance(state, move)
    # 97 and 129 halved three times, rounding up.
    assert state.x.shape == (2, 4096, 13, 17)
    assert state.x.isfinite().all()
    assert net.leave(state).isfinite().all()


@torch.no_grad()
def test_the_output_for_an_image_of_imagenet_is_finite(model_a):
    output = model_a(images(1, 3, 224, 224))
    assert output.shape == (1, 1000)
    assert output.isfinite().all()


# -- against an ordinary network --


@torch.no_grad()
def test_it_equals_an_ordinary_network_and_so_does_its_lesion(net):
    ordinary = with_weights_of(net, ordinary_model_a, zoo.recipe_of(net).options["variant"])
    x = images(1, 3, 49, 65)
    intact = net(x)
    torch.testing.assert_close(intact, ordinary(x), rtol=1e-4, atol=1e-4)
    with silenced(ordinary.blocks[13].convs[-1]):
        deleted = net(x, net.full_route.delete(13))
        torch.testing.assert_close(deleted, ordinary(x), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(deleted, intact, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_lesions_of_projections_and_places_equal_those_of_an_ordinary_network(model_a):
    ordinary = with_weights_of(model_a, ordinary_model_a, "A")
    x = images(1, 3, 33, 40)
    blocks = ordinary.blocks
    with silenced(blocks[3].convs[-1]), silenced(blocks[12].skip), swapped(ordinary, 7, 10):
        route = model_a.full_route.delete(3).remove_skip(12).swap(7, 10)
        torch.testing.assert_close(model_a(x, route), ordinary(x), rtol=1e-4, atol=1e-4)


def test_every_module_can_be_deleted(net):
    assert all(module.is_deletable for module in net.residual_modules)


def test_modules_of_a_level_may_change_places_but_for_the_first_of_a_dilated_one():
    for variant in VARIANTS:
        net = without_weights(variant=variant)
        assert [net.compatible_with(index) for index in (0, 1, 6, 7, 13, 16)] == [
            [], [2], [], [8, 9, 10, 11], [14], []
        ]  # fmt: skip


# -- options, names and mistakes --


def test_dropout_stands_before_the_last_convolution_of_the_last_two_levels():
    net = without_weights(dropout=(0.3, 0.5))
    dropouts = {
        module.name: (part.p, list(module.branch)[number + 1].out_channels)
        for module in net.residual_modules
        for number, part in enumerate(module.branch)
        if isinstance(part, nn.Dropout)
    }
    assert dropouts == {"level6.0": (0.3, 2048), "level7.0": (0.5, 4096)}
    assert not any(isinstance(part, nn.Dropout) for part in without_weights().modules())


def test_its_name_and_recipe_make_it_again():
    with torch.device("meta"):
        net = zoo.create("wide-resnet38", variant="A1-dilated", dropout=(0.3, 0.5), n_classes=11)
        recipe = zoo.recipe_of(net)
        again = zoo.create(recipe.name, **recipe.options)
    assert "wide-resnet38" in zoo.names()
    assert str(again) == str(net)
    assert [str(part) for part in again.modules()] == [str(part) for part in net.modules()]
    assert zoo.recipe_of(again) == recipe


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"variant": "A2"}, UnknownNameError, "no variant 'A2'"),
        ({"dropout": 0.3}, ModelError, "The dropout 0.3 is not one of two levels"),
        ({"dropout": (0.3,)}, ModelError, "such as (0.3, 0.5)"),
        ({"dropout": (0.3, 1.0)}, ModelError, "The dropout 1.0 is no probability"),
        ({"n_classes": 0}, ModelError, "0 classes"),
        ({"input_shape": (3, 224)}, ModelError, "channels, height and width"),
    ],
)
def test_impossible_networks_are_explained(options, error, message):
    with pytest.raises(error) as caught:
        zoo.create("wide-resnet38", **options)
    assert message in str(caught.value)
