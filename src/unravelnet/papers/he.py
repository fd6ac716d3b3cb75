"""He, Zhang, Ren and Sun (2015 and 2016): residual networks, the recipe for CIFAR-10, degradation and responses."""

from __future__ import annotations

from unravelnet.papers.citation import Number, Paper, Setting, Source, Statement

PAPER = Paper("He et al.", 2015, "Deep Residual Learning for Image Recognition", "1512.03385")
PREACTIVATION = Paper("He et al.", 2016, "Identity Mappings in Deep Residual Networks", "1603.05027")

_OF = Setting(
    network="residual and plain networks of 20 to 110 layers, ReLU after the addition, shortcuts without parameters",
    training="64,000 batches of 128, learning rate 0.1 and less",
    data="CIFAR-10, test images",
)
_OF_PREACTIVATION = Setting(
    network="pre-activation ResNet-110", training="the recipe of 2015", data="CIFAR-10, test images"
)
_ON_IMAGENET = Setting(
    network="residual and plain networks of 18 layers",
    training="600,000 batches of 256 (remembered)",
    data="ImageNet, training and validation images",
)
_ON_CIFAR = Source(PAPER, "section 4.2", "quoted", _OF)
_TABLE = Source(PAPER, "Table 6", "quoted", _OF)
_ERRORS = Source(PAPER, "Fig. 6", "quoted", _OF)
_RESPONSES = Source(PAPER, "Fig. 7", "quoted", _OF)
_READ_OFF = Source(PAPER, "Fig. 6", "read off a figure", _OF)

IMAGE_SIDE = Number("height and width of an image", "32", "pixels", _ON_CIFAR)
N_TRAIN_IMAGES = Number("images that were trained on in the end", "50,000", "images", _ON_CIFAR)
N_TEST_IMAGES = Number("images of the test", "10,000", "images", _ON_CIFAR)
BATCH_SIZE = Number("images of a batch", "128", "images", _ON_CIFAR)
ITERATIONS = Number("batches of a training", "64,000", "batches", _ON_CIFAR)
FIRST_STEP = Number("batches until the learning rate falls first", "32,000", "batches", _ON_CIFAR)
SECOND_STEP = Number("batches until the learning rate falls again", "48,000", "batches", _ON_CIFAR)
LEARNING_RATE = Number("learning rate at the start", "0.1", "", _ON_CIFAR)
MOMENTUM = Number("momentum", "0.9", "", _ON_CIFAR)
WEIGHT_DECAY = Number("weight decay", "0.0001", "", _ON_CIFAR)
WARMUP = Number("batches at a tenth of the rate, 110 layers", "400", "batches", _ON_CIFAR)
# 64,000 batches of 128 of 50,000 images are 163.84 epochs.
EPOCHS = Number("epochs of a training", "164", "epochs", Source(PAPER, "section 4.2", "derived", _OF))

ERROR_20 = Number("test error of ResNet-20", "8.75", "%", _TABLE)
ERROR_56 = Number("test error of ResNet-56", "6.97", "%", _TABLE)
PLAIN_ERROR_20 = Number("test error of plain-20, about", "9", "%", _READ_OFF)
PLAIN_ERROR_56 = Number("test error of plain-56, about", "13", "%", _READ_OFF)
PREACTIVATION_ERROR = Number(
    "test error of pre-activation ResNet-110, mean of trainings",
    "6.37",
    "%",
    Source(PREACTIVATION, "tables", "quoted in a summary", _OF_PREACTIVATION),
)

RECIPE = Statement(
    f"{EPOCHS.text} of images of {IMAGE_SIDE.count} by {IMAGE_SIDE.count}, learning rate {LEARNING_RATE.text} divided "
    f"by ten after a half and after three quarters, weight decay {WEIGHT_DECAY.text}, batches of {BATCH_SIZE.count}, "
    "no smoothing of labels",
    EPOCHS.source,
)
DEGRADATION = Statement(
    "The deeper plain network has the higher training error, and test error",
    _ERRORS,
    f"The test errors are about {PLAIN_ERROR_20.text} with 20 layers and {PLAIN_ERROR_56.text} with 56 "
    f"({PLAIN_ERROR_56.source.words}).",
)
DEEPER_IS_BETTER = Statement(
    f"{ERROR_56.text} with 56 layers against {ERROR_20.text} with 20",
    Source(PAPER, "Table 6, Fig. 6", "quoted", _OF),
)
SKIPS_HELP = Statement("Skips turn the order of the depths around", _ERRORS)
SMALLER_RESPONSES = Statement(
    "Residual networks have generally smaller responses than plain ones", _RESPONSES
)
DEEPER_RESPONSES = Statement("The deeper residual network has the smaller responses", _RESPONSES)
FASTER_EARLY = Statement(
    "The residual network of 18 layers converges faster early in its training than the plain one",
    Source(PAPER, "section 4.1", "remembered", _ON_IMAGENET),
    "It is of ImageNet; how much faster it is we do not know.",
)
VERY_DEEP = Statement("Residual networks still gain from 110 layers, and 1,202 can be trained", _TABLE)
