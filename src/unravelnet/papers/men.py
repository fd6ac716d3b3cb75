"""Men et al. (2024): ShortGPT, layers in large language models are more redundant than you expect."""

from __future__ import annotations

from unravelnet.papers.citation import Paper, Setting, Source, Statement

PAPER = Paper(
    "Men et al.",
    2024,
    "ShortGPT: Layers in Large Language Models Are More Redundant Than You Expect",
    "2403.03853",
)

BLOCK_INFLUENCE = Statement(
    "The influence of a block is 1 minus the cosine of its input and its output, in the mean over all tokens; the "
    "blocks of the least influence go",
    Source(
        PAPER,
        "its text on Block Influence and codes of others",
        "quoted in a summary",
        Setting(network="large language models", training="by their authors", data="texts"),
    ),
)
