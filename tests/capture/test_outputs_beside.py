"""Outputs beside the logits that tell of the inside of modules: they hide no module, and follow the routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import unravelnet as un
from tests.capture.test_library_models import SMALL, library
from unravelnet.capture.verify import relative_difference
from unravelnet.measuring.walk import walk

WIDTH = 8
X = torch.randn(4, WIDTH)


class Gated(nn.Module):
    """x + w(x) f(x), with the gates w among the outputs in one of several forms."""

    def __init__(self, form: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.form = form
        self.f = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.g = nn.ModuleList(nn.Linear(WIDTH, 1) for _ in range(3))
        self.head = nn.Linear(WIDTH, 4)

    def step(self, x: Tensor, number: int) -> tuple[Tensor, Tensor]:
        gate = self.g[number](x).sigmoid()
        return x + self.f[number](x).relu() * gate, gate

    def told(self, x: Tensor, gates: list[Tensor]) -> Any:
        logits = self.head(x)
        if self.form == "auxiliary loss":
            return {"loss": torch.stack(gates).mean() * logits.square().mean(), "logits": logits}
        if self.form == "one tensor":
            return logits, torch.cat(gates, dim=1)
        return logits, gates

    def forward(self, x: Tensor) -> Any:
        gates = []
        for number in range(3):
            x, gate = self.step(x, number)
            gates.append(gate)
        return self.told(x, gates)


@pytest.mark.parametrize("form", ["list", "one tensor", "auxiliary loss"])
def test_what_is_told_of_branches_hides_no_module(form: str) -> None:
    model = Gated(form).eval()
    net = un.unravel(model, X)
    assert [module.kind for module in net.residual_modules] == ["identity"] * 3
    assert (len(net.transitions), net.unexplained) == (0, ())
    assert relative_difference(net(X), model(X)) == 0.0


@pytest.mark.parametrize("form", ["list", "one tensor", "auxiliary loss"])
@pytest.mark.parametrize("text", ["0,1s,2", "2,0b,1"])
def test_it_is_computed_from_the_input_of_the_module_on_every_route(form: str, text: str) -> None:
    model = Gated(form).eval()
    net = un.unravel(model, X)
    x, told = X, [torch.empty(0)] * 3
    for step in un.Route.parse(text).steps:
        through, told[step.module] = model.step(x, step.module)
        x = {"both": through, "skip": x, "branch": through - x}[step.mode]
    assert relative_difference(net(X, un.Route.parse(text)), model.told(x, told)) <= 1e-6


def test_it_is_none_on_a_route_that_leaves_out_its_module() -> None:
    net = un.unravel(Gated("list").eval(), X)
    logits, gates = net(X, un.Route.parse("0,2"))
    assert [gate is None for gate in gates] == [False, True, False]
    torch.testing.assert_close(logits, net(X, un.Route.parse("0,1s,2"))[0])


def test_a_residual_block_behind_it_runs_with_the_head() -> None:
    class Judged(Gated):
        """A residual block of its own reads the gates."""

        def __init__(self) -> None:
            super().__init__("list")
            self.judge = nn.Linear(3, 3)

        def told(self, x: Tensor, gates: list[Tensor]) -> Any:
            told = torch.cat(gates, dim=1)
            return self.head(x), told + self.judge(told).relu()

    model = Judged().eval()
    net = un.unravel(model, X)
    assert len(net.residual_modules) == 3
    assert ["values from inside a residual module" in line for line in net.unexplained] == [True]
    assert relative_difference(net(X), model(X)) == 0.0


def test_modules_on_the_way_to_two_outputs_are_found_behind_both() -> None:
    class TwoHeads(nn.Module):
        """A trunk and two heads, each with a residual block; the first output is what is measured."""

        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.first, self.second = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            x = x + self.trunk(x).relu()
            return (x + self.first(x).relu()).sigmoid(), (x + self.second(x).relu()).sigmoid()

    net = un.unravel(TwoHeads().eval(), X)
    assert [module.name for module in net.residual_modules] == ["trunk", "first", "second"]
    without = net(X, net.full_route.delete(2))
    assert torch.equal(without[0], net(X)[0])
    assert not torch.equal(without[1], net(X)[1])


def test_the_engine_gives_it_as_the_network_does() -> None:
    net = un.unravel(Gated("one tensor").eval(), X)
    lesions = [trial.route for trial in (*un.studies.delete_each(net), *un.studies.remove_skip_each(net))]
    with torch.no_grad():
        for route, output in walk(net, lesions, X):
            assert relative_difference(output, net(X, route)) <= 1e-6


def test_an_auxiliary_loss_of_it_trains_the_branches() -> None:
    model = Gated("auxiliary loss")
    net = un.unravel(model, X).train()
    net(X)["loss"].backward()
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    model(X)["loss"].backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad)


def test_the_gradient_is_split_without_it() -> None:
    told, alone = (
        un.path_gradients(un.unravel(model.eval(), X), (X, torch.zeros(4, dtype=torch.long))).to_pandas()
        for model in (Gated("list"), Alone())
    )
    assert told["length_gradient_norm"].tolist() == pytest.approx(alone["length_gradient_norm"].tolist())


class Alone(Gated):
    """The same network that returns its logits alone."""

    def __init__(self) -> None:
        super().__init__("list")

    def told(self, x: Tensor, gates: list[Tensor]) -> Tensor:
        return self.head(x)


def test_macs_and_parameters_do_not_count_it_twice() -> None:
    told, alone = (un.unravel(model.eval(), X) for model in (Gated("list"), Alone()))
    assert told.total_macs == alone.total_macs
    columns = ["parameters", "macs", "parameters_share", "macs_share"]
    assert told.module_table()[columns].equals(alone.module_table()[columns])


@dataclass
class Case:
    model: str
    config: str
    options: dict[str, Any]
    n_modules: int
    told: str


LIBRARY = [
    Case(
        "GPT2LMHeadModel",
        "GPT2Config",
        {"n_layer": 3, "n_embd": 32, "n_head": 4, "vocab_size": 99, "output_attentions": True},
        6,
        "attentions",
    ),
    Case(
        "BertForSequenceClassification", "BertConfig", {**SMALL, "output_attentions": True}, 4, "attentions"
    ),
    Case(
        "MixtralForCausalLM",
        "MixtralConfig",
        {**SMALL, "num_key_value_heads": 2, "num_local_experts": 4, "output_router_logits": True},
        4,
        "router_logits",
    ),
]


@pytest.mark.parametrize("case", LIBRARY, ids=lambda case: case.model)
def test_attention_maps_and_routers_of_libraries(case: Case) -> None:
    transformers = library("transformers")
    config = getattr(transformers, case.config)(
        **case.options, bos_token_id=1, eos_token_id=2, pad_token_id=0, attn_implementation="eager"
    )
    model = getattr(transformers, case.model)(config).eval()
    inputs = {"input_ids": torch.randint(3, 99, (2, 6)), "attention_mask": torch.ones(2, 6, dtype=torch.long)}
    net = un.unravel(model, inputs)
    assert (len(net.residual_modules), net.unexplained) == (case.n_modules, ())
    with torch.no_grad():
        expected = getattr(model(**inputs, use_cache=False), case.told)
        assert relative_difference(getattr(net(inputs), case.told), expected) <= 1e-5
        # The second module is the MLP of the first block: what is told before it stays as it was.
        lesioned = getattr(net(inputs, net.full_route.delete(1)), case.told)
    assert relative_difference(lesioned[0], expected[0]) <= 1e-5
    assert relative_difference(lesioned[1], expected[1]) > 1e-4
