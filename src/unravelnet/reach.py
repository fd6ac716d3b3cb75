"""Which residual modules an output depends on.

A network that returns several tensors (a pyramid of features, an early exit) may compute some of them before its
last modules. Deleting a module that an output does not depend on costs nothing, and means nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unravelnet.network import Inputs, State, UnraveledNetwork
from unravelnet.output import tensors_of


def unreached_modules(net: UnraveledNetwork, inputs: Inputs) -> dict[str, list[int]]:
    """List, for every floating-point output, the residual modules whose branch no gradient of it reaches.

    >>> from unravelnet.zoo import preact_resnet
    >>> unreached_modules(preact_resnet(depth=8), torch.zeros(1, 3, 8, 8))
    {'output': []}

    Costs a forward pass, and a backward pass an output. `inputs`: a batch of any size; one image is enough.
    """
    with torch.enable_grad():
        state = net.enter(inputs)
        marks: list[Tensor] = []
        for module in net.residual_modules:
            state = net.move_to_chain(state, module.chain)
            skip, branch = module.take_skip(state.x, state.held), module.take_branch(state.x, state.held)
            marks.append(torch.zeros((), dtype=branch.dtype, device=branch.device, requires_grad=True))
            x = module.join(skip, branch + marks[-1], state.held)
            state = State(x, state.chain, state.held)
        outputs = tensors_of(net.leave(state))
        return {
            name: [index for index, gradient in enumerate(_gradients(tensor, marks)) if gradient is None]
            for name, tensor in outputs.items()
            if tensor.is_floating_point()
        }


def _gradients(output: Tensor, marks: list[Tensor]) -> tuple[Tensor | None, ...]:
    if not output.requires_grad:
        return (None,) * len(marks)
    return torch.autograd.grad(output.sum(), marks, retain_graph=True, allow_unused=True)
