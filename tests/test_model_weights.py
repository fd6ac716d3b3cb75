"""Weights reach the model that they are of, whatever file they come in; anything else is refused by name."""

from __future__ import annotations

import argparse
import collections
import contextlib
import copy
import datetime
import os
import pathlib
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from unravelnet import zoo
from unravelnet.errors import CheckpointError, ModelError
from unravelnet.models import load
from unravelnet.models.weights import load_into, read_weights

FILE = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        return x + self.conv(x).relu()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.blocks = nn.Sequential(Block(), Block())
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


def half():
    return Net().half()


def without_values():
    with torch.device("meta"):
        return Net()


def spoilt():
    net = Net()
    net.stem.weight.data[0, 0, 0, 0] = float("nan")
    return net
"""

SHAPES = {
    "stem.weight": (4, 3, 3, 3),
    "stem.bias": (4,),
    **{f"blocks.{n}.conv.weight": (4, 4, 3, 3) for n in range(2)},
    **{f"blocks.{n}.conv.bias": (4,) for n in range(2)},
    "head.weight": (10, 4),
    "head.bias": (10,),
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def small_net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


MODEL = small_net()
STATE = {name: tensor.clone() for name, tensor in MODEL.state_dict().items()}


def under(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in STATE.items()}


def assert_loads(path, key=None) -> nn.Module:
    """Check that a file gives a fresh model the very values of `MODEL`."""
    other = small_net()
    load_into(other, read_weights(path, key), path)
    for name, tensor in STATE.items():
        assert torch.equal(other.state_dict()[name], tensor), name
    return other


def test_the_check_finds_other_values(tmp_path):
    torch.save(small_net().state_dict(), tmp_path / "other.pt")
    with pytest.raises(AssertionError, match=r"0\.weight"):
        assert_loads(tmp_path / "other.pt")


# -- files --


class Settings(dict):
    """A mapping of one's own, as trainers save their settings in."""


class Runner:
    def __init__(self):
        self.steps = 3


def holding_itself() -> dict[str, object]:
    content: dict[str, object] = {"state_dict": STATE}
    content["trainer"] = content
    return content


FORMS: dict[str, object] = {
    "plain.pth": STATE,
    "best.pth.tar": {"state_dict": under("module."), "epoch": 9},
    "resnet.th": {"state_dict": under("module.")},
    "ckpt.t7": {"net": under("module."), "acc": 93.0},
    "no_suffix": {"model": under("backbone.net.")},
    "numpy.pth": {"net": STATE, "acc": np.float64(93.2), "curve": np.arange(3.0), "type": np.dtype("f4")},
    "namespace.pth": {"model": STATE, "args": argparse.Namespace(arch="vit_small")},
    "list.pth": {**STATE, "mask_values": [0, 1]},
    "lightning.ckpt": {"state_dict": under("net."), "hyper_parameters": Settings(depth=20)},
    "settings.pth": {"state_dict": Settings(STATE), "meta": collections.defaultdict(list, a=[1])},
    "objects.pth": {
        "model": STATE,
        "runner": Runner(),
        "at": datetime.datetime(2016, 5, 20),
        "by": pathlib.Path("a"),
    },
    "optimiser.pth": {"model": STATE, "optimizer": torch.optim.Adam(MODEL.parameters()).state_dict()},
    "averaged.pth": {
        "state_dict": STATE,
        "state_dict_ema": {name: tensor + 1 for name, tensor in STATE.items()},
    },
    "deep.pth": {"run": {"last": {"weights": STATE}}},
    "more.pth": {**STATE, "rotary.inv_freq": torch.ones(3)},
    "numbers.pth": dict[object, object](STATE) | {7: torch.ones(1)},
    "itself.pth": holding_itself(),
    "half.pth": {name: tensor.clone() for name, tensor in STATE.items()},
}


@pytest.mark.parametrize("name", FORMS)
def test_checkpoints_load_as_people_have_them(tmp_path, name):
    torch.save(FORMS[name], tmp_path / name)
    assert_loads(tmp_path / name)


