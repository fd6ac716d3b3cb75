"""The gradient by path length against all paths one at a time, closed forms, and autograd."""

import math

import pytest
import torch
from torch import nn

import unravelnet as un
from tests.gradient.networks import gradients_of_all_paths, linear_network, ten_modules
from unravelnet import path_gradients, studies
from unravelnet.decay import fit_decay
from unravelnet.errors import EvaluationError, RouteError, UnknownNameError

KINDS = ("pre-activation", "post-activation", "post-norm")


@pytest.fixture(scope="module", params=KINDS)
def brute_force(request):
    net, data = ten_modules(request.param)
    assert len(net.residual_modules) == 10
    return net, data, gradients_of_all_paths(net, *data)


def image_norms(gradients):
    """Norms of gradients [paths, images, ...] a path and image."""
    return gradients.flatten(2).norm(dim=2)


def test_exact_is_the_sum_over_all_paths(brute_force):
    net, data, paths = brute_force
    table = path_gradients(net, data)
    assert [row["path_count"] for row in table] == [len(gradients) for gradients in paths]
    for row, gradients in zip(table, paths, strict=True):
        expected = gradients.sum(dim=0).flatten(1).norm(dim=1).mean().item()
        assert row["length_gradient_norm"] == pytest.approx(expected, rel=1e-9)


def test_exact_in_float32_is_the_sum_over_all_paths(brute_force):
    net, (inputs, targets), paths = brute_force
    try:
        table = path_gradients(net.float(), (inputs.float(), targets))
    finally:
        net.double()
    for row, gradients in zip(table, paths, strict=True):
        expected = gradients.sum(dim=0).flatten(1).norm(dim=1).mean().item()
        assert row["length_gradient_norm"] == pytest.approx(expected, rel=1e-5)
    assert table[0]["gradient_error"] < 1e-6


def test_rms_is_within_three_standard_errors_of_all_paths(brute_force):
    net, data, paths = brute_force
    table = path_gradients(net, data, method="rms", draws=200)
    for row, gradients in zip(table, paths, strict=True):
        expected = image_norms(gradients).square().mean().sqrt().item()
        error = 3 * row["path_gradient_rms_se"] + 1e-9 * expected
        assert row["path_gradient_rms"] == pytest.approx(expected, abs=error)


def test_sampled_is_within_its_error_of_all_paths(brute_force):
    net, data, paths = brute_force
    table = path_gradients(net, data, method="sampled", draws=600, confidence=0.999)
    for row, gradients in zip(table, paths, strict=True):
        expected = image_norms(gradients).mean().item()
        slack = 1e-9 * expected
        assert row["path_gradient_norm_low"] - slack <= expected <= row["path_gradient_norm_high"] + slack
        assert row["path_gradient_norm_q05"] <= row["path_gradient_norm_q50"] <= row["path_gradient_norm_q95"]


def test_sampled_per_batch_takes_one_path_for_the_batch(brute_force):
    net, data, paths = brute_force
    table = path_gradients(net, data, method="sampled", per="batch", draws=300, confidence=0.999)
    assert table[0]["n_draws"] == 300
    for row, gradients in zip(table, paths, strict=True):
        # The gradient of the mean loss of both images, as one vector.
        expected = (gradients / 2).flatten(1).norm(dim=1).mean().item()
        slack = 1e-9 * expected
        assert row["path_gradient_norm_low"] - slack <= expected <= row["path_gradient_norm_high"] + slack


def test_coherence_is_the_sum_over_what_single_paths_have(brute_force):
    net, data, paths = brute_force
    table = path_gradients(net, data, draws=400)
    for row, gradients in zip(table, paths, strict=True):
        single = len(gradients) * image_norms(gradients).mean().item()
        whole = gradients.sum(dim=0).flatten(1).norm(dim=1).mean().item()
        assert row["coherence"] == pytest.approx(whole / single, rel=0.15)
    assert table[0]["coherence"] == pytest.approx(1) == table[10]["coherence"]


# -- closed forms --


def scaled_rotations(n, rate, width=6):
    generator = torch.Generator().manual_seed(3)
    return [
        rate * torch.linalg.qr(torch.randn(width, width, dtype=torch.float64, generator=generator))[0]
        for _ in range(n)
    ]


def test_a_decay_known_by_construction_is_recovered():
    # Each branch is a rotation times 0.3, so that every path of length k has the norm 0.3^k times that of k = 0.
    net = linear_network(scaled_rotations(12, 0.3))
    data = (torch.randn(3, 6, dtype=torch.float64), torch.tensor([0, 1, 5]))
    for method in ("rms", "sampled"):
        table = path_gradients(net, data, method=method, draws=20)
        name = "path_gradient_rms" if method == "rms" else "path_gradient_norm"
        norms = [row[name] for row in table]
        if method == "sampled":
            assert norms == pytest.approx([norms[0] * 0.3**length for length in range(13)])
            assert fit_decay(range(13), norms).rate == pytest.approx(0.3)
        assert norms[-1] == pytest.approx(norms[0] * 0.3**12)


