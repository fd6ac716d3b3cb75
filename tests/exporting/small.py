"""Small models of the libraries, each with blocks that are removed by hand as its users would do it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from unravelnet._extras import require
from unravelnet.errors import MissingExtraError

TOKENS = torch.tensor([[5, 9, 4, 11, 8, 6], [7, 4, 4, 10, 12, 5], [9, 8, 7, 6, 5, 4]])
IMAGES = torch.linspace(-1, 1, 3 * 3 * 32 * 32).sin().view(3, 3, 32, 32)
IDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
SIZES = {
    "vocab_size": 16,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
}


def library(package):
    try:
        return require(package, "This test")
    except MissingExtraError as error:
        pytest.skip(str(error))


def awake(model):
    """Draw normalisations, too, so that none of them is the identity."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def llama():
    transformers = library("transformers")
    options = {**SIZES, **IDS, "num_key_value_heads": 1, "head_dim": 4, "tie_word_embeddings": True}
    # Qwen3 is a Llama with a list that has an entry a layer.
    kinds = ["sliding_attention", "full_attention", "full_attention"]
    config = transformers.Qwen3Config(**options, layer_types=kinds, use_sliding_window=True, sliding_window=3)
    return awake(transformers.Qwen3ForCausalLM(config))


def gpt2():
    transformers = library("transformers")
    config = transformers.GPT2Config(vocab_size=16, n_embd=8, n_layer=3, n_head=2, n_positions=16, **IDS)
    return awake(transformers.GPT2LMHeadModel(config))


def bert():
    transformers = library("transformers")
    return awake(transformers.BertForMaskedLM(transformers.BertConfig(**SIZES)))


def resnet():
    models = library("torchvision.models")
    return awake(models.ResNet(models.resnet.BasicBlock, [2, 2, 1, 1], num_classes=3, width_per_group=64))


def vision_transformer():
    models = library("torchvision.models")
    return awake(models.VisionTransformer(32, 16, 3, 2, 8, 16, num_classes=3))


def timm_vision_transformer():
    options = {"img_size": 32, "depth": 3, "num_classes": 3}
    return awake(library("timm").create_model("test_vit", **options))


def timm_resnet():
    return awake(library("timm").create_model("test_resnet", layers=(1, 2, 1, 1), num_classes=3))


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, x):
        return x + self.layer(x).relu()


class Tower(nn.Module):
    """A class of a user's own."""

    def __init__(self, n_blocks=4):
        super().__init__()
        self.blocks = nn.Sequential(*(Block(6) for _ in range(n_blocks)))
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.blocks(x))


def without(model, container, *places):
    """Remove blocks from a copy of a model by hand."""
    edited = copy.deepcopy(model)
    blocks = edited.get_submodule(container)
    names = list(dict(blocks.named_children()))
    for place in sorted(places, reverse=True):
        delattr(blocks, names[place])
    return edited
