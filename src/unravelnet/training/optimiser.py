"""Stochastic gradient descent with Nesterov momentum, or AdamW, as a plan says, on any device."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from unravelnet.network import UnraveledNetwork
from unravelnet.training_plan import TrainingPlan
from unravelnet.zoo.recipe import recipe_or_none

# vgg15 without normalisation on digits stays at chance with 0.05 and learns with 0.02 and less.
_RATE_WITHOUT_NORMALISATION = 0.01
# A mean over about 100 steps: trainings here are short, and the 1,000 of torch would reach back to their beginning.
_SECOND_MOMENT = 0.99


def settle_learning_rate(plan: TrainingPlan, net: UnraveledNetwork) -> TrainingPlan:
    """Settle the learning rate where the plan leaves it open."""
    recipe = recipe_or_none(net)
    has_none = recipe is not None and not recipe.options.get("normalisation", True)
    if plan.learning_rate is None and plan.optimiser == "sgd" and has_none:
        return replace(plan, learning_rate=_RATE_WITHOUT_NORMALISATION)
    return replace(plan, learning_rate=plan.peak_learning_rate)


def make_optimiser(net: nn.Module, plan: TrainingPlan, device: torch.device) -> torch.optim.Optimizer:
    """Make the optimiser of a training; every parameter has a gradient, zero, from then on."""
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    on_gpu = device.type == "cuda"
    rate = plan.peak_learning_rate
    if plan.optimiser == "adamw":
        return torch.optim.AdamW(
            net.parameters(), lr=rate, betas=(plan.momentum, _SECOND_MOMENT), weight_decay=plan.weight_decay
        )
    optimiser = torch.optim.SGD(
        net.parameters(),
        # A replayed step reads the rate on the device, where it can be changed.
        lr=torch.tensor(rate, device=device) if on_gpu else rate,
        momentum=plan.momentum,
        weight_decay=plan.weight_decay,
        nesterov=plan.momentum > 0,
        foreach=not on_gpu,
        fused=on_gpu,
    )
    if on_gpu and plan.momentum:
        for parameter in net.parameters():
            optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimiser


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def learning_rate_of(optimiser: torch.optim.Optimizer) -> float:
    """Return the learning rate."""
    return float(optimiser.param_groups[0]["lr"])
