"""Molchanov et al. (2019): importance estimation for neural network pruning."""

from __future__ import annotations

from unravelnet.papers.citation import Paper, Setting, Source, Statement

PAPER = Paper("Molchanov et al.", 2019, "Importance Estimation for Neural Network Pruning", "1906.10771")

FIRST_ORDER = Statement(
    "What removing a part does to the loss is estimated to first order, by the gradient times the part; the paper "
    "squares it, and it is not squared here",
    Source(
        PAPER,
        "its text on first-order importance",
        "remembered",
        Setting(network="convolutional networks", training="by its authors", data="CIFAR-10 and ImageNet"),
    ),
)
