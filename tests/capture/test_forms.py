"""Every form in which a model is handed over: wrappers are looked through, the rest is refused by name."""

from __future__ import annotations

import copy
import functools
import io
import pickle
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

import unravelnet as un
from unravelnet.errors import CaptureError

X = torch.randn(4, 8)


class Holder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def block(self, x: Tensor) -> Tensor:
        return x + self.layer(x).relu()


class Block(Holder):
    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class Masked(Holder):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.block(x) * mask


class TakesAnything(nn.Module):
    """A wrapper of one's own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Tensor, **kwargs: Tensor) -> Tensor:
        return self.model(*args, **kwargs)


class TakesMore(Holder):
    def forward(self, x: Tensor, *rest: Tensor, scale: float = 1.0, **more: Tensor) -> Tensor:
        y = self.block(x)
        for other in (*rest, *more.values()):
            y = y * other
        return y * scale


class OddNames(nn.Module):
    """Inputs that are called like what generated code uses, and that are read again at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.g = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor, torch: Tensor, device: Tensor, held: Tensor) -> tuple[Tensor, ...]:
        y = x + self.f(x).relu()
        y = y + self.g(y).relu()
        return y, x, torch, device * y, held


def two_blocks() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(Block(), Block())


def compiled() -> Any:
    return torch.compile(two_blocks())


def with_forward(replace: Callable[[nn.Module], Callable[..., Tensor]]) -> nn.Module:
    model = two_blocks()
    model.forward = replace(model)  # type: ignore[method-assign]  # what tools such as nnsight do
    return model


def wrapping(model: nn.Module) -> Callable[..., Tensor]:
    old = model.forward

    @functools.wraps(type(model).forward)
    def forward(*args: Tensor, **kwargs: Tensor) -> Tensor:
        return old(*args, **kwargs)

    return forward


def bound(model: nn.Module) -> Callable[..., Tensor]:
    return types.MethodType(lambda self, x: nn.Sequential.forward(self, x), model)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: nn.DataParallel(two_blocks()), ["0", "1"]),
        (compiled, ["0", "1"]),
        (lambda: nn.DataParallel(compiled()), ["0", "1"]),
        (lambda: TakesAnything(two_blocks()), ["model.0", "model.1"]),
        (lambda: with_forward(wrapping), ["0", "1"]),
        (lambda: with_forward(bound), ["0", "1"]),
        (lambda: with_forward(lambda model: functools.partial(model.forward)), ["0", "1"]),
    ],
    ids=["DataParallel", "compile", "both", "own", "wraps", "method", "partial"],
)
def test_wrappers_are_looked_through(make: Callable[[], nn.Module], names: list[str]) -> None:
    model = make()
    before = vars(model).copy()
    net = un.unravel(model, X)
    assert [module.name for module in net.residual_modules] == names
    assert torch.equal(net(X), two_blocks()(X))
    assert vars(model) == before


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (TakesAnything(Masked()), (X, X)),
        (TakesAnything(Masked()), {"mask": X, "x": X}),
        (TakesMore(), (X, X, X)),
        (TakesMore(), {"x": X, "scale": 2.0, "gate": X}),
        (OddNames(), (X, X + 1, X + 2, X + 3)),
    ],
)
def test_inputs_of_any_name_and_number_are_taken(model: nn.Module, inputs: tuple[Tensor, ...] | dict) -> None:
    net = un.unravel(model, inputs)
    expected = model(**inputs) if isinstance(inputs, dict) else model(*inputs)
    torch.testing.assert_close(net(inputs), expected)


def unfinished() -> nn.Module:
    with torch.inference_mode():
        return two_blocks()


def quantised() -> nn.Module:
    layer = torch.ao.nn.quantized.dynamic.Linear(8, 8)
    return nn.Sequential(Block(), layer)


class Sparse(Block):
    def __init__(self) -> None:
        super().__init__()
        self.adjacency = nn.Buffer(torch.eye(4).to_sparse())


class Fails(Holder):
    def forward(self, x: Tensor) -> Tensor:
        raise KeyError("boom")


class ReadsData(Holder):
    def forward(self, x: Tensor) -> Tensor:
        return x + (self.layer(x).data > 0).float()


class GivesAnObject(Holder):
    def forward(self, x: Tensor) -> object:
        return types.SimpleNamespace(logits=self.block(x))


class Neighbours(Holder):
    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        sent = torch.zeros_like(nodes).index_add(0, edges[1], nodes[edges[0]])
        return nodes + self.layer(sent)


