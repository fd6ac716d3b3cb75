"""The gradient by path length against all paths one at a time, closed forms, and autograd."""

import itertools
import math

import pytest
import torch
from torch import nn

import unravelnet as un
from tests.gradient.networks import (
    FoldedPositions,
    TwoTowers,
    gradient_along,
    gradients_of_all_paths,
    linear_network,
    some_modules,
)
from unravelnet import path_gradients, studies
from unravelnet.errors import EvaluationError, RouteError, UnforeseenError, UnknownNameError
from unravelnet.mathematics.decay import fit_decay

KINDS = ("pre-activation", "post-activation", "post-norm", "all junctions")


@pytest.fixture(scope="module", params=KINDS)
def brute_force(request):
    net, data = some_modules(request.param)
    assert len(net.residual_modules) == (8 if request.param == "all junctions" else 6)
    return net, data, gradients_of_all_paths(net, *data)


def image_norms(gradients):
    """Norms of gradients [paths, images, ...] a path and image."""
    return gradients.flatten(2).norm(dim=2)


def test_exact_is_the_sum_over_all_paths(brute_force):
    net, data, paths = brute_force
    table = path_gradients(net, data, draws=0)
    assert [row["path_count"] for row in table] == [len(gradients) for gradients in paths]
    for row, gradients in zip(table, paths, strict=True):
        expected = gradients.sum(dim=0).flatten(1).norm(dim=1).mean().item()
        assert row["length_gradient_norm"] == pytest.approx(expected, rel=1e-9)


def test_exact_in_float32_is_the_sum_over_all_paths(brute_force):
    net, (inputs, targets), paths = brute_force
    try:
        table = path_gradients(net.float(), (inputs.float(), targets), draws=0)
    finally:
        net.double()
    for row, gradients in zip(table, paths, strict=True):
        expected = gradients.sum(dim=0).flatten(1).norm(dim=1).mean().item()
        assert row["length_gradient_norm"] == pytest.approx(expected, rel=1e-5)
    assert table[0]["gradient_error"] < 1e-6


def test_rms_is_within_three_standard_errors_of_all_paths(brute_force):
    net, data, paths = brute_force
    table = path_gradients(net, data, method="rms", draws=50)
    for row, gradients in zip(table, paths, strict=True):
        expected = image_norms(gradients).square().mean().sqrt().item()
        error = 3 * row["path_gradient_rms_se"] + 1e-9 * expected
        assert row["path_gradient_rms"] == pytest.approx(expected, abs=error)


def test_sampled_is_within_its_error_of_all_paths(brute_force):
    net, data, paths = brute_force
    table = path_gradients(net, data, method="sampled", draws=60, confidence=0.999)
    for row, gradients in zip(table, paths, strict=True):
        expected = image_norms(gradients).mean().item()
        slack = 1e-9 * expected
        assert row["path_gradient_norm_low"] - slack <= expected <= row["path_gradient_norm_high"] + slack
        assert row["path_gradient_norm_q05"] <= row["path_gradient_norm_q50"] <= row["path_gradient_norm_q95"]


def test_sampled_per_batch_takes_one_path_for_the_batch(brute_force):
    net, data, paths = brute_force
    table = path_gradients(net, data, method="sampled", per="batch", draws=40, confidence=0.999)
    assert table[0]["n_draws"] == 40
    for row, gradients in zip(table, paths, strict=True):
        # The gradient of the mean loss of both images, as one vector.
        expected = (gradients / 2).flatten(1).norm(dim=1).mean().item()
        slack = 1e-9 * expected
        assert row["path_gradient_norm_low"] - slack <= expected <= row["path_gradient_norm_high"] + slack


def test_coherence_is_the_sum_over_what_single_paths_have(brute_force):
    net, data, paths = brute_force
    table = path_gradients(net, data, draws=120)
    for row, gradients in zip(table, paths, strict=True):
        single = len(gradients) * image_norms(gradients).mean().item()
        whole = gradients.sum(dim=0).flatten(1).norm(dim=1).mean().item()
        assert row["coherence"] == pytest.approx(whole / single, rel=0.2)
    assert table[0]["coherence"] == pytest.approx(1) == table[-1]["coherence"]


