"""Modules, chains and checks against arithmetic done by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from unravelnet import zoo
from unravelnet.errors import CheckpointError, DataError, RouteError
from unravelnet.network import ResidualModule, UnraveledNetwork
from unravelnet.routes.route import Route


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x


def scalar_net(*modules: ResidualModule, transitions: tuple[nn.Module, ...] = ()) -> UnraveledNetwork:
    return UnraveledNetwork(
        nn.Identity(), modules, nn.Identity(), transitions=transitions, example=torch.ones(1, 1)
    )


X = torch.tensor([[1.0]])


def test_the_unraveled_sum_of_linear_branches() -> None:
    # Branches 2x, 3x, 5x: the product (1 + 2)(1 + 3)(1 + 5) has one term a path.
    net = scalar_net(*(ResidualModule(Times(f), nn.Identity()) for f in (2.0, 3.0, 5.0)))
    full = Route.full(3)
    assert net(X).item() == 3 * 4 * 6
    assert net(X, full.delete(1)).item() == 3 * 6
    assert net(X, full.remove_skip(1)).item() == 3 * 3 * 6
    assert net(X, full.keep()).item() == 1
    paths = [
        full.keep(*kept).remove_skip(*kept) for kept in ([], [0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2])
    ]
    assert sum(net(X, path).item() for path in paths) == 3 * 4 * 6


def test_after_applies_in_every_mode() -> None:
    net = scalar_net(ResidualModule(Times(2.0), nn.Identity(), Times(10.0)))
    outputs = [net(X, route).item() for route in (Route.full(1), Route.parse("0s"), Route.parse("0b"))]
    assert outputs == [30, 10, 20]


def test_branch_scale_acts_in_evaluation_mode_only() -> None:
    net = scalar_net(ResidualModule(Times(2.0), nn.Identity(), branch_scale=0.25))
    assert net.train()(X).item() == 3
    assert net.eval()(X).item() == 1.5


def test_a_plain_layer_is_deleted_to_the_identity() -> None:
    net = scalar_net(ResidualModule(Times(2.0), None), ResidualModule(Times(3.0), None))
    assert [module.kind for module in net.residual_modules] == ["plain", "plain"]
    assert (net(X).item(), net(X, Route.parse("0s,1")).item()) == (6, 3)


def test_transitions_are_passed_once_whatever_the_route() -> None:
    modules = [ResidualModule(Times(0.0), nn.Identity(), chain=chain) for chain in (0, 0, 1)]
    net = scalar_net(*modules, transitions=(Times(7.0),))
    for text in ("0-2", "0s,1-2", "1,0,2", "none", "0,0,0", "2,2"):
        assert net(X, Route.parse(text)).item() == 7, text


def test_macs_and_parameters_of_a_convolution() -> None:
    branch = nn.Conv2d(4, 4, 3, padding=1, bias=False)
    net = UnraveledNetwork(
        nn.Identity(), [ResidualModule(branch, nn.Identity())], nn.Flatten(), example=torch.zeros(2, 4, 8, 8)
    )
    (module,) = net.residual_modules
    assert (module.macs, module.n_parameters) == (4 * 4 * 9 * 64, 4 * 4 * 9)
    assert (module.input_shape, net.total_macs) == ((4, 8, 8), module.macs)


def test_macs_of_resnet_110_are_those_of_the_paper() -> None:
    # He et al. 2015: 6n + 2 layers; 0.253 billion multiply-adds at 32 x 32 by the formula below.
    stages = ((16, 32), (32, 16), (64, 8))
    convolutions = sum((36 if width == 16 else 35) * 9 * width**2 * size**2 for width, size in stages)
    strided = sum(9 * width * (2 * width) * (size // 2) ** 2 for width, size in stages[:2])
    projections = sum(width * (2 * width) * (size // 2) ** 2 for width, size in stages[:2])
    stem_and_head = 27 * 16 * 32**2 + 640
    assert zoo.preact_resnet(depth=110).total_macs == convolutions + strided + projections + stem_and_head


def two_stages() -> UnraveledNetwork:
    modules = [
        ResidualModule(nn.Linear(2, 2), nn.Identity()),
        ResidualModule(nn.Linear(2, 2), nn.Identity()),
        ResidualModule(nn.Linear(2, 3), nn.Linear(2, 3)),
        ResidualModule(nn.Linear(3, 3), nn.Identity()),
        ResidualModule(nn.Linear(3, 4), None),
    ]
    return UnraveledNetwork(nn.Identity(), modules, nn.Identity(), example=torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("0,2,1,3-4", r"module 1 .* after module 2 .*its input would have the shape 3"),
        ("0-1,3-4", r"its input would have the shape 2.*`net.compatible_with\(1\)` .*: 0\."),
        ("0-3,4s", "a plain layer has no skip"),
        ("0-3", r"expects 4, and 3 arrives"),
        ("0-5", "There is no module 5: .* numbered 0 to 4"),
    ],
)
def test_routes_that_do_not_fit_are_refused_with_what_would(text: str, phrase: str) -> None:
    with pytest.raises(RouteError, match=phrase):
        two_stages()(torch.zeros(1, 2), Route.parse(text))


def test_compatible_modules_can_be_swapped_and_others_cannot() -> None:
    net = two_stages()
    full, indices = net.full_route, range(5)
    for first in indices:
        for second in indices:
            fits = first == second or second in net.compatible_with(first)
            if fits:
                net.check(full.swap(first, second))
            else:
                with pytest.raises(
                    RouteError, match=r"Cannot visit module \d .* its input would have the shape"
                ):
                    net.check(full.swap(first, second))


def test_the_fingerprint_is_that_of_the_values() -> None:
    torch.manual_seed(0)
    net = two_stages()
    before = net.fingerprint()
    assert before == net.fingerprint()
    with torch.no_grad():
        net.residual_modules[3].branch.bias[0] += 1e-6
    assert net.fingerprint() != before


def test_the_fingerprint_tells_functions_apart_that_share_their_weights() -> None:
    def prints(branch: nn.Module, after: nn.Module | None = None) -> str:
        return scalar_net(ResidualModule(branch, nn.Identity(), after)).fingerprint()

    same, others = prints(Times(2.0)), [prints(Times(3.0)), prints(nn.ReLU()), prints(nn.GELU())]
    others += [prints(nn.LeakyReLU(0.1)), prints(nn.LeakyReLU(0.2)), prints(Times(2.0), nn.ReLU())]
    assert same == prints(Times(2.0))
    assert len({same, *others}) == 1 + len(others)


def test_the_fingerprint_is_that_under_which_results_are_stored() -> None:
    # Golden: a store of an earlier version names its networks so, and its rows are to be found again.
    branch, head = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    for layer in (branch, head):
        nn.init.eye_(layer.weight)
    module = ResidualModule(branch, nn.Identity(), nn.ReLU())
    net = UnraveledNetwork(nn.Identity(), [module], head, example=torch.zeros(1, 2))
    assert net.fingerprint() == "75c7de08902f0b2a"


def test_an_inplace_after_leaves_the_stream_alone() -> None:
    net = scalar_net(ResidualModule(Times(1.0), nn.Identity(), nn.ReLU(inplace=True)))
    x = torch.tensor([[-1.0]])
    assert net(x, Route.parse("0s")).item() == 0
    assert x.item() == -1


def test_making_a_network_changes_no_mode() -> None:
    branch = nn.BatchNorm1d(1).eval()
    scalar_net(ResidualModule(branch, nn.Identity()))
    assert not branch.training


def test_the_fingerprint_covers_every_dtype() -> None:
    net = scalar_net(ResidualModule(nn.BatchNorm1d(1), nn.Identity()))
    assert (
        net.to(torch.bfloat16).fingerprint()
        != scalar_net(ResidualModule(Times(1), nn.Identity())).fingerprint()
    )


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(CheckpointError, match="does not hold the weights of this network"):
        two_stages().load_weights(zoo.preact_resnet(depth=8).state_dict())


def test_printing_shows_a_row_a_module() -> None:
    lines = repr(zoo.preact_resnet(depth=20)).splitlines()
    assert len(lines) == 2 + 9
    assert lines[5].split()[:6] == ["3", "stage2.0", "projection", "16×32×32", "32×16×16", "14432"]


def test_downsampling_lists_the_modules_that_change_the_shape() -> None:
    # He et al. (2016): the first unit of the second and of the third group.
    assert zoo.preact_resnet(depth=20).downsampling == [3, 6]


def test_stages_begin_where_the_stream_gets_another_shape() -> None:
    assert zoo.preact_resnet(depth=20).stages == [0, 3, 6]
    # Maps are halved between its groups of 2, 2, 3, 3 and 3 convolutions, of which the first is the stem.
    assert zoo.vgg15().stages == [0, 1, 3, 6, 9, 12]


@pytest.mark.parametrize(
    ("inputs", "given"),
    [
        (torch.zeros(2, 1, 8, 8), r"1×8×8 \(float32\)"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.float64), r"3×8×8 \(float64\)"),
        (torch.zeros(2, 3), r"3 \(float32\)"),
        ("digits", "no tensors"),
        (None, "no tensors"),
    ],
)
def test_a_network_says_which_inputs_it_takes(inputs: object, given: str) -> None:
    net = zoo.preact_resnet(8, input_shape=(3, 8, 8))
    with pytest.raises(DataError, match=rf"inputs of {given}, and it was made with 3×8×8 \(float32\)"):
        net(inputs)
    with pytest.raises(DataError, match=rf"The call gives preact-resnet8 inputs of {given}"):
        net(inputs, net.full_route.delete(1))


def test_an_error_that_the_inputs_do_not_explain_stays_as_it_is() -> None:
    class Fails(nn.Module):
        fails = False

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.fails:
                raise RuntimeError("of its own")
            return x

    branch = Fails()
    net = scalar_net(ResidualModule(branch, nn.Identity()))
    branch.fails = True
    with pytest.raises(RuntimeError, match=r"^of its own$"):
        net(X)
