"""Replayed steps give the weights of plain ones; here the pieces run anew, on CUDA they are graphs (`test_cuda`)."""

import contextlib
import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import unravelnet as un
from unravelnet import zoo
from unravelnet.errors import TrainingError
from unravelnet.network import Concatenate, ResidualModule, Segment, UnraveledNetwork
from unravelnet.training.replay import Replay, can_be_replayed, run_again

SHAPE = (1, 8, 8)
NETWORKS = {
    "pre-activation": lambda: zoo.preact_resnet(14, input_shape=SHAPE, seed=0),
    "post-activation": lambda: zoo.resnet(14, input_shape=SHAPE, seed=0),
    "projections everywhere": lambda: zoo.preact_resnet(14, shortcut="C", input_shape=SHAPE, seed=0),
    "gates": lambda: zoo.highway(8, input_shape=SHAPE, seed=0),
    "plain layers": lambda: zoo.create("vgg15", input_shape=SHAPE, seed=0),
}


def with_optimiser(net):
    net.train()
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3)


def plain_steps(net, batches, routes, smoothing):
    """What anybody would write."""
    optimiser, losses = with_optimiser(net), []
    for (images, targets), route in zip(batches, routes, strict=True):
        optimiser.zero_grad(set_to_none=False)
        loss = F.cross_entropy(net(images, route), targets, label_smoothing=smoothing)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


def batches_of(sizes, n_pixels=8):
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(n, 1, n_pixels, n_pixels, generator=generator),
            torch.randint(10, (n,), generator=generator),
        )
        for n in sizes
    ]


def routes_through(net):
    """Routes of many kinds: all modules, some deleted, branches alone, another order, one thrice."""
    full, deletable = net.full_route, [m.index for m in net.residual_modules if m.is_deletable]
    pair = next(
        (
            (module.index, other)
            for module in net.residual_modules
            for other in net.compatible_with(module.index)
        ),
        None,
    )
    routes = [full, full.delete(deletable[0]), full.delete(*deletable), full.remove_skip(deletable[-1])]
    if pair is not None:
        routes += [full.swap(*pair), full.repeat(pair[0], pair[0] + 1, times=3)]
    return [*routes, full]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("whole", [False, True])
def test_replayed_steps_are_plain_steps_bit_for_bit(name, smoothing, whole):
    net = NETWORKS[name]()
    other = copy.deepcopy(net)
    routes = routes_through(net)
    batches = batches_of([16] * len(routes))
    expected = plain_steps(net, batches, routes, smoothing)
    replay = Replay(
        other,
        with_optimiser(other),
        run_again,
        autocast=contextlib.nullcontext,
        batch_size=16,
        every=net.full_route if whole else None,
        label_smoothing=smoothing,
    )
    for (images, targets), route, loss in zip(batches, routes, expected, strict=True):
        with torch.no_grad():
            n_wrong = (copy.deepcopy(other)(images, route).argmax(1) != targets).sum()
        loss_sum, wrong = replay.step(images, targets, route)
        assert float(loss_sum) / len(targets) == pytest.approx(loss, rel=1e-12)
        assert int(wrong) == int(n_wrong)
    for key, tensor in net.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[key]), key


def test_batches_of_several_shapes_have_recordings_of_their_own():
    net = NETWORKS["pre-activation"]()
    other = copy.deepcopy(net)
    batches = [*batches_of([8, 16, 8]), *batches_of([8, 8], n_pixels=12)]
    routes = [net.full_route] * len(batches)
    plain_steps(net, batches, routes, 0.0)
    replay = Replay(other, with_optimiser(other), run_again, autocast=contextlib.nullcontext, batch_size=8)
    for (images, targets), route in zip(batches, routes, strict=True):
        replay.step(images, targets, route)
    for key, tensor in net.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[key]), key


@pytest.mark.parametrize("whole", [False, True])
def test_recording_leaves_everything_as_it_was(whole):
    """A recorder that runs the work several times, as graphs are warmed up, changes nothing but through the steps."""
    net = NETWORKS["projections everywhere"]()
    other = copy.deepcopy(net)

    def warming_up(work, touched):
        before = [tensor.detach().clone() for tensor in touched]
        for _ in range(3):
            work()
        for tensor, value in zip(touched, before, strict=True):
            tensor.data.copy_(value)
        return work

    routes = routes_through(net)
    batches = batches_of([8] * len(routes))
    plain_steps(net, batches, routes, 0.0)
    optimiser = with_optimiser(other)
    for parameter in other.parameters():
        optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    every = net.full_route if whole else None
    replay = Replay(other, optimiser, warming_up, autocast=contextlib.nullcontext, batch_size=8, every=every)
    for (images, targets), route in zip(batches, routes, strict=True):
        replay.step(images, targets, route)
    for key, tensor in net.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], tensor, rtol=1e-6, atol=1e-7)


def test_a_branch_that_is_missing_beside_a_skip_is_not_passed_over():
    """Without its branch, a concatenation puts zeros beside the skip: the stream changes."""

    def made():
        torch.manual_seed(0)
        branch = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU())
        joined = ResidualModule(branch, nn.Identity(), junction=Concatenate(n_skip=2, n_branch=3))
        head = nn.Sequential(nn.Flatten(), nn.Linear(5 * 64, 10))
        return UnraveledNetwork(nn.Conv2d(1, 2, 1), [joined], head, example=torch.zeros(1, *SHAPE))

    net, other = made(), made()
    routes, batches = [net.full_route, net.full_route.delete(0), net.full_route], batches_of([8, 8, 8])
    plain_steps(net, batches, routes, 0.0)
    replay = Replay(other, with_optimiser(other), run_again, autocast=contextlib.nullcontext, batch_size=8)
    for (images, targets), route in zip(batches, routes, strict=True):
        replay.step(images, targets, route)
    for key, tensor in net.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[key]), key


class Held(Segment):
    def forward(self, inputs):
        return inputs, {"mask": inputs}


def test_what_hands_values_past_its_modules_is_not_replayed():
    net = UnraveledNetwork(
        Held(), [ResidualModule(nn.Linear(2, 2), nn.Identity())], nn.Identity(), example=torch.zeros(1, 2)
    )
    assert not can_be_replayed(net, torch.zeros(1, 2))
    plain = NETWORKS["pre-activation"]()
    assert can_be_replayed(plain, torch.zeros(1, *SHAPE))
    assert not can_be_replayed(plain, {"images": torch.zeros(1, *SHAPE)})


def test_what_was_asked_for_and_cannot_be_is_refused():
    with pytest.raises(
        TrainingError, match="replayed is True, and preact-resnet14 on cpu cannot be replayed"
    ):
        un.train(NETWORKS["pre-activation"](), "digits", epochs=1, device="cpu", replayed=True)
