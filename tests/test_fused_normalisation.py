"""Fused normalisation. Oracle: torch's own layers, in float64 where rounding must not matter."""

import copy
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from unravelnet import zoo
from unravelnet.measuring.evaluation import evaluate
from unravelnet.training import fused_normalisation
from unravelnet.training.fused_normalisation import FusedBatchNorm2d, fused_normalisations, load_operator

needs_compiler = pytest.mark.skipif(not load_operator(), reason="the fused operation cannot be compiled here")


def values(n_channels, *, dtype=torch.float32, size=(6, 9, 16), seed=0):
    """Values far from zero, with another mean and scale in each channel."""
    generator = torch.Generator().manual_seed(seed)
    batch, height, width = size
    x = torch.randn(batch, n_channels, height, width, generator=generator)
    scale = torch.rand(n_channels, generator=generator) + 0.5
    x = x * scale.view(1, -1, 1, 1) + torch.arange(n_channels).view(1, -1, 1, 1) / n_channels + 3
    return x.to(dtype).to(memory_format=torch.channels_last)


def norm_of(n_channels, seed=1):
    generator = torch.Generator().manual_seed(seed)
    norm = nn.BatchNorm2d(n_channels)
    with torch.no_grad():
        norm.weight.copy_(torch.randn(n_channels, generator=generator))
        norm.bias.copy_(torch.randn(n_channels, generator=generator))
        norm.running_mean.copy_(2 + torch.rand(n_channels, generator=generator))
    return norm


def by_torch(norm, x, gradient, *, relu):
    """Output, gradients of input, weight and bias, and statistics, in float64."""
    mean, var = norm.running_mean.double(), norm.running_var.double()
    x, weight, bias = (tensor.detach().double().requires_grad_() for tensor in (x, norm.weight, norm.bias))
    output = F.batch_norm(x, mean, var, weight, bias, True, norm.momentum, norm.eps)
    output = F.relu(output) if relu else output
    output.backward(gradient.double())
    return output, x.grad, weight.grad, bias.grad, mean, var


@needs_compiler
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("n_channels", [1, 16, 32, 64, 128, 192])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.bfloat16, 2e-2)])
def test_it_is_batch_normalisation(n_channels, relu, dtype, tolerance):
    norm, x = norm_of(n_channels), values(n_channels, dtype=dtype)
    gradient = torch.randn(x.shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    expected = by_torch(norm, x, gradient, relu=relu)
    x.requires_grad_()
    output = FusedBatchNorm2d(norm, relu=relu)(x)
    assert output.dtype == dtype
    assert output.is_contiguous(memory_format=torch.channels_last)
    output.backward(gradient)
    found = (output, x.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var)
    for one, other in zip(found, expected, strict=True):
        scale = other.abs().max().clamp_min(1e-3)
        assert ((one.double() - other).abs().max() / scale).item() < tolerance
    assert norm.num_batches_tracked == 1


@needs_compiler
def test_nothing_depends_on_the_number_of_threads():
    before, outputs = torch.get_num_threads(), []
    try:
        for n_threads in (1, 2, 3):
            torch.set_num_threads(n_threads)
            norm, x = norm_of(32), values(32).requires_grad_()
            output = FusedBatchNorm2d(norm, relu=True)(x)
            output.square().sum().backward()
            outputs.append((output, x.grad, norm.weight.grad, norm.running_var))
    finally:
        torch.set_num_threads(before)
    for other in outputs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(outputs[0], other, strict=True))


@needs_compiler
@pytest.mark.parametrize("mean", [0, 100, 1000, 10000])
def test_far_from_zero_nothing_cancels(mean):
    # In float32 the squares of values around 1,000 carry nothing of a variance of 1.
    x = torch.randn(8, 16, 8, 8, generator=torch.Generator().manual_seed(0)) + mean
    norm = nn.BatchNorm2d(16)
    output = FusedBatchNorm2d(norm, relu=False)(x)
    expected = F.batch_norm(x.double(), None, None, training=True, eps=norm.eps)
    # What is left is the rounding of the mean itself.
    assert (output - expected).abs().max() < 1e-5 + 2e-7 * mean
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * x.double().var((0, 2, 3)).float())


@needs_compiler
def test_the_running_statistics_do_not_enter_the_output():
    norm, x = nn.BatchNorm2d(16), values(16)
    norm.running_mean.fill_(torch.nan)
    assert FusedBatchNorm2d(norm, relu=False)(x).isfinite().all()


@needs_compiler
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_not_a_number_stays_seen(relu, dtype):
    x = values(16, dtype=dtype)
    x[0, 3, 0, 0] = torch.nan
    output = FusedBatchNorm2d(nn.BatchNorm2d(16), relu=relu)(x)
    assert output[:, 3].isnan().all()
    assert output[:, :3].isfinite().all()


