"""Which output is measured: against the same tensor taken by hand, and as sentences where there is none."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import unravelnet as un
from unravelnet.errors import EvaluationError, UnknownNameError
from unravelnet.measuring.reach import unreached_modules
from unravelnet.network.output import Output, tensors_of

Pair = namedtuple("Pair", "scores features")


@dataclass
class Made:
    scores: torch.Tensor
    note: str = "text"


class TwoModules(nn.Module):
    """Two residual modules on images; `form` makes what is returned of both streams and the head."""

    def __init__(self, form: Any) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(4, 2, 1)
        self.a, self.b = nn.Conv2d(4, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 1, 1)
        self.form = form

    def forward(self, image: torch.Tensor) -> Any:
        y = self.stem(image)
        first = y + self.a(y).relu()
        return self.form(self.head(first), self.head(first + self.b(first).relu()))


def network(form: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return un.unravel(TwoModules(form).eval(), torch.randn(4, 3, 6, 6), name="two")


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def measured(net: Any, data: Any, metrics: list[str], **options: Any) -> dict[str, Any]:
    return dict(un.evaluate(net, [net.full_route.delete(1)], data, metrics=metrics, **options)[0])


# -- names --


@pytest.mark.parametrize("key", ["", "out", "0", "a/b", "a:b", "a:1", "::", "-1"])
@pytest.mark.parametrize("class_dim", [None, 0, 1, -1])
def test_the_text_of_an_output_parses_back(key: str, class_dim: int | None) -> None:
    output = Output(key, class_dim)
    assert Output.parse(str(output)) == output


def test_a_colon_without_a_dimension_is_told() -> None:
    with pytest.raises(
        EvaluationError, match="'logits:last' names no output: what is behind the colon is a dim"
    ):
        Output.of("logits:last")


@pytest.mark.parametrize("asked", [1.0, True, ("a", 1), b"x"])
def test_what_is_no_name_is_told(asked: Any) -> None:
    with pytest.raises(EvaluationError, match="An output cannot be named by"):
        Output.of(asked)


@pytest.mark.parametrize(
    ("returned", "asked", "key"),
    [
        (torch.ones(2, 3), None, "output"),
        ((torch.ones(2, 3), None), None, "0"),
        ((None, torch.ones(2, 3)), None, "1"),
        ([torch.zeros(2, 5), torch.ones(2, 3)], 1, "1"),
        ([torch.zeros(2, 5), torch.ones(2, 3)], -1, "1"),
        ({"loss": torch.zeros(()), "logits": torch.ones(2, 3)}, None, "logits"),
        ({"aux": torch.zeros(2, 3), "out": torch.ones(2, 3)}, None, "out"),
        ({"7": torch.zeros(2, 3), "0": torch.ones(2, 3)}, "0", "0"),
        ({"a": torch.zeros(2, 3), "b": [torch.zeros(2, 1), torch.ones(2, 3)]}, "b/1", "b/1"),
        (SimpleNamespace(logits=torch.ones(2, 3)), None, "logits"),
        (Pair(torch.ones(2, 3), torch.zeros(2, 4)), None, "scores"),
        (Pair(torch.zeros(2, 3), torch.ones(2, 3)), 1, "features"),
        (Made(torch.ones(2, 3)), None, "scores"),
    ],
)
def test_an_output_is_found_in_every_common_form(returned: Any, asked: Any, key: str) -> None:
    chosen = Output.of(asked).chosen_from(tensors_of(returned))
    assert (chosen.key, chosen.class_dim) == (key, 1)
    assert torch.equal(chosen.pick(returned), torch.ones(2, 3))


@pytest.mark.parametrize(
    ("returned", "asked", "error", "phrase"),
    [
        ("logits", None, EvaluationError, "Net returns no tensor that could be measured"),
        ({}, None, EvaluationError, "Net returns no tensor"),
        (
            (torch.zeros(()), torch.ones(2, 3)),
            None,
            EvaluationError,
            r"output '0' of Net is one number for the whole",
        ),
        (torch.zeros(2, 3, dtype=torch.cfloat), None, EvaluationError, "is complex numbers"),
        ({"labels": torch.ones(2, 3).long()}, None, EvaluationError, "is int64 numbers, which are no scores"),
        (torch.ones(2, 3) > 0, None, EvaluationError, "is bool numbers, which are no scores"),
        ({"logits": torch.ones(2, 3)}, "logit", UnknownNameError, "no output 'logit'. Did you mean 'logits'"),
        ((torch.ones(2, 3),), 1, UnknownNameError, "no output '1'. Known: 0"),
        (
            torch.ones(2, 3),
            ":0",
            EvaluationError,
            "Classes cannot be in dimension 0 .* dimension 0 is the batch",
        ),
        (
            torch.ones(2, 3),
            ":2",
            EvaluationError,
            "Classes cannot be in dimension 2 .* shape .2, 3.* Give 1 to 1",
        ),
        (torch.ones(2, 3), ":-3", EvaluationError, "Classes cannot be in dimension -3"),
    ],
)
def test_what_cannot_be_measured_is_told(returned: Any, asked: Any, error: Any, phrase: str) -> None:
    with pytest.raises(error, match=phrase):
        Output.of(asked).chosen_from(tensors_of(returned), "Net")


@pytest.mark.parametrize("class_dim", [1, 2, 3, -1, -2])
def test_rows_are_the_classes_of_one_place_each(class_dim: int) -> None:
    values = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    n_classes = values.shape[class_dim]
    rows = Output("output", class_dim).rows(values)
    assert rows.shape == (values.numel() // n_classes, n_classes)
    steps = values.stride()[class_dim]
    assert ((rows[:, 1:] - rows[:, :-1]) == steps).all()


# -- measured --


def test_the_dimension_of_classes_can_be_said(images: torch.Tensor) -> None:
    net = network(lambda first, z: z.permute(0, 2, 3, 1))
    with torch.no_grad():
        z, z0 = net(images, net.full_route.delete(1)), net(images)
    row = measured(net, images, ["cosine", "agreement"], output=":-1")
    assert row["output"] == "output:3"
    assert row["cosine"] == pytest.approx(F.cosine_similarity(z, z0, dim=-1).mean().item(), rel=1e-5)
    assert row["agreement"] == pytest.approx((z.argmax(-1) == z0.argmax(-1)).double().mean().item())


@pytest.mark.parametrize("asked", [1, "1", -1, "1:1", Output("1")])
def test_the_place_of_an_output_can_be_said(images: torch.Tensor, asked: Any) -> None:
    alone = network(lambda first, z: z)
    row = measured(network(lambda first, z: [first, z]), images, ["cosine", "squared_error"], output=asked)
    assert row["output"] == "1:1"
    expected = measured(alone, images, ["cosine", "squared_error"])
    assert {**row, "output": "", "network": ""} == {**expected, "output": "", "network": ""}
    assert row["cosine"] < 1


def test_an_output_that_a_module_does_not_reach_is_told(images: torch.Tensor, caplog: Any) -> None:
    net = network(lambda first, z: [first, z])
    assert [unreached_modules(net, images, name) for name in net.outputs] == [[1], []]
    assert measured(net, images, ["cosine"])["output"] == "0:1"
    assert "The output 0 of two, which is measured, does not depend on residual modules 1" in caplog.text
    assert "changing them costs nothing. Outputs that depend on them: 1; choose with" in caplog.text
    caplog.clear()
    measured(net, images, ["cosine"], output=1)
    un.evaluate(net, [net.full_route.delete(0)], images, metrics=["cosine"])
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("form", "phrase"),
    [
        (
            lambda first, z: z.mean((1, 2, 3)),
            "is one number a prediction, so there are no classes for cosine",
        ),
        (lambda first, z: z.mean((1, 2, 3))[:, None], "is one number a prediction"),
        (lambda first, z: z[:, :1], "is one number a prediction"),
        (
            lambda first, z: ((z**2).mean(), z),
            r"one number for the whole batch.*it returns 0 .one number., 1 .2×2×6×6.",
        ),
        (lambda first, z: torch.complex(first, z), "is complex numbers"),
    ],
)
def test_outputs_without_classes_are_told(images: torch.Tensor, form: Any, phrase: str) -> None:
    with pytest.raises(EvaluationError, match=phrase):
        measured(network(form), images, ["cosine", "agreement"])


def test_one_number_an_image_has_a_squared_error(images: torch.Tensor) -> None:
    net = network(lambda first, z: z.mean((1, 2, 3)))
    with torch.no_grad():
        z, z0 = net(images, net.full_route.delete(1)), net(images)
    row = measured(net, (images, torch.randn(5)), ["squared_error"])
    assert row["squared_error"] == pytest.approx((z - z0).square().mean().item(), rel=1e-5)
    assert (row["n_predictions"], row["output"]) == (5, "output")


# -- the other measuring functions --


def test_gradients_are_of_the_output_that_is_named(images: torch.Tensor) -> None:
    pooled = network(lambda first, z: {"aux": z.amax((2, 3)), "head": z.mean((2, 3))})
    alone = network(lambda first, z: z.mean((2, 3)))
    data = (images, torch.tensor([0, 1, 1, 0, 1]))
    for measure in (un.path_gradients, un.module_measures, un.effective_depths):
        named = measure(pooled, data, output="head").to_pandas().drop(columns=["output", "network"])
        expected = measure(alone, data).to_pandas()
        assert set(expected["output"]) == {"output:1"}
        assert named.equals(expected.drop(columns=["output", "network"]))
    parts = un.path_logits(pooled, images, output="head")
    assert torch.equal(parts, un.path_logits(alone, images))


def test_a_loss_of_the_users_gets_the_output_that_is_named(images: torch.Tensor) -> None:
    def half_square(output: torch.Tensor, targets: torch.Tensor | None) -> torch.Tensor:
        return output.square().sum(dim=1) / 2

    net = network(lambda first, z: (z.mean(), first.mean((2, 3)), z.mean((2, 3))))
    named = un.path_gradients(net, images, loss=half_square, output=2)
    expected = un.path_gradients(net, images, loss="squared_norm", output=2)
    assert [row["length_gradient_norm"] for row in named] == [row["length_gradient_norm"] for row in expected]
    whole = un.path_gradients(net, images, loss=lambda returned, _: half_square(returned[2], _))
    assert [row["length_gradient_norm"] for row in whole] == [row["length_gradient_norm"] for row in expected]
    assert (named[0]["output"], whole[0]["output"]) == ("2:1", None)


def test_an_ensemble_averages_the_output_that_is_named(images: torch.Tensor) -> None:
    net = network(lambda first, z: (first.mean((2, 3)), z.mean((2, 3))))
    alone = network(lambda first, z: z.mean((2, 3)))
    data = (images, torch.tensor([0, 1, 1, 0, 1]))
    row, expected = (
        un.ensemble_of_routes(n, data, n_routes=2, sizes=[2], output=o)[0]
        for n, o in ((net, 1), (alone, None))
    )
    assert (row["error_rate"], row["disagreement"], row["output"]) == (
        expected["error_rate"],
        expected["disagreement"],
        "1:1",
    )
    with pytest.raises(EvaluationError, match="no classes for error_rate"):
        un.ensemble_of_routes(network(lambda first, z: z.mean((1, 2, 3))), data, n_routes=2)


def test_an_output_that_a_route_does_not_compute_is_told(images: torch.Tensor) -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 4)

        def forward(self, x: torch.Tensor) -> Any:
            x = x + self.a(x).relu()
            gate = torch.tanh(self.b(x))
            return self.head(x + gate), gate

    x = torch.randn(6, 8)
    net = un.unravel(Gated().eval(), x)
    with pytest.raises(
        EvaluationError, match="The output 1 is not computed on a route: it tells of the inside"
    ):
        un.evaluate(net, [un.Route.parse("0")], x, metrics=["cosine"], output=1)
