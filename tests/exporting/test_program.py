"""An exported program gives what its route gives, holds no weight of what was deleted, and needs none of our code."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

import unravelnet as un
from unravelnet import zoo
from unravelnet.errors import CaptureError, DataError, RouteError, StoreError, UnknownNameError
from unravelnet.exporting import RECEIPT, export
from unravelnet.exporting.receipt import read_receipt
from unravelnet.network import ResidualModule, UnraveledNetwork


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, x):
        return x + self.layer(x).relu()


class Named(nn.Module):
    """Takes its inputs by name, and a mask beside the stream."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Block(6), Block(6), Block(6)])

    def forward(self, x, mask):
        for block in self.blocks:
            x = torch.where(mask, block(x), x)
        return {"out": x}


def a_plain_block_row():
    torch.manual_seed(0)
    return un.unravel(nn.Sequential(Block(4), Block(4), Block(4), nn.Linear(4, 2)), torch.randn(2, 4))


def loaded(path):
    return torch.export.load(path).module()


@pytest.mark.parametrize("text", ["0-2", "0,1s,2", "0s,1s,2s", "2,0,1", "0,1b,2", "0,1,1,2", "0s,1,0b,2"])
def test_a_program_gives_what_the_route_gives(text, tmp_path):
    net, route = a_plain_block_row(), un.Route.parse(text)
    program = loaded(export(net, route, tmp_path / "net.pt2"))
    for batch_size in (1, 2, 7):
        x = torch.randn(batch_size, 4)
        torch.testing.assert_close(program(x), net(x, route))


def test_deleted_modules_leave_no_weights(tmp_path):
    net = zoo.preact_resnet(8, seed=0)
    path = export(net, net.full_route.delete(0, 1), tmp_path / "net.pt2")
    left = {tuple(p.shape) for p in torch.export.load(path).parameters()}
    gone = {
        tuple(p.shape)
        for index in (0,)
        for p in net.residual_modules[index].branch.parameters()
        if p.dim() == 4
    }
    assert gone
    assert not gone & left
    files = {}
    extra = {RECEIPT: ""}
    torch.export.load(path, extra_files=extra)
    files.update(json.loads(extra[RECEIPT]))
    branches = sum(p.numel() for index in (0, 1) for p in net.residual_modules[index].branch.parameters())
    assert files["n_parameters"] - files["n_parameters_left"] == branches
    assert files["route"] == "0-1s,2"


class Gated(nn.Module):
    """Returns the gates of its branches beside the result."""

    def __init__(self):
        super().__init__()
        self.values, self.gates = (nn.ModuleList(nn.Linear(4, 4) for _ in range(3)) for _ in range(2))

    def forward(self, x):
        told = []
        for value, gate in zip(self.values, self.gates, strict=True):
            told.append(gate(x).sigmoid())
            x = x + told[-1] * value(x)
        return x, told


def test_nothing_is_kept_for_what_a_module_off_the_route_would_tell(tmp_path):
    net, x = un.unravel(Gated(), torch.randn(2, 4)), torch.randn(5, 4)
    path, route = tmp_path / "net.pt2", un.Route.parse("0,2")
    result, told = loaded(export(net, route, path))(x)
    torch.testing.assert_close(result, net(x, route)[0])
    assert [gate is None for gate in told] == [False, True, False]
    assert not [
        name for name in torch.export.load(path).state_dict if name.startswith("net.residual_modules.1.")
    ]


def test_the_network_is_left_as_it_was(tmp_path):
    net = zoo.preact_resnet(8, seed=0)
    net.residual_modules[0].eval()
    before, modes = net.fingerprint(), [module.training for module in net.modules()]
    export(net, net.full_route.delete(1), tmp_path / "net.pt2")
    assert net.fingerprint() == before
    assert [module.training for module in net.modules()] == modes
    assert {True, False} == set(modes)


