"""Healing: the trainer on one route. Oracles: a loop written out, autograd, and formulas of the loss."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import unravelnet as un
from tests.nested import nested_network, read_plainly
from tests.pruning.networks import images, trained
from unravelnet.errors import RouteError, TrainingError
from unravelnet.mathematics.intervals import paired_rate_interval
from unravelnet.pruning.healing import before_and_after, heal
from unravelnet.routes.route import Route
from unravelnet.routes.sampler import OneRoute, parse_route_sampler
from unravelnet.training.objective import Objective, Teacher
from unravelnet.training.optimiser import make_optimiser
from unravelnet.training_plan import TrainingPlan

FULL = Route.full(6)
ROUTE = FULL.delete(1, 3)
SETTINGS: dict[str, Any] = {
    "precision": "float32",
    "augment": False,
    "channels_last": False,
    "batch_size": 30,
    "warmup_iterations": 0,
}


def test_a_healing_is_training_on_one_route():
    net, (inputs, targets) = trained(), images(30)
    healed = heal(net, ROUTE, (inputs, targets), epochs=2, **SETTINGS)
    own = copy.deepcopy(net).train()
    plan = TrainingPlan(epochs=2, learning_rate=0.01, schedule="cosine", **SETTINGS)
    optimiser = make_optimiser(own, plan, torch.device("cpu"))
    for iteration in range(2):
        optimiser.zero_grad(set_to_none=False)
        F.cross_entropy(own(inputs, ROUTE), targets).backward()
        optimiser.param_groups[0]["lr"] = plan.learning_rate_at(iteration, 2)
        optimiser.step()
    own.eval()
    assert torch.allclose(healed.net(inputs, ROUTE), own(inputs, ROUTE), atol=1e-4)
    # The statistics of normalisation moved, too.
    assert not torch.equal(healed.net(inputs, FULL), net(inputs, FULL))


def test_the_network_stays_as_it_was_and_its_loss_on_the_route_falls():
    net, data = trained(), images(60)
    before = net.fingerprint()
    healed = heal(net, ROUTE, data, epochs=6, validation=data, **SETTINGS)
    assert net.fingerprint() == before
    assert healed.history["train_loss"][-1] < 0.95 * healed.history["train_loss"][0]
    wrong = (healed.net(data[0], ROUTE).argmax(1) != data[1]).float().mean()
    assert healed.history["test_error_rate"][-1] == pytest.approx(float(wrong))


def test_a_loss_with_a_teacher_is_that_of_hinton():
    net, (inputs, targets) = trained(), images(20)
    student = net(inputs, ROUTE).detach().requires_grad_()
    loss = Objective(0.0, Teacher(net, weight=0.7, temperature=3.0))(student, targets, inputs)
    with torch.no_grad():
        p, q = ((logits / 3).softmax(1) for logits in (net(inputs), student))
    expected = 0.3 * F.cross_entropy(student, targets) + 0.7 * 9 * (p * (p / q).log()).sum(1).mean()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)
    # The gradient at high temperature goes to the difference of the outputs (their equation 4).
    hot = Objective(0.0, Teacher(net, weight=1.0, temperature=1e3))(student, targets, inputs)
    [gradient] = torch.autograd.grad(hot, student)
    centred = [logits - logits.mean(1, keepdim=True) for logits in (student.detach(), net(inputs).detach())]
    assert torch.allclose(gradient, (centred[0] - centred[1]) / 10 / 20, atol=1e-4)


def test_a_teacher_alone_is_followed_without_labels_that_mean_anything():
    net, (inputs, targets) = trained(), images(60)
    options: dict[str, Any] = {"distil": True, "weight": 1.0, "temperature": 1.0, "epochs": 6}
    healed, other = (
        heal(net, ROUTE, (inputs, labels), **options, **SETTINGS) for labels in (targets, 9 - targets)
    )
    losses = healed.history["train_loss"]
    assert losses[-1] < 0.95 * losses[0]
    assert losses == pytest.approx(other.history["train_loss"])


def test_a_healing_that_learns_nothing_moves_the_statistics_only():
    net, (inputs, targets) = trained(), images(30)
    healed = heal(net, ROUTE, (inputs, targets), epochs=1, learning_rate=1e-50, **SETTINGS)
    for name, parameter in net.named_parameters():
        assert torch.equal(healed.net.get_parameter(name), parameter), name
    seen = copy.deepcopy(net).train()
    seen(inputs, ROUTE)
    for name, buffer in seen.named_buffers():
        assert torch.allclose(healed.net.get_buffer(name).double(), buffer.double(), atol=1e-5), name


def test_a_network_that_scales_its_branches_is_healed_from_where_it_is():
    net, (inputs, targets) = copy.deepcopy(trained()), images(30)
    for module in net.residual_modules:
        module.branch_scale = 0.5
    healed = heal(net, ROUTE.scale(3, 2), (inputs, targets), epochs=1, learning_rate=1e-50, **SETTINGS)
    assert str(healed.route) == "0*0.5,1s,2*1.5,3s,4-5*0.5"
    healed.net.load_state_dict(net.state_dict())  # the statistics had moved
    torch.testing.assert_close(healed.net(inputs, healed.route), net(inputs, healed.pruned))


def test_before_and_after_are_compared_image_by_image():
    net, (inputs, targets) = trained(), images(90)
    healed = heal(net, ROUTE, images(60), epochs=2, **SETTINGS)
    table = before_and_after(net, healed, (inputs, targets), batch_size=40)
    with torch.no_grad():
        logits = (net(inputs), net(inputs, ROUTE), healed.net(inputs, ROUTE))
    wrong = [(one.argmax(1) != targets).double() for one in logits]
    for row, own in zip(table, wrong, strict=True):
        more = own - wrong[0]
        ends = paired_rate_interval(float(more.sum()), float(more.abs().sum()), 90)
        assert row["error_rate"] == pytest.approx(float(own.mean()))
        assert row["error_rate_difference"] == pytest.approx(float(more.mean()))
        assert row["error_rate_difference_low"] == pytest.approx(ends.low)
        assert row["error_rate_difference_high"] == pytest.approx(ends.high)
        assert row["n_images"] == 90
    losses = [F.cross_entropy(one, targets) for one in logits]
    assert table["loss_difference"] == pytest.approx([float(one - losses[0]) for one in losses], abs=1e-5)
    assert table["network_name"][2] == f"{net.name}, healed".removeprefix(", ")


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.5))

    def forward(self, x):
        return x + self.layers(x)


def test_a_captured_network_is_healed_in_training_mode():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), Block(), Block(), Block(), nn.Linear(64, 10)).eval()
    net = un.unravel(model, torch.randn(2, 1, 8, 8))
    before = copy.deepcopy(model.state_dict())
    healed = heal(net, Route.parse("0,1s,2"), images(60), epochs=2, **SETTINGS)
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
    names = {
        name
        for name, buffer in healed.net.named_buffers()
        if "running_mean" in name and buffer.abs().sum() > 0
    }
    assert len(names) == 2  # the statistics of the deleted module did not move


def test_a_network_that_was_exported_is_trained_as_the_one_that_it_came_from(tmp_path):
    net, data = trained(), images(60)
    small = un.load(str(un.export(net, ROUTE, tmp_path / "small")))
    healed, again = (
        heal(one, route, data, epochs=2, **SETTINGS)
        for one, route in ((net, ROUTE), (small, small.full_route))
    )
    assert not torch.allclose(healed.net(data[0], ROUTE), net(data[0], ROUTE), atol=1e-2)
    torch.testing.assert_close(again.net(data[0]), healed.net(data[0], ROUTE), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "route",
    ["0,(1-2),3,4,5", "0-2,3[0,(0-1),2[1,0]],4-5", "1*0.5,0b,3[0s,1*2,2],2s,4*0.25,5"],
    ids=["side by side", "inside", "scaled and out of order"],
)
def test_every_route_can_be_trained(route):
    """The oracle reads the route step by step, without any code for routes."""
    net, route = nested_network(), Route.parse(route)
    x, y = torch.randn(30, 3, generator=torch.Generator().manual_seed(0)).double(), torch.arange(30) % 3
    own = copy.deepcopy(net).train()
    un.train(net, (x, y), epochs=3, routes=f"route:{route}", learning_rate=0.1, **SETTINGS)
    plan = TrainingPlan(epochs=3, learning_rate=0.1, **SETTINGS)
    optimiser = make_optimiser(own, plan, torch.device("cpu"))
    for iteration in range(3):
        optimiser.zero_grad(set_to_none=False)
        F.cross_entropy(read_plainly(own, x, route), y).backward()
        optimiser.param_groups[0]["lr"] = plan.learning_rate_at(iteration, 3)
        optimiser.step()
    for name, parameter in own.named_parameters():
        assert torch.allclose(net.get_parameter(name), parameter, atol=1e-6), name


def test_a_route_that_does_not_fit_is_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(RouteError, match="6 residual modules"):
        un.train(trained(), images(30), epochs=1, routes="route:0-8", out=tmp_path / "net")
    assert not (tmp_path / "net").exists()


def test_one_route_is_a_sampler_that_reads_back():
    sampler = parse_route_sampler("route:0,1s,2-5")
    assert sampler == OneRoute(Route.parse("0,1s,2-5")) == parse_route_sampler(str(sampler))
    assert sampler.survival(6) == (1.0, 0.0, 1.0, 1.0, 1.0, 1.0)


def other_classes():
    return un.zoo.preact_resnet(8, n_classes=3, input_shape=(1, 8, 8))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: heal(trained(), FULL, images(30), routes="uniform"), "Leave routes out"),
        (lambda: Teacher(trained(), weight=2.0), "give a share from 0 to 1"),
        (lambda: Teacher(trained(), temperature=0.0), "give a number above 0"),
        (
            lambda: heal(trained(), ROUTE, images(30), distil=True, teacher=other_classes(), **SETTINGS),
            "gives 3 scores an image, and the network 10",
        ),
    ],
)
def test_wrong_healings_are_refused(call, message):
    with pytest.raises(TrainingError, match=message):
        call()
