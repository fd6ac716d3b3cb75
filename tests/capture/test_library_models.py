"""Counts of residual modules in the models that people use, as their papers state the blocks.

One model stands for each kind of structure; `python -m survey` goes through every family. The weights are random: the
structure does not depend on them. `unravel` itself holds every captured network against its model, so a test that
passes here has also compared the outputs.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import unravelnet as un
from unravelnet._extras import require
from unravelnet.errors import CaptureError, MissingExtraError
from unravelnet.network import Concatenate, UnraveledNetwork


def library(package: str):
    try:
        return require(package, "This test")
    except MissingExtraError as error:
        pytest.skip(str(error))


# Two a transformer block (attention, MLP), one a convolutional block. The structure repeats itself, so few blocks do.
TIMM: dict[str, tuple[dict[str, Any], int]] = {
    "vit_tiny_patch16_224": ({"depth": 2, "img_size": 64}, 4),
    "convnext_atto": ({"depths": (1, 1, 2, 1)}, 5),
    "res2net50_26w_4s": ({"layers": (1, 2, 1, 1)}, 5),
    # Three modules of each of two branches a stage: two blocks, and the fusion with the other branch.
    "crossvit_tiny_240": ({"depth": ((1, 1, 0), (1, 1, 0)), "img_size": 120}, 12),
}


def images(size: int = 64) -> torch.Tensor:
    # The structure does not depend on the size, and small images are quick.
    return torch.randn(2, 3, size, size)


def test_inverted_residuals_of_torchvision() -> None:
    # Sandler et al. (2018): a skip in every block of a stage but the first, and in that where nothing changes.
    stages = [[1, 32, 1, 1], [6, 40, 2, 2], [6, 48, 3, 2]]
    model = library("torchvision.models").MobileNetV2(inverted_residual_setting=stages)
    net = un.unravel(model, images())
    assert (len(net.residual_modules), net.unexplained) == (1 + 1 + 2, ())


def test_bottlenecks_and_convnext() -> None:
    # One module a block of He et al. (2015) and Liu et al. (2022); fewer blocks than usual do.
    models = library("torchvision.models")
    net = un.unravel(models.ResNet(models.resnet.Bottleneck, [1, 2, 1, 1]), images())
    assert (len(net.residual_modules), net.unexplained) == (5, ())
    stages = [models.convnext.CNBlockConfig(*sizes) for sizes in ((8, 16, 1), (16, 24, 2), (24, None, 1))]
    net = un.unravel(models.ConvNeXt(stages), images())
    assert (len(net.residual_modules), net.unexplained) == (4, ())


@pytest.mark.parametrize("name", TIMM)
def test_timm(name: str) -> None:
    options, n_modules = TIMM[name]
    model = library("timm").create_model(name, **options)
    net = un.unravel(model, images(options.get("img_size", 64)))
    assert (len(net.residual_modules), net.unexplained) == (n_modules, ())


def test_densenet_of_torchvision() -> None:
    config = (2, 3, 2, 2)
    model = library("torchvision.models").DenseNet(block_config=config).eval()
    net = un.unravel(model, images())
    assert ([m.chain for m in net.residual_modules], net.unexplained) == ([0, 0, 1, 1, 1, 2, 2, 3, 3], ())
    # 64 channels come in; every layer adds 32, and every transition halves what there is.
    assert net.residual_modules[4].junction == Concatenate(64 // 2 + 32 + 2 * 32, 32)
    edited, x = copy.deepcopy(model), images()
    nn.init.zeros_(edited.get_submodule("features.denseblock2.denselayer2.conv2").weight)
    torch.testing.assert_close(net(x, net.full_route.delete(3)), edited(x))


def test_dual_path_networks() -> None:
    # Chen et al. (2017): a module a block, the projections included.
    blocks = (1, 2, 1, 1)
    model = (
        library("timm.models.dpn").DPN(k_sec=blocks, small=True, num_init_features=8, k_r=16, groups=4).eval()
    )
    net = un.unravel(model, images(32))
    assert (len(net.residual_modules), net.unexplained) == (sum(blocks), ())
    assert {module.junction.kind for module in net.residual_modules} == {"partial"}


@pytest.mark.parametrize("name", ["shufflenet", "squeezenet"])
def test_networks_of_branches_side_by_side_are_refused(name: str) -> None:
    # None of the branches is the input.
    models = library("torchvision.models")
    make = {
        "shufflenet": lambda: models.ShuffleNetV2([2, 2, 2], [8, 16, 24, 32, 40]),
        "squeezenet": lambda: models.squeezenet1_0(weights=None),
    }
    model = make[name]()
    with pytest.raises(CaptureError, match=r"sums: 0, concatenations: \d\d?\."):
        un.unravel(model, images())


SMALL = {
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "vocab_size": 99,
}
TRANSFORMERS = {
    "GPT2LMHeadModel": ("GPT2Config", {"n_layer": 2, "n_embd": 32, "n_head": 4, "vocab_size": 99}, 4),
    "LlamaForCausalLM": ("LlamaConfig", {**SMALL, "num_key_value_heads": 2}, 4),
    "OPTForCausalLM": ("OPTConfig", {**SMALL, "ffn_dim": 64, "word_embed_proj_dim": 32}, 4),
    # Attention and MLP in parallel: one module a block.
    "GPTNeoXForCausalLM": ("GPTNeoXConfig", SMALL, 2),
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_language_models(name: str) -> None:
    transformers = library("transformers")
    config_name, options, n_modules = TRANSFORMERS[name]
    special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    model = getattr(transformers, name)(getattr(transformers, config_name)(**options, **special)).eval()
    ids = torch.randint(3, 99, (2, 6))
    mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    net = un.unravel(model, {"input_ids": ids, "attention_mask": mask})
    assert (len(net.residual_modules), net.unexplained) == (n_modules, ())
    longer = {"input_ids": torch.randint(3, 99, (5, 9)), "attention_mask": torch.ones(5, 9, dtype=torch.long)}
    with torch.no_grad():
        torch.testing.assert_close(net(longer).logits, model(**longer, use_cache=False).logits)
    assert net.compatible_with(0) == list(range(1, n_modules)) or name == "OPTForCausalLM"


WITH_TWO_INPUTS: dict[str, tuple[str, dict[str, object], dict[str, torch.Tensor], int]] = {
    # Two modules a layer of the encoder, three of the decoder.
    "T5ForConditionalGeneration": (
        "T5Config",
        {"num_layers": 1, "num_decoder_layers": 1, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2},
        {"input_ids": torch.arange(12).view(2, 6) + 3, "decoder_input_ids": torch.arange(8).view(2, 4) + 3},
        2 + 3,
    ),
    # Two modules a layer of each tower.
    "CLIPModel": (
        "CLIPConfig",
        {
            "text_config": {**SMALL, "num_hidden_layers": 1, "eos_token_id": 2, "max_position_embeddings": 8},
            "vision_config": {**SMALL, "image_size": 8, "patch_size": 4},
        },
        {"input_ids": torch.arange(12).view(2, 6) + 3, "pixel_values": torch.randn(2, 3, 8, 8)},
        2 + 2 * 2,
    ),
}


@pytest.mark.parametrize("name", WITH_TWO_INPUTS)
def test_models_with_two_inputs(name: str) -> None:
    transformers = library("transformers")
    config_name, options, inputs, n_modules = WITH_TWO_INPUTS[name]
    model = getattr(transformers, name)(getattr(transformers, config_name)(**options)).eval()
    net = un.unravel(model, inputs)
    assert (len(net.residual_modules), net.unexplained) == (n_modules, ())


def test_transformer_of_torch() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter, self.classify = nn.Linear(3, 8), nn.Linear(8, 2)
            self.transformer = nn.Transformer(8, 2, 1, 2, 16, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.enter(x)
            return self.classify(self.transformer(x, x.flip(1)))

    net = un.unravel(Model(), torch.randn(3, 5, 3))
    assert (len(net.residual_modules), net.unexplained) == (2 + 2 * 3, ())


def test_deleting_a_module_of_resnet18_is_silencing_its_last_normalisation() -> None:
    model = library("torchvision.models").resnet18(weights=None).eval()
    net = un.unravel(model, images())
    # Blocks of He et al. (2015).
    assert (len(net.residual_modules), net.unexplained) == (8, ())
    x = images()
    for index, name in ((1, "layer1.1"), (2, "layer2.0"), (7, "layer4.1")):
        assert net.residual_modules[index].name == name
        lesioned = net(x, net.full_route.delete(index))
        assert torch.equal(lesioned, silenced(model, name)(x)), name


def silenced(model: nn.Module, block: str) -> nn.Module:
    model = copy.deepcopy(model)
    norm = model.get_submodule(f"{block}.bn2")
    with torch.no_grad():
        norm.weight.zero_()
        norm.bias.zero_()
    return model


def test_deleting_every_module_of_a_vit_leaves_embedding_and_head() -> None:
    model = library("timm").create_model("vit_tiny_patch16_224", depth=2, img_size=64).eval()
    net: UnraveledNetwork = un.unravel(model, images())
    x = images()
    with torch.no_grad():
        embedded = model.norm_pre(model._pos_embed(model.patch_embed(x)))
        expected = model.forward_head(model.norm(embedded))
        torch.testing.assert_close(net(x, net.full_route.keep()), expected)
