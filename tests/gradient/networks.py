"""Small networks for tests of gradients, and the gradient along single paths, one at a time."""

import itertools

import torch
from torch import nn
from torch.nn import functional as F

import unravelnet as un
from tests.joined import joined_network
from unravelnet.network import ResidualModule, UnraveledNetwork


class Block(nn.Module):
    """A residual block before (`is_post` False) or after its activations, with a projection where it widens."""

    def __init__(self, n_in, n_out, *, is_post, stride=1):
        super().__init__()
        self.is_post = is_post
        self.norms = nn.ModuleList([nn.BatchNorm2d(n_out if is_post else n_in), nn.BatchNorm2d(n_out)])
        self.convs = nn.ModuleList(
            [nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)]
        )
        self.project = None if n_in == n_out else nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x):
        skip = x if self.project is None else self.project(x)
        y = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = norm(conv(y)) if self.is_post else conv(F.relu(norm(y)))
            if self.is_post and conv is self.convs[0]:
                y = F.relu(y)
        return F.relu(skip + y) if self.is_post else skip + y


class SixModules(nn.Module):
    """Six residual modules in two stages; the third halves the map and widens by a projection."""

    def __init__(self, *, is_post):
        super().__init__()
        self.stem = nn.Conv2d(1, 3, 3, padding=1)
        widths = [3] * 3 + [4] * 4
        self.blocks = nn.Sequential(
            *(Block(a, b, is_post=is_post, stride=1 if a == b else 2) for a, b in itertools.pairwise(widths))
        )
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean(dim=(2, 3)))


class TwoTowers(nn.Module):
    """Two streams side by side with two linear residual modules each, joined by the head."""

    def __init__(self):
        super().__init__()
        self.stems = nn.ModuleList(nn.Linear(3, 4) for _ in range(2))
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(4))
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        a, b = (stem(x) for stem in self.stems)
        for number in (0, 2):
            a = a + self.layers[number](a)
            b = b + self.layers[number + 1](b)
        return self.head(torch.cat([a, b], dim=1))


class FoldedPositions(nn.Module):
    """One module on (batch, positions, width), then two on positions folded into the batch."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        n = x.shape[0]
        for layer in self.layers[:1]:
            x = x + torch.tanh(layer(x))
        x = x.reshape(n * 4, 6)
        for layer in self.layers[1:]:
            x = x + torch.tanh(layer(x))
        return self.head(x.reshape(n, 4, 6).mean(dim=1))


class PostNormTransformer(nn.Module):
    """Three post-norm encoder blocks: six residual modules, each followed by a layer normalisation."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(3, 8)
        layers = [
            nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True, norm_first=False)
            for _ in range(3)
        ]
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean(dim=1))


def captured(model, example):
    """Give every statistic and weight a random value, and take the network apart in float64."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():
        if name.endswith(("running_mean", "norm1.bias", "norm2.bias")):
            tensor.normal_(std=0.3, generator=generator)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0, generator=generator)
    net = un.unravel(model.eval(), example)
    return net.double()


def some_modules(kind):
    """Make a network of six residual modules (with all junctions: eight) and data, of a kind in `KINDS`."""
    if kind == "all junctions":
        torch.manual_seed(1)
        return joined_network(), (torch.randn(2, 3).double(), torch.tensor([0, 2]))
    torch.manual_seed(1)  # with others the ReLUs behind the junctions close some paths wholly
    targets = torch.tensor([0, 2])
    if kind == "post-norm":
        inputs = torch.randn(2, 4, 3)
        return captured(PostNormTransformer(), inputs), (inputs.double(), targets)
    inputs = torch.randn(2, 1, 6, 6)
    return captured(SixModules(is_post=kind == "post-activation"), inputs), (inputs.double(), targets)


def gradient_along(net, inputs, targets, code, route=None):
    """Give each image's gradient at the stem's output along one path, by detaching all others.

    `code`: for each step of the route whether the path enters its branch. Values are those of the whole route.
    """
    net.eval()
    steps = net.full_route.steps if route is None else route.steps
    state = net.enter(inputs)
    start = state.x.detach().requires_grad_()
    x = start
    for step, enters in zip(steps, code, strict=True):
        module = net.residual_modules[step.module]
        state = net.move_to_chain(type(state)(x, state.chain, state.held), module.chain)
        skip, branch = module.take_skip(state.x, state.held), module.take_branch(state.x, state.held)
        skip = None if step.mode == "branch" else skip.detach() if enters else skip
        branch = None if step.mode == "skip" else branch if enters else branch.detach()
        x = module.join(skip, branch, state.held)
    logits = net.leave(type(state)(x, state.chain, state.held))
    losses = F.cross_entropy(logits, targets, reduction="sum")
    (gradient,) = torch.autograd.grad(losses, start, allow_unused=True)
    return torch.zeros_like(start) if gradient is None else gradient


def gradients_of_all_paths(net, inputs, targets):
    """List the gradients along all paths by their length."""
    n = len(net.residual_modules)
    found: list[list[torch.Tensor]] = [[] for _ in range(n + 1)]
    for code in itertools.product((False, True), repeat=n):
        found[sum(code)].append(gradient_along(net, inputs, targets, code))
    return [torch.stack(gradients) for gradients in found]


def linear_network(matrices):
    """Make a network whose branches are given matrices; stem and head are the identity."""
    modules = []
    for number, matrix in enumerate(matrices):
        branch = nn.Linear(matrix.shape[1], matrix.shape[0], bias=False)
        branch.weight.data = matrix.clone()
        modules.append(ResidualModule(branch, nn.Identity(), name=f"linear.{number}"))
    example = torch.zeros(2, len(matrices[0]), dtype=matrices[0].dtype)
    return UnraveledNetwork(nn.Identity(), modules, nn.Identity(), example=example, name="linear")
