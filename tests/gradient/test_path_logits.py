"""Logits by path length against the network whose branches are scaled, with its ReLUs held fixed."""

import itertools

import pytest
import torch
from torch import nn

import unravelnet as un
from tests.gradient.networks import linear_network, some_modules
from tests.joined import joined_network
from unravelnet import path_logits
from unravelnet.errors import EvaluationError
from unravelnet.network import Concatenate, Gate, ResidualModule, UnraveledNetwork
from unravelnet.routes.route import Route


class HeldReLU(nn.Module):
    """A ReLU that keeps the choice which it made first."""

    def __init__(self):
        super().__init__()
        self.is_open = None

    def forward(self, x):
        if self.is_open is None:
            self.is_open = (x > 0).to(x)
        return x * self.is_open


def hold_activations(net):
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, HeldReLU())


def run_scaled(net, inputs, scale):
    """Run a network with every branch multiplied: a polynomial whose coefficients are the parts."""
    state = net.enter(inputs)
    for module in net.residual_modules:
        state = net.move_to_chain(state, module.chain)
        x = module.join(
            module.take_skip(state.x, state.held), scale * module.take_branch(state.x, state.held)
        )
        state = type(state)(x, state.chain, state.held)
    return net.leave(state)


@pytest.mark.parametrize(
    "make", [un.zoo.preact_resnet, un.zoo.resnet], ids=["pre-activation", "post-activation"]
)
def test_parts_are_the_coefficients_of_the_network_with_scaled_branches(make):
    torch.manual_seed(0)
    net = make(20, shortcut="B", input_shape=(3, 8, 8), seed=0).double().eval()
    for name, buffer in net.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(std=0.2)
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.2)
    inputs = torch.randn(3, 3, 8, 8, dtype=torch.float64)
    parts = path_logits(net, inputs)
    hold_activations(net)
    with torch.no_grad():
        whole = run_scaled(net, inputs, 1.0)  # the ReLUs choose
        assert torch.allclose(parts.sum(dim=0), whole, rtol=1e-10)
        for scale in (0.0, 0.3, -0.7, 1.5):
            expected = run_scaled(net, inputs, scale)
            found = sum(scale**length * part for length, part in enumerate(parts))
            assert torch.allclose(found, expected, rtol=1e-9)


def test_parts_of_a_captured_network_add_up():
    net, (inputs, _) = some_modules("pre-activation")
    parts = path_logits(net.float(), inputs.float())
    assert parts.shape == (7, 2, 3)
    assert (parts.sum(dim=0) - net(inputs.float())).abs().max() < 1e-4


def test_parts_of_a_linear_network_are_the_products_of_its_matrices():
    torch.manual_seed(0)
    matrices = [torch.randn(3, 3, dtype=torch.float64) for _ in range(3)]
    a, b, c = matrices
    x = torch.randn(2, 3, dtype=torch.float64)
    parts = path_logits(linear_network(matrices), x)
    expected = [x, x @ (a + b + c).T, x @ (b @ a + c @ a + c @ b).T, x @ (c @ b @ a).T]
    for part, value in zip(parts, expected, strict=True):
        assert torch.allclose(part, value)


def test_a_deleted_module_has_no_part():
    torch.manual_seed(0)
    net = un.zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0).eval()
    inputs = torch.rand(2, 1, 8, 8)
    route = net.full_route.delete(0)
    parts = path_logits(net, inputs, route=route)
    assert len(parts) == 3
    assert torch.allclose(parts.sum(dim=0), net(inputs, route), atol=1e-5)


def test_attention_is_refused():
    net, (inputs, _) = some_modules("post-norm")
    with pytest.raises(EvaluationError, match=r"module 0 .* cannot be differentiated twice"):
        path_logits(net, inputs)


def test_a_smooth_activation_is_refused_and_its_module_named():
    net = un.zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0)
    net.residual_modules[1].branch.relu2 = nn.GELU()
    with pytest.raises(EvaluationError, match=r"Module 1 .* is not piecewise linear"):
        path_logits(net, torch.rand(2, 1, 8, 8))


def test_concatenations_are_split_as_single_paths_are():
    """Everything is linear, so that the logits along a path are those of the route that takes this path alone."""
    torch.manual_seed(0)
    modules = [
        ResidualModule(nn.Linear(4, 3, bias=False), nn.Identity(), junction=Concatenate(4, 3)),
        ResidualModule(nn.Linear(7, 5, bias=False), nn.Linear(7, 5, bias=False)),
        ResidualModule(
            nn.Linear(5, 5, bias=False), nn.Identity(), junction=Concatenate(5, 5, skip_first=False)
        ),
    ]
    head = nn.Linear(10, 3, bias=False)
    net = UnraveledNetwork(nn.Identity(), modules, head, example=torch.zeros(2, 4)).double()
    x = torch.randn(5, 4, dtype=torch.float64)
    full = net.full_route
    for length, part in enumerate(path_logits(net, x)):
        chosen = itertools.combinations(range(3), length)
        along = [net(x, full.keep(*entered).remove_skip(*entered)) for entered in chosen]
        assert torch.allclose(part, torch.stack(along).sum(dim=0), rtol=1e-9)


def test_gates_are_refused_and_their_deletion_is_not():
    with pytest.raises(EvaluationError, match=r"Module 1 .* joins its skip and its branch by a gate"):
        path_logits(joined_network(), torch.zeros(2, 3).double(), route=Route.parse("0s,1-7"))
    torch.manual_seed(0)
    branch = nn.Linear(4, 8)
    module = ResidualModule(branch, nn.Identity(), junction=Gate())
    net = UnraveledNetwork(nn.Identity(), [module], nn.Identity(), example=torch.zeros(2, 4))
    x = torch.randn(2, 4)
    assert torch.allclose(path_logits(net, x, route=Route.parse("0s"))[0], x)
    # Alone, the branch gives its value whole; its bias belongs to the path through it.
    nothing, through = path_logits(net, x, route=Route.parse("0b"))
    assert torch.allclose(nothing + through, branch(x)[:, :4])