def test_shares_under_a_geometric_decay_are_binomial():
    net = linear_network(scaled_rotations(12, 0.3))
    data = (torch.randn(3, 6, dtype=torch.float64), torch.tensor([0, 1, 5]))
    table = path_gradients(net, data, method="sampled", draws=3)
    p = 0.3 / 1.3
    expected = [math.comb(12, k) * p**k * (1 - p) ** (12 - k) for k in range(13)]
    assert [row["share"] for row in table] == pytest.approx(expected)


def test_branches_that_are_multiples_of_the_identity_are_coherent():
    net = linear_network([0.5 * torch.eye(4, dtype=torch.float64)] * 6)
    table = path_gradients(net, (torch.randn(2, 4, dtype=torch.float64), torch.tensor([0, 1])))
    norm = table[0]["length_gradient_norm"]
    for length, row in enumerate(table):
        assert row["coherence"] == pytest.approx(1)
        assert row["length_gradient_norm"] == pytest.approx(math.comb(6, length) * 0.5**length * norm)


def test_lengths_of_a_linear_network_are_the_elementary_polynomials_of_its_matrices():
    matrices = [torch.randn(3, 3, dtype=torch.float64) for _ in range(3)]
    net = linear_network(matrices)
    inputs, targets = torch.randn(1, 3, dtype=torch.float64), torch.tensor([1])
    table = path_gradients(net, (inputs, targets))
    logits = inputs
    for matrix in matrices:
        logits = logits + logits @ matrix.T
    g = logits.softmax(dim=1) - nn.functional.one_hot(targets, 3)
    a, b, c = matrices
    expected = [g, g @ (a + b + c), g @ (c @ b + c @ a + b @ a), g @ (c @ b @ a)]
    for row, gradient in zip(table, expected, strict=True):
        assert row["length_gradient_norm"] == pytest.approx(gradient.norm().item())


# -- autograd --


def test_the_sum_over_lengths_is_autograds_gradient_of_a_resnet(cifar_like):
    net, data = cifar_like
    table = path_gradients(net, data)
    inputs, targets = data
    start = net.stem(inputs).detach().requires_grad_()
    x = start
    for module in net.residual_modules:
        x = module(x)
    torch.nn.functional.cross_entropy(net.head(x), targets, reduction="sum").backward()
    expected = start.grad.flatten(1).norm(dim=1).mean().item()
    assert table[0]["gradient_norm"] == pytest.approx(expected, rel=1e-5)
    assert 0 <= table[0]["gradient_error"] < 1e-5


@pytest.fixture(scope="module")
def cifar_like():
    net = un.zoo.preact_resnet(depth=20, input_shape=(3, 8, 8), seed=0).eval()
    generator = torch.Generator().manual_seed(0)
    return net, (torch.randn(5, 3, 8, 8, generator=generator), torch.tensor([0, 1, 2, 3, 9]))


def test_the_gradient_at_the_input_is_autograds(cifar_like):
    net, (inputs, targets) = cifar_like
    table = path_gradients(net, (inputs, targets), at="input")
    leaf = inputs.clone().requires_grad_()
    torch.nn.functional.cross_entropy(net(leaf), targets, reduction="sum").backward()
    assert table[0]["gradient_norm"] == pytest.approx(
        leaf.grad.flatten(1).norm(dim=1).mean().item(), rel=1e-5
    )


def test_parts_that_fit_into_memory_give_the_same_numbers(cifar_like):
    net, data = cifar_like
    whole, parts = path_gradients(net, data, draws=0), path_gradients(net, data, draws=0, max_bytes=1)
    for a, b in zip(whole, parts, strict=True):
        assert a["length_gradient_norm"] == pytest.approx(b["length_gradient_norm"], rel=1e-5)
        assert a["n_images"] == b["n_images"] == 5


def test_per_batch_is_the_gradient_of_the_mean_loss(cifar_like):
    net, data = cifar_like
    images = path_gradients(net, data, draws=0)
    table = path_gradients(net, data, per="batch", draws=0, max_bytes=1)
    squares = [row["gradient_norm"] for row in table]
    start = net.stem(data[0]).detach().requires_grad_()
    x = start
    for module in net.residual_modules:
        x = module(x)
    torch.nn.functional.cross_entropy(net.head(x), data[1]).backward()
    assert squares[0] == pytest.approx(start.grad.norm().item(), rel=1e-5)
    assert images[0]["n_images"] == table[0]["n_images"] == 5


def test_a_lesioned_route_has_a_spectrum_of_its_own(cifar_like):
    net, data = cifar_like
    route = net.full_route.delete(2, 5)
    table = path_gradients(net, data, route=route, draws=0)
    assert [row["path_count"] for row in table] == [math.comb(7, k) for k in range(8)]
    assert table[0]["route"] == str(route)


def test_a_route_without_skips_has_one_path(cifar_like):
    net, data = cifar_like
    table = path_gradients(net, data, route=net.full_route.remove_skip(*range(9)), draws=1)
    assert [row["path_count"] for row in table] == [0] * 9 + [1]
    assert table[9]["coherence"] == pytest.approx(1)
    assert table[9]["length_gradient_norm"] == pytest.approx(table[9]["gradient_norm"], rel=1e-5)


