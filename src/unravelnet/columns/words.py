"""Words of the glossary that are no columns: each with its meaning, by the section of the page that it stands in."""

from __future__ import annotations

Words = tuple[tuple[str, str], ...]

STRUCTURE: Words = (
    (
        "residual module",
        "`after(junction(skip(x), branch(x)))`; modules are numbered from 0 in the order of execution. A transformer "
        "block contains two of them",
    ),
    ("branch", "the learned function beside the skip: f in y = x + f(x)"),
    (
        "skip",
        "the way around the branch: the identity, or an affine function, pooling, padding, slicing or a gate",
    ),
    (
        "junction",
        "where skip and branch become one stream again: their sum, a concatenation, a sum on some channels or a gate",
    ),
    (
        "after",
        "operations after the junction that belong to the module, such as the ReLU of post-activation networks",
    ),
    (
        "stem, head",
        "the part before the first residual module, and the part after the last one. Every path passes both. They do "
        "not count in path lengths",
    ),
    ("chain", "residual modules that directly follow each other"),
    (
        "block",
        "residual modules that follow each other under one numbered part of a model, such as the attention and the MLP "
        "of a transformer's layer",
    ),
    ("transition", "the part between two chains, such as a pooling; every route passes it once"),
    (
        "tap",
        "a computation, from the input of a module, of values inside it that other outputs need, such as attention "
        "maps",
    ),
    (
        "down-sampling module",
        "a residual module whose output has another shape than its input; `net.downsampling` lists their indices",
    ),
    (
        "`unexplained`",
        "additions that look like skip connections and were not understood. For a network read as plain layers, also "
        "the operations that join values beside the row of layers. Similar entries share a line",
    ),
)

PATHS: Words = (
    (
        "route",
        "a list of modules to visit in order, each with a mode; written as a text such as `0-2,3s,4,5b`",
    ),
    (
        "mode",
        "`both`: skip + branch; `skip` (`s`): the module is deleted; `branch` (`b`): its skip is removed; `mean` "
        "(`m`): skip + the mean of the branch over a sample, per channel",
    ),
    ("intact network", "the full route: every module once, in order, in mode both"),
    (
        "delete",
        "take the skip only; for a plain layer, the identity in its place; a concatenation gets zeros in the place of "
        "the branch",
    ),
    ("remove the skip", "take the branch only; a concatenation gets zeros in the place of the skip"),
    (
        "swap, reorder",
        "swap: exchange two modules of one chain that have equal shapes. Reorder: apply a permutation of such modules",
    ),
    ("span", "modules of one chain that follow each other, from a first to a last one"),
    ("repeat, reverse", "pass a span several times; pass a span backwards"),
    ("side by side", "the modules of a span read one input, and their branches are added up"),
    (
        "put at its mean",
        "replace the branch of a module by its mean over a sample: of each channel, over examples and positions",
    ),
    ("scale", "multiply the branch of a module by a number; its skip stays as it is"),
    (
        "interaction",
        "what deleting two modules costs minus what deleting each of them costs, added up; a cost is the difference of "
        "an error to that of the intact network",
    ),
    ("drop", "leave modules out at random while training"),
    ("path", "one of the 2ⁿ ways through n modules; each module is passed by its skip or by its branch"),
    ("path length", "number of modules entered by the branch, 0 … n"),
    ("`length_distribution`", "C(n, k) / 2ⁿ"),
    ("`effective_lengths`", "the shortest interval of lengths that carries a stated share of the weight"),
)

METRICS: Words = (
    ("`…_low`, `…_high`", "the ends of the interval of a column; `confidence` is its level"),
    ("`…_difference`", "value of the route minus value of the intact network, on the same predictions"),
    (
        "intervals",
        "Wilson's for rates, Student's t for means. Paired differences: Agresti and Min for rates, Student's t for "
        "means",
    ),
)

GRADIENTS: Words = (
    ("cotangent", "the gradient of the losses with respect to the values at one place of the network"),
)

MEASUREMENTS: Words = (
    (
        "output",
        "the tensor that is measured. A single tensor is called `output`. Several tensors are called by their keys or "
        "positions, with a slash if they are nested (`0/logits`)",
    ),
    (
        "minimal pair, question",
        "options of which a language model should find the right one likeliest: of two sentences by the sum of the "
        "log-probabilities of their tokens, of the options of a question by their mean a token",
    ),
    (
        "shard",
        "a fixed range of the images that are measured, one batch of them; sums are kept by trial and shard",
    ),
    ("`trial_id`", "hash of network, data, route and settings, in the results store"),
)

TRAINING: Words = (
    (
        "survival",
        "probability that a module is kept. For stochastic-depth:p it is 1 − l/L · (1 − p) for the l-th of L modules",
    ),
    (
        "`branch_scale`",
        "factor of a branch in evaluation mode: the survival of its module for stochastic-depth:p and exactly:m, "
        "else 1",
    ),
    ("`keep_epochs`", "epochs after which a training keeps a copy of its weights"),
    (
        "`fused`",
        "whether batch normalisation and ReLU are one operation; on CUDA, whether modules were compiled",
    ),
    ("`replayed`", "whether the modules were recorded as CUDA graphs and replayed"),
)

TRAINED_NETWORKS: Words = (
    (
        "shipped network",
        "a trained network that comes with the package; `zoo.pretrained_names()` lists them",
    ),
)

REPRODUCTION: Words = (
    ("`images`", "test images for the studies that change one module at a time"),
    (
        "`draw_images`",
        "number of test images for each random draw: half of `images` if images are smaller than 32 × 32, else an "
        "eighth, from 250 to 1,000",
    ),
    ("`until_ci`", "a draw stops when half the width of its interval is at most this"),
    ("`repeats`", "random draws for each count of deletions or swaps"),
    ("`gradient_images`", "training images whose gradient is split by path length"),
    ("`path_draws`", "random paths of each length for the sampled norms"),
    ("`delete_many_same_shape`", "random deletions among the modules that keep the shape"),
    ("`structure`", "number of skips of each kind in a network, and its normalisation layers"),
    ("`source`", 'who made a claim; "this project" if nobody else did'),
    ("`is_computed`", "whether a claim follows from arithmetic alone, for any network"),
)
