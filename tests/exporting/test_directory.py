"""A directory of an export is a model for every command: data that is captured again, with nothing in it run."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from torch import nn

import unravelnet as un
from tests.exporting import small
from unravelnet import zoo
from unravelnet.errors import CaptureError, CheckpointError, DataError, ModelError
from unravelnet.exporting import RECEIPT, export
from unravelnet.exporting.receipt import read_receipt


@pytest.fixture(scope="module")
def net():
    return zoo.preact_resnet(14, input_shape=(1, 8, 8), seed=0).eval()


@pytest.fixture(scope="module")
def exported(net, tmp_path_factory):
    return export(net, net.full_route.delete(1, 4), tmp_path_factory.mktemp("exported") / "small")


@pytest.fixture
def saved(exported, tmp_path):
    """A copy, which a test may damage."""
    return shutil.copytree(exported, tmp_path / "small")


def test_a_directory_gives_what_the_route_gives(net, tmp_path):
    route = un.Route.parse("1,0*0.5,2,3b,4s,5")
    again = un.load(str(export(net, route, tmp_path / "small")))
    x = torch.randn(5, 1, 8, 8)
    torch.testing.assert_close(again(x), net(x, route))


def test_its_modules_are_those_that_are_left(net, saved):
    again = un.load(str(saved))
    kept = [net.residual_modules[index] for index in (0, 2, 3, 5)]
    assert [module.name for module in again.residual_modules] == [module.name for module in kept]
    assert again.name == f"{net.name}, route 0,1s,2-3,4s,5"
    x = torch.randn(3, 1, 8, 8)
    # A lesion of what is left is a lesion of both.
    torch.testing.assert_close(again(x, again.full_route.delete(2)), net(x, net.full_route.delete(1, 3, 4)))
    # And it can be exported again, under the same names.
    second = export(again, again.full_route.delete(2), saved.parent / "smaller")
    names = [set(json.loads((path / "graph.json").read_text())["parameters"]) for path in (saved, second)]
    assert names[1] < names[0]
    torch.testing.assert_close(un.load(str(second))(x), net(x, net.full_route.delete(1, 3, 4)))


class Several(nn.Module):
    """Takes two inputs by name and returns a nested output."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def forward(self, x, scale):
        for block in self.blocks:
            x = x + block(x) * scale
        return {"out": x, "more": (x.mean(1), [x * 2])}


def test_inputs_and_outputs_keep_their_form(tmp_path):
    example = {"x": torch.randn(2, 4), "scale": torch.rand(2, 1)}
    net = un.unravel(Several(), example)
    route = net.full_route.delete(1)
    again = un.load(str(export(net, route, tmp_path / "small")))
    inputs = {"x": torch.randn(3, 4), "scale": torch.rand(3, 1)}
    found, expected = again(inputs), net(inputs, route)
    torch.testing.assert_close(found["out"], expected["out"])
    torch.testing.assert_close(found["more"][0], expected["more"][0])
    torch.testing.assert_close(found["more"][1][0], expected["more"][1][0])


def test_a_language_model_takes_its_tokenizer_along(tmp_path):
    tokenizers = small.library("tokenizers")
    source = tmp_path / "gpt2"
    small.gpt2().save_pretrained(source)
    letters = {letter: place for place, letter in enumerate("?abcdefgh .\n")}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(letters, unk_token="?"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    tokenizer.save(str(source / "tokenizer.json"))
    (tmp_path / "book.txt").write_text("a bad cab had a bee. " * 200)
    net = un.load(f"hf:{source}")
    path = export(net, net.full_route.delete(0, 1), tmp_path / "small")
    again, text = un.models.load_subject(str(path), str(tmp_path / "book.txt"))
    assert text.largest_token < 16
    tokens, _ = text.batch(torch.arange(2))
    torch.testing.assert_close(again(tokens)["logits"], net(tokens, net.full_route.delete(0, 1))["logits"])
    with pytest.raises(DataError, match="takes text, and digits are images"):
        un.load(str(path), data="digits")


def test_a_shape_that_it_was_not_exported_for_is_refused(saved):
    with pytest.raises(ModelError, match="was exported for inputs of 1×8×8, and 3×32×32 is asked for"):
        un.load(str(saved), input_shape=(3, 32, 32))


# -- nothing that is stored is run --


def changed(saved, change):
    path = saved / "graph.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def first_call(content):
    return next(node for node in content["nodes"] if node["op"] == "call_function")


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "aten.from_file.default",
        "aten.add_.Tensor",
        "aten.relu.default; import os",
        "aten.__class__.__init__",
        "prims.device_put.default",
        ["aten.relu.default"],
        7,
    ],
)
def test_operators_that_do_more_than_compute_are_refused(saved, target):
    changed(saved, lambda content: first_call(content).update(target=target))
    with pytest.raises(CheckpointError, match="no operator that a stored graph may use"):
        un.load(str(saved))


