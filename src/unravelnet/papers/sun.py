"""Sun et al. (2024): transformer layers as painters."""

from __future__ import annotations

from unravelnet.papers.citation import Paper, Setting, Source, Statement

PAPER = Paper("Sun et al.", 2024, "Transformer Layers as Painters", "2407.09298")

SHUFFLING = Statement(
    "Shuffling the middle layers of a language model costs less than reversing them, and both cost more on arithmetic "
    "than on language",
    Source(
        PAPER,
        "its text on the order of layers",
        "quoted in a summary",
        Setting(
            network="Llama2-7B and BERT-Large", training="by their authors", data="benchmarks of language"
        ),
    ),
)
