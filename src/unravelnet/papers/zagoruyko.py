"""Zagoruyko and Komodakis (2016): wide residual networks."""

from __future__ import annotations

from unravelnet.papers.citation import Number, Paper, Setting, Source, Statement

PAPER = Paper("Zagoruyko and Komodakis", 2016, "Wide Residual Networks", "1605.07146")

_OF = Setting(
    network="wide residual networks without dropout, and thin ones before activation",
    training="200 epochs, batches of 128, learning rate 0.1 times 0.2 after 60, 120 and 160",
    data="CIFAR-10, median of 5 trainings, test images",
)
_CODE = Source(PAPER, "the authors' code", "quoted", _OF)

WIDE_ERROR = Number("test error of WRN-28-10", "4.00", "%", _CODE)
WIDE_PARAMETERS = Number("parameters of WRN-28-10", "36.5", "million", _CODE)
THIN_ERROR = Number("test error of a thin network of 1,001 layers", "4.92", "%", _CODE)
WIDE_IS_ENOUGH = Statement(
    f"A wide network of 28 layers ({WIDE_PARAMETERS.text} parameters) errs in {WIDE_ERROR.text}, a thin one of 1,001 "
    f"layers in {THIN_ERROR.text}",
    _CODE,
)
