"""A language model as large as those that people take apart; the large networks of images are torchvision's."""

from __future__ import annotations

import torch
from torch import nn

from survey.member import Member
from unravelnet._extras import require


def _llama() -> nn.Module:
    library = require("transformers", "The survey")
    return library.LlamaForCausalLM(
        library.LlamaConfig(
            num_hidden_layers=24,
            hidden_size=1024,
            intermediate_size=2816,
            num_attention_heads=16,
            vocab_size=32000,
        )
    )


MEMBERS: tuple[Member, ...] = (
    Member(
        "transformers", "llama", "LlamaForCausalLM of width 1024", _llama,
        lambda: {"input_ids": torch.randint(3, 32000, (2, 64))},
        48, "24 blocks of an attention and an MLP (Touvron et al. 2023).",
    ),
)  # fmt: skip