@pytest.mark.parametrize(
    "change",
    [
        lambda content: first_call(content).update(args=[{"node": 10**6}]),
        lambda content: first_call(content).update(args=[{"torch": "load"}]),
        lambda content: first_call(content).update(args=[{"call": "exit()"}]),
        lambda content: first_call(content).update(op="call_method"),
        lambda content: content["nodes"].insert(1, {"op": "get_attr", "target": "forward"}),
        lambda content: content["inputs"][0].update(dtype="nn"),
        lambda content: content.pop("nodes"),
        lambda content: content.pop("inputs"),
        lambda content: content.update(nodes=[7]),
    ],
)
def test_damaged_graphs_are_refused(saved, change):
    changed(saved, change)
    with pytest.raises(CheckpointError, match="Export again"):
        un.load(str(saved))


def test_parts_without_names_are_numbers(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), small.Block(6), small.Block(6), nn.Linear(6, 2)).eval()
    net, x = un.unravel(model, torch.randn(2, 4)), torch.randn(5, 4)
    again = un.load(str(export(net, net.full_route.delete(0), tmp_path / "small")))
    torch.testing.assert_close(again(x), model[3](model[2](model[0](x))))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_refused_where_they_could_not_be_read(dtype, tmp_path):
    net = un.unravel(small.Tower().to(dtype), torch.randn(2, 6).to(dtype))
    with pytest.raises(CaptureError, match=rf"weights of {dtype}, .* float32.*model\.float\(\)"):
        export(net, net.full_route.delete(1), tmp_path / "small")
    assert list(tmp_path.iterdir()) == []


def test_names_of_tensors_are_no_code(saved):
    from safetensors.torch import load_file, save_file

    tensors = load_file(saved / "weights.safetensors")
    for name in ("a'); exit(); ('", "__class__.x", "graph.weight", "forward"):
        save_file({**tensors, name: torch.zeros(1)}, saved / "weights.safetensors")
        with pytest.raises(CheckpointError, match="is no name of a tensor"):
            un.load(str(saved))


# -- what cannot be kept as data --


class Unusual(nn.Module):
    """Returns an object of its own."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))

    def forward(self, x, factor):
        for block in self.blocks:
            x = x + block(x) * factor
        return x


def test_inputs_that_are_no_tensors_are_refused(tmp_path):
    net = un.unravel(Unusual(), (torch.randn(2, 4), 0.5))
    with pytest.raises(CaptureError, match="inputs that are no tensors"):
        export(net, net.full_route.delete(1), tmp_path / "small")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_stays_as_it_was(net, saved, monkeypatch):
    before = {file.name: file.read_bytes() for file in saved.iterdir()}

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    monkeypatch.setattr("unravelnet.zoo.store.save_file", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        export(net, net.full_route.delete(0), saved)
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before
    assert [file.name for file in saved.parent.iterdir()] == ["small"]


def test_error_and_latency_go_into_the_receipt(net, tmp_path):
    images, labels = torch.randn(40, 1, 8, 8), torch.arange(40) % 10
    route = net.full_route.delete(0)
    path = export(net, route, tmp_path / "small", data=(images, labels))
    receipt = read_receipt(path)
    assert receipt == json.loads((path / RECEIPT).read_text())
    wrong = [(net(images, r).argmax(1) != labels).float().mean().item() for r in (None, route)]
    told = [receipt["measured"][when]["error_rate"] for when in ("before", "after")]
    assert told == pytest.approx(wrong)
    assert receipt["measured"]["after"]["n_images"] == 40
    assert min(receipt["measured"]["latency"].values()) > 0
    branch = net.residual_modules[0]
    assert receipt["macs"] - receipt["macs_left"] == branch.macs
    assert set(receipt["relative_differences"]) == {"pruned in memory", "read back from disk"}