def test_in_evaluation_mode_it_is_the_layer_itself():
    norm, x = norm_of(16).eval(), values(16)
    assert torch.equal(FusedBatchNorm2d(norm, relu=True)(x), F.relu(norm(x)))
    assert torch.equal(FusedBatchNorm2d(norm, relu=False)(x), norm(x))


UNKNOWN = {
    "few values": (nn.BatchNorm2d(16), torch.ones(2, 16, 3, 1)),
    "24 channels": (nn.BatchNorm2d(24), torch.ones(8, 24, 8, 8)),
    "96 channels": (nn.BatchNorm2d(96), torch.ones(8, 96, 8, 8)),
    "no parameters": (nn.BatchNorm2d(16, affine=False), torch.ones(8, 16, 8, 8)),
    "no statistics": (nn.BatchNorm2d(16, track_running_stats=False), torch.ones(8, 16, 8, 8)),
    "cumulative statistics": (nn.BatchNorm2d(16, momentum=None), torch.ones(8, 16, 8, 8)),
    "float64": (nn.BatchNorm2d(16).double(), torch.ones(8, 16, 8, 8, dtype=torch.float64)),
    "bfloat16 parameters": (nn.BatchNorm2d(16).bfloat16(), torch.ones(8, 16, 8, 8, dtype=torch.bfloat16)),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_it_does_not_know_is_computed_as_ever(case):
    norm, ones = UNKNOWN[case]
    x = ones * torch.randn(ones.shape, generator=torch.Generator().manual_seed(0)).to(ones.dtype)
    assert torch.equal(FusedBatchNorm2d(copy.deepcopy(norm), relu=True)(x), F.relu(norm(x)))


@pytest.mark.parametrize(
    ("shape", "message"),
    [((2, 16), "expected 4D input"), ((8, 32, 8, 8), "should contain 32 elements not 16")],
)
def test_what_the_layer_refuses_is_refused(shape, message):
    for layer in (nn.BatchNorm2d(16), FusedBatchNorm2d(nn.BatchNorm2d(16), relu=True)):
        with pytest.raises((ValueError, RuntimeError), match=message):
            layer(torch.zeros(shape))


@needs_compiler
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(8, 24, 8, 8)}, "channels divide 64"),
        ({"x": torch.zeros(8, 32, 8, 8)}, "one value a channel"),
        ({"x": torch.zeros(8, 16, 8, 8).double()}, "bfloat16 or float32"),
        ({"x": torch.zeros(8, 16)}, "images, channels, height, width"),
        ({"weight": torch.ones(32)[::2]}, "contiguous float32"),
        ({"running_var": torch.ones(16).bfloat16()}, "contiguous float32"),
    ],
)
def test_the_operation_refuses_what_it_cannot_do(change, message):
    given = {"x": torch.zeros(8, 16, 8, 8), "weight": torch.ones(16), "running_var": torch.ones(16), **change}
    with pytest.raises(RuntimeError, match=message):
        torch.ops.unravelnet.batch_norm(
            given["x"],
            given["weight"],
            torch.zeros(16),
            torch.zeros(16),
            given["running_var"],
            0.1,
            1e-5,
            True,
        )


@needs_compiler
def test_a_second_derivative_is_refused_and_not_forgotten():
    x = values(16).requires_grad_()
    output = FusedBatchNorm2d(nn.BatchNorm2d(16), relu=True)(x)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(output.square().sum(), x, create_graph=True)


def test_only_what_is_called_as_a_whole_is_fused():
    class Reading(nn.Sequential):
        def forward(self, x):
            return self[1](self[0](x)) + x

    tied = nn.Conv2d(16, 16, 1)
    hooked = nn.BatchNorm2d(16)
    hooked.register_forward_hook(lambda *_: None)
    net = nn.ModuleDict(
        {
            "subclass": Reading(nn.BatchNorm2d(16), nn.ReLU()),
            "tied": nn.Sequential(tied, nn.BatchNorm2d(16), tied, nn.ReLU()),
            "hooked": nn.Sequential(hooked, nn.ReLU()),
        }
    )
    with fused_normalisations(net):
        found = {name: [type(layer).__name__ for layer in part.modules()][1:] for name, part in net.items()}
    assert found["subclass"] == ["BatchNorm2d", "ReLU"]
    assert found["tied"] == ["Conv2d", "FusedBatchNorm2d", "ReLU"]
    assert found["hooked"] == ["BatchNorm2d", "ReLU"]