@pytest.fixture(scope="module")
def pre_activation():
    return some_modules("pre-activation")


def test_the_interval_of_the_root_mean_square_is_as_wide_as_its_error(pre_activation):
    net, data = pre_activation
    paths = gradients_of_all_paths(net, *data)
    truth = [image_norms(gradients).square().mean().sqrt().item() for gradients in paths]
    inside = 0
    n_lengths = len(truth) - 2
    for seed in range(12):
        table = path_gradients(net, data, method="rms", draws=8, seed=seed)
        inside += sum(
            abs(row["path_gradient_rms"] - value) < 2 * row["path_gradient_rms_se"]
            for row, value in list(zip(table, truth, strict=True))[1:-1]
        )
    # 2 standard errors of 8 draws cover about 91 %; those of different lengths hang together.
    assert 0.8 < inside / (12 * n_lengths) < 0.99


def test_quantiles_are_those_of_all_paths(brute_force):
    net, data, paths = brute_force
    table = path_gradients(net, data, method="sampled", draws=150)
    for row, gradients in zip(table, paths, strict=True):
        norms = image_norms(gradients).flatten()
        for share in (0.25, 0.75):
            found = row[f"path_gradient_norm_q{round(100 * share)}"]
            below = (norms <= found * (1 + 1e-9)).double().mean().item()
            above = (norms < found * (1 - 1e-9)).double().mean().item()
            assert above - 0.1 <= share <= below + 0.1


@pytest.mark.parametrize(
    "change",
    [
        lambda route: route.swap(0, 1).delete(1),
        lambda route: route.remove_skip(0, 4).delete(5),
        lambda route: route.repeat(4, 6),
        lambda route: route.reverse(3, 6),
    ],
)
def test_any_route_is_the_sum_over_its_paths(pre_activation, change):
    net, (inputs, targets) = pre_activation
    route = change(net.full_route)
    table = path_gradients(net, (inputs, targets), route=route, draws=0)
    found = [torch.zeros(())] * (len(route) + 1)
    counts = [0] * (len(route) + 1)
    ways = [{"both": (False, True), "skip": (False,), "branch": (True,)}[step.mode] for step in route.steps]
    for code in itertools.product(*ways):
        counts[sum(code)] += 1
        found[sum(code)] = found[sum(code)] + gradient_along(net, inputs, targets, code, route)
    for length, row in enumerate(table):
        assert row["path_count"] == counts[length]
        expected = found[length].flatten(1).norm(dim=1).mean().item() if counts[length] else 0
        assert row["length_gradient_norm"] == pytest.approx(expected, rel=1e-8, abs=1e-14)


def test_parallel_streams_are_split_by_the_branches_on_the_way():
    torch.manual_seed(0)
    model = TwoTowers().double()
    inputs, targets = torch.randn(3, 3, dtype=torch.float64), torch.tensor([0, 1, 2])
    net = un.unravel(model, inputs)
    assert len(net.residual_modules) == 4
    table = path_gradients(net, (inputs, targets))
    assert [row["path_count"] for row in table] == [None] * len(table)
    # In each linear tower: g, (J1 + J2)^T g, (J2 J1)^T g.
    logits = model(inputs)
    g = (logits.softmax(dim=1) - nn.functional.one_hot(targets, 3)) @ model.head.weight
    parts: list[list[torch.Tensor]] = [[], [], []]
    for tower in range(2):
        first, second = model.layers[tower].weight, model.layers[tower + 2].weight
        arriving = g[:, 4 * tower : 4 * tower + 4]
        for length, part in enumerate((arriving, arriving @ (first + second), arriving @ second @ first)):
            parts[length].append(part)
    for row, part in zip(table, parts, strict=False):
        expected = torch.cat(part, dim=1).norm(dim=1).mean().item()
        assert row["length_gradient_norm"] == pytest.approx(expected)
    assert all(row["length_gradient_norm"] == 0 for row in list(table)[3:])
    with pytest.raises(EvaluationError, match="several streams side by side"):
        path_gradients(net, (inputs, targets), method="rms")


