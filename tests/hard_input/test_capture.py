"""Models given to `unravel`: forms that hold no Python, odd inputs, odd weights, and residual modules oddly written."""

from __future__ import annotations

import copy
import warnings

import torch
from torch import nn
from torch.nn import functional

import unravelnet as un
from tests.hard_input.runner import Call, equal, table
from unravelnet.errors import CaptureError, EvaluationError, UnravelError

X = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    """A residual module whose forward a function gives."""

    def __init__(self, step=None):
        super().__init__()
        self.a, self.step = nn.Linear(8, 8), step

    def forward(self, x):
        return x + self.a(x).relu() if self.step is None else self.step(self, x)


class Net(nn.Module):
    """Two residual modules inside a forward that a function gives."""

    def __init__(self, forward):
        super().__init__()
        self.one, self.two, self.own = Block(), Block(), forward

    def run(self, x):
        return self.two(self.one(x))

    def forward(self, *args, **kwargs):
        return self.own(self, *args, **kwargs)


def _two(step=None):
    torch.manual_seed(0)
    return nn.Sequential(Block(step), Block(step)).eval()


def _captured(model, example=X):
    """Capture; the network must give what the model gives, and leave the model as it was."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    mode = model.training
    net = un.unravel(model, example)
    assert model.training == mode
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    return net


def _same(model, example=X):
    """Whether the captured network is the model, and how many residual modules it has."""
    net = _captured(model, example)
    with torch.no_grad():
        expected, got = model.eval()(example), net(example)
    torch.testing.assert_close(got, expected)
    return len(net.residual_modules)


def _step(name, step, n=2):
    return Call(name, lambda world: _same(_two(step)), value=equal(n))


def _refused(name, make, says="", example=X, error=CaptureError):
    return Call(name, lambda world: un.unravel(make() if callable(make) else make, example), error, says)


def _no_model(what):
    return Call(f"{what!r}"[:40], lambda world: un.unravel(what, X), CaptureError, "The model is")


NO_MODELS: tuple[object, ...] = (
    None,
    3,
    "resnet50",
    b"resnet",
    [],
    {},
    (),
    torch.ones(3),
    Block,
    nn.Linear,
    print,
    len,
)
test_what_is_no_model = table(
    *map(_no_model, NO_MODELS),
    _refused("TorchScript, traced", lambda: _traced(), "TorchScript"),
    _refused("an exported program", lambda: torch.export.export(_two(), (X,)), "ExportedProgram"),
    _refused("its module", lambda: torch.export.export(_two(), (X,)).module(), "ExportedProgram"),
    _refused("weights", lambda: _two().state_dict(), "Give"),
    _refused("a list of layers", lambda: nn.ModuleList([Block()]), ""),
    _refused("no layers", nn.Sequential, ""),
    _refused("the identity", nn.Identity, ""),
    _refused("no forward", nn.Module, ""),
    _refused("no weights", lambda: nn.Sequential(nn.ReLU(), nn.Tanh()), ""),
)

test_examples = table(
    _refused("nothing", _two, "", None, UnravelError),
    _refused("a number", _two, "", 3, UnravelError),
    _refused("a text", _two, "", "x", UnravelError),
    _refused("a list of numbers", _two, "", [1.0, 2.0], UnravelError),
    _refused("an empty tuple", _two, "", (), UnravelError),
    _refused("an empty dict", _two, "", {}, UnravelError),
    _refused("an array", _two, "", X.numpy(), UnravelError),
    _refused("a scalar", _two, "", torch.tensor(1.0), UnravelError),
    _refused("no rows", _two, "", X[:0], UnravelError),
    _refused("other columns", _two, "", X[:, :5], UnravelError),
    _refused("whole numbers", _two, "", X.long(), UnravelError),
    _refused("double precision", _two, "", X.double(), UnravelError),
    _refused("half precision", _two, "", X.half(), UnravelError),
    _refused("complex numbers", _two, "", X.to(torch.complex64), UnravelError),
    _refused("no values", _two, "", X.to("meta"), UnravelError),
    _refused("sparse", _two, "", X.to_sparse(), UnravelError),
    _refused("too many inputs", _two, "", (X, X), UnravelError),
    _refused("another name", _two, "", {"y": X}, UnravelError),
    _refused("nested deeply", _two, "", ([[X]],), UnravelError),
    Call("one row", lambda world: _same(_two(), X[:1]), value=equal(2)),
    Call("many dimensions", lambda world: _same(_two(), torch.ones(2, 3, 1, 2, 8)), value=equal(2)),
    Call("a view", lambda world: _same(_two(), torch.ones(8, 4).T), value=equal(2)),
    Call(
        "NaN, as a stand-in",
        lambda world: _like(_captured(_two(), X * float("nan")), _two()),
        value=equal(True),
    ),
    Call("infinite, as a stand-in", lambda world: _like(_captured(_two(), X / 0), _two()), value=equal(True)),
    Call("zeros", lambda world: _same(_two(), torch.zeros(2, 8)), value=equal(2)),
    Call("huge numbers", lambda world: _same(_two(), X * 1e30), value=equal(2)),
    Call("a parameter", lambda world: _same(_two(), nn.Parameter(X)), value=equal(2)),
    Call("that needs a gradient", lambda world: _same(_two(), X.clone().requires_grad_()), value=equal(2)),
    Call("inside no_grad", lambda world: _no_grad(), value=equal(2)),
)


def _traced():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(_two(), X, check_trace=False)


def _like(net, model, inputs=X):
    """Whether a network gives what a model gives."""
    with torch.no_grad():
        return torch.allclose(net(inputs), model(inputs), atol=1e-6)


def _on_some_columns(s, x):
    x = x.clone()
    x[:, :2] += s.a(x)[:, :2].relu()
    return x


def _lowered(s, x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return x + s.a(x).relu()


def _by_rows(block, x):
    return x + block.a(x) * x.shape[0]


def _measured(model):
    return un.evaluate(un.unravel(model.eval(), X), [un.Route.full(2)], X, metrics=["cosine"])


def _no_grad():
    with torch.no_grad():
        return _same(_two())


def _spoilt(value):
    model = _two()
    model[1].a.weight.data[0, 0] = value
    return model


def _changed(change):
    model = _two()
    change(model)
    return model


test_weights = table(
    _refused("NaN", lambda: _spoilt(float("nan")), "1.a.weight"),
    _refused("infinite", lambda: _spoilt(float("inf")), "1.a.weight"),
    _refused("without values", lambda: _two().to("meta"), "meta"),
    _refused("half", lambda: _two().half(), ""),
    _refused("double", lambda: _two().double(), ""),
    _refused("sparse", lambda: _changed(lambda m: setattr(m[0].a, "weight", nn.Parameter(torch.eye(8).to_sparse()))), "sparse"),
    _refused("lazy", lambda: nn.Sequential(nn.LazyLinear(8), Block()), "lazy"),
    Call("all zero", lambda world: _same(_changed(lambda m: [p.data.zero_() for p in m.parameters()])), value=equal(2)),
    Call("tiny", lambda world: _same(_changed(lambda m: [p.data.mul_(1e-30) for p in m.parameters()])), value=equal(2)),
    Call("frozen", lambda world: _same(_two().requires_grad_(False)), value=equal(2)),
    Call("shared", lambda world: _same(_shared()), value=equal(2)),
    Call("tied", lambda world: _same(_changed(lambda m: setattr(m[1].a, "weight", m[0].a.weight))), value=equal(2)),
    Call("a copy", lambda world: _same(copy.deepcopy(_two())), value=equal(2)),
    Call("in training", lambda world: _same(_two().train()), value=equal(2)),
    Call("compiled", lambda world: _same(torch.compile(_two(), backend="eager")), value=equal(2)),
    Call("parallel", lambda world: _same(nn.DataParallel(_two())), value=equal(2)),
    Call("double with double inputs", lambda world: _same(_two().double(), X.double()), value=equal(2)),
    Call("with hooks", lambda world: _same(_changed(lambda m: m[0].register_forward_hook(lambda *_: None))), value=equal(2)),
    Call("parametrised", lambda world: _same(_changed(lambda m: nn.utils.parametrizations.weight_norm(m[0].a))), value=equal(2)),
)  # fmt: skip


def _shared():
    block = Block()
    return nn.Sequential(block, block).eval()


test_modules_oddly_written = table(
    _step("in place", lambda s, x: x.clone().add_(s.a(x))),
    _step("in place on the branch", lambda s, x: s.a(x).add_(x)),
    _step("in place on the input", lambda s, x: torch.relu(x.add_(0)) * 0 + x + s.a(x)),
    _step("with a factor", lambda s, x: torch.add(x, s.a(x), alpha=0.5)),
    _step("as a sum of a list", lambda s, x: sum([x, s.a(x)])),
    _step("as a stack", lambda s, x: torch.stack([x, s.a(x)]).sum(0)),
    _step("as a difference", lambda s, x: x - s.a(x)),
    _step("halved", lambda s, x: (x + s.a(x)) / 2),
    _step("with the skip dropped out", lambda s, x: functional.dropout(x, 0.5, s.training) + s.a(x)),
    _step("detached", lambda s, x: x + s.a(x.detach())),
    _step("typed", lambda s, x: (x.double() + s.a(x).double()).float()),
    _step("reshaped and back", lambda s, x: (x.view(-1, 2, 4) + s.a(x).view(-1, 2, 4)).view(-1, 8)),
    _step("of a dict", lambda s, x: (lambda d: d["x"] + d["y"])({"x": x, "y": s.a(x)})),
    _step("in a local function", lambda s, x: (lambda y: y + s.a(y))(x)),
    _step("with a loop", lambda s, x: [x := x + s.a(x) for _ in range(1)].pop()),
    _step("as a product", lambda s, x: x * (1 + s.a(x).relu())),
    _step("behind an empty memory", lambda s, x: x + torch.cat([torch.zeros(0), s.a(x)[:, None]], -2)[:, 0]),
    _step("beside zeros", lambda s, x: torch.zeros_like(x) + x + s.a(x).relu()),
    _step("in place on some columns", _on_some_columns),
    _step("in lower precision", _lowered),
    _step("with an assertion", lambda s, x: _asserted(x) + s.a(x)),
    _refused("at random", lambda: _two(lambda s, x: x + s.a(x) * torch.rand(1)), "at random"),
    _refused(
        "at random, of Python",
        lambda: _two(lambda s, x: x + s.a(x) * __import__("random").random()),
        "random",
    ),
    _refused(
        "dropout that is always on",
        lambda: _two(lambda s, x: x + functional.dropout(s.a(x), 0.3)),
        "at random",
    ),
    _refused("by the data", lambda: _two(lambda s, x: x + s.a(x) if x.sum() > 0 else x), "data-dependent"),
    _refused("by a number of the data", lambda: _two(lambda s, x: x + s.a(x) * float(x.mean())), ""),
    _refused("as many times as the data say", lambda: _two(lambda s, x: x + s.a(x) * len(x.nonzero())), ""),
    _refused("each row by the others", lambda: _two(lambda s, x: x + s.a(x).mean(0)), ""),
    _refused("with an error", lambda: _two(lambda s, x: x + 1 / 0), "ZeroDivisionError"),
    _refused("with a key that is not there", lambda: _two(lambda s, x: {}[x.shape]), "KeyError"),
    Call(
        "under no_grad",
        lambda world: _like(_captured(_two(_frozen_branch)), _two(_frozen_branch)),
        value=equal(True),
    ),
    Call(
        "by the number of rows",
        lambda world: _like(_captured(_two(_by_rows)), _two(_by_rows), X[:3]),
        value=equal(True),
    ),
    Call(
        "by a state, as it is now",
        lambda world: _like(_captured(_two(_counting)), _two(_counting)),
        value=equal(True),
    ),
    _refused("for ever", lambda: _two(lambda s, x: s(x)), "RecursionError"),
    _refused("with numpy", lambda: _two(lambda s, x: x + torch.from_numpy(s.a(x).detach().numpy())), ""),
    _refused("concatenated only", lambda: nn.Sequential(_Dense(), _Dense()), "concatenation"),
    _refused("recurrent", lambda: nn.Sequential(nn.GRU(8, 8)), ""),
    _refused("next to nothing", lambda: nn.Sequential(nn.Linear(8, 8)), ""),
)


class _Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.LazyLinear(4)
        self.a(torch.ones(1, 8))

    def forward(self, x):
        return torch.cat([x[:, :4], self.a(x)], 1)


def _without_gradients(layer, x):
    with torch.no_grad():
        return layer(x)


def _frozen_branch(s, x):
    return x + _without_gradients(s.a, x)


def _asserted(x):
    assert x.shape[1] == 8
    return x


def _counting(self, x):
    self.n = getattr(self, "n", 0) + 1
    return x + self.a(x) * self.n


def _forms(name, forward, example, n=2):
    return Call(
        name, lambda world: len(_captured(Net(forward).eval(), example).residual_modules), value=equal(n)
    )


test_forms_of_inputs_and_outputs = table(
    _forms("two inputs", lambda s, x, y: s.run(x) * y, (X, X)),
    _forms("by keyword only", lambda s, *, x: s.run(x), {"x": X}),
    _forms("a dict as input", lambda s, batch: s.run(batch["x"]), ({"x": X},)),
    _forms("a list as input", lambda s, parts: s.run(parts[0] + parts[1]), ([X, X],)),
    _forms("a nested tuple", lambda s, pair: s.run(pair[0][0]), (((X, X), X),)),
    _forms("an input of no use", lambda s, x, y=None: s.run(x), (X, X)),
    _forms("an input called self_", lambda s, self_: s.run(self_), (X,)),
    _forms("an input called input", lambda s, input: s.run(input), {"input": X}),
    _forms("None beside", lambda s, x: (s.run(x), None), (X,)),
    _forms("a dict", lambda s, x: {"a b": s.run(x), "c": x}, (X,)),
    _forms("nested", lambda s, x: [{"y": (s.run(x),)}], (X,)),
    _forms("the input itself beside", lambda s, x: (s.run(x), x), (X,)),
    _forms("a number beside", lambda s, x: (s.run(x), 3), (X,)),
    _forms("rows of numbers", lambda s, x: s.run(x).sum(1), (X,)),
    _forms("complex numbers", lambda s, x: torch.view_as_complex(s.run(x).view(-1, 4, 2)), (X,)),
    Call(
        "only a scalar",
        lambda world: _measured(Net(lambda s, x: s.run(x).sum())),
        EvaluationError,
        "one number for the whole batch",
    ),
    Call("nothing", lambda world: un.unravel(Net(lambda s, x: None).eval(), X), CaptureError, ""),
    Call("a text", lambda world: un.unravel(Net(lambda s, x: "cat").eval(), X), CaptureError, ""),
    Call(
        "an array",
        lambda world: un.unravel(Net(lambda s, x: s.run(x).detach().numpy()).eval(), X),
        CaptureError,
        "",
    ),
    Call(
        "too few inputs", lambda world: un.unravel(Net(lambda s, x, y: s.run(x)).eval(), X), UnravelError, "y"
    ),
    Call("another shape than captured", lambda world: un.unravel(_two(), X)(X[:, :3]), UnravelError, ""),
    Call(
        "a list where a tensor was",
        lambda world: _like(_captured(_two()), lambda x: _two()(x[0]), [X]),
        value=equal(True),
    ),
    Call("a text where a tensor was", lambda world: un.unravel(_two(), X)("x"), UnravelError, ""),
)
