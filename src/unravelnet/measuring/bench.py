"""Makes a copy of a network that computes the same, faster.

For convolutional networks: channels-last memory, normalisation folded into the convolution before it, ReLU in
place, lower precision where asked. The network itself is never touched. Networks without convolutions have
nothing to gain from it and are used as they are.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_conv_bn_weights
from torch.utils import _pytree as pytree

from unravelnet.data import Batches
from unravelnet.devices import usable_device
from unravelnet.machine import choose_precision, few_inputs, in_precision
from unravelnet.measuring.misfit import taking
from unravelnet.network import Inputs, UnraveledNetwork, in_evaluation_mode
from unravelnet.precision import Precision, PrecisionChoice, check_precision

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Bench:
    """A network made ready to be measured: where it runs, in which precision and layout.

    >>> from unravelnet.zoo import preact_resnet
    >>> Bench(preact_resnet(depth=8)).run(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])

    `net`: the network to run; inside `with bench.running():` only. `device`: chosen automatically if None: the
    one the network is on, or CUDA where there is one. `precision`: "auto" is float32 until `choose_precision` is
    called. `compile`: hand branches to torch.compile, which pays for long sweeps only. `as_it_is`: keep every layer and
    the memory layout. Raises EvaluationError for a device that is not there.
    """

    def __init__(
        self,
        net: UnraveledNetwork,
        *,
        precision: PrecisionChoice = "float32",
        device: torch.device | str | None = None,
        compile: bool = False,
        as_it_is: bool = False,
    ) -> None:
        check_precision(precision)
        self.precision = precision
        self.device = _find_device(net, device)
        self._is_convolutional = not as_it_is and any(p.dim() == 4 for p in net.parameters())
        moves = self.device != _device_of(net)
        needs_copy = moves or compile or self._is_convolutional
        self.net = net
        if needs_copy:
            self.net = _moved(copy.deepcopy(net), self.device)
            if not as_it_is:
                _fold(self.net)
        if self._is_convolutional:
            _lay_channels_last(self.net)
        if compile:
            _compile_branches(self.net)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Put the network into evaluation mode, without gradients and in the chosen precision."""
        with in_evaluation_mode(self.net), torch.no_grad(), in_precision(self.device, self.precision):
            yield

    def choose_precision(
        self, asked: PrecisionChoice, batches: Batches, *, begun: Precision | None = None
    ) -> Precision:
        """Run in a precision from now on and return it; "auto" is chosen by the machine, the network and the data.

        `begun`: the precision of results that are to be gone on with. Raises UnknownNameError.
        """

        def run(inputs: Inputs, precision: Precision) -> Any:
            self.precision = precision
            with taking(self.net, inputs, batches.name):
                return self.run(inputs)

        inputs = functools.partial(few_inputs, batches)
        chosen = choose_precision(asked, self.net, self.device, run, inputs, doing="measured", begun=begun)
        self.precision = chosen
        return chosen

    def place(self, inputs: Inputs) -> Any:
        """Move inputs to the device, images in the memory layout of the network."""
        return pytree.tree_map(self._placed, inputs)

    def run(self, inputs: Inputs) -> Any:
        """Run the full route once."""
        with self.running():
            return self.net(self.place(inputs))

    def _placed(self, leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        leaf = leaf.to(self.device, non_blocking=True)
        is_images = leaf.dim() == 4 and self._is_convolutional
        return leaf.contiguous(memory_format=torch.channels_last) if is_images else leaf


def _device_of(net: nn.Module) -> torch.device:
    return next((tensor.device for tensor in net.parameters()), torch.device("cpu"))


def _find_device(net: nn.Module, device: torch.device | str | None) -> torch.device:
    if device is not None:
        return usable_device(device)
    own = _device_of(net)
    return torch.device("cuda") if own.type == "cpu" and torch.cuda.is_available() else usable_device(own)


def _moved(net: UnraveledNetwork, device: torch.device) -> UnraveledNetwork:
    # Parameters keep requires_grad: autocast keeps its casts of them, and of no others, for the whole sweep.
    net.eval().to(device)
    for module in net.modules():
        if isinstance(module, fx.GraphModule):
            _move_graph(module, device)
    return net


def _fold(net: UnraveledNetwork) -> None:
    for module in net.modules():
        if isinstance(module, nn.Sequential):
            _fold_sequential(module)
        elif isinstance(module, fx.GraphModule):
            _fold_graph(module)


def _lay_channels_last(net: nn.Module) -> None:
    for parameter in net.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def _fold_sequential(sequential: nn.Sequential) -> None:
    """Fold each normalisation into the convolution right before it; let ReLUs work in place."""
    layers = list(sequential.named_children())
    for (name, layer), (next_name, following) in pairwise(layers):
        if not isinstance(layer, _CONVOLUTIONS) or not isinstance(following, _NORMALISATIONS):
            continue
        # A subclass may do more than normalise.
        if type(following) in _NORMALISATIONS and following.running_mean is not None:
            setattr(sequential, name, fuse_conv_bn_eval(layer, following))
            setattr(sequential, next_name, nn.Identity())
    for (_, layer), (name, following) in pairwise(layers):
        if isinstance(following, nn.ReLU) and isinstance(layer, _CONVOLUTIONS + _NORMALISATIONS):
            # Its input is a value that nothing else can see; a new one, since the old may be used elsewhere, too.
            setattr(sequential, name, nn.ReLU(inplace=True))


def _fold_graph(module: fx.GraphModule) -> None:
    """Fold batch normalisations of a captured graph into the convolutions right before them.

    Views become reshapes: the strides of the channels-last layout are not those that the graph was made with.
    """
    for node in list(module.graph.nodes):
        if _is_call(node, torch.ops.aten.view.default) or _is_call(node, torch.ops.aten._unsafe_view.default):
            node.target = torch.ops.aten.reshape.default
        if _is_call(node, torch.ops.aten.batch_norm.default):
            convolution = node.args[0]
            if _is_call(convolution, torch.ops.aten.conv2d.default) and len(convolution.users) == 1:
                _fold_pair(module, convolution, node)
    module.graph.eliminate_dead_code()
    module.recompile()
    module.delete_all_unused_submodules()


def _is_call(node: object, target: object) -> bool:
    return isinstance(node, fx.Node) and node.op == "call_function" and node.target is target


def _fold_pair(module: fx.GraphModule, convolution: fx.Node, norm: fx.Node) -> None:
    weight_node, bias_node = convolution.args[1], convolution.args[2] if len(convolution.args) > 2 else None
    operands = [weight_node, bias_node, *norm.args[1:5]]
    follows_mode = _is_constant(norm.args[5])
    uses_own_statistics = not (norm.args[5] is False or follows_mode) or operands[-1] is None
    if uses_own_statistics or not all(operand is None or _is_constant(operand) for operand in operands):
        return
    weight, bias, scale, shift, mean, variance = (_constant(module, operand) for operand in operands)
    assert weight is not None
    assert mean is not None
    assert variance is not None
    folded_weight, folded_bias = fuse_conv_bn_weights(
        weight, bias, mean, variance, cast(float, norm.args[7]), scale, shift
    )
    name = f"folded_{convolution.name}"
    module.register_parameter(f"{name}_weight", nn.Parameter(folded_weight.detach()))
    module.register_parameter(f"{name}_bias", nn.Parameter(folded_bias.detach()))
    with module.graph.inserting_before(convolution):
        new_weight = module.graph.get_attr(f"{name}_weight")
        new_bias = module.graph.get_attr(f"{name}_bias")
    convolution.args = (convolution.args[0], new_weight, new_bias, *convolution.args[3:])
    norm.replace_all_uses_with(convolution)


def _is_constant(operand: object) -> bool:
    return isinstance(operand, fx.Node) and operand.op == "get_attr"


def _constant(module: fx.GraphModule, operand: object) -> Tensor | None:
    if operand is None:
        return None
    assert isinstance(operand, fx.Node)
    value: Any = module
    for part in str(operand.target).split("."):
        value = getattr(value, part)
    assert isinstance(value, Tensor)
    return value.detach()


def _move_graph(module: fx.GraphModule, device: torch.device) -> None:
    """Let constants that a captured graph creates be created where the network runs."""
    for node in module.graph.nodes:
        if "device" in node.kwargs:
            node.kwargs = {**node.kwargs, "device": device}
    module.recompile()


def _compile_branches(net: UnraveledNetwork) -> None:
    for module in net.residual_modules:
        module.branch.compile(dynamic=False)