def test_positions_that_are_folded_into_the_batch_share_the_draws_of_their_image():
    torch.manual_seed(0)
    inputs, targets = torch.randn(2, 4, 6), torch.tensor([0, 2])
    net = un.unravel(FoldedPositions(), inputs).double()
    data = (inputs.double(), targets)
    paths = gradients_of_all_paths(net, *data)
    table = path_gradients(net, data, method="rms", draws=100)
    sampled = path_gradients(net, data, method="sampled", draws=300)
    for row, drawn, gradients in zip(table, sampled, paths, strict=True):
        norms = image_norms(gradients)
        expected = norms.square().mean().sqrt().item()
        error = 4 * row["path_gradient_rms_se"] + 1e-9 * expected
        assert row["path_gradient_rms"] == pytest.approx(expected, abs=error)
        assert drawn["path_gradient_norm"] == pytest.approx(norms.mean().item(), rel=0.05)


def test_a_model_that_puts_positions_first_is_refused():
    class PositionsFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(2))

        def forward(self, x):
            x = x.transpose(0, 1) * 1.0
            for layer in self.layers:
                x = x + layer(x)
            return x.transpose(0, 1).mean(dim=1)

    net = un.unravel(PositionsFirst(), torch.randn(3, 3, 6))
    with pytest.raises(EvaluationError, match="does not keep images apart"):
        path_gradients(net, (torch.randn(3, 3, 6), torch.tensor([0, 1, 2])))


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
    table = path_gradients(net, data, draws=0)
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
    table = path_gradients(net, (inputs, targets), at="input", draws=0)
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


@pytest.mark.parametrize(
    ("method", "name"),
    [("exact", "length_gradient_norm"), ("rms", "path_gradient_rms"), ("sampled", "path_gradient_norm")],
)
def test_tiny_gradients_of_long_paths_are_not_lost_in_float32(method, name):
    # 0.001^60 is far below the smallest float32, and its square below the smallest float64.
    net = linear_network([0.001 * torch.eye(4) for _ in range(60)])
    table = path_gradients(net, (torch.randn(2, 4), torch.tensor([0, 1])), method=method, draws=2)
    assert math.log10(table[60][name] / table[0][name]) == pytest.approx(-180, abs=1e-3)


def test_the_loss_of_an_image_that_is_very_sure_is_split_too():
    net = linear_network([0.5 * torch.eye(2)] * 3)
    # A logit 28 above the other: a gradient of about 1e-42, below the smallest normal float32.
    inputs = torch.tensor([[28.0, -0.6]])
    table = path_gradients(net, (inputs, torch.tensor([0])), method="sampled", draws=1)
    norms = [row["path_gradient_norm"] for row in table]
    assert norms == pytest.approx([norms[0] * 0.5**k for k in range(4)], rel=0.2)
    assert norms[0] > 0


@pytest.mark.parametrize("n_longest", [0, 2])
def test_lengths_without_paths_have_no_norm_of_a_path(n_longest):
    net = un.zoo.plain(depth=8, input_shape=(1, 8, 8), seed=0)
    table = path_gradients(net, (torch.randn(2, 1, 8, 8), torch.tensor([0, 1])), max_length=n_longest)
    assert [row["path_count"] for row in table] == [0] * (n_longest + 1)
    assert all(row["path_gradient_norm"] is None and row["length_gradient_norm"] == 0 for row in table)


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


def test_a_captured_network_takes_the_statistics_of_the_batch_too():
    zoo_net = un.zoo.preact_resnet(depth=8, input_shape=(3, 8, 8), seed=0)
    generator = torch.Generator().manual_seed(0)
    data = (torch.randn(6, 3, 8, 8, generator=generator), torch.tensor([0, 1, 2, 3, 4, 5]))
    model = nn.Sequential(zoo_net.stem, *(Module(m) for m in zoo_net.residual_modules), zoo_net.head).eval()
    captured = un.unravel(model, data[0])
    options = {"method": "sampled", "per": "batch", "draws": 1, "normalisation": "batch"}
    for a, b in zip(
        path_gradients(zoo_net, data, **options), path_gradients(captured, data, **options), strict=True
    ):
        assert a["path_gradient_norm"] == pytest.approx(b["path_gradient_norm"], rel=1e-4)


