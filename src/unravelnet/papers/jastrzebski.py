"""Jastrzebski et al. (2018): residual connections encourage iterative inference."""

from __future__ import annotations

from unravelnet.papers.citation import Paper, Setting, Source, Statement

PAPER = Paper("Jastrzebski et al.", 2018, "Residual Connections Encourage Iterative Inference", "1710.04773")

DOWNHILL = Statement(
    "Branches go against the gradient of the loss, the late ones most",
    Source(
        PAPER,
        "its text on the cosine loss",
        "quoted",
        Setting(network="residual networks, up to 110 layers", training="by its authors", data="CIFAR-10"),
    ),
)
