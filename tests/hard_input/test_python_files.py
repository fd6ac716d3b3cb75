"""Python files of users: whatever they do when they are read, when the model is made and when it runs."""

from __future__ import annotations

import pytest
import torch

from tests.hard_input.runner import MARK, Command, table

NET = """
import warnings
import torch
from torch import nn


def quietly(make):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


class Net(nn.Module):
    def __init__(self, size=4):
        super().__init__()
        self.a, self.b = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x):
        x = x + self.a(x).relu()
        return x + self.b(x).relu()


"""
MAKE = NET + "def make():\n    return Net()\n"
INSPECT = "inspect m.py:make --input-shape 4 --json"


def _n(n):
    return lambda value: value["n_modules"] == n


def _file(name, text, says="", words=INSPECT, status=2, value=None, files=None, leaves=()):
    return Command(
        name, words, status, says, value, {"m.py": text, **(files or {})}, ("__pycache__", *leaves)
    )


def _forward(name, line, says="m.py", status=2, value=None):
    text = f"""{NET}class Odd(Net):
    def forward(self, x):
        y = super().forward(x)
        {line}
        return y


make = Odd
"""
    return _file(f"forward: {name}", text, says if status else "", status=status, value=value)


test_files_that_cannot_be_read = table(
    _file("a syntax error", "def make(:\n", "m.py"),
    _file("a bad indent", " x = 1\n  y = 2\n", "m.py"),
    _file("Python 2", "print 'make'\n", "m.py"),
    _file("binary", b"\x00\x01\x02\xff", "m.py"),
    _file("no UTF-8", b"# caf\xe9\nmake = 1\n", "m.py"),
    _file("UTF-16", NET.encode("utf-16"), "m.py"),
    _file("a zero byte", "x = 1\x00\n", "m.py"),
    _file("an unknown encoding", "# -*- coding: klingon -*-\n", "m.py"),
    _file("too many brackets", "x = " + "(" * 5000 + ")" * 5000 + "\n", "m.py"),
    _file("a number that is too long", f"x = {'9' * 5000}\n", "m.py"),
    _file("a notebook", '{"cells": []}\n', "make"),
    _file("empty", "", "make"),
    _file("raises", "raise ValueError('no\\nreally')\n", "ValueError"),
    _file("raises an empty error", "raise ValueError\n", "ValueError"),
    _file("raises a group", "raise ExceptionGroup('g', [ValueError('a')])\n", "ExceptionGroup"),
    _file("raises what is no error", "raise 'no'\n", "TypeError"),
    _file("raises an escape sequence", "raise ValueError('\\x1b[31mred\\x07')\n", "red"),
    _file("raises a very long text", "raise ValueError('x' * 100000)\n", "ValueError"),
    _file(
        "raises what cannot be shown",
        "class E(Exception):\n    def __str__(self): return 1 / 0\nraise E\n",
        "E",
    ),
    _file("exits", "import sys\nsys.exit(3)\n", "sys.exit(3)"),
    _file("exits at once", "quit()\n", "exit"),
    _file("runs out of stack", "def f(): f()\nf()\n", "RecursionError"),
    _file("runs out of memory", "x = bytearray(10**16)\n", "MemoryError"),
    _file("imports what is not there", "import no_such_package\n", "no_such_package"),
    _file("imports itself", "import m\nmake = m.make\n", "m.py"),
    _file("imports from its package", "from .parts import Net\n", "No module named '.parts'"),
    _file(
        "imports a broken neighbour",
        "import neighbour\n",
        "ZeroDivisionError",
        files={"neighbour.py": "1 / 0"},
    ),
    _file("asserts", "assert False, 'no'\n", "AssertionError"),
    _file("stops an iteration", "raise StopIteration\n", "StopIteration"),
    _file("asks a question", "input()\n", "EOFError"),
)

