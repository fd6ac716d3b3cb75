"""Python files of users: packages open as Python opens them, and no file ends, silences or spoils the command."""

from __future__ import annotations

import json
import random
import sys

import numpy as np
import pytest
import torch

import unravelnet as un
from unravelnet.cli.command_line import run
from unravelnet.errors import ModelError, UnravelError

PART = """
from torch import nn


class Part(nn.Linear):
    pass
"""
NET = """
from torch import nn
{imports}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = Part(8, 8)

    def forward(self, x):
        return x + self.a(x)
"""
IMAGES = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, size=None, channels=3):
        super().__init__()
        self.stem = nn.Conv2d(channels, 4, 3, padding=1)
        self.branch = nn.Conv2d(4, 4, 3, padding=1)
        if size is not None:
            self.image_size = size

    def forward(self, x):
        x = self.stem(x)
        return (x + self.branch(x).relu()).mean((2, 3))
"""


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


# -- packages --


@pytest.mark.parametrize("has_init", [True, False])
@pytest.mark.parametrize("imports", ["from .parts import Part", "from . import parts\nPart = parts.Part"])
def test_a_file_may_import_from_its_package(tmp_path, has_init, imports):
    folder = write(tmp_path / "pkg", net=NET.format(imports=imports), parts=PART)
    if has_init:
        (folder / "__init__.py").touch()
    before = list(sys.path)
    net = un.load(f"{folder / 'net.py'}:Net", input_shape=(8,))
    assert len(net.residual_modules) == 1
    assert sys.path == before


def test_a_package_in_a_package_may_look_upwards(tmp_path):
    top = write(tmp_path / "top", __init__="", parts=PART)
    write(top / "models", __init__="from .net import Net", net=NET.format(imports="from ..parts import Part"))
    for place in ("net.py", "__init__.py"):
        assert len(un.load(f"{top / 'models' / place}:Net", input_shape=(8,)).residual_modules) == 1


def test_a_package_may_import_itself_by_name(tmp_path):
    folder = write(
        tmp_path / "own_package",
        __init__="",
        net=NET.format(imports="from own_package.parts import Part"),
        parts=PART,
    )
    assert len(un.load(f"{folder / 'net.py'}:Net", input_shape=(8,)).residual_modules) == 1


def test_a_folder_may_be_called_like_an_installed_package(tmp_path):
    folder = write(
        tmp_path / "torch", __init__="", net=NET.format(imports="from .parts import Part"), parts=PART
    )
    assert len(un.load(f"{folder / 'net.py'}:Net", input_shape=(8,)).residual_modules) == 1
    assert sys.modules["torch"] is torch


def test_a_changed_package_is_read_again(tmp_path):
    folder = write(
        tmp_path / "pkg", __init__="", net=NET.format(imports="from .parts import Part"), parts=PART
    )
    first = un.load(f"{folder / 'net.py'}:Net", input_shape=(8,))
    write(
        folder, parts=PART.replace("pass", "def forward(self, x):\n        return super().forward(x).relu()")
    )
    second = un.load(f"{folder / 'net.py'}:Net", input_shape=(8,))
    x = torch.randn(3, 8)
    expected = x + torch.relu(first(x) - x)
    torch.testing.assert_close(second(x), expected)


def test_an_import_from_beyond_the_package_says_how_to_mend_it(tmp_path):
    folder = write(
        tmp_path / "pkg", net=NET.format(imports="from .parts import Part"), parts="from ...x import y"
    )
    known = set(sys.modules)
    with pytest.raises(
        ModelError, match=r"relative import.* Put an __init__\.py into every folder of its package"
    ):
        un.load(f"{folder / 'net.py'}:Net", input_shape=(8,))
    assert not [name for name in set(sys.modules) - known if name.startswith("_unravelnet_user")]


# -- files that end or talk --


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys\nsys.exit(0)\n", r"cannot be imported: it called sys\.exit\(0\) \(line 2\)"),
        ("raise SystemExit\n", r"it called sys\.exit\(\)"),
        ("import argparse\nargparse.ArgumentParser().parse_args(['--no'])\n", r"it called sys\.exit\(2\)"),
        (
            IMAGES + "\ndef make():\n    exit('done')\n",
            r"make\(\) of .* failed: it called sys\.exit\('done'\)",
        ),
        (
            IMAGES + "\ndef make():\n    net = Net()\n    net.forward = lambda x: exit(0)\n    return net\n",
            r"does not run on inputs of 3×32×32 \(it called sys\.exit\(0\)\)",
        ),
        ("def make():\n    return [1]\n", "returned a list; expected a torch.nn.Module"),
        ("def make():\n    return make()\n", "failed: RecursionError"),
        (
            "class Stop(BaseException): pass\ndef make():\n    raise Stop('now')\n",
            r"failed: Stop: now \(line 3\)",
        ),
        (
            "from torch import nn\nclass make(nn.Module):\n    def forward(self, x, y):\n        return x + y\n",
            r"takes 2 inputs \(x, y\), and one is given here\. In Python, un\.unravel",
        ),
    ],
)
def test_a_file_that_ends_or_fails_is_an_error_of_the_user(tmp_path, capsys, text, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(ModelError, match=message):
        un.load(f"{path}:make")
    assert run(["inspect", f"{path}:make"]) == 2
    assert capsys.readouterr().out == ""


def test_what_a_file_prints_is_no_result(tmp_path, capfd):
    path = tmp_path / "mine.py"
    path.write_text(
        IMAGES.replace("x = self.stem(x)", "print('forwards')\n        x = self.stem(x)")
        + "\nimport os\nprint('imported')\nos.system('echo echoed')\n"
        + "\n\ndef make():\n    print('made')\n    os.write(1, b'written')\n    return Net()\n"
    )
    assert run(["inspect", f"{path}:make", "--json"]) == 0
    printed = capfd.readouterr()
    assert json.loads(printed.out)["n_modules"] == 1
    assert all(word in printed.err for word in ("imported", "echoed", "made", "written", "forwards"))


def test_weights_that_numpy_and_python_draw_are_the_same_each_time(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        IMAGES
        + "\nimport random\nimport numpy as np\n\ndef make():\n    net = Net()\n"
        + "    net.stem.bias.data += torch.tensor(np.random.randn(4)).float() + random.random()\n    return net\n"
    )
    states = random.getstate(), np.random.get_state()[1].tolist()
    assert un.load(f"{path}:make").fingerprint() == un.load(f"{path}:make").fingerprint()
    assert un.load(f"{path}:make").fingerprint() != un.load(f"{path}:make", seed=1).fingerprint()
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states


def test_a_file_does_not_change_what_tensors_are(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import torch\ntorch.set_default_dtype(torch.float64)\ntorch.set_grad_enabled(False)\n" + IMAGES
    )
    with pytest.raises(ModelError, match="has float64 weights"):
        un.load(f"{path}:Net")
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


# -- the size of the input --


@pytest.mark.parametrize(
    ("factory", "shape", "origin"),
    [
        ("Net()", (3, 32, 32), "the first that it takes of 3×32×32 and 3×224×224"),
        ("Net(48)", (3, 48, 48), "from its image_size"),
        ("Net((24, 40), channels=1)", (1, 24, 40), "from its image_size"),
        ("torch.nn.Sequential(Net(20))", (3, 20, 20), "from its image_size"),
        ("Net('large')", (3, 32, 32), "the first that it takes of 3×32×32 and 3×224×224"),
        ("with_settings({'input_size': (3, 60, 60)})", (3, 60, 60), "from its default_cfg"),
        ("with_settings({'input_size': 3})", (3, 32, 32), "the first that it takes of 3×32×32 and 3×224×224"),
    ],
)
def test_a_model_is_given_the_size_that_it_is_for(tmp_path, factory, shape, origin):
    path = tmp_path / "mine.py"
    settings = (
        "def with_settings(settings):\n    net = Net()\n    net.default_cfg = settings\n    return net\n"
    )
    path.write_text(f"{IMAGES}\n\n{settings}\n\ndef make():\n    return {factory}\n")
    net = un.load(f"{path}:make")
    assert (net.input_shape, net.input_origin) == (shape, origin)
    # Closed form: both convolutions have 9 weights a channel and place.
    assert net.total_macs == (shape[0] * 4 + 4 * 4) * 9 * shape[1] * shape[2]


def test_inspect_says_the_size_and_where_it_comes_from(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(IMAGES)
    for words, said in (
        ([], "MACs for one input of 3×32×32 (the first that it takes of 3×32×32 and 3×224×224)"),
        (["--input-shape", "3,16,16"], "MACs for one input of 3×16×16 (as asked for)"),
        (["--data", "digits"], None),
    ):
        status = run(["inspect", f"{path}:Net", *words])
        printed = capsys.readouterr()
        assert status == (0 if said else 2)
        assert said is None or said in printed.out.splitlines()[0]


def test_a_model_with_lazy_layers_gets_its_sizes(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        f"{IMAGES}\n\ndef make():\n    net = Net()\n    net.stem = nn.LazyConv2d(4, 3, padding=1)\n    return net\n"
    )
    net = un.load(f"{path}:make", input_shape=(5, 8, 8))
    assert net.total_macs == (5 * 4 + 4 * 4) * 9 * 64


@pytest.mark.parametrize("shape", [(), (0, 3), (3, 100_000, 100_000)])
def test_shapes_that_are_none_are_refused(tmp_path, shape):
    path = tmp_path / "mine.py"
    path.write_text(IMAGES)
    with pytest.raises(UnravelError, match=r"shape|values|does not run"):
        un.load(f"{path}:Net", input_shape=shape)


# -- a factory with arguments --

DEEP = """
import torch
from torch import nn


