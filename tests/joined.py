"""A network with every junction, and what it computes written out by hand."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from unravelnet.network import Add, Concatenate, Gate, ResidualModule, UnraveledNetwork
from unravelnet.routes.route import Step

# The first four may be visited in any order: all of them are four values wide.
N_IN_ANY_ORDER = 4


class Gated(nn.Module):
    """A branch that gives its value and its gate side by side."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.value, self.gate = nn.Linear(n_in, n_out), nn.Linear(n_in, n_out)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([torch.tanh(self.value(x)), torch.sigmoid(self.gate(x))], dim=1)


def smooth(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, n_out), nn.Tanh())


def joined_network(seed: int = 0) -> UnraveledNetwork:
    """Eight modules: sums, gates and concatenations, with projections and with something after the junction."""
    torch.manual_seed(seed)
    modules = [
        ResidualModule(smooth(4, 4), nn.Identity()),
        ResidualModule(Gated(4, 4), nn.Identity(), junction=Gate()),
        ResidualModule(Gated(4, 4), nn.Linear(4, 4), nn.Tanh(), junction=Gate()),
        ResidualModule(smooth(4, 4), nn.Identity(), junction=Add()),
        ResidualModule(smooth(4, 3), nn.Identity(), junction=Concatenate(4, 3)),
        ResidualModule(smooth(7, 4), nn.Linear(7, 4), nn.Tanh()),
        ResidualModule(smooth(4, 2), nn.Identity(), nn.GELU(), junction=Concatenate(4, 2, skip_first=False)),
        ResidualModule(Gated(6, 5), nn.Linear(6, 5), junction=Gate()),
    ]
    net = UnraveledNetwork(nn.Linear(3, 4), modules, nn.Linear(5, 3), example=torch.zeros(2, 3))
    return net.double().eval()


def by_hand(net: UnraveledNetwork, x: Tensor, steps: Iterable[Step]) -> Tensor:
    """Run the network with every junction written out."""
    x = net.stem(x)
    for step in steps:
        module = net.residual_modules[step.module]
        assert module.skip is not None
        skip, branch = module.skip(x), module.branch(x)
        x = module.after(_joined(step, skip, branch))
    return net.head(x)


def _joined(step: Step, skip: Tensor, branch: Tensor) -> Tensor:
    takes_skip, takes_branch = step.mode != "branch", step.mode != "skip"
    if step.module in (0, 3, 5):
        return skip * takes_skip + branch * takes_branch
    if step.module in (4, 6):
        halves = [skip * takes_skip, branch * takes_branch]
        return torch.cat(halves if step.module == 4 else halves[::-1], dim=1)
    value, gate = branch[:, : skip.shape[1]], branch[:, skip.shape[1] :]
    gate = gate * takes_branch if takes_skip else torch.ones_like(gate)
    return gate * value + (1 - gate) * skip