class Module(nn.Module):
    """A residual module as a user would write it."""

    def __init__(self, module):
        super().__init__()
        self.skip, self.branch = module.skip, module.branch

    def forward(self, x):
        return self.skip(x) + self.branch(x)


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
    assert table[0]["loss_name"] == "squared_norm"
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


def test_a_network_is_given_back_after_an_exception():
    net = linear_network([torch.eye(4)] * 2).train()
    next(iter(net.parameters())).requires_grad_(False)

    def break_down(output, targets):
        raise RuntimeError("down")

    with pytest.raises(UnforeseenError, match="RuntimeError: down"):
        path_gradients(net, (torch.randn(2, 4), torch.tensor([0, 1])), loss=break_down)
    assert net.training
    assert [p.requires_grad for p in net.parameters()] == [False, True]


def test_a_loss_that_is_not_one_an_image_is_refused(cifar_like):
    net, data = cifar_like
    with pytest.raises(EvaluationError, match="one value an image"):
        path_gradients(net, data, loss=lambda output, targets: output.mean())


def test_a_gradient_that_is_not_finite_is_refused():
    class Root(nn.Module):
        def forward(self, x):
            return x.abs().sqrt()

    net = linear_network([torch.eye(4)] * 2)
    net.residual_modules[0].branch = Root()
    for method in ("exact", "rms", "sampled"):
        with pytest.raises(EvaluationError, match="not finite"):
            path_gradients(net, (torch.zeros(2, 4), torch.tensor([0, 1])), method=method)


def test_a_network_in_bfloat16_is_refused():
    net = linear_network([torch.eye(4, dtype=torch.bfloat16)] * 2)
    with pytest.raises(EvaluationError, match=r"net\.float\(\)"):
        path_gradients(net, (torch.randn(2, 4).bfloat16(), torch.tensor([0, 1])))


def test_paths_of_one_image_are_no_measurements_of_others(cifar_like):
    net, (inputs, targets) = cifar_like
    few = inputs[:3], targets[:3]
    exact = path_gradients(net, few, draws=0)[0]
    sampled = path_gradients(net, few, method="sampled", draws=20)[0]
    # The only path of length 0: its norm differs between images alone, however often it is drawn.
    for end in ("", "_low", "_high"):
        assert sampled[f"path_gradient_norm{end}"] == pytest.approx(exact[f"length_gradient_norm{end}"])


def test_a_last_batch_that_is_smaller_is_left_out_of_measurements_of_batches(cifar_like):
    net, (inputs, targets) = cifar_like
    whole = path_gradients(net, (inputs[:4], targets[:4]), per="batch", batch_size=4, draws=0)
    ragged = path_gradients(net, (inputs, targets), per="batch", batch_size=4, draws=0)
    assert whole[0]["gradient_norm"] == pytest.approx(ragged[0]["gradient_norm"])


def test_images_of_a_stream_that_is_read_once(cifar_like):
    net, (inputs, targets) = cifar_like
    table = path_gradients(net, iter([(inputs, targets)]), method="sampled", draws=50)
    assert table[0]["n_draws"] == 5


@pytest.mark.parametrize("n_modules", [1, 4, 9])
def test_it_costs_half_n_squared_products_with_a_branch(n_modules):
    class Counting(nn.Linear):
        n_backward = 0

        def forward(self, x):
            y = super().forward(x)
            if y.requires_grad:
                y.register_hook(self.count)
            return y

        def count(self, gradient):
            Counting.n_backward += 1

    net = linear_network([torch.eye(3)] * n_modules)
    for module in net.residual_modules:
        counting = Counting(3, 3, bias=False)
        counting.load_state_dict(module.branch.state_dict())
        module.branch = counting
    inputs = torch.randn(1, 3)
    path_gradients(net, (inputs, torch.tensor([0])), method="rms", draws=1)
    checked = n_modules  # one ordinary backward pass, to see that images are kept apart
    assert Counting.n_backward - checked == n_modules * (n_modules + 1) // 2


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