test_factories = table(
    _file("no such name", NET, "no model factory in m.py: 'make'"),
    _file("a near name", NET + "def makes():\n    return Net()\n", "makes"),
    _file("no name at all", MAKE, "", "inspect m.py --input-shape 4"),
    _file("an empty name", MAKE, "", "inspect m.py: --input-shape 4"),
    _file("a name with a dot", MAKE, "", "inspect m.py:Net.make --input-shape 4"),
    _file("a name that is code", MAKE, "", ["inspect", f"m.py:open({MARK!r},'w')", "--input-shape", "4"]),
    _file("two names", MAKE, "", "inspect m.py:make:Net --input-shape 4"),
    _file("a number", "make = 3\n", "make"),
    _file("None", "make = None\n", "make"),
    _file("a text", "make = 'Net()'\n", "make"),
    _file("a module of Python", "import os as make\n", "make"),
    _file("returns nothing", "def make():\n    pass\n", "NoneType"),
    _file("returns a class", NET + "def make():\n    return Net\n", "torch.nn.Module"),
    _file("returns a function", "def make():\n    return lambda x: x\n", "function"),
    _file("returns a tuple", NET + "def make():\n    return Net(), 3\n", "tuple"),
    _file("returns a tensor", NET + "def make():\n    return torch.ones(3)\n", "Tensor"),
    _file("returns weights", NET + "def make():\n    return Net().state_dict()\n", "OrderedDict"),
    _file("returns TorchScript", NET + "make = quietly(lambda: torch.jit.script(Net()))\n", "TorchScript"),
    _file("returns an empty model", NET + "def make():\n    return nn.Sequential()\n", ""),
    _file("returns the identity", NET + "def make():\n    return nn.Identity()\n", ""),
    _file("needs an argument", NET + "def make(depth):\n    return Net()\n", "depth"),
    _file("needs a keyword", NET + "def make(*, depth):\n    return Net()\n", "depth"),
    _file("a generator", NET + "def make():\n    yield Net()\n", "generator"),
    _file("raises", "def make():\n    return {}['depth']\n", "KeyError"),
    _file("exits", "def make():\n    raise SystemExit\n", "sys.exit()"),
    _file("interrupts", "def make():\n    raise GeneratorExit\n", "GeneratorExit"),
    _file("never ends", "def make():\n    return make()\n", "RecursionError"),
    _file("a model on no device", NET + "def make():\n    return Net().to('meta')\n", "meta"),
    _file("a model in half precision", NET + "def make():\n    return Net().half()\n", "float16"),
    _file("a model in double precision", NET + "def make():\n    return Net().double()\n", "float64"),
    _file("complex weights", NET + "make = quietly(lambda: Net().to(torch.complex64))\n", "complex weights"),
    _file(
        "NaN weights",
        NET + "def make():\n    net = Net()\n    net.a.weight.data[0, 0] = float('nan')\n    return net\n",
        "a.weight",
    ),
    _file("no super().__init__()", NET + "class make(nn.Module):\n    def __init__(self): pass\n", ""),
    _file("no forward", NET + "class make(nn.Module):\n    pass\n", "forward"),
    _file("lazy layers", NET + "def make():\n    return nn.Sequential(nn.LazyLinear(4), Net())\n", "", status=0),
    _file(
        "answers to every name",
        NET + "class make(Net):\n    def __getattr__(self, name):\n"
        "        try:\n            return super().__getattr__(name)\n"
        "        except AttributeError:\n            return 3\n",
        status=0, value=_n(2),
    ),
    _file("a class", NET + "make = Net\n", status=0, value=_n(2)),
    _file("an instance", NET + "make = Net()\n", status=0, value=_n(2)),
    _file("a lambda", NET + "make = lambda: Net()\n", status=0, value=_n(2)),
    _file("a partial", NET + "import functools\nmake = functools.partial(Net, 4)\n", status=0, value=_n(2)),
    _file("defaults", NET + "def make(size=4, **options):\n    return Net(size)\n", status=0, value=_n(2)),
    _file("another Python object beside", MAKE + "other = object()\n", status=0, value=_n(2)),
)  # fmt: skip

test_files_that_spoil_the_process = table(
    _file("prints", "print('{\"n_modules\": 9}')\n" + MAKE, status=0, value=_n(2)),
    _file("prints in another process", "import os\nos.system('echo 9')\n" + MAKE, status=0, value=_n(2)),
    _file(
        "writes to the file of standard output",
        "import os\nos.write(1, b'9')\n" + MAKE,
        status=0,
        value=_n(2),
    ),
    _file("warns", MAKE + "quietly(lambda: warnings.warn('old'))\n", status=0, value=_n(2)),
    _file("goes elsewhere", "import os\nos.chdir('/')\n" + MAKE, status=0, value=_n(2)),
    _file("changes the words", "import sys\nsys.argv[:] = ['x']\n" + MAKE, status=0, value=_n(2)),
    _file("takes standard output away", "import sys\nsys.stdout = None\n" + MAKE, status=0, value=_n(2)),
    _file(
        "double precision for all", "import torch\ntorch.set_default_dtype(torch.float64)\n" + MAKE, "float64"
    ),
    _file(
        "no gradients for all", "import torch\ntorch.set_grad_enabled(False)\n" + MAKE, status=0, value=_n(2)
    ),
    _file("another device for all", "import torch\ntorch.set_default_device('meta')\n" + MAKE, "meta"),
    _file("a seed for all", "import torch\ntorch.manual_seed(3)\n" + MAKE, status=0, value=_n(2)),
    _file("a shorter stack", "import sys\nsys.setrecursionlimit(200)\n" + MAKE, status=0, value=_n(2)),
    _file(
        "ends itself",
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n" + MAKE,
        status=0,
        value=_n(2),
    ),
)