@pytest.mark.parametrize("name", ["plain.pth", "namespace.pth", "numpy.pth", "objects.pth"])
def test_files_of_older_torch_load_too(tmp_path, name):
    torch.save(FORMS[name], tmp_path / name, _use_new_zipfile_serialization=False)
    assert_loads(tmp_path / name)


def test_safetensors_are_known_by_what_is_in_them(tmp_path):
    save_file(STATE, tmp_path / "weights.bin")
    assert_loads(tmp_path / "weights.bin")


def test_what_is_left_out_is_said(tmp_path, caplog):
    torch.save({**STATE, "mask_values": [0, 1], "rotary.inv_freq": torch.ones(3)}, tmp_path / "w.pt")
    with caplog.at_level("INFO", logger="unravelnet"):
        assert_loads(tmp_path / "w.pt")
        torch.save(FORMS["averaged.pth"], tmp_path / "w.pt")
        assert_loads(tmp_path / "w.pt")
    assert "Entries of w.pt that are no tensors are left out: mask_values." in caplog.text
    assert "Names in w.pt that the model does not have are left out: rotary.inv_freq." in caplog.text
    assert "holds weights under state_dict, state_dict_ema; those under state_dict are taken" in caplog.text


def test_several_sets_of_weights_are_chosen_from(tmp_path):
    path = tmp_path / "teacher.pth"
    other = {name: tensor + 1 for name, tensor in under("module.backbone.").items()}
    torch.save(
        {"student": other, "teacher": {**under("backbone."), "head.weight": torch.zeros(2)}, "epoch": 3}, path
    )
    with pytest.raises(
        CheckpointError,
        match=r"holds the keys student, teacher, epoch\. .* --weights-key student or teacher\.",
    ):
        read_weights(path)
    assert_loads(path, "teacher")
    with pytest.raises(
        CheckpointError, match=r"no weights under 'ema', but the keys student, teacher, epoch\."
    ):
        read_weights(path, "ema")
    # The same two in one table, as Lightning saves them.
    torch.save({"state_dict": {**other, **under("teacher.")}}, path)
    with pytest.raises(CheckpointError, match=r"more than once, under teacher, module\.backbone\."):
        load_into(small_net(), read_weights(path), path)
    assert_loads(path, "teacher")


def test_counters_of_batches_choose_no_set_of_weights(tmp_path):
    # Averaged weights often come without.
    first, second = (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)) for _ in range(2))
    plain = {name: tensor for name, tensor in first.state_dict().items() if "num_batches" not in name}
    whole = {f"ema.{name}": tensor for name, tensor in second.state_dict().items()}
    model, path = copy.deepcopy(first), tmp_path / "w.pt"
    load_into(model, {**plain, **whole}, path)
    assert torch.equal(model[0].weight, first[0].weight)
    with pytest.raises(CheckpointError, match="more than once, under ema, model"):
        load_into(model, {**{f"model.{name}": tensor for name, tensor in plain.items()}, **whole}, path)


class Bomb:
    """What pickle makes of it touches a file; by a name that torch blocks, or by one that it does not know."""

    def __init__(self, path, function=os.system):
        self.path, self.function = path, function

    def __reduce__(self):
        command = (
            f"touch {self.path}" if self.function is os.system else f"open({str(self.path)!r}, 'w').close()"
        )
        return self.function, (command,)


