"""What a model returns, and what a user names of it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

import unravelnet as un
from tests.hard_input.runner import Call, equal, table
from unravelnet.errors import UnravelError
from unravelnet.network.output import Output

X = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(6) % 3


class Net(nn.Module):
    """Two residual modules, whose logits a function puts into a form."""

    def __init__(self, form):
        super().__init__()
        self.one, self.two, self.head, self.form = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3), form

    def forward(self, x):
        x = x + self.one(x).relu()
        return self.form(self.head(x + self.two(x).relu()))


FORMS = {
    "alone": lambda y: y,
    "pair": lambda y: (y, y.sum(1)),
    "named": lambda y: {"loss": y.sum(), "logits": y, "a b": y, "a:1": y, "": y, "0": y * 2, "\x1b[31m": y},
    "nested": lambda y: {"a": (y, {"b": y * 2}), "none": None},
    "positions": lambda y: torch.stack([y, y * 2], 1),
    "maps": lambda y: y[:, :, None, None].expand(-1, -1, 2, 2),
    "number": lambda y: y.sum(1),
    "column": lambda y: y[:, :1],
    "scalar": lambda y: y.sum(),
    "complex": lambda y: torch.complex(y, y),
    "whole": lambda y: y.argmax(1),
    "truth": lambda y: y > 0,
    "none": lambda y: y[:, :0],
    "rows": lambda y: y[:3],
    "nan": lambda y: y * float("nan"),
    "infinite": lambda y: y / 0,
    "half": lambda y: y.half(),
}
_nets: dict[str, un.UnraveledNetwork] = {}


def _net(form):
    if form not in _nets:
        torch.manual_seed(0)
        _nets[form] = un.unravel(Net(FORMS[form]).eval(), X)
    return _nets[form]


def _loss(form, output=None, metric="loss"):
    def do(world):
        return un.evaluate(_net(form), [un.Route.full(2)], (X, Y), metrics=[metric], output=output)[0][metric]

    return do


def _refused(form, output=None, says="", metric="loss"):
    return Call(f"{form}: {metric} of {output!r}", _loss(form, output, metric), UnravelError, says)


def _is_loss(factor):
    """Whether a loss is the cross entropy of the logits times a factor, computed apart."""

    def holds(value):
        torch.manual_seed(0)
        with torch.no_grad():
            logits = Net(FORMS["alone"]).eval()(X) * factor
        return abs(float(functional.cross_entropy(logits, Y)) - value) < 1e-5

    return holds


def _right(form, output=None, factor=1):
    return Call(f"{form}: loss of {output!r}", _loss(form, output), value=_is_loss(factor))


def _gradients(form):
    return lambda world: un.path_gradients(_net(form), (X, Y))


NO_NAMES = (
    "logit",
    "2",
    "-3",
    "x/y",
    "../logits",
    "output:x",
    "output:",
    "output:5",
    "output:-5",
    "output:0",
    "output:1.5",
    "\x1b[31m",
    "::",
    "9" * 30,
    "🙂",
)
test_outputs_that_are_right = table(
    _right("alone"),
    _right("alone", "output"),
    _right("alone", "0"),
    _right("alone", 0),
    _right("alone", -1),
    _right("alone", "output:1"),
    _right("alone", "output:-1"),
    _right("alone", ":1"),
    _right("alone", Output("output")),
    _right("pair"),
    _right("pair", 0),
    _right("pair", "-2"),
    _right("named"),
    _right("named", "logits"),
    _right("named", "a b"),
    _right("named", "a:1:1"),
    _right("named", "0", 2),
    _right("nested", "a/0"),
    _right("nested", "a/1/b", 2),
    _right("nested", 1, 2),
)
test_outputs_that_are_refused = table(
    *(_refused("alone", name) for name in NO_NAMES if name not in ("output:",)),
    *(_refused("alone", name, "cannot be named") for name in (1.0, True, b"x", ("output",), [0], object)),
    _refused("pair", 2),
    _refused("pair", 10**30),
    _refused("pair", 1),
    _refused("named", "loss", "one number"),
    *(_refused(form) for form in ("scalar", "complex", "truth", "whole", "none", "nan", "infinite", "number", "column", "positions", "maps")),
    *(_refused(form, metric="error_rate") for form in ("scalar", "complex", "number", "column", "nan")),
    _refused("rows"),
    _refused("alone", None, "accurate", "accurate"),
    _refused("alone", None, "", ""),
    _refused("alone", None, "", "error_rate,loss"),
    Call("top 5 of 3 classes are never wrong", _loss("alone", metric="top5_error_rate"), value=equal(0.0)),
    Call("no metrics", lambda world: un.evaluate(_net("alone"), [], (X, Y), metrics=[]), UnravelError, ""),
    Call("metrics of None", lambda world: un.evaluate(_net("alone"), [], (X, Y), metrics=None), UnravelError, ""),
    Call("a metric that is a number", lambda world: un.evaluate(_net("alone"), [], (X, Y), metrics=[3]), UnravelError, "3"),
    *(
        Call(f"gradients of {form}", _gradients(form), UnravelError, "")
        for form in ("scalar", "complex", "truth", "whole", "nan", "number")
    ),
)  # fmt: skip
