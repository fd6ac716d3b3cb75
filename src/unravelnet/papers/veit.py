"""Veit, Wilber and Belongie (2016): the paper whose experiments this package repeats.

Its full text was not at hand: what is quoted comes from summaries and reviews of it, and the rest is remembered.
"""

from __future__ import annotations

from unravelnet.papers import he
from unravelnet.papers.citation import Number, Paper, Provenance, Setting, Source, Statement

PAPER = Paper(
    "Veit et al.",
    2016,
    "Residual Networks Behave Like Ensembles of Relatively Shallow Networks",
    "1605.06431",
)
ALL_AUTHORS = "Veit, Wilber and Belongie"

RESIDUAL = Setting(
    network="pre-activation ResNet-110, 54 modules",
    training=f"the recipe of {he.PAPER.authors}, {he.EPOCHS.text}, without stochastic depth",
    data="CIFAR-10, test images",
)
_PLAIN = Setting(network="VGG of 15 layers", training="as the residual network", data="CIFAR-10, test images")
_ANY = Setting(network="any residual network of 54 modules", training="none", data="none")
_GRADIENT = Setting(
    network=RESIDUAL.network, training=RESIDUAL.training, data="CIFAR-10, batches of training images"
)
_STOCHASTIC = Setting(
    network="ResNet of 110 layers",
    training="stochastic depth, linear decay to 0.5",
    data="CIFAR-10, test images",
)
_RESNET_200 = Setting(network="pre-activation ResNet-200", training="by its authors", data="ImageNet")


def _in(place: str, provenance: Provenance, of: Setting = RESIDUAL) -> Source:
    return Source(PAPER, place, provenance, of)


_SUMMARY: Provenance = "quoted in a summary"

# -- the networks --

N_LAYERS = Number("layers of the residual network", "110", "layers", _in("section 4", _SUMMARY))
N_MODULES = Number("modules of the residual network", "54", "modules", _in("section 4", _SUMMARY))
FULL_ERROR = Number("test error, trained on all modules", "6.10", "%", _in("section 5", _SUMMARY))
FIRST_DOWNSAMPLING = Number("first down-sampling module, from 0", "18", "", _in("section 4", "derived"))
SECOND_DOWNSAMPLING = Number("second down-sampling module, from 0", "36", "", _in("section 4", "derived"))
VGG_LAYERS = Number("layers of the plain network", "15", "layers", _in("section 4", "remembered", _PLAIN))
VGG_CHANNELS = Number("channels of its layers", "128", "channels", _in("section 4", "remembered", _PLAIN))
INTACT = Statement(
    f"{FULL_ERROR.text} on CIFAR-10, {N_MODULES.text}, {he.EPOCHS.text}",
    _in("section 5", _SUMMARY),
    f"The number of epochs is that of {he.PAPER.authors}, whose recipe the paper followed (remembered). "
    f"{he.PREACTIVATION.name} have {he.PREACTIVATION_ERROR.text} in the mean of such networks "
    f"({he.PREACTIVATION_ERROR.source.provenance}).",
)
NETWORKS = Statement(
    f"A pre-activation ResNet of {N_LAYERS.text} ({N_MODULES.text}), trained without stochastic depth; a VGG of "
    f"{VGG_LAYERS.text} with {VGG_CHANNELS.text} everywhere",
    _in("section 4", "remembered"),
)

# -- lesions --

CHANCE_ERROR = Number("error of guessing", "90", "%", _in("Fig. 3", "derived", _PLAIN))
SINGLE_DELETIONS = Statement(
    "No noticeable change, except modest peaks at the down-sampling modules", _in("Fig. 3", _SUMMARY)
)
PEAKS = Statement(
    "Modest peaks at the down-sampling modules",
    _in("Fig. 3", _SUMMARY),
    f"They are modules {FIRST_DOWNSAMPLING.text} and {SECOND_DOWNSAMPLING.text} of 0 to {N_MODULES.count - 1} "
    f"({FIRST_DOWNSAMPLING.source.provenance}). How high the peaks are we do not know.",
)
PLAIN_COLLAPSES = Statement(
    "Chance level, whichever layer is deleted",
    _in("Fig. 3", _SUMMARY, _PLAIN),
    f"For ten classes that is an error of {CHANCE_ERROR.text} ({CHANCE_ERROR.source.provenance}).",
)
ON_IMAGENET = Statement(
    "On ImageNet, too, deleting a module of ResNet-200 changes little but where it down-samples",
    _in("Fig. 4", "remembered", _RESNET_200),
)
MOST_DELETED = Number("most modules deleted at once", "20", "modules", _in("Fig. 5a", _SUMMARY))
FEW_DELETED = Number(
    "deletions that leave the network working", "10", "modules", _in("section 6", "remembered")
)
FEW_DELETED_ERROR = Number("error with 10 modules deleted, about", "20", "%", _in("Fig. 5a", "remembered"))
_LOST = (FEW_DELETED_ERROR.value - FULL_ERROR.value) / (CHANCE_ERROR.value - FULL_ERROR.value)
MANY_DELETIONS = Statement(
    "The error increases smoothly with the number of deleted modules", _in("Fig. 5a", "remembered")
)
MANY_LEFT = Statement(
    f"With {FEW_DELETED.count} of {N_MODULES.count} deleted the error is around {FEW_DELETED_ERROR.text}",
    _in("Fig. 5a", "remembered"),
    f"So about {100 * _LOST:.0f} % of what was learnt is lost (derived). Whether down-sampling modules were drawn too "
    "we do not know.",
)
LATER_DELETIONS = Statement(
    f"Only a slight drop of the accuracy up to {FEW_DELETED.count} deletions, a severe one at {MOST_DELETED.count}",
    _in("section 6", "remembered"),
)
SMALLEST_TAU = Number(
    "smallest rank correlation of the orders, about", "0.84", "", _in("Fig. 5b", "remembered")
)
MOST_SWAPS = Number("swaps that lead to it, about", "15", "swaps", _in("Fig. 5b", "derived"))
REORDERING = Statement(
    "The error increases smoothly as the order is corrupted, measured by Kendall's τ",
    _in("Fig. 5b", "remembered"),
)
MORE_RESILIENT = Statement("Slightly more resilient", _in("Fig. 8", _SUMMARY, _STOCHASTIC))
LESS_DEPENDENT = Statement(
    "The dependence on the down-sampling modules shrinks", _in("Fig. 8", "remembered", _STOCHASTIC)
)