def test_a_network_can_be_evaluated_while_it_is_fused():
    net = zoo.create("resnet20", input_shape=(3, 16, 16), seed=0)
    data = (torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 10)
    plain = evaluate(net, [net.full_route], data, metrics=("loss",))[0]["loss"]
    with fused_normalisations(net):
        fused = evaluate(net, [net.full_route], data, metrics=("loss",))[0]["loss"]
    assert fused == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("name", ["preact-resnet20", "resnet20", "plain20", "vgg15"])
def test_a_network_is_as_it_was_afterwards(name):
    net = zoo.create(name, seed=0)
    layers, weights = list(net.named_modules()), net.state_dict()
    with fused_normalisations(net):
        assert sum(isinstance(layer, FusedBatchNorm2d) for layer in net.modules()) > 10
        assert list(net.state_dict()) == list(weights)
    assert [(name, id(layer)) for name, layer in net.named_modules()] == [
        (name, id(layer)) for name, layer in layers
    ]


@needs_compiler
@pytest.mark.parametrize("name", ["preact-resnet20", "resnet20", "vgg15"])
def test_a_network_computes_and_learns_the_same(name):
    results = []
    for is_fused in (False, True):
        net = zoo.create(name, input_shape=(3, 32, 32), seed=0).train()
        x = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        targets = torch.arange(8)
        if is_fused:
            with fused_normalisations(net):
                loss = F.cross_entropy(net(x), targets)
                loss.backward()
        else:
            loss = F.cross_entropy(net(x), targets)
            loss.backward()
        results.append((loss, net))
    (loss, net), (fused_loss, fused_net) = results
    assert fused_loss.item() == pytest.approx(loss.item(), rel=1e-5)
    for (parameter_name, one), two in zip(net.named_parameters(), fused_net.parameters(), strict=True):
        distance = (one.grad - two.grad).norm() / one.grad.norm().clamp_min(1e-6)
        assert distance < 2e-3, parameter_name
    for buffer, fused_buffer in zip(net.buffers(), fused_net.buffers(), strict=True):
        torch.testing.assert_close(buffer, fused_buffer, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("compiler", "reason"), [("/no/such/compiler", "/no/such/compiler"), ("", "install g++")]
)
def test_without_a_compiler_training_goes_on_and_says_so(monkeypatch, caplog, compiler, reason):
    monkeypatch.setenv("CXX", compiler)
    monkeypatch.setattr(fused_normalisation.shutil, "which", lambda _: None)
    load_operator.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            output = FusedBatchNorm2d(nn.BatchNorm2d(16), relu=True)(values(16))
        assert torch.equal(output, F.relu(nn.BatchNorm2d(16)(values(16))))
        assert "could not be compiled or loaded, and plain layers are used" in caplog.text
        assert reason in caplog.text
    finally:
        load_operator.cache_clear()


@needs_compiler
def test_a_damaged_file_is_made_again(tmp_path):
    # In a process of its own: a library can be loaded once only.
    good = fused_normalisation.compiled()
    compiler = tmp_path / "compiler"
    compiler.write_text(f'#!/bin/sh\nfor last; do :; done\ncp "{good}" "$last"\n')
    compiler.chmod(0o755)
    # What this package remarks is an error; torch may print what it likes.
    script = (
        "import logging; from unravelnet.training import fused_normalisation as fused; told = []; "
        "handler = logging.Handler(logging.WARNING); handler.emit = told.append; "
        "logging.getLogger('unravelnet').addHandler(handler); path = fused.compiled(); "
        "path.write_bytes(b'no library'); assert fused.load_operator(); assert not told, told; print(path)"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "CXX": str(compiler)}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert Path(ran.stdout.strip()).read_bytes() == good.read_bytes()


def test_processes_that_start_together_compile_once(tmp_path):
    compiler = tmp_path / "compiler"
    compiler.write_text(
        f'#!/bin/sh\necho once >> "{tmp_path}/calls"\nsleep 1\nfor last; do :; done\necho a library > "$last"\n'
    )
    compiler.chmod(0o755)
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "CXX": str(compiler)}
    script = "from unravelnet.training import fused_normalisation as fused; fused.compiled()"
    processes = [subprocess.Popen([sys.executable, "-c", script], env=environment) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert (tmp_path / "calls").read_text() == "once\n"


def test_another_compiler_gives_another_file(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []

    def run(command, **_):
        made.append(command[-1])
        with open(command[-1], "w") as file:  # noqa: PTH123
            file.write("a library")

    monkeypatch.setattr(fused_normalisation.subprocess, "run", run)
    paths = []
    for compiler in ("g++", "ccache g++", "g++"):
        monkeypatch.setenv("CXX", compiler)
        paths.append(fused_normalisation.compiled())
    assert paths[0] == paths[2] != paths[1]
    assert len(made) == 2
    assert all(path.read_text() == "a library" for path in paths)