def test_shorter_lengths_are_the_same_without_the_longer(cifar_like):
    net, data = cifar_like
    whole, short = path_gradients(net, data, draws=0), path_gradients(net, data, draws=0, max_length=3)
    assert len(short) == 4
    for a, b in zip(whole, short, strict=False):
        assert a["length_gradient_norm"] == pytest.approx(b["length_gradient_norm"])
    assert short[0]["gradient_error"] is None


def test_plain_layers_are_on_every_path():
    net = un.zoo.plain(depth=8, input_shape=(1, 8, 8), seed=0)
    table = path_gradients(net, (torch.randn(2, 1, 8, 8), torch.tensor([0, 1])))
    n = len(net.residual_modules)
    assert [row["path_count"] for row in table] == [0] * n + [1]


def test_tiny_gradients_of_long_paths_are_not_lost_in_float32():
    # 0.001^30 is far below the smallest float32.
    net = linear_network([0.001 * torch.eye(4) for _ in range(30)])
    table = path_gradients(net, (torch.randn(2, 4), torch.tensor([0, 1])), method="sampled", draws=2)
    ratio = table[30]["path_gradient_norm"] / table[0]["path_gradient_norm"]
    assert math.log10(ratio) == pytest.approx(-90, abs=1e-3)


def test_batch_statistics_are_those_of_the_batch(cifar_like):
    net, data = cifar_like
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    running = path_gradients(net, data, method="sampled", per="batch", draws=1)
    batch = path_gradients(net, data, method="sampled", per="batch", draws=1, normalisation="batch")
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    # Oracle for length 0: skips only, so just the head's normalisation matters; autograd in training mode.
    trained = un.zoo.preact_resnet(depth=20, input_shape=(3, 8, 8), seed=0).train()
    x = start = trained.stem(data[0]).detach().requires_grad_()
    for module in trained.residual_modules:
        x = module.take_skip(x) + module.take_branch(x).detach()
    torch.nn.functional.cross_entropy(trained.head(x), data[1]).backward()
    assert batch[0]["path_gradient_norm"] == pytest.approx(start.grad.norm().item(), rel=1e-4)
    assert batch[0]["path_gradient_norm"] != pytest.approx(running[0]["path_gradient_norm"], rel=1e-2)


# -- what is left as it was, and what is refused --


def test_the_network_is_left_as_it_was(cifar_like):
    net, data = cifar_like
    net.train().zero_grad(set_to_none=True)
    try:
        path_gradients(net, data, draws=0)
        assert net.training
        assert all(p.requires_grad and p.grad is None for p in net.parameters())
    finally:
        net.eval()


def test_the_same_seed_gives_the_same_table(cifar_like):
    net, data = cifar_like
    tables = [path_gradients(net, data, method="sampled", draws=7, seed=5) for _ in range(2)]
    assert tables[0] == tables[1]


def test_a_loss_without_targets_is_half_the_squared_output(cifar_like):
    net, (inputs, _) = cifar_like
    table = path_gradients(net, inputs, draws=0)
    start = net.stem(inputs).detach().requires_grad_()
    x = start
    for module in net.residual_modules:
        x = module(x)
    (net.head(x).square().sum() / 2).backward()
    assert table[0]["loss"] == "squared_norm"
    assert table[0]["gradient_norm"] == pytest.approx(
        start.grad.flatten(1).norm(dim=1).mean().item(), rel=1e-5
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "exakt"}, UnknownNameError, "exact"),
        ({"at": "stam"}, UnknownNameError, "stem"),
        ({"normalisation": "batch"}, EvaluationError, 'per="batch"'),
        ({"draws": -1}, EvaluationError, "draws=1 or more"),
        ({"max_length": -1}, EvaluationError, "max_length=0 or more"),
        ({"loss": "crossentropy"}, UnknownNameError, "cross_entropy"),
        ({"route": un.Route.full(3)}, RouteError, "Cannot leave the last modules"),
    ],
)
def test_options_that_cannot_be_are_refused(cifar_like, options, error, message):
    net, data = cifar_like
    with pytest.raises(error, match=message):
        path_gradients(net, data, **options)


def test_a_network_that_is_not_one_function_is_refused(cifar_like):
    _, data = cifar_like

    class Noise(nn.Module):
        def forward(self, x):
            return x * torch.rand(())

    net = un.zoo.preact_resnet(depth=8, input_shape=(3, 8, 8), seed=0)
    net.residual_modules[0].branch = Noise()
    with pytest.raises(EvaluationError, match="add up to something else"):
        path_gradients(net, data)


def test_a_study_of_routes_has_a_spectrum_each(cifar_like):
    net, data = cifar_like
    routes = [trial.route for trial in studies.delete_each(net)][:3]
    counts = [sum(row["path_count"] for row in path_gradients(net, data, route=r, draws=0)) for r in routes]
    assert counts == [2**9, 2**8, 2**8]
