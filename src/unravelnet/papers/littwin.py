"""Littwin and Wolf (2016): what training does to the paths of a residual network."""

from __future__ import annotations

from unravelnet.papers.citation import Paper, Setting, Source, Statement

PAPER = Paper("Littwin and Wolf", 2016, "The Loss Surface of Residual Networks", "1611.02525")

_OF = Setting(
    network="fully connected layers with identity skips",
    training="gradient descent; random weights at the start",
    data="none: a spin-glass model",
)
DEEPENING = Statement(
    "As training progresses the virtual ensemble becomes deeper",
    Source(PAPER, "its text on normalisation", "quoted", _OF),
    "It follows from a spin-glass model, without a measurement on images.",
)
SCALES_GROW = Statement(
    "The scales of the normalisation grow, and with them the length n·β / (1 + β) that dominates",
    Source(PAPER, "Theorems 1 and 3", "quoted", _OF),
)