class Repeating(nn.Module):
    """One block stands in two places, and the head has the weights of the embedding."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, block = nn.Embedding(7, 4), Block(4)
        self.blocks = nn.Sequential(block, Block(4), block)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        return self.head(self.blocks(self.embed(ids)))


@pytest.mark.parametrize("name", ["small.pt2", "small"])
def test_blocks_and_weights_that_are_shared_stay_so(name, tmp_path):
    model, ids = Repeating(), torch.tensor([[1, 2, 3], [4, 5, 6]])
    net = un.unravel(model, ids)
    with torch.no_grad():
        # Trained further, as after a capture: model and network share their weights.
        model.blocks[0].layer.weight += 0.1
    before = dict(model.named_parameters(remove_duplicate=False))
    for place, kept in ((1, (0, 2)), (0, (1, 2))):
        path = export(net, net.full_route.delete(place), tmp_path / name)
        by_hand = model.head(nn.Sequential(*(model.blocks[k] for k in kept))(model.embed(ids)))
        again = loaded(path) if name.endswith(".pt2") else un.load(str(path))
        torch.testing.assert_close(again(ids), by_hand)
        after = dict(model.named_parameters(remove_duplicate=False))
        assert all(after[name] is before[name] for name in before)
    if name == "small":
        # The embedding once, the block of two places and the one between once each, as torch counts them.
        assert read_receipt(path)["n_parameters"] == sum(p.numel() for p in model.parameters())


def test_inputs_by_name(tmp_path):
    example = {"x": torch.randn(2, 6), "mask": torch.tensor([[True], [False]])}
    net = un.unravel(Named(), example)
    route = net.full_route.delete(1)
    inputs = {"x": torch.randn(3, 6), "mask": torch.tensor([[True], [False], [True]])}
    # The network knows two inputs that it was captured with; others may be given.
    for given in (None, inputs):
        program = loaded(export(net, route, tmp_path / "net.pt2", example=given))
        torch.testing.assert_close(program(**inputs)["out"], net(inputs, route)["out"])


def test_a_network_of_parts_that_takes_tokens_needs_an_example(tmp_path):
    module = ResidualModule(nn.Linear(4, 4), nn.Identity())
    tokens = torch.tensor([[1], [2]])
    net = UnraveledNetwork(nn.Embedding(9, 4), [module], nn.Linear(4, 2), example=tokens)
    with pytest.raises(DataError, match=r"cannot be drawn at random\. Give example="):
        export(net, net.full_route, tmp_path / "net.pt2")
    program = loaded(export(net, net.full_route, tmp_path / "net.pt2", example=tokens))
    torch.testing.assert_close(program(tokens), net(tokens))


class OfTwo(nn.Module):
    """Takes batches of two and no others."""

    def forward(self, x):
        return x.view(2, 4) * 2


def test_parts_that_fix_the_batch_are_refused(tmp_path):
    module = ResidualModule(OfTwo(), nn.Identity())
    net = UnraveledNetwork(nn.Linear(4, 4), [module], nn.Linear(4, 2), example=torch.randn(2, 4))
    with pytest.raises(CaptureError, match=r"does not run on batches of two and of three .*x\.shape\[0\]"):
        export(net, net.full_route, tmp_path / "net.pt2")
    assert list(tmp_path.iterdir()) == []


def test_the_file_needs_no_package_of_ours(tmp_path):
    net = a_plain_block_row()
    path = export(net, net.full_route.delete(1), tmp_path / "net.pt2")
    code = (
        "import sys, torch\n"
        f"y = torch.export.load({str(path)!r}).module()(torch.ones(3, 4))\n"
        "assert not any(name.startswith('unravelnet') for name in sys.modules)\n"
        "print(y.tolist())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = net(torch.ones(3, 4), net.full_route.delete(1))
    torch.testing.assert_close(torch.tensor(json.loads(run.stdout)), expected, rtol=1e-5, atol=1e-6)


def test_another_ending_is_refused(tmp_path):
    net = a_plain_block_row()
    with pytest.raises(StoreError, match=r"does not end in \.pt2\. Give a file such as net\.pt2"):
        export(net, net.full_route, tmp_path / "net.onnx", "pt2")
    with pytest.raises(
        StoreError, match=r"ends in \.txt, which is no form .* such as net\.pt2 or .*net\.onnx"
    ):
        export(net, net.full_route, tmp_path / "net.txt")
    with pytest.raises(UnknownNameError, match="There is no form of export 'tflite'"):
        export(net, net.full_route, tmp_path / "net", "tflite")
    with pytest.raises(RouteError, match="There is no module 3"):
        export(net, un.Route.parse("0-9"), tmp_path / "net.pt2")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_file_that_could_not_be_written(tmp_path, monkeypatch):
    net, path = a_plain_block_row(), tmp_path / "net.pt2"
    path.write_text("the one before")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch.export, "save", full)
    with pytest.raises(StoreError, match="No space left on device"):
        export(net, net.full_route, path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["the one before"]
