"""Gromov et al. (2024): the unreasonable ineffectiveness of the deeper layers."""

from __future__ import annotations

from unravelnet.papers.citation import Paper, Setting, Source, Statement

PAPER = Paper("Gromov et al.", 2024, "The Unreasonable Ineffectiveness of the Deeper Layers", "2403.17887")

_OF = Setting(network="large language models", training="by their authors", data="texts")

ANGULAR_DISTANCE = Statement(
    "A span of layers is cut where the angle between its input and its output, at the last token, is the smallest",
    Source(PAPER, "its text on the angular distance", "quoted in a summary", _OF),
)
LATE_LAYERS = Statement(
    "Up to about half of the layers of large models, those before the last, can be cut before accuracy falls sharply",
    Source(PAPER, "its text on pruning", "quoted in a summary", _OF),
)