class Deep(nn.Module):
    def __init__(self, depth, width=8, *, kinds=("a:b",)):
        super().__init__()
        torch.manual_seed(depth)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(depth * len(kinds)))

    def forward(self, x):
        for block in self.blocks:
            x = x + block(x)
        return x
"""


@pytest.mark.parametrize(
    ("call", "n_modules", "width"),
    [
        ("Deep(3)", 3, 8),
        ("Deep(depth=4, width=6)", 4, 6),
        ("Deep(2, kinds=['x:y', 'a.py:b', '('])", 6, 8),
        ("Deep( 2,\n 5 )", 2, 5),
    ],
)
def test_a_factory_is_called_with_what_stands_behind_its_name(tmp_path, call, n_modules, width):
    folder = write(tmp_path, net=DEEP)
    net = un.load(f"{folder / 'net.py'}:{call}", input_shape=(width,))
    assert len(net.residual_modules) == n_modules
    assert net.name == f"net.py:{call}"
    names: dict[str, object] = {}
    exec(DEEP, names)
    x = torch.randn(2, width)
    assert torch.allclose(net(x), eval(call, names)(x))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("Deep(depth=n)", r"'Deep\(depth=n\)' is not a call with plain values"),
        ("Deep(3", "is not a call with plain values"),
        ("Deep(3)(4)", "is not a call with plain values"),
        ("Deep(**{'depth': 3})", "is not a call with plain values"),
        ("os.system('true')", "is not a call with plain values"),
        ("Deep(__import__('os'))", "is not a call with plain values"),
        ("Deep" + "(" * 5000, "is not a call with plain values"),
        (
            "Deep(3, depths=2)",
            r"Deep\(3, depths=2\) of .* failed: TypeError: .*unexpected keyword argument 'depths'",
        ),
        (
            "Deep",
            r"Deep\(\) of .* failed: .*It is called without arguments: give them as in make\(depth=20\)",
        ),
        ("Dep(3)", "Did you mean 'Deep'"),
    ],
)
def test_a_call_that_cannot_be_made_is_a_sentence(tmp_path, call, sentence):
    folder = write(tmp_path, net=DEEP)
    with pytest.raises(UnravelError, match=sentence):
        un.load(f"{folder / 'net.py'}:{call}", input_shape=(8,))
