"""Huang, Sun, Liu, Sedra and Weinberger (2016): stochastic depth."""

from __future__ import annotations

from unravelnet.papers.citation import Number, Paper, Setting, Source, Statement

PAPER = Paper("Huang et al.", 2016, "Deep Networks with Stochastic Depth", "1603.09382")

_OF = Setting(
    network="ResNet of 110 layers, ReLU after the addition, shortcuts without parameters",
    training="stochastic depth, linear decay to 0.5, 500 epochs, batches of 128",
    data="CIFAR-10, 45,000 images of training, test images",
)
_CODE = Source(PAPER, "section 4 and the authors' code", "quoted", _OF)

EPOCHS = Number("epochs of a training", "500", "epochs", _CODE)
CONSTANT_ERROR = Number("test error, trained at constant depth", "6.41", "%", _CODE)
STOCHASTIC_ERROR = Number("test error, trained with stochastic depth", "5.25", "%", _CODE)
BETTER = Statement(
    f"{STOCHASTIC_ERROR.text} with stochastic depth against {CONSTANT_ERROR.text} without, 110 layers, {EPOCHS.text}",
    _CODE,
    "Its network and its learning rates differ from those here.",
)
_DEPTH = Source(PAPER, "section 3", "remembered", _OF)
LAST_SURVIVAL = Number("survival of the last module", "0.5", "", _CODE)
SAVED = Number("time that a training saves, about", "25", "%", _DEPTH)
CHEAPER = Statement(
    f"With linear decay to {LAST_SURVIVAL.text} about {SAVED.text} of the time of a training is saved", _DEPTH
)
VERY_DEEP = Statement(
    "With stochastic depth networks of 1,202 layers gain, too", Source(PAPER, "section 4", "remembered", _OF)
)
