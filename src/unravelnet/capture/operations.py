"""What the operators of an exported graph are: learned, mixing, affine, pointwise.

The sets hold ATen names without namespace and overload. An operator that is in no set is taken for the most
general kind, a non-linear one, so that an unknown operator never makes something a skip.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

ADDITIONS = {"add", operator.add}

# Contract over positions or channels; with a parameter among the operands, these are the learned layers.
PRODUCTS = {
    *("conv1d", "conv2d", "conv3d", "convolution", "_convolution"),
    *("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("linear", "addmm", "mm", "bmm", "baddbmm", "matmul", "mv", "einsum", "bilinear"),
    *("embedding", "embedding_bag", "_embedding_bag"),
    *("lstm", "gru", "rnn_tanh", "rnn_relu"),
}
RECURRENT = {"lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"}

# Take the largest of several values.
SELECTING_POOLINGS = {
    *("max_pool1d", "max_pool2d", "max_pool3d"),
    *("max_pool1d_with_indices", "max_pool2d_with_indices", "max_pool3d_with_indices"),
    *("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "amax"),
}
POOLINGS = SELECTING_POOLINGS | {
    *("avg_pool1d", "avg_pool2d", "avg_pool3d"),
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
    *("_adaptive_avg_pool2d", "_adaptive_avg_pool3d"),
}
TRANSFORMS = {
    "fft_fft",
    "fft_fft2",
    "fft_rfft2",
    "fft_irfft2",
    "fft_fftn",
    "_fft_r2c",
    "_fft_c2c",
    "_fft_c2r",
}
POSITION_MIXERS = PRODUCTS | POOLINGS | TRANSFORMS | {"scaled_dot_product_attention"}

NORMALISATIONS = {
    *("batch_norm", "_native_batch_norm_legit_no_training", "native_batch_norm", "layer_norm"),
    *("native_layer_norm", "group_norm", "native_group_norm", "instance_norm", "rms_norm"),
}
RESHAPES = {
    *("view", "reshape", "permute", "transpose", "flatten", "unflatten", "squeeze", "unsqueeze", "expand"),
    *("contiguous", "clone", "alias", "to", "_to_copy", "type_as", "detach", "dropout", "feature_dropout"),
    *("slice", "select", "narrow", "index", "index_select", "roll", "flip", "movedim", "t", "expand_as"),
    *("_unsafe_view", "view_as", "pixel_shuffle", "pixel_unshuffle", "unbind", "chunk", "split"),
    *(
        "split_with_sizes",
        "tensor_split",
        "getitem",
        operator.getitem,
        "cat",
        "stack",
        "identity",
        "lift_fresh_copy",
    ),
}
SLICES = {
    *("slice", "select", "narrow", "index_select", "unbind", "chunk", "split", "split_with_sizes"),
    *("tensor_split", "getitem", operator.getitem),
}
PADDINGS = {"pad", "constant_pad_nd", "zero_pad2d", "reflection_pad2d", "replication_pad2d"}
CONCATENATIONS = {"cat", "stack"}
MULTIPLICATIONS = {"mul", operator.mul}
SCALINGS = MULTIPLICATIONS | {"div", "neg", "add", "sub", "rsub", operator.truediv, operator.add}
# Of a value they read the shape only.
CONSTANTS = {"zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"}
UPSAMPLINGS = {
    *("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_bilinear2d"),
    *("upsample_bicubic2d", "upsample_linear1d", "interpolate"),
}
AFFINE = PRODUCTS | POOLINGS | NORMALISATIONS | RESHAPES | PADDINGS | SCALINGS | UPSAMPLINGS | CONSTANTS
LOOK_UPS = {"embedding", "embedding_bag", "_embedding_bag", "index"}
AFFINE -= RECURRENT | LOOK_UPS - RESHAPES

GATES = {"sigmoid", "hardsigmoid", "softmax", "_softmax", "tanh"}


def operation(node: fx.Node) -> object:
    """Name the operator of a node: its ATen name, or the Python function itself.

    >>> graph = fx.Graph()
    >>> operation(graph.call_function(torch.ops.aten.relu.default, (graph.placeholder("x"),)))
    'relu'
    """
    if node.op != "call_function":
        return node.op
    if isinstance(node.target, torch._ops.OpOverload):
        # One name stands for two operators: the maximum along a dimension, which pools, and that of two values.
        if node.target is torch.ops.aten.max.dim:
            return "amax"
        return node.target._schema.name.partition("::")[2]
    return node.target


def is_slice(node: fx.Node) -> bool:
    """Whether a node takes a part of a value; what is taken of the several results of an operator is none.

    >>> graph = fx.Graph()
    >>> pieces = graph.call_function(torch.ops.aten.chunk.default, (graph.placeholder("x"), 2))
    >>> is_slice(graph.call_function(operator.getitem, (pieces, 0)))
    True
    """
    of_results = operation(node) is operator.getitem and operation(node.all_input_nodes[0]) not in SLICES
    return operation(node) in SLICES and not of_results


def is_sum(node: fx.Node) -> bool:
    """Whether a node adds two values without scaling either."""
    is_scaled = node.kwargs.get("alpha", 1) != 1
    return operation(node) in ADDITIONS and not is_scaled and len(node.args) == 2


def argument_of(node: fx.Node, name: str) -> object:
    """Read an argument of an ATen operator by its name, the default where it is not given; None without one.

    >>> dropout = fx.Graph().call_function(torch.ops.aten.dropout.default, (None, 0.5, True))
    >>> argument_of(dropout, "train"), argument_of(dropout, "dropout_p")
    (True, None)
    """
    found = _place_of(node, name)
    if found is None:
        return None
    place, argument = found
    return node.args[place] if place < len(node.args) else node.kwargs.get(name, argument.default_value)


def set_argument(node: fx.Node, name: str, value: fx.Node) -> None:
    """Set an argument of an ATen operator by its name."""
    found = _place_of(node, name)
    assert found is not None, f"{node.target} has no argument {name}"
    if found[0] < len(node.args):
        node.update_arg(found[0], value)
    else:
        node.update_kwarg(name, value)


def _place_of(node: fx.Node, name: str) -> tuple[int, Any] | None:
    assert isinstance(node.target, torch._ops.OpOverload)
    arguments = enumerate(node.target._schema.arguments)
    return next(((place, argument) for place, argument in arguments if argument.name == name), None)


def negated(node: fx.Node) -> fx.Node | None:
    """Find x where a value is -x; None where it is not."""
    is_product = operation(node) in MULTIPLICATIONS and node.args[1] == -1
    x = node.args[0] if is_product or operation(node) == "neg" else None
    return x if isinstance(x, fx.Node) else None