_SPOIL_STREAMS = {
    "closes standard output": "sys.stdout.close()",
    "closes standard error": "sys.stderr.close()",
    "closes both": "sys.stdout.close(); sys.stderr.close()",
    "closes the first streams": "sys.__stdout__.close(); sys.__stderr__.close()",
    "closes what is below": "sys.stdout.buffer.close(); sys.stderr.buffer.close()",
    "closes the files": "os.close(1); os.close(2)",
    "no streams": "sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = None",
    "no streams at all": "del sys.stdout, sys.stderr",
    "streams of its own": "sys.stdout = sys.stderr = io.StringIO()",
    "streams into a file": "sys.stdout = sys.stderr = open(os.devnull, 'w')",
    "wraps the streams": "sys.stdout = io.TextIOWrapper(sys.stdout.buffer); sys.stdout = None; "
    "sys.stderr = io.TextIOWrapper(sys.stderr.buffer); sys.stderr = None",
    "takes the streams apart": "sys.stdout = io.TextIOWrapper(sys.stdout.detach()); sys.stderr.detach()",
    "opens the files again": "f = os.fdopen(1, 'w'), os.fdopen(2, 'w'); del f",
    "no remarks": "warnings.simplefilter('ignore'); logging.disable(); "
    "logging.config.dictConfig({'version': 1})",
}
_IMPORTS = "import io, logging.config, os, sys, warnings\n"
_LACKING = f"{INSPECT} --weights w.pt --allow-missing"
_WEIGHTS = {"w.pt": lambda path: torch.save(dict.fromkeys(("a.weight", "b.weight"), torch.eye(4)), path)}
# A forward pass runs several times, and these fail by themselves at the second.
_FAILS_TWICE = {"closes the files", "opens the files again", "no streams at all", "wraps the streams"}
# Results, remarks (which tensors are missing) and errors are said all the same.
_with_spoilt_streams = table(
    *(
        _file(f"{name}: {where}", text.format(spoil), says, words, status, files=_WEIGHTS)
        for name, spoil in _SPOIL_STREAMS.items()
        for where, text, words, says, status in (
            ("on import", _IMPORTS + "{}\n" + MAKE, _LACKING, "a.bias, b.bias", 0),
            ("and fails", _IMPORTS + "{}\n1 / 0\n", INSPECT, "ZeroDivisionError", 2),
            ("in the factory", MAKE.replace(":\n    return Net", f":\n    {_IMPORTS}    {{}}\n    return Net"),
             _LACKING, "a.bias, b.bias", 0),
        )
    ),
    *(
        _forward(name, f"import io, os, sys; {spoil}", status=0, value=_n(2))
        for name, spoil in _SPOIL_STREAMS.items()
        if "logging" not in spoil and name not in _FAILS_TWICE
    ),
)  # fmt: skip
# What they leave open is theirs.
test_files_that_spoil_the_streams = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)(_with_spoilt_streams)

test_models_that_do_not_run = table(
    _forward("raises", "raise ValueError('no')", "ValueError"),
    _forward("exits", "raise SystemExit(0)", "sys.exit(0)"),
    _forward("never ends", "return self.forward(x)", "RecursionError"),
    _forward("returns nothing", "return None", ""),
    _forward("returns a number", "return 3", ""),
    _forward("returns a text", "return 'cat'", ""),
    _forward("returns a scalar of Python", "return float(y.sum())", ""),
    _forward("branches on data", "y = y * 2 if y.sum() > 0 else y", ""),
    _forward("draws", "y = y + torch.rand_like(y)", "random"),
    _forward("draws by chance only", "y = nn.functional.dropout(y, 0.5)", "random"),
    _forward("uses numpy", "y = y + torch.from_numpy(y.detach().numpy())", ""),
    _forward("loops over data", "y = sum(row for row in y[: int(x.abs().sum()) + 1])", ""),
    _forward("asks for another shape", "y = y.view(3, 5, 7)", ""),
    _forward("another size a batch", "y = y[:, : len(y)]", ""),
    _forward("prints", "print('here')", status=0, value=_n(2)),
    _forward("counts", "self.n = getattr(self, 'n', 0) + 1", status=0, value=_n(2)),
    _forward("returns what it was given in place", "y.add_(0)", status=0, value=_n(2)),
    _forward("two outputs", "return y, y.sum(1)", status=0, value=_n(2)),
    _forward("names of outputs with a line break", "return {'a\\nb': y}", status=0, value=_n(2)),
    _forward("names of outputs that steer a terminal", "return {'\\x1b[31m': y}", status=0, value=_n(2)),
)
