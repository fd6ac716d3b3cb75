"""One pass through a network, module by module, as scores see it: forwards alone, or forwards and backwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from unravelnet.data.source import Batch, n_examples, part_of
from unravelnet.errors import EvaluationError
from unravelnet.gradient.lengths import check_rows
from unravelnet.gradient.loss import Loss
from unravelnet.gradient.measurement import Saved
from unravelnet.network import Inputs, ResidualModule, State, UnraveledNetwork, first_tensor
from unravelnet.pruning.score import SeenModule

_MAX_BYTES = 2 * 2**30


def forwards(net: UnraveledNetwork, inputs: Inputs) -> Iterator[SeenModule]:
    """See each module in one forward pass; nothing of the modules before is kept."""
    is_text = not first_tensor(inputs).is_floating_point()
    state = net.enter(inputs)
    for module in net.residual_modules:
        state = net.move_to_chain(state, module.chain)
        _, output, seen = _pass(module, state.x, state.x, state, n_examples((inputs, None)))
        yield replace(seen, is_text=is_text)
        state = module.state_behind(state, output)


def backwards(net: UnraveledNetwork, batch: Batch, loss: Loss) -> tuple[Tensor, list[SeenModule]]:
    """See each module in one forward and one backward pass; give each image's loss, too.

    To be called inside `gradient.linearised.fixed`. Raises EvaluationError where a loss is not finite, or not one
    number an image.
    """
    losses, seen, kept = _followed(net, batch, loss)
    gradients = iter(_gradients(losses, kept))
    for number, module in enumerate(seen):
        joined, around, through = (next(gradients) for _ in range(3))
        seen[number] = replace(module, gradient=joined, around=around, through=through)
    return losses.detach(), seen


def _followed(
    net: UnraveledNetwork, batch: Batch, loss: Loss
) -> tuple[Tensor, list[SeenModule], list[Tensor]]:
    """Run a batch as autograd follows it; keep what is joined at each junction, and what skip and branch read."""
    inputs, targets = batch
    n_images, is_text = n_examples(batch), not first_tensor(inputs).is_floating_point()
    seen, kept = [], []
    with torch.enable_grad():
        state = net.enter(inputs)
        state = replace(state, x=state.x.detach().requires_grad_())
        for module in net.residual_modules:
            state = net.move_to_chain(state, module.chain)
            # Two views of one stream: what goes back into each of them is told apart.
            beside, into = state.x.view_as(state.x), state.x.view_as(state.x)
            joined, output, one = _pass(module, beside, into, state, n_images)
            kept += [joined, beside, into]
            seen.append(replace(one, is_text=is_text))
            state = module.state_behind(state, output)
        losses = loss(net.leave(state), targets)
    _check_losses(losses, n_images)
    return losses, seen, kept


def _pass(
    module: ResidualModule, beside: Tensor, into: Tensor, state: State, n_images: int
) -> tuple[Tensor, Tensor, SeenModule]:
    """Run one module; `beside` and `into` are the stream as its skip and as its branch read it.

    Give what is joined, and the stream behind, as autograd follows them, and what scores see.
    """
    skip = None if module.skip is None else module.take_skip(beside, state.held)
    branch = module.take_branch(into, state.held)
    joined = module.junction(skip, branch)
    output = module.pass_on(joined, state.held)
    x, plain, bare = state.x.detach(), output.detach(), branch.detach()
    left = x if skip is None and module.keeps_shape else None if skip is None else skip.detach()
    with torch.no_grad():
        change = deleted = None
        if left is not None:
            change = bare - left if skip is None else module.junction.change(left, bare)
            deleted = module.pass_on(module.junction(left, None), state.held)
    skip = None if skip is None else skip.detach()
    channels = _channels(module, plain)
    return joined, output, SeenModule(module, n_images, x, skip, bare, change, deleted, plain, channels)


def _gradients(
    losses: Tensor, values: list[Tensor], *, only_first: bool = False
) -> tuple[Tensor | None, ...]:
    given = torch.ones_like(losses)
    if only_first:
        given[1:] = 0
    if not losses.requires_grad:
        return (None,) * len(values)
    return torch.autograd.grad(losses, values, given, allow_unused=True)


def parts_that_fit(net: UnraveledNetwork, batch: Batch, loss: Loss) -> Iterator[Batch]:
    """Cut a batch into parts whose forward and backward pass fit into 2 GiB, and check that images are kept apart.

    What autograd saves is measured on two images. To be called inside `fixed(net)`. Raises EvaluationError where the
    loss of an image depends on another one.
    """
    few = part_of(batch, 0, 2)
    with Saved() as saved:
        losses, seen, kept = _followed(net, few, loss)
    first = _gradients(losses, kept, only_first=True)
    arrived = {str(number): value for number, value in enumerate(first) if value is not None}
    check_rows(arrived, n_examples(few))
    n_bytes = saved.n_bytes + sum(_n_bytes(one) for one in seen)
    n = n_examples(batch)
    size = max(1, _MAX_BYTES * n_examples(few) // n_bytes)
    size = -(-n // -(-n // size))
    for start in range(0, n, size):
        yield part_of(batch, start, start + size)


def _n_bytes(seen: SeenModule) -> int:
    values: list[Any] = [seen.x, seen.skip, seen.branch, seen.change, seen.deleted, seen.output]
    return sum(value.numel() * value.element_size() for value in values if value is not None)


def _check_losses(losses: Tensor, n_images: int) -> None:
    if losses.shape != (n_images,):
        raise EvaluationError(
            f"The loss has the shape {tuple(losses.shape)} for a batch of {n_images}; expected one value an image. "
            'Reduce it over everything but the first dimension, as with reduction="none" and a mean.'
        )
    if not losses.isfinite().all():
        raise EvaluationError(
            "The loss of the intact network is not finite on some images, so nothing can be compared with it. Check "
            "the weights and the normalisation of the data."
        )


def _channels(module: ResidualModule, stream: Tensor) -> int:
    """Tell which dimension of a stream holds the values of one position: that of a convolution, else the last."""
    kernels = [weight for weight in module.parameters() if weight.dim() == stream.dim() > 2]
    is_convolved = any(stream.shape[1] in weight.shape[:2] for weight in kernels)
    return 1 if is_convolved else stream.dim() - 1
