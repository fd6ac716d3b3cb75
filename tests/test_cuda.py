"""On CUDA everything gives what it gives on a processor; skipped where there is no CUDA device."""

import copy
import math

import pytest
import torch
from torch import nn

import unravelnet as un
from unravelnet import zoo
from unravelnet.machine import full_float32, in_precision

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

SHAPE = (1, 8, 8)
ON_GPU, ON_CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture(scope="module")
def trained():
    net = zoo.preact_resnet(20, input_shape=SHAPE, seed=0)
    un.train(net, "digits", epochs=6, schedule="one-cycle", device="cpu", precision="float32")
    return net


def routes_of(net):
    full = net.full_route
    return [full, *(full.delete(m.index) for m in net.residual_modules), full.swap(1, 2), full.remove_skip(1)]


def test_float32_is_not_rounded_to_ten_bits():
    layer = nn.Conv2d(64, 64, 3).cuda()
    images = torch.randn(8, 64, 16, 16, device="cuda")
    exact = copy.deepcopy(layer).double()(images.double())
    with in_precision(ON_GPU, "float32"):
        error = (layer(images).double() - exact).norm() / exact.norm()
    assert error < 2e-6


def test_routes_lose_as_much_as_on_a_processor(trained):
    tables = [
        un.evaluate(trained, routes_of(trained), "digits", metrics=("error_rate", "loss"), device=device)
        for device in ("cpu", "cuda")
    ]
    for row, other in zip(*tables, strict=True):
        assert other["loss"] == pytest.approx(row["loss"], rel=2e-4)
        assert abs(other["error_rate"] - row["error_rate"]) <= 1 / 450


def test_bfloat16_changes_few_predictions(trained):
    exact, rounded = (
        un.evaluate(trained, [trained.full_route], "digits", precision=precision, device="cuda")[0]
        for precision in ("float32", "bfloat16")
    )
    assert abs(exact["error_rate"] - rounded["error_rate"]) < 0.02


@pytest.mark.parametrize("method", ["exact", "rms"])
def test_gradients_by_length_are_those_of_a_processor(trained, method):
    tables = [
        un.path_gradients(trained, "digits", method=method, limit=32, device=device)
        for device in ("cpu", "cuda")
    ]
    columns = [name for name, value in tables[0][0].items() if isinstance(value, float)]
    for row, other in zip(*tables, strict=True):
        for column in columns:
            if math.isfinite(row[column]):
                assert other[column] == pytest.approx(row[column], rel=1e-3, abs=1e-7), column


def test_a_captured_model_gives_its_own_outputs_there():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())

        def forward(self, x):
            return x + self.body(x)

    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), Block(), Block(), nn.Flatten(), nn.Linear(512, 10))
    model = model.cuda().eval()
    images = torch.randn(4, 1, 8, 8, device="cuda")
    net = un.unravel(model, images)
    with torch.no_grad(), full_float32():
        torch.testing.assert_close(net(images), model(images), rtol=1e-5, atol=1e-6)
        without = net(images, net.full_route.delete(0))
        model[1].body[2].register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        torch.testing.assert_close(without, model(images), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("routes", ["all", "exactly:5", "stochastic-depth:0.5"])
@pytest.mark.parametrize("fused", [False, True])
def test_graphs_train_as_plain_steps_do(routes, fused):
    """The first epoch: later ones drift apart, as those of two runs of the same steps do on a GPU."""
    histories = []
    for replayed, device in ((True, "cuda"), (False, "cuda"), (False, "cpu")):
        net = zoo.preact_resnet(20, input_shape=SHAPE, seed=0)
        plan = {"epochs": 1, "learning_rate": 0.005, "routes": routes, "precision": "float32"}
        is_fused = fused if replayed else False
        history = un.train(net, "digits", device=device, replayed=replayed, fused=is_fused, **plan)
        histories.append((history[0], net))
    (row, net), *others = histories
    for other_row, other in others:
        assert row["train_loss"] == pytest.approx(other_row["train_loss"], rel=5e-3)
        for (name, tensor), value in zip(net.state_dict().items(), other.state_dict().values(), strict=True):
            gap = (tensor.double().cpu() - value.double().cpu()).norm()
            assert gap <= 0.03 * value.double().norm() + 1e-3, name


def test_a_training_goes_on_where_it_was_stopped(tmp_path):
    def net():
        return zoo.preact_resnet(8, input_shape=SHAPE, seed=0)

    plan = {
        "epochs": 3,
        "schedule": "one-cycle",
        "precision": "float32",
        "routes": "exactly:2",
        "device": "cuda",
    }

    class StoppedError(Exception):
        pass

    def stop(status):
        if status.epoch == 2 and status.batch == 5:
            raise StoppedError

    whole = un.train(net(), "digits", **plan)
    with pytest.raises(StoppedError):
        un.train(net(), "digits", out=tmp_path, on_batch=stop, **plan)
    halves = un.train(net(), "digits", out=tmp_path, **plan)
    assert [row["epoch"] for row in halves] == [1, 2, 3]
    for row, other in zip(whole, halves, strict=True):
        assert other["train_loss"] == pytest.approx(row["train_loss"], rel=2e-2)
