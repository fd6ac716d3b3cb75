"""Makes members of the survey from small configurations of `transformers`, with random weights.

The structure of a block does not depend on its width, so two narrow blocks show what a whole model is made of.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from survey.member import Member
from unravelnet._extras import require

SPECIAL = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
TEXT = {**SMALL, **SPECIAL, "vocab_size": 99}
SHARED_KEYS = {**TEXT, "num_key_value_heads": 2}
IMAGES = {**SMALL, "image_size": 32, "patch_size": 8}


def member(
    family: str,
    model: str,
    modules: int,
    truth: str,
    options: dict[str, Any],
    example: Callable[[], dict[str, Tensor]],
    *,
    nested: int = 0,
    kinds: tuple[tuple[str, int], ...] = (),
    refused: str = "",
) -> Member:
    """Describe a model of `transformers` by its class and the options of its configuration.

    `member("llama", "LlamaForCausalLM", 4, "Two a block; 2 blocks.", SHARED_KEYS, ids)` is a small Llama.
    """
    make = partial(_make, model, options)
    return Member(
        *("transformers", family, model, make, example, modules, truth),
        nested=nested,
        kinds=kinds,
        refused=refused,
    )


def _make(model: str, options: dict[str, Any]) -> nn.Module:
    transformers = require("transformers", "The survey")
    made = getattr(transformers, model)
    configured = made.config_class(**{name: _configured(value) for name, value in options.items()})
    module: nn.Module = made(configured)
    return module.eval()


def _configured(value: Any) -> Any:
    """Make the configuration of a part, which an option names by its class: `("ResNetConfig", {...})`."""
    if isinstance(value, tuple) and len(value) == 2 and str(value[0]).endswith("Config"):
        made = getattr(require("transformers", "The survey"), value[0])
        return made(**{name: _configured(inner) for name, inner in value[1].items()})
    return value


# -- examples --


def ids(length: int = 6) -> dict[str, Tensor]:
    """Two sequences of token ids, without padding."""
    return {"input_ids": torch.randint(3, 99, (2, length))}


def text() -> dict[str, Tensor]:
    """Two sequences of token ids with their mask, as tokenizers give them."""
    return {**ids(), "attention_mask": torch.tensor([[1] * 6, [1] * 4 + [0] * 2])}


def two_texts() -> dict[str, Tensor]:
    """What an encoder and a decoder read."""
    return {**text(), "decoder_input_ids": torch.randint(3, 99, (2, 4))}


def images(size: int = 32) -> dict[str, Tensor]:
    """Two images."""
    return {"pixel_values": torch.randn(2, 3, size, size)}


def images_and_texts() -> dict[str, Tensor]:
    """Two images and two sequences of token ids."""
    return {**ids(), **images()}


def waves(length: int = 800) -> dict[str, Tensor]:
    """Two sounds."""
    return {"input_values": torch.randn(2, length)}


# -- truths --


def two_a_block(paper: str) -> str:
    """State the count of most transformers."""
    return f"Two a block, attention and MLP; 2 blocks ({paper})."


def one_a_block(paper: str) -> str:
    """State the count where attention and MLP read one value and are added together."""
    return f"One a block, attention and MLP side by side; 2 blocks ({paper})."


def experts(paper: str) -> str:
    """State the count of mixtures of experts."""
    return f"Two a block, attention and the mixture of experts; 2 blocks ({paper})."


def two_and_three(paper: str) -> str:
    """State the count of encoder-decoders."""
    return (
        "Two a block of the encoder, attention and MLP; three of the decoder, self-attention, cross-attention and "
        f"MLP; 2 blocks each ({paper})."
    )
