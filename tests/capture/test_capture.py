"""Capture against networks that carry their own answer, and against surgery done by hand."""

from __future__ import annotations

import copy
import functools
import inspect
import sys

import pytest
import torch
from torch import nn

import unravelnet as un
from tests.capture import awkward
from unravelnet.capture.verify import relative_difference
from unravelnet.errors import CaptureError, DataError
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.walk import walk
from unravelnet.routes.route import Route

EXAMPLES: dict[type[nn.Module], object] = {
    **dict(awkward.CASES),
    awkward.OwnStatistics: awkward.IMAGES_4,
}


def made(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return kind().eval()


def fresh(example: object) -> object:
    """Copy an example: a model may change its inputs."""
    return copy.deepcopy(example)


def call(model: nn.Module, example: object) -> object:
    return model(**example) if isinstance(example, dict) else model(example)


@functools.cache
def captured(kind: type[nn.Module]) -> tuple[nn.Module, un.UnraveledNetwork]:
    """Make and capture the model of an example, for all tests of this file that look on."""
    model = made(kind)
    return model, un.unravel(model, fresh(EXAMPLES[kind]))


@pytest.mark.parametrize(("kind", "example"), awkward.CASES, ids=lambda case: getattr(case, "__name__", ""))
def test_finds_what_the_network_says_is_in_it(kind: type[nn.Module], example: object) -> None:
    model, net = captured(kind)
    assert tuple(module.kind for module in net.residual_modules) == kind.answer  # type: ignore[attr-defined]
    with torch.no_grad():
        assert relative_difference(net(fresh(example)), call(model, fresh(example))) <= 1e-6
    assert net.unexplained == ()


@pytest.mark.parametrize(
    ("kind", "example"),
    EXAMPLES.items(),
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_the_engine_runs_every_lesion_of_it_as_the_network_does(
    kind: type[nn.Module], example: object
) -> None:
    _, net = captured(kind)
    bench = Bench(net)
    lesions = [trial.route for trial in (*un.studies.delete_each(net), *un.studies.remove_skip_each(net))]
    with bench.running():
        found = dict(walk(bench.net, lesions, bench.place(fresh(example))))
        for route in lesions:
            assert relative_difference(found[route], net(fresh(example), route)) <= 1e-4, route


@pytest.mark.parametrize("place", range(2))
def test_deleting_is_what_taking_the_block_out_by_hand_is(place: int) -> None:
    model = made(awkward.Identity)
    net = un.unravel(model, awkward.VECTORS)
    by_hand = copy.deepcopy(model)
    [by_hand.first, by_hand.second][place].register_forward_hook(lambda *_: torch.zeros(()))
    expected = by_hand(awkward.VECTORS)
    assert torch.equal(net(awkward.VECTORS, net.full_route.delete(place)), expected)


def test_routes_do_what_they_say() -> None:
    model = made(awkward.Identity)
    f, g, x = model.first, model.second, awkward.VECTORS
    net = un.unravel(model, x)
    full = Route.full(2)
    expected = {
        full.remove_skip(0): f(x) + g(f(x)),
        full.swap(0, 1): x + g(x) + f(x + g(x)),
        full.keep(): x,
        Route.parse("0,0"): x + f(x) + f(x + f(x)),
    }
    for route, output in expected.items():
        torch.testing.assert_close(net(x, route), output)


def test_inplace_operations_do_not_reach_the_stream() -> None:
    net = un.unravel(made(awkward.InPlace), awkward.IMAGES_4)
    x = awkward.IMAGES_4.clone()
    module = net.residual_modules[0]
    first, second = module.branch(x), module.branch(x)
    assert torch.equal(x, awkward.IMAGES_4)
    assert torch.equal(first, second)
    assert (first < 0).any(), "the branch ends before the ReLU that follows the junction"


def test_after_belongs_to_every_module_of_a_post_norm_network_and_to_none_of_the_others() -> None:
    def n_after(kind: type[nn.Module], example: torch.Tensor) -> int:
        net = un.unravel(made(kind), example)
        return sum(not isinstance(module.after, nn.Identity) for module in net.residual_modules)

    assert n_after(awkward.PostNorm, awkward.VECTORS) == 3
    assert n_after(awkward.InPlace, awkward.IMAGES_4) == 2
    assert n_after(awkward.SharedPreactivation, awkward.IMAGES_4) == 0


def test_what_stands_between_modules_ends_a_chain() -> None:
    net = un.unravel(made(awkward.SharedPreactivation), awkward.IMAGES_4)
    assert [module.chain for module in net.residual_modules] == [0, 0, 1, 1, 1]
    assert net.compatible_with(0) == [1]
    assert net.compatible_with(3) == [4]


def test_parallel_streams_are_lesioned_one_by_one() -> None:
    model = made(awkward.TwoStreams)
    net = un.unravel(model, awkward.VECTORS)
    x = awkward.VECTORS
    for index, module in enumerate(net.residual_modules):
        layer = int(module.name.rpartition(".")[2])
        by_hand = copy.deepcopy(model)
        by_hand.layers[layer].register_forward_hook(lambda *_: torch.zeros(()))
        assert relative_difference(net(x, net.full_route.delete(index)), by_hand(x)) == 0.0


def test_inner_modules_are_modules_too() -> None:
    model = made(awkward.Nested)
    (outer,) = un.unravel(model, awkward.VECTORS).residual_modules
    assert [inner.name for inner in outer.inner] == ["inside.first", "inside.second"]
    first = outer.inner[0]
    torch.testing.assert_close(first(awkward.VECTORS), awkward.VECTORS + model.inside.first(awkward.VECTORS))


def test_parameters_are_the_models_own() -> None:
    model = made(awkward.Shared)
    net = un.unravel(model, awkward.VECTORS)
    assert {id(p) for p in net.parameters()} == {id(p) for p in model.parameters()}
    with torch.no_grad():
        model.layer.weight.zero_()
        model.layer.bias.zero_()
    assert torch.equal(net(awkward.VECTORS), awkward.VECTORS)


def test_gradients_reach_the_models_parameters() -> None:
    model = made(awkward.InPlace)
    net = un.unravel(model, awkward.IMAGES_4)
    net(awkward.IMAGES_4).square().sum().backward()
    found = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model(awkward.IMAGES_4.clone()).square().sum().backward()
    for ours, theirs in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.grad)


def snapshot(model: nn.Module) -> list[object]:
    """Everything that can be seen of a model, values included."""
    seen: list[object] = [torch.get_rng_state().tolist()]
    for name, value in model.state_dict().items():
        seen.append((name, value.tolist(), id(value) if isinstance(value, nn.Parameter) else None))
    for module in model.modules():
        own = {name: value for name, value in vars(module).items() if not isinstance(value, dict)}
        seen.append(
            (
                type(module),
                own,
                {name: len(value) for name, value in vars(module).items() if isinstance(value, dict)},
            )
        )
    return seen


@pytest.mark.parametrize("kind", [awkward.SharedPreactivation, awkward.DataDependent, awkward.Counting])
def test_the_model_is_left_as_it_was(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    model = kind().train()
    next(iter(model.children())).eval()
    before = snapshot(model)
    example = awkward.IMAGES_4 if kind is awkward.SharedPreactivation else awkward.VECTORS
    if kind is awkward.DataDependent:
        with pytest.raises(CaptureError, match="DataDependent cannot be captured"):
            un.unravel(model, example)
    else:
        un.unravel(model, example)
    assert snapshot(model) == before


@pytest.mark.parametrize(
    ("inputs", "phrase"),
    [
        ({"ids": torch.ones(3, 9, dtype=torch.long), "double": False}, "does not stand for inputs of shape"),
        ({"ids": torch.ones(20, 4, dtype=torch.long), "double": False}, "does not stand for inputs of shape"),
        ({"ids": torch.ones(3, 4, dtype=torch.long), "double": True}, "captured with the value False"),
    ],
)
def test_inputs_for_which_the_model_would_do_something_else_are_refused(inputs: object, phrase: str) -> None:
    model = made(awkward.Lengthwise)
    net = un.unravel(model, {"ids": torch.ones(3, 4, dtype=torch.long), "double": False})
    with pytest.raises(CaptureError, match=phrase):
        net(inputs)
    same = {"ids": torch.zeros(8, 5, dtype=torch.long), "double": False}
    torch.testing.assert_close(net(same), model(**same))


@pytest.mark.parametrize(
    ("kind", "n_found", "reason"),
    [
        (awkward.Chosen, 1, "hidden in a block of their own"),
        (awkward.SideBySide, 1, "two linear layers of the same value"),
    ],
)
def test_what_is_left_out_is_listed(kind: type[nn.Module], n_found: int, reason: str) -> None:
    net = un.unravel(made(kind), awkward.VECTORS)
    assert len(net.residual_modules) == n_found
    (line,) = net.unexplained
    assert reason in line


@pytest.mark.parametrize(
    "example", ["text", {}, torch.tensor(1.0), torch.zeros(0, 8), {"x": [torch.ones(2, 8)]}]
)
def test_examples_that_are_none_are_told(example: object) -> None:
    with pytest.raises(
        (CaptureError, DataError), match=r"The example|hold no tensor|must be Tensor, not list"
    ):
        un.unravel(made(awkward.Shared), example)


def test_a_shape_in_the_place_of_an_example_is_told() -> None:
    with pytest.raises(DataError, match=r"\(3, 32, 32\) are numbers.*torch\.randn\("):
        un.unravel(made(awkward.Shared), (3, 32, 32))


def test_a_constant_made_inside_a_module_may_be_read_elsewhere() -> None:
    class Constant(nn.Module):
        """A mask of ones takes its type from inside the first block, and the second block reads it."""

        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(11, 8)
            self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x = self.embedding(ids)
            y = self.layers[0](x).relu()
            ones = y.new_ones(*x.shape[:2], 1)
            x = x + y
            return x + self.layers[1](x).relu() * ones

    model, ids = Constant().eval(), torch.arange(12).view(3, 4) % 11
    net = un.unravel(model, ids)
    assert (len(net.residual_modules), net.unexplained) == (2, ())
    x = model.embedding(ids)
    torch.testing.assert_close(net(ids, net.full_route.delete(0)), x + model.layers[1](x).relu())


def test_a_long_skip_around_hundreds_of_blocks_needs_no_recursion() -> None:
    n_blocks = 200

    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x
            for _ in range(n_blocks):
                y = y + self.layer(y)
            return x + y.relu()

    before = sys.getrecursionlimit()
    # Enough for torch, and too little for two calls a block.
    sys.setrecursionlimit(len(inspect.stack(0)) + 2 * n_blocks)
    try:
        (outer,) = un.unravel(Deep().eval(), torch.randn(2, 2)).residual_modules
    finally:
        sys.setrecursionlimit(before)
    assert len(outer.inner) == n_blocks


def test_any_batch_size_and_length_runs() -> None:
    model = made(awkward.Masked)
    net = un.unravel(model, {"ids": torch.tensor([[1, 2, 3]]), "mask": torch.ones(1, 3, dtype=torch.long)})
    inputs = {"mask": torch.tensor([[1, 1, 1, 0, 0]] * 7), "ids": torch.randint(0, 11, (7, 5))}
    torch.testing.assert_close(net(inputs), model(**inputs))


def test_inputs_of_another_form_are_refused() -> None:
    net = un.unravel(made(awkward.Masked), dict(awkward.CASES)[awkward.Masked])
    with pytest.raises(CaptureError, match="captured for a dict with"):
        net(torch.zeros(2, 3, dtype=torch.long))


@pytest.mark.parametrize(
    ("kind", "phrase"),
    [
        (awkward.Recurrent, "it is recurrent"),
        (awkward.Branches, "concatenations: 3"),
        (awkward.DataDependent, "data-dependent control flow"),
        (awkward.Single, "learned layers: 1 .*, sums: 0"),
        (awkward.FixedBatch, "fixes its batch size"),
        (awkward.ReadsLength, r"fixes its batch size.* \(x\.shape\[0\], and not len\(x\)\)"),
        (awkward.RecurrentWithHead, "it is recurrent"),
    ],
)
def test_refuses_with_what_stands_in_the_way(kind: type[nn.Module], phrase: str) -> None:
    example = awkward.TOKENS if issubclass(kind, awkward.Recurrent) else awkward.VECTORS
    with pytest.raises(CaptureError, match=phrase):
        un.unravel(made(kind), example)


def test_additions_that_were_not_understood_are_listed() -> None:
    class Leaky(nn.Module):
        """x + g(f(x)), and what is inside the branch is read elsewhere."""

        def __init__(self) -> None:
            super().__init__()
            self.f, self.g, self.h = (nn.Linear(8, 8) for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inside = self.f(x).relu()
            y = x + self.g(inside)
            return torch.cat([y + self.h(y).relu(), inside], dim=-1)

    net = un.unravel(Leaky().eval(), awkward.VECTORS)
    assert len(net.residual_modules) == 1
    assert len(net.unexplained) == 1
    assert "not understood" in repr(net)


def test_a_network_that_differs_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from unravelnet.network import ResidualModule

    monkeypatch.setattr(ResidualModule, "join", lambda self, skip, branch, held: skip)
    with pytest.raises(CaptureError, match=r"module 0 \(first"):
        un.unravel(made(awkward.Identity), awkward.VECTORS)