@pytest.mark.parametrize("function", [os.system, exec])
@pytest.mark.parametrize("is_new", [True, False])
def test_nothing_that_runs_is_unpickled(tmp_path, function, is_new):
    path, marker = tmp_path / "evil.pt", tmp_path / "it-ran"
    bomb = Bomb(marker, function)
    pickle.loads(pickle.dumps(bomb))
    assert marker.exists(), "the payload works"
    marker.unlink()
    for content in (bomb, {"state_dict": STATE, "extra": bomb}, {**STATE, "0.weight": bomb}):
        torch.save(content, path, _use_new_zipfile_serialization=is_new)
        with contextlib.suppress(CheckpointError):
            load_into(small_net(), read_weights(path), path)
        assert not marker.exists()
    path.write_bytes(pickle.dumps(bomb))
    with pytest.raises(
        CheckpointError, match="damaged, or holds objects that cannot be read without running code"
    ):
        read_weights(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"epoch 1: loss 0.3\n", "it is a text"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (bytes(range(200, 256)) * 3, "it is damaged"),
        (b"PK\x03\x04" + bytes(80), "it is damaged"),
        (b"\x08" + bytes(7) + b"{damaged", "it is damaged"),
        (pickle.dumps(STATE), "cannot be read without running code"),
        (b"\x80\x02" + b"(l" * 50_000 + b".", "damaged"),
    ],
    ids=["empty", "text", "git-lfs", "bytes", "zip", "safetensors", "pickle", "deep"],
)
def test_other_files_are_explained(tmp_path, content, message):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_weights(path)


def test_a_torchscript_program_and_a_missing_file_are_explained(tmp_path):
    path = tmp_path / "program.pt"
    with pytest.raises(CheckpointError, match="There is no file"):
        read_weights(path)
    with pytest.raises(CheckpointError, match="is a directory"):
        read_weights(tmp_path)
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(CheckpointError, match="it is damaged"):
        read_weights(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (3, "an object of type int"),
        ([STATE], "an object of type list"),
        ({}, "an object of type dict"),
        (torch.ones(2), "an object of type Tensor"),
        (dict.fromkeys((0, ("a", 1)), torch.ones(1)), r"the keys 0, \('a', 1\)"),
        (MODEL, "a whole model that was pickled"),
        ({"epoch": 3}, "the keys epoch"),
    ],
)
def test_content_without_tensors_by_name_is_described(tmp_path, content, what):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(
        CheckpointError, match=f"holds no tensors by name, but {what}. Expected .* can be converted"
    ):
        read_weights(tmp_path / "w.pt")


# -- into a model --


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("0.bias"), r"missing: 0\.bias\. .* --allow-missing continues"),
        (
            lambda state: [state.pop(name) for name in list(state)[1:]],
            r"missing: 0\.bias, 1\.weight, .* and 4 more",
        ),
        (
            lambda state: state.update({"2.weight": torch.zeros(7, 4)}),
            r"2\.weight is \(7, 4\) and should be \(2, 4\)",
        ),
        (
            lambda state: state.update({"2.weight": torch.zeros(2, 4).int()}),
            r"is int32 and should be float32",
        ),
        (
            lambda state: state.update({"2.weight": torch.zeros(2, 4) * 1j}),
            r"is complex64 and should be float32",
        ),
        (lambda state: state.update({"2.weight": torch.eye(2, 4).to_sparse()}), "is a sparse tensor"),
        (lambda state: state.update({"2.weight": torch.zeros(2, 4, device="meta")}), "is a meta tensor"),
    ],
)
def test_weights_that_do_not_fit_change_nothing(tmp_path, change, message):
    model, state = small_net(), dict(STATE)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    change(state)
    with pytest.raises(CheckpointError, match=message):
        load_into(model, state, tmp_path / "w.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


# torch warns of the first three: of what is about to change, or go.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torch.eye(2, 4).to_sparse_csr(), "2.weight is a sparse tensor"),
        (
            lambda: torch.quantize_per_tensor(torch.ones(2, 4), 0.1, 0, torch.qint8),
            "2.weight is a quantised tensor",
        ),
        (lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), "2.weight is a nested tensor"),
    ],
)
def test_unusual_tensors_are_named(tmp_path, make, message):
    path = tmp_path / "w.pt"
    torch.save({**STATE, "2.weight": make()}, path)
    with pytest.raises(CheckpointError, match=message):
        load_into(small_net(), read_weights(path), path)


