"""Whole blocks as units of studies: against blocks of the model itself that are left out, swapped and repeated."""

from __future__ import annotations

import importlib.util
import json

import pytest
import torch
from torch import nn

from unravelnet import studies, unravel
from unravelnet._extras import require
from unravelnet.cli.command_line import run
from unravelnet.errors import RouteError, UnknownNameError
from unravelnet.studies import Blocks, blocks_of
from unravelnet.zoo import preact_resnet

needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)
TOKENS = torch.randint(0, 50, (2, 7), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model():
    transformers = require("transformers", "this test")
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_attention_heads": 2,
        "num_hidden_layers": 4,
    }
    config = transformers.LlamaConfig(vocab_size=50, use_cache=False, **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(config).eval()
        for parameter in model.parameters():
            parameter.data.mul_(2)
    return model


@pytest.fixture(scope="module")
def net(model):
    return unravel(model, TOKENS, name="llama")


def logits_with(model, order):
    """Run the model's own blocks in another order, as its owner would."""
    blocks = model.model.layers
    model.model.layers = nn.ModuleList([blocks[number] for number in order])
    model.config.num_hidden_layers = len(order)
    try:
        with torch.no_grad():
            return model(TOKENS).logits
    finally:
        model.model.layers, model.config.num_hidden_layers = blocks, len(blocks)


@needs_transformers
def test_routes_of_blocks_are_the_model_with_its_blocks_in_that_order(model, net):
    orders = {
        "delete_each": [[b for b in range(4) if b != left_out] for left_out in range(4)],
        "delete_pairs": [[2, 3], [1, 3]],
        "reverse_spans": [[1, 0, 2, 3], [0, 2, 1, 3]],
        "repeat_spans": [[0, 0, 1, 2, 3], [0, 1, 1, 2, 3]],
    }
    for study, expected in orders.items():
        trials = getattr(studies, study)(net, unit="block")[1:]
        # Of pairs, singles come first.
        chosen = trials[4:] if study == "delete_pairs" else trials
        for trial, order in zip(chosen, expected, strict=False):
            with torch.no_grad():
                found = net(TOKENS, trial.route).logits
            torch.testing.assert_close(found, logits_with(model, order), msg=trial.label)


@needs_transformers
def test_blocks_are_drawn_and_moved_as_wholes(net):
    for trial in studies.reorder(net, [3], repeats=4, seed=0, unit="block")[1:]:
        modules = trial.route.modules
        assert all(
            second == first + 1 and first % 2 == 0
            for first, second in zip(modules[::2], modules[1::2], strict=True)
        )
    for trial in studies.delete_many(net, [2], repeats=4, seed=0, unit="block")[1:]:
        deleted = [step.module for step in trial.route.visits if step.mode == "skip"]
        assert len(deleted) == 4
        assert {module // 2 for module in deleted} == {deleted[0] // 2, deleted[-1] // 2}


@needs_transformers
def test_rows_say_which_block_it_was(net):
    third = studies.delete_each(net, unit="block")[3]
    assert (str(third.route), third.label) == ("0-3,4-5s,6-7", "block 2")
    assert dict(third.facts) == {"unit": "block", "block": 2, "module": 4}
    span = studies.repeat_spans(net, unit="block")[-1]
    assert (span.label, dict(span.facts)["first_module"], dict(span.facts)["last_module"]) == (
        "blocks 0 to 3 twice",
        0,
        7,
    )


@needs_transformers
def test_what_is_no_whole_block_is_refused(net):
    blocks = Blocks(net)
    for route in (
        blocks.full_route.scale(0.5, 1),
        blocks.full_route.remove_skip(1),
        blocks.full_route.parallel(0, 1),
    ):
        with pytest.raises(RouteError, match=r"Block . is 2 modules, each with a skip of its own"):
            blocks.check(route)
    assert len(studies.remove_skip_each(blocks)) == 1
    with pytest.raises(UnknownNameError, match="unit"):
        studies.delete_each(net, unit="layer")


def test_a_network_whose_modules_are_its_blocks_has_none():
    with pytest.raises(RouteError, match="No two residual modules of this network form a block"):
        studies.delete_each(preact_resnet(depth=8), unit="block")


@pytest.mark.parametrize(
    ("names", "blocks"),
    [
        (["transformer.h.0.attn", "transformer.h.0.mlp", "transformer.h.1.attn"], [[0, 1], [2]]),
        (["layers.0.blocks.0.attn", "layers.0.blocks.0.mlp", "layers.0.blocks.1.attn"], [[0, 1], [2]]),
        ([f"decoder.block.0.layer.{n}" for n in range(3)], [[0, 1, 2]]),
        (["layer1.0", "layer1.1"], [[0], [1]]),
        ([], []),
    ],
)
def test_names_tell_blocks(names, blocks):
    assert blocks_of(names) == blocks


def test_the_command_line_deletes_blocks(tmp_path, capsys):
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n\n\nclass Block(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.mix, self.mlp = nn.Linear(4, 4), nn.Linear(4, 4)\n\n"
        "    def forward(self, x):\n        x = x + self.mix(x)\n        return x + self.mlp(x)\n\n\n"
        "def make():\n    body = nn.Sequential(Block(), Block(), Block())\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4), body, nn.Linear(4, 10))\n"
    )
    assert (
        run(["lesion", f"{tmp_path / 'net.py'}:make", "--data", "digits", "--unit", "block", "--json"]) == 0
    )
    rows = json.loads(capsys.readouterr().out)["studies"]["delete_each"]
    assert [row["route"] for row in rows] == ["0-5", "0-1s,2-5", "0-1,2-3s,4-5", "0-3,4-5s"]