# -- paths --

UNRAVELED = Statement(
    "A residual network of n modules is a collection of 2ⁿ paths, one for every choice of branches; deleting a module "
    "leaves half of them. A plain network has one path, and deleting a layer breaks it",
    _in("Fig. 1", _SUMMARY, _ANY),
)
SHORTEST_USUAL = Number("shortest of most paths", "19", "modules", _in("Fig. 6a", _SUMMARY, _ANY))
LONGEST_USUAL = Number("longest of most paths", "35", "modules", _in("Fig. 6a", _SUMMARY, _ANY))
USUAL_LENGTHS = (SHORTEST_USUAL.count, LONGEST_USUAL.count)
USUAL_SHARE = Number(
    "share of the paths of these lengths, at least", "95", "%", _in("Fig. 6a", _SUMMARY, _ANY)
)
PATH_LENGTHS = Statement(
    f"More than {USUAL_SHARE.text} of the paths of {N_MODULES.text} enter {SHORTEST_USUAL.count} to "
    f"{LONGEST_USUAL.count}",
    _in("Fig. 6a", _SUMMARY, _ANY),
)
FEWEST_DELETED = Number(
    "fewest deletions whose paths are counted", "1", "modules", _in("Fig. 7", "remembered", _ANY)
)
DELETED_COUNTS = (FEWEST_DELETED.count, FEW_DELETED.count, MOST_DELETED.count)
SURVIVAL = Statement(
    f"After deleting {FEW_DELETED.count} of {N_MODULES.text} many of the effective paths are still valid",
    _in("section 6, Fig. 7", _SUMMARY, _ANY),
)
VALID_PATHS = Statement(
    "As in an ensemble, the performance correlates smoothly with the number of valid paths",
    _in("section 4", "remembered"),
)
LONG_PATHS_GO = Statement("Deletion removes mainly long paths", _in("section 6, Fig. 7", _SUMMARY, _ANY))

# -- gradients --

DRAWS = Number("measurements of each length", "1000", "draws", _in("section 5", "remembered", _GRADIENT))
DECAY = Statement(
    "The norm of the gradient on a path decays about exponentially with its length",
    _in("Fig. 6b", _SUMMARY, _GRADIENT),
)
SHORTEST_EFFECTIVE = Number("shortest effective path", "5", "modules", _in("Fig. 6c", _SUMMARY, _GRADIENT))
LONGEST_EFFECTIVE = Number("longest effective path", "17", "modules", _in("Fig. 6c", _SUMMARY, _GRADIENT))
EFFECTIVE_LENGTHS = (SHORTEST_EFFECTIVE.count, LONGEST_EFFECTIVE.count)
EFFECTIVE_SHARE = Number(
    "share of the effective paths among all", "0.45", "%", _in("section 5", _SUMMARY, _ANY)
)
EFFECTIVE_PATHS = Statement(
    f"Paths of {SHORTEST_EFFECTIVE.count} to {LONGEST_EFFECTIVE.count} modules are {EFFECTIVE_SHARE.text} of all paths",
    _in("section 5", _SUMMARY, _ANY),
)
GRADIENT_IS_SHORT = Statement(
    f"By number of paths × their mean norm, almost all of the gradient comes from paths of {SHORTEST_EFFECTIVE.count} "
    f"to {LONGEST_EFFECTIVE.count} of {N_MODULES.text}",
    _in("Fig. 6c", _SUMMARY, _GRADIENT),
)
LONGEST_NOTICEABLE = Number(
    "longest path that contributes noticeably, about", "20", "modules", _in("Fig. 6", "remembered", _GRADIENT)
)
LONG_PATHS_ARE_SILENT = Statement(
    f"Paths of more than about {LONGEST_NOTICEABLE.text} contribute nothing noticeable to the gradient",
    _in("Fig. 6", "remembered", _GRADIENT),
)

# -- training on effective paths --

N_SAMPLED = Number("modules in each batch of effective paths", "23", "modules", _in("section 5", _SUMMARY))
SAMPLED_SHARE = Number(
    "share of the paths of these modules that are effective", "99.3", "%", _in("section 5", _SUMMARY, _ANY)
)
SAMPLED_PATHS = Statement(
    f"Of the paths of {N_SAMPLED.text}, {SAMPLED_SHARE.text} are of the effective lengths",
    _in("section 5", _SUMMARY, _ANY),
)
SAMPLED_ERROR = Number("test error, trained on effective paths only", "5.96", "%", _in("section 5", _SUMMARY))
EFFECTIVE_TRAINING = Statement(
    f"{SAMPLED_ERROR.text} with exactly {N_SAMPLED.count} of {N_MODULES.text} in each batch against {FULL_ERROR.text} "
    "with all: no significant difference",
    _in("section 5", _SUMMARY),
    "Whether branches are scaled at the test we do not know.",
)