def test_weights_of_another_model_cannot_be_gone_on_with(tmp_path):
    foreign = {"layer.weight": torch.ones(2, 2)}
    with pytest.raises(
        CheckpointError, match=r"missing: 0\.weight, .*; unknown: layer\.weight\. .* classes\.$"
    ):
        load_into(small_net(), foreign, tmp_path, allow_missing=True)
    misshapen = {**STATE, "2.weight": torch.zeros(7, 4)}
    with pytest.raises(CheckpointError, match=r"is \(7, 4\)"):
        load_into(small_net(), misshapen, tmp_path, allow_missing=True)


def test_a_few_equal_names_are_no_second_set_of_weights(tmp_path):
    foreign = {f"{part}.2.{name}": torch.zeros(2) for part in "ab" for name in ("weight", "bias")}
    with pytest.raises(
        CheckpointError, match=r"does not hold the weights of this Sequential: missing: 0\.weight"
    ):
        load_into(small_net(), foreign, tmp_path)


def test_a_tied_tensor_may_be_missing(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(5, 3)
            self.head = nn.Linear(3, 5, bias=False)
            self.head.weight = self.embedding.weight

    model = Tied()
    assert load_into(model, {"embedding.weight": torch.ones(5, 3)}, tmp_path) == []
    assert torch.equal(model.head.weight, torch.ones(5, 3))


# -- into a captured network --


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_reach_the_captured_network(file, tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    state = {name: torch.zeros(shape) for name, shape in SHAPES.items()}
    state["stem.weight"] += 0.5
    state["head.weight"] += 1
    (torch.save if suffix == ".pt" else save_file)(state, path)
    net = load(f"{file}:Net", weights=path)
    # Closed form: 27 inputs of one times 0.5, branches of zero, four channels summed.
    torch.testing.assert_close(net(torch.ones(2, 3, 32, 32)), torch.full((2, 10), 4 * 27 * 0.5))
    assert net.fingerprint() != load(f"{file}:Net").fingerprint()


def test_missing_weights_are_refused_or_said_in_every_row(file, tmp_path, caplog):
    path = tmp_path / "some.pt"
    state = {name: torch.zeros(shape) for name, shape in SHAPES.items() if not name.startswith("head")}
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"missing: head\.weight, head\.bias\."):
        load(f"{file}:Net", weights=path)
    with caplog.at_level("INFO", logger="unravelnet"):
        net = load(f"{file}:Net", weights=path, allow_missing=True)
    # The name stands in every row of every table.
    assert net.name == "mine.py:Net (2 tensors missing)"
    assert "2 tensors were missing and keep their random values: head.weight, head.bias." in caplog.text
    assert net.fingerprint() == load(f"{file}:Net", weights=path, allow_missing=True).fingerprint()


def test_a_key_without_a_file_is_refused(file):
    with pytest.raises(
        CheckpointError, match="--weights-key ema chooses among the weights of a file, and none is given"
    ):
        load(f"{file}:Net", weights_key="ema")


def test_a_zoo_network_takes_no_weights_of_another(tmp_path):
    path = tmp_path / "other.pt"
    torch.save(zoo.resnet(14, input_shape=(1, 8, 8)).state_dict(), path)
    with pytest.raises(CheckpointError, match="missing: "):
        load("zoo:preact-resnet20", input_shape=(1, 8, 8), weights=path)


@pytest.mark.parametrize(
    ("factory", "error", "message"),
    [
        ("half", ModelError, r"has float16 weights \(stem\.weight, .*end its factory with \.float\(\)"),
        ("without_values", ModelError, "on the meta device, which hold no values: stem.weight"),
        ("spoilt", CheckpointError, r"not a number \(NaN\): stem\.weight\."),
    ],
)
def test_weights_that_cannot_be_measured_are_named(file, factory, error, message):
    with pytest.raises(error, match=message):
        load(f"{file}:{factory}")
