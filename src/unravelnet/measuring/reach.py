"""Which residual modules an output depends on.

A network that returns several tensors (a pyramid of features, an early exit) may compute some of them before its
last modules. Deleting a module that an output does not depend on costs nothing, and means nothing.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from unravelnet.network import Inputs, UnraveledNetwork
from unravelnet.network.output import tensors_of


def unreached_modules(net: UnraveledNetwork, inputs: Inputs, name: str) -> list[int]:
    """List the residual modules whose branch no gradient of an output reaches.

    >>> from unravelnet.zoo import preact_resnet
    >>> unreached_modules(preact_resnet(depth=8), torch.zeros(1, 3, 8, 8), "output")
    []

    Costs a forward and a backward pass. `inputs`: a batch of any size; one image is enough. `name`: of the output,
    one with real numbers, as in `net.outputs`.
    """
    with torch.enable_grad():
        state = net.enter(inputs)
        marks: list[Tensor] = []
        for module in net.residual_modules:
            state = net.move_to_chain(state, module.chain)
            skip, branch = module.take_skip(state.x, state.held), module.take_branch(state.x, state.held)
            marks.append(torch.ones((), dtype=branch.dtype, device=branch.device, requires_grad=True))
            marked = module.junction.scale(branch, marks[-1])
            state = module.state_behind(state, module.join(skip, marked, state.held))
        output = tensors_of(net.leave(state))[name].sum()
        if not output.requires_grad:
            return list(range(len(marks)))
        gradients = torch.autograd.grad(output, marks, allow_unused=True)
    return [index for index, gradient in enumerate(gradients) if gradient is None]


def changed_in_vain(net: UnraveledNetwork, inputs: Inputs, name: str, changed: Collection[int]) -> str:
    """Say which of the changed residual modules an output does not depend on, and which outputs do; empty if none."""
    vain = sorted(set(changed).intersection(unreached_modules(net, inputs, name)))
    if not vain:
        return ""
    others = [other for other in net.outputs if other != name and net.outputs[other].is_floating_point()]
    depending = [
        other for other in others if not set(vain).intersection(unreached_modules(net, inputs, other))
    ]
    choice = (
        f' Outputs that depend on them: {", ".join(depending)}; choose with output="NAME".'
        if depending
        else ""
    )
    return (
        f"The output {name} of {net.name or 'the network'}, which is measured, does not depend on residual modules "
        f"{', '.join(map(str, vain))}: changing them costs nothing.{choice}"
    )
