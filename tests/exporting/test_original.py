"""The original class with fewer blocks, loaded by its own library, gives what blocks cut by hand give."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import unravelnet as un
from tests.exporting import small
from tests.exporting.small import IMAGES, TOKENS, Tower, library, without
from unravelnet import zoo
from unravelnet.errors import CaptureError, ModelError, RouteError, StoreError
from unravelnet.exporting import RECEIPT, export
from unravelnet.pruning.patch import LinearPatch, patched


@pytest.fixture(scope="module")
def gpt2():
    return un.unravel(small.gpt2(), TOKENS[:2])


@pytest.fixture(scope="module")
def resnet():
    return un.unravel(small.resnet(), IMAGES[:2], name="mine")


def tower():
    torch.manual_seed(0)
    return un.unravel(Tower(), torch.randn(2, 6))


@pytest.fixture(scope="module")
def towered():
    """The network of a tower that no test changes."""
    return tower()


def receipt_in(directory):
    return json.loads((directory / RECEIPT).read_text())


def outputs(model, inputs):
    with torch.no_grad():
        return model(inputs, use_cache=False)


# -- transformers --


def test_a_language_model_is_loaded_by_transformers(tmp_path):
    transformers = library("transformers")
    model = small.llama()
    net = un.unravel(model, TOKENS[:2])
    path = export(net, net.full_route.delete(2, 3), tmp_path / "small", "original")
    loaded = transformers.AutoModelForCausalLM.from_pretrained(path)
    assert loaded.config.num_hidden_layers == 2
    assert loaded.config.layer_types == ["sliding_attention", "full_attention"]
    assert [layer.self_attn.layer_idx for layer in loaded.model.layers] == [0, 1]
    edited = without(model, "model.layers", 1)
    edited.config.num_hidden_layers = 2
    edited.config.layer_types = loaded.config.layer_types
    torch.testing.assert_close(outputs(loaded, TOKENS).logits, outputs(edited, TOKENS).logits)
    torch.testing.assert_close(
        outputs(loaded, TOKENS).logits, net(TOKENS, net.full_route.delete(2, 3))["logits"]
    )
    # The cache is filled by layer_idx: what is generated with it is what is generated without.
    options = {"max_new_tokens": 4, "do_sample": False}
    with_cache, without_cache = (loaded.generate(TOKENS, use_cache=use, **options) for use in (True, False))
    assert torch.equal(with_cache, without_cache)


def test_blocks_are_exchanged_and_repeated(gpt2, tmp_path):
    model = gpt2.origin.model
    path = export(gpt2, un.Route.parse("2-3,0-1,4-5,4-5"), tmp_path / "longer", "original")
    loaded = library("transformers").AutoModelForCausalLM.from_pretrained(path)
    edited = without(model, "transformer.h")
    edited.transformer.h = nn.ModuleList(edited.transformer.h[place] for place in (1, 0, 2, 2))
    torch.testing.assert_close(outputs(loaded, TOKENS).logits, outputs(edited, TOKENS).logits)


def test_a_normalisation_behind_the_sum_goes_with_its_block(tmp_path):
    model = small.bert()
    net = un.unravel(model, TOKENS[:2])
    with pytest.raises(
        RouteError, match=r"stays, while the original class loses both .* route 0-1,4-5 leaves"
    ):
        export(net, net.full_route.delete(2, 3), tmp_path / "small", "original")
    path = export(net, un.Route.parse("0-1,4-5"), tmp_path / "small", "original")
    loaded = library("transformers").AutoModelForMaskedLM.from_pretrained(path)
    with torch.no_grad():
        expected = without(model, "bert.encoder.layer", 1)(TOKENS)
        torch.testing.assert_close(loaded(TOKENS).logits, expected.logits)


def test_halves_of_blocks_are_named(gpt2, tmp_path):
    with pytest.raises(RouteError) as refused:
        export(gpt2, gpt2.full_route.delete(0, 1, 3), tmp_path / "small", "original")
    message = str(refused.value)
    assert "transformer.h.1.mlp (module 3) of the block transformer.h.1" in message
    assert "which also holds transformer.h.1.attn (module 2)" in message
    assert "The route 0-3s,4-5 leaves these blocks out whole" in message
    assert list(tmp_path.iterdir()) == []


def test_trained_weights_of_a_copy_are_exported(gpt2, tmp_path):
    trained = copy.deepcopy(gpt2)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.mul_(1.1)
    route = trained.full_route.delete(0, 1)
    path = export(trained, route, tmp_path / "small", "original")
    loaded = library("transformers").AutoModelForCausalLM.from_pretrained(path)
    torch.testing.assert_close(outputs(loaded, TOKENS).logits, trained(TOKENS, route)["logits"])


# -- torchvision and timm --


@pytest.mark.parametrize(
    ("make", "container", "places", "modules"),
    [
        (small.vision_transformer, "encoder.layers", (0,), (0, 1)),
        (small.timm_vision_transformer, "blocks", (1, 2), (2, 3, 4, 5)),
        (small.timm_resnet, "layer2", (1,), (2,)),
    ],
    ids=["VisionTransformer", "timm ViT", "timm ResNet"],
)
def test_models_of_images_are_made_again_by_their_library(make, container, places, modules, tmp_path):
    model = make()
    net = un.unravel(model, IMAGES[:2])
    path = export(net, net.full_route.delete(*modules), tmp_path / "small", "original")
    described = json.loads((path / "model.json").read_text())
    if described["library"] == "timm":
        rebuilt = library("timm").create_model(described["name"], **described["arguments"])
    else:
        rebuilt = library("torchvision.models").VisionTransformer(**described["arguments"])
    rebuilt.load_state_dict(load_file(path / "weights.safetensors"))
    edited = without(model, container, *places)
    with torch.no_grad():
        torch.testing.assert_close(rebuilt.eval()(IMAGES), edited(IMAGES))
    assert receipt_in(path)["n_parameters_left"] == sum(p.numel() for p in edited.parameters())


def test_a_directory_of_a_library_is_a_model(resnet, tmp_path):
    route = resnet.full_route.delete(1)
    path = export(resnet, route, tmp_path / "small", "original")
    models = library("torchvision.models")
    rebuilt = models.ResNet(models.resnet.BasicBlock, [1, 2, 1, 1], num_classes=3)
    rebuilt.load_state_dict(load_file(path / "weights.safetensors"))
    with torch.no_grad():
        expected = without(resnet.origin.model, "layer1", 1)(IMAGES)
        torch.testing.assert_close(rebuilt.eval()(IMAGES), expected)
    again = un.load(str(path), input_shape=(3, 32, 32))
    assert again.name == "mine, route 0,1s,2-5"
    assert [module.name for module in again.residual_modules] == [
        "layer1.0", "layer2.0", "layer2.1", "layer3.0", "layer4.0"
    ]  # fmt: skip
    torch.testing.assert_close(again(IMAGES), expected)


@pytest.mark.parametrize(
    "described",
    [
        {"library": "os", "name": "system", "arguments": {}},
        {"library": "torchvision", "name": "ResNet", "arguments": {"block": "conv1x1"}},
        {"library": "torchvision", "name": "vgg", "arguments": {}},
        {"library": "timm", "name": "resnet18", "arguments": {"checkpoint_path": "evil.pt"}},
        {"library": "timm", "name": "hf-hub:someone/theirs", "arguments": {}},
        {"library": "timm", "name": "resnet18", "arguments": {"layers": ["__import__('os')"]}},
        {"library": ["timm"], "name": None, "arguments": None},
    ],
)
def test_a_description_names_known_builders_and_numbers_only(described, tmp_path):
    library("timm")
    (tmp_path / "model.json").write_text(json.dumps(described))
    (tmp_path / RECEIPT).write_text("{}")
    with pytest.raises(un.errors.CheckpointError, match="Export again"):
        un.load(str(tmp_path))


# -- classes of one's own --


def test_a_class_of_ones_own_is_made_by_its_user(tmp_path):
    net = tower()
    route = net.full_route.delete(1, 2)
    with pytest.raises(ModelError, match=r"Tower is of none of the libraries .* Give make=\.\.\."):
        export(net, route, tmp_path / "small", "original")
    path = export(net, route, tmp_path / "small", "original", make=lambda: Tower(2))
    loaded = Tower(2)
    loaded.load_state_dict(load_file(path / "weights.safetensors"))
    x = torch.randn(5, 6)
    torch.testing.assert_close(loaded(x), without(net.origin.model, "blocks", 1, 2)(x))
    with pytest.raises(ModelError, match=r"does not take the weights left on the route: .*blocks\.2\.layer"):
        export(net, route, tmp_path / "other", "original", make=lambda: Tower(3))
    assert [file.name for file in tmp_path.iterdir()] == ["small"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,1*0.5,2-3", r"scales blocks\.1 \(module 1\)"),
        ("0,1b,2-3", "removes the skip of blocks.1"),
        ("0,(1-2),3", "puts others beside blocks.1"),
    ],
)
def test_what_whole_blocks_cannot_do_is_refused(towered, text, message, tmp_path):
    with pytest.raises(RouteError, match=message):
        export(towered, un.Route.parse(text), tmp_path / "small", "original", make=Tower)
    # The other forms take the same route.
    assert export(towered, un.Route.parse(text), tmp_path / "small.pt2").is_file()


def test_a_projection_stays_so_its_block_cannot_go(resnet, tmp_path):
    with pytest.raises(RouteError, match=r"The skip of layer3\.0 \(module 4\) is a projection"):
        export(resnet, resnet.full_route.delete(4), tmp_path / "small", "original")


class Alone(nn.Module):
    """Its blocks are attributes, in no container."""

    def __init__(self):
        super().__init__()
        self.first, self.second = small.Block(4), small.Block(4)

    def forward(self, x):
        return self.second(self.first(x))


def test_a_network_without_blocks_to_remove_is_refused(tmp_path):
    built, alone = zoo.preact_resnet(8, seed=0), un.unravel(Alone(), torch.randn(2, 4))
    with pytest.raises(ModelError, match=r"built by unravelnet .* has no original class"):
        export(built, built.full_route, tmp_path / "small", "original")
    with pytest.raises(RouteError, match=r"first \(module 0\) is no submodule of an nn\.Sequential"):
        export(alone, alone.full_route.delete(0), tmp_path / "small", "original", make=Alone)


def test_a_model_that_was_changed_after_its_capture_is_refused(tmp_path):
    net = tower()
    net.origin.model.head = nn.Sequential(net.origin.model.head, nn.Tanh())
    with pytest.raises(CaptureError, match="The model was changed after it was captured"):
        export(net, net.full_route.delete(1), tmp_path / "small", "original", make=lambda: Tower(3))
    assert list(tmp_path.iterdir()) == []
    # The same for a network that was changed, unless it is cut loose from its model.
    changed, route = tower(), un.Route.full(4).delete(1)
    changed.residual_modules[0].branch = nn.Linear(6, 6)
    with pytest.raises(CaptureError, match=r"net\.origin = None"):
        export(changed, route, tmp_path / "small.pt2")
    changed.origin = None
    program = torch.export.load(export(changed, route, tmp_path / "small.pt2")).module()
    torch.testing.assert_close(program(x := torch.randn(3, 6)), changed(x, route))


def test_a_patch_is_no_part_of_the_original_class(tmp_path):
    net = tower()
    patch = LinearPatch(torch.randn(6, 6), torch.randn(6), channels=1)
    with_patch = patched(net, (1, 2), patch)
    route = with_patch.full_route.delete(2)
    with pytest.raises(
        ModelError, match="holds a patch of modules 1 to 2, which its original class does not have"
    ):
        export(with_patch, route, tmp_path / "small", "original", make=lambda: Tower(3))
    program = torch.export.load(export(with_patch, route, tmp_path / "small.pt2")).module()
    x = torch.randn(5, 6)
    blocks, head = net.origin.model.blocks, net.origin.model.head
    stream = blocks[0](x)
    stream = blocks[3](stream + stream @ patch.weight.T + patch.bias)
    torch.testing.assert_close(program(x), head(stream))


def test_files_of_others_are_not_replaced(towered, tmp_path):
    net, place = towered, tmp_path / "small"
    place.mkdir()
    (place / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match=r"holds files and no receipt\.json"):
        export(net, net.full_route.delete(1), place, "original", make=lambda: Tower(3))
    assert (place / "thesis.txt").read_text() == "years of work"
    with pytest.raises(StoreError, match="is a file, and a directory is to be written"):
        export(net, net.full_route.delete(1), place / "thesis.txt", "original", make=lambda: Tower(3))
    # An earlier export is replaced whole.
    (place / "thesis.txt").rename(tmp_path / "thesis.txt")
    export(net, net.full_route.delete(1), place, "original", make=lambda: Tower(3))
    export(net, net.full_route.delete(0, 1), place, "original", make=lambda: Tower(2))
    assert receipt_in(place)["n_modules_left"] == 2
    assert {file.name for file in tmp_path.iterdir()} == {"small", "thesis.txt"}
