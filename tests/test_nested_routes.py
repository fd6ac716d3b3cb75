"""Scaled, parallel and nested visits against a plain reading of the route, all of them together."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.nested import nested_network, read_plainly, routes
from unravelnet import zoo
from unravelnet.errors import RouteError
from unravelnet.measuring.walk import walk
from unravelnet.network import ResidualModule, UnraveledNetwork
from unravelnet.routes.route import Route
from unravelnet.zoo.unet import LongSkip

NET = nested_network()
X = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def same(found: Tensor, expected: Tensor) -> bool:
    return torch.allclose(found, expected, rtol=1e-10, atol=1e-10)


@settings(max_examples=60)
@given(st.lists(routes(), min_size=1, max_size=5))
def test_routes_are_what_they_read_as(chosen: list[Route]) -> None:
    with torch.no_grad():
        together = dict(walk(NET, chosen, X))
        for route in chosen:
            expected = read_plainly(NET, X, route)
            assert same(NET(X, route), expected), route
            assert same(together[route], expected), route


@given(routes())
def test_the_text_of_such_a_route_is_canonical(route: Route) -> None:
    assert Route.parse(str(route)) == route
    assert str(Route.parse(str(route))) == str(route)


def test_what_routes_share_runs_once() -> None:
    calls: list[str] = []
    net = nested_network()
    for row, place in ((net, ""), (net.residual_modules[3].branch, "3.")):
        for module in row.residual_modules:
            module.branch.register_forward_hook(lambda *_, name=f"{place}{module.index}": calls.append(name))
    full = net.full_route
    inside = Route.full(3)
    doses = [full.scale(dose, 5) for dose in (0.5, 1.5, 2)]
    spans = [Route.parse(text) for text in ("(0-2),3-5", "(0-1,2*0.5),3-5", "(0-1,3),3-5")]
    nested = [full.inside(3, inside.delete(module)) for module in (1, 2)]
    with torch.no_grad():
        list(walk(net, [*doses, *nested], X))
        # Each branch runs once for all doses, and once more behind each nested visit; inside, module 0 runs once.
        assert calls.count("5") == 3
        assert [calls.count(name) for name in ("3.0", "3.1", "3.2")] == [2, 2, 2]
        calls.clear()
        list(walk(net, spans, X))
    assert [calls.count(name) for name in ("0", "1", "2", "3")] == [1, 1, 1, 4]


@pytest.mark.parametrize("junction", ["add", "concatenate"])
def test_the_levels_of_a_u_net_are_entered(junction: LongSkip) -> None:
    net = zoo.unet(junction=junction, widths=(2, 3, 4, 5), input_shape=(1, 8, 8), seed=0).double().eval()
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    texts = [
        "0",
        "0[0]",
        "0[0[0]]",
        "0[0s]",
        "0[0[0s]]",
        "0[0[0b]]",
        "0[0[0*0.5]*2]*0.5",
        "0[0b]b",
    ]
    with torch.no_grad():
        for route in map(Route.parse, texts):
            assert same(net(x, route), read_plainly(net, x, route)), route
        for whole in ("0[0]", "0[0[0]]"):
            assert torch.equal(net(x, Route.parse(whole)), net(x))


def test_a_highway_network_reads_its_routes() -> None:
    net = zoo.highway(10, widths=(2, 3), input_shape=(1, 4, 4), seed=0).double().eval()
    x = torch.randn(2, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for text in ("0*0.5,1-5", "0,1*2,2-5", "(0,2),3-5", "(0-2*0.5),(3,5)", "0b,1s,2-5"):
            route = Route.parse(text)
            assert same(net(x, route), read_plainly(net, x, route)), text


# -- refusals --


def small(*modules: ResidualModule, transitions: tuple[nn.Module, ...] = ()) -> UnraveledNetwork:
    return UnraveledNetwork(
        nn.Identity(), modules, nn.Identity(), example=torch.zeros(1, 2), transitions=transitions
    )


def linear(n_out: int = 2, **more: object) -> ResidualModule:
    return ResidualModule(nn.Linear(2, n_out), nn.Identity(), **more)


@pytest.mark.parametrize(
    ("net", "text", "message"),
    [
        (small(linear(), ResidualModule(nn.Linear(2, 2), None)), "(0-1)", "module 1 .* it is a plain layer"),
        (
            small(linear(), ResidualModule(nn.Linear(2, 2), nn.Linear(2, 2))),
            "(0-1)",
            "Cannot put module 1 .* of modules 0, 1: its skip computes something",
        ),
        (
            small(linear(), linear(chain=1), transitions=(nn.Tanh(),)),
            "(0-1)",
            "module 1 .* another chain than module 0",
        ),
        (NET, "(3-4),5", "module 4 .* its concatenate gives another shape"),
        (
            small(linear(), linear(after=nn.Tanh())),
            "(0-1)",
            "module 1 .* what comes after its junction is not",
        ),
        (small(linear()), "0[0s]", "No route leads into module 0 .*: it has no residual modules inside"),
        (NET, "0-2,3[3],4-5", "Inside module 3 .*: There is no module 3: its branch has 3 residual modules"),
        (NET, "0-2,3[0-1,2[2]],4-5", "Inside module 3 .*: Inside module 2 .*: There is no module 2"),
        (
            small(ResidualModule(nn.Linear(2, 2), None)),
            "0*0.5",
            "Cannot scale module 0 .*: a plain layer has no skip",
        ),
        (NET, "0,1b*0.5,2-5", "Cannot scale module 1 .* without its skip: its junction is a gate"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(net: UnraveledNetwork, text: str, message: str) -> None:
    with pytest.raises(RouteError, match=message):
        net.check(Route.parse(text))


def test_what_follows_junctions_is_compared_by_what_it_computes() -> None:
    first, second = nn.LayerNorm(2), nn.LayerNorm(2)
    net = small(linear(after=first), linear(after=second))
    assert net.check(Route.parse("(0-1)"))
    with torch.no_grad():
        second.weight.fill_(2.0)
    with pytest.raises(RouteError, match="what comes after its junction is not"):
        net.check(Route.parse("(0-1)"))
