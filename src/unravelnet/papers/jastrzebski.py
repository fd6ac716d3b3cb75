"""Jastrzebski et al. (2018): residual connections encourage iterative inference."""

from __future__ import annotations

from unravelnet.papers.citation import Paper, Setting, Source, Statement

PAPER = Paper("Jastrzebski et al.", 2018, "Residual Connections Encourage Iterative Inference", "1710.04773")

_OF = Setting(network="residual networks, up to 110 layers", training="by its authors", data="CIFAR-10")

DOWNHILL = Statement(
    "Branches go against the gradient of the loss, the late ones most",
    Source(PAPER, "its text on the cosine loss", "quoted", _OF),
)
RATIO_OF_NORMS = Statement(
    "The norm of what a branch adds is measured beside that of the stream, in the mean over images",
    Source(PAPER, "its text on the ratio of norms", "quoted", _OF),
)