@pytest.mark.filterwarnings("ignore:.*(torch.jit|deprecated)")
@pytest.mark.parametrize(
    ("model", "example", "message"),
    [
        (
            lambda: torch.jit.script(two_blocks()),
            X,
            "The model is TorchScript.* Python model that it was made from",
        ),
        (lambda: nn.Sequential(torch.jit.script(Block())), X, "The part 0 of Sequential is TorchScript"),
        (lambda: torch.export.export(two_blocks(), (X,)), X, "is an ExportedProgram"),
        (lambda: torch.export.export(two_blocks(), (X,)).module(), X, "is the module of an ExportedProgram"),
        (quantised, X, r"The part 1 of Sequential is a quantised layer"),
        (lambda: lambda x: x, X, r"is a function \(<lambda>\)"),
        (lambda: Block, X, r"is the class Block. Give an instance of it, such as Block\(\)"),
        (lambda: "resnet18", X, r"is the text 'resnet18'.* unravelnet.load\('resnet18'\)"),
        (lambda: None, X, "is a NoneType. Give a torch.nn.Module"),
        (lambda: two_blocks().to("meta"), X, "0.layer.weight is on the meta device"),
        (lambda: nn.Sequential(nn.LazyLinear(8), Block()), X, "0.weight is not initialised yet"),
        (Sparse, X, "adjacency is stored as sparse_coo"),
        (unfinished, X, "0.layer.weight is an inference tensor"),
        (
            lambda: two_blocks().half(),
            X,
            "weights are of the type float16 and the example is of the type float32",
        ),
        (two_blocks, X.to("meta"), "on the device cpu and the example is on the device meta"),
        (two_blocks, X.to_sparse(), "example is a sparse or nested tensor"),
        (
            two_blocks,
            X[:, :7],
            r"does not run on the example in block, line \d+ .*shapes cannot be multiplied",
        ),
        (
            Masked,
            X,
            "missing 1 required positional argument: 'mask'.* with every input of its forward method",
        ),
        (Fails, X, "does not run on the example in forward.*KeyError: 'boom'"),
        (ReadsData, X, r"as \.data does. Write \.detach\(\)"),
        (GivesAnObject, X, "runs on the example, and torch.export, which reads its graph, cannot follow it"),
        (Neighbours, (X, torch.tensor([[0, 3], [3, 1]])), "not on two rows of it.*nodes of a graph"),
    ],
)
def test_what_cannot_be_captured_is_named(model: Callable[[], Any], example: Any, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        un.unravel(model(), example)


def test_what_nobody_foresaw_is_a_sentence_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, inputs: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr("unravelnet.network.UnraveledNetwork.enter", fail)
    with pytest.raises(
        CaptureError, match=r"the captured network was compared with it.*ZeroDivisionError: division"
    ) as caught:
        un.unravel(two_blocks(), X)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


class DecidesByLength(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.mix = nn.Embedding(20, 8), nn.Linear(8, 8)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        q = self.mix(x)[:, None]
        return x + scaled_dot_product_attention(q, q, q, is_causal=ids.shape[1] > 1)[:, 0]


def test_a_model_that_decides_by_the_length_is_captured_for_its_length() -> None:
    model = DecidesByLength().eval()
    net = un.unravel(model, torch.randint(0, 20, (2, 6)))
    ids = torch.randint(0, 20, (5, 6))
    torch.testing.assert_close(net(ids), model(ids))
    with pytest.raises(CaptureError, match="does not stand for inputs of shape"):
        net(ids[:, :1])


def test_control_flow_of_torch_is_kept() -> None:
    class Turns(Holder):
        def forward(self, x: Tensor) -> Tensor:
            y = self.block(x)
            return torch.cond(y.sum() > 0, lambda t: t.sin(), lambda t: t.cos(), (y,))

    model = Turns().eval()
    net = un.unravel(model, X)
    with torch.no_grad():
        for inputs in (X + 5, X - 5):
            torch.testing.assert_close(net(inputs), model(inputs))


def test_an_addition_into_a_slice_can_be_differentiated() -> None:
    class IntoSlice(Holder):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.block(x)
            y[:, :2] += self.part(y)
            return y

    model = nn.Sequential(Block(), IntoSlice())
    net = un.unravel(model, X)
    net(X).square().sum().backward()
    found = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    # The model itself overwrites what its backward pass needs.
    y = model[1].block(model[0](X))
    torch.cat([y[:, :2] + model[1].part(y), y[:, 2:]], dim=1).square().sum().backward()
    for ours, theirs in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.grad)


def test_a_refusal_prints_nothing_but_itself(capfd: pytest.CaptureFixture[str]) -> None:
    class Decides(Holder):
        def forward(self, x: Tensor) -> Tensor:
            y = self.layer(x)
            return x if y.sum() == 0 else x + y

    with pytest.raises(CaptureError, match=r"data-dependent control flow in forward, line \d+ "):
        un.unravel(Decides(), X)
    assert capfd.readouterr() == ("", "")


def test_a_network_is_copied_and_not_pickled() -> None:
    net = un.unravel(two_blocks(), X)
    twin = copy.deepcopy(net)
    assert torch.equal(twin(X), net(X))
    assert not {id(p) for p in twin.parameters()} & {id(p) for p in net.parameters()}
    for save in (pickle.dumps, lambda net: torch.save(net, io.BytesIO())):
        with pytest.raises(
            CaptureError, match=r"cannot be pickled.* torch\.save\(net\.state_dict\(\), FILE\)"
        ):
            save(net)
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other = un.unravel(nn.Sequential(Block(), Block()), X)
    other.load_weights(torch.load(file))
    assert torch.equal(other(X), net(X))


# What stands between the quotes, were it read as code, would write a file.
AS_CODE = (
    'a", exec("open({file!r}, \'w\')"), "b',
    "a', exec('open({file!r}, \"w\")'), 'b",
    'a", "b"); open({file!r}, "w"); ("',
    "a = 1\n    open({file!r}, 'w')\n    b",
    'a\\", open({file!r}, "w")',
    "lambda",
)


class Named(Block):
    """Calls a part, or reads a tensor, by a name that is data."""

    def __init__(self, name: str, kind: str) -> None:
        super().__init__()
        self.name, self.kind = name, kind
        tensor = torch.ones(8)
        if kind == "module":
            self.add_module(name, nn.Dropout())
        elif kind == "parameter":
            self.register_parameter(name, nn.Parameter(tensor))
        elif kind == "buffer":
            self.register_buffer(name, tensor)
        else:
            vars(self)[name] = tensor

    def forward(self, x: Tensor) -> Tensor:
        value = getattr(self, self.name)
        return self.block(value(x) if self.kind == "module" else x * value)


@pytest.mark.parametrize("kind", ["module", "parameter", "buffer", "attribute"])
@pytest.mark.parametrize("name", AS_CODE)
def test_no_name_in_a_model_is_read_as_code(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # names of modules hold no dots, so the file has none and no directory
    model = nn.Sequential(Block(), Named(name.format(file="mark"), kind))
    with pytest.raises(CaptureError, match="The part 1 of Sequential has an attribute with the name"):
        un.unravel(model, X)
    assert not list(tmp_path.iterdir())


class Nested(Holder):
    """Takes its input by a name, alone or inside a tuple."""

    def forward(self, inputs: dict[str, Tensor] | None = None, **named: Tensor) -> Tensor:
        (x,) = (named if inputs is None else inputs).values()
        return self.block(x)


@pytest.mark.parametrize("name", AS_CODE[:-1])
def test_no_name_of_an_input_is_read_as_code(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inputs = {name.format(file="mark"): X}
    for example in ((inputs,), inputs):
        with pytest.raises(CaptureError, match="The example has an input with the name"):
            un.unravel(Nested(), example)
    assert not list(tmp_path.iterdir())
    model = Nested()
    assert torch.equal(un.unravel(model, ({"in": X},))(({"in": X},)), model({"in": X}))


def test_names_that_are_no_identifiers_are_captured() -> None:
    names = ["3x3", "down conv", "lang-de", "größe", "{x}", "a # b", "a; b"]
    model = nn.Sequential(*(Named(name, "parameter") for name in names))
    assert torch.equal(un.unravel(model, X)(X), model(X))


class Remembers(Holder):
    """A language model that hands back what it remembers, unless it is told not to by an option it does not name."""

    config = types.SimpleNamespace(use_cache=True)

    def generate(self) -> None: ...

    def forward(self, x: Tensor, **options: bool) -> tuple[Tensor, object]:
        remembered = object() if options.get("use_cache", self.config.use_cache) else None
        return self.block(x), remembered


def test_a_memory_that_is_switched_off_among_other_options_is_switched_off() -> None:
    model = Remembers().eval()
    net = un.unravel(model, X)
    assert len(net.residual_modules) == 1
    torch.testing.assert_close(net(X)[0], model(X)[0])
