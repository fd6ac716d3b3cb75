"""A copy of a network whose batch normalisations take the statistics of each batch, as in training."""

from __future__ import annotations

import copy

import torch
from torch import fx, nn

from unravelnet.network import UnraveledNetwork

_NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def with_batch_statistics(net: UnraveledNetwork) -> UnraveledNetwork:
    """Copy a network so that it normalises by the batch, also in evaluation mode.

    The running statistics are gone from the copy, so nothing updates them.
    """
    changed = copy.deepcopy(net)
    for module in changed.modules():
        if isinstance(module, _NORMALISATIONS):
            module.running_mean = module.running_var = None
        elif isinstance(module, fx.GraphModule):
            _change_graph(module)
    return changed


def _change_graph(module: fx.GraphModule) -> None:
    for node in module.graph.nodes:
        if node.op == "call_function" and node.target is torch.ops.aten.batch_norm.default:
            given, weight, bias, _, _, _, *others = node.args
            node.args = (given, weight, bias, None, None, True, *others)
    module.recompile()
