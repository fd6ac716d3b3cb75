"""Importance and pruning of language models: whole blocks, and questions with options.

Oracles: blocks that hooks switch off in the model of transformers, its own losses and hidden states, and its loader.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
from collections.abc import Iterator, Sequence

import pytest
import torch

import unravelnet as un
from unravelnet._extras import require
from unravelnet.cli.command_line import run
from unravelnet.cli.prune_results import receipt_of
from unravelnet.data import ChoiceData, TextData
from unravelnet.data.choice_data import Option
from unravelnet.errors import DataError, UnknownNameError
from unravelnet.measuring.sample import network_for
from unravelnet.pruning.healing import Healed, before_and_after
from unravelnet.pruning.parts import divide
from unravelnet.records.record import Table
from unravelnet.routes.route import Route

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)
N_BLOCKS, N_WORDS = 4, 40


@pytest.fixture(scope="module")
def model():
    transformers = require("transformers", "this test")
    sizes = {"vocab_size": N_WORDS, "n_layer": N_BLOCKS, "n_embd": 24, "n_head": 2, "n_positions": 32}
    config = transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        made = transformers.GPT2LMHeadModel(config).eval()
        # The usual small weights would leave all words alike.
        for parameter in made.parameters():
            parameter.data.mul_(3)
    return made


@pytest.fixture(scope="module")
def net(model):
    return un.unravel(model, torch.zeros(2, 6, dtype=torch.int64), name="gpt2")


@pytest.fixture(scope="module")
def questions():
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(N_WORDS, (24, 2, 7), generator=generator).tolist()
    options = [[Option(option[:3], option[3:]) for option in question] for question in words]
    answers = torch.randint(2, (24,), generator=generator).tolist()
    return ChoiceData.of(options, answers, name="quiz", vocabulary_size=N_WORDS)


@pytest.fixture(scope="module")
def text():
    tokens = torch.randint(N_WORDS, (16 * 24 + 1,), generator=torch.Generator().manual_seed(1))
    return TextData.of(tokens, length=16, name="noise", vocabulary_size=N_WORDS)


@contextlib.contextmanager
def switched_off(parts: Sequence[torch.nn.Module]) -> Iterator[None]:
    """Let parts of a model give zeros."""

    def nothing(part, given, output):
        return (torch.zeros_like(output[0]), *output[1:]) if isinstance(output, tuple) else output * 0

    handles = [part.register_forward_hook(nothing) for part in parts]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def parts_of(model, blocks):
    return [
        part for block in blocks for part in (model.transformer.h[block].attn, model.transformer.h[block].mlp)
    ]


@torch.no_grad()
def choice_losses(model, questions, places):
    """Of each question the cross entropy of its answer, from the log-probabilities of its options."""
    losses = []
    for place in places:
        scores = []
        for tokens, targets in zip(questions.sequences[place], questions.targets[place], strict=True):
            labels = targets[None]
            # transformers shifts its labels itself.
            logits = model(tokens[None]).logits
            shifted = torch.nn.functional.pad(labels, (1, 0), value=-100)
            padded = torch.nn.functional.pad(logits, (0, 0, 0, 1))
            loss = model.loss_function(padded, shifted, vocab_size=N_WORDS)
            scores.append(-float(loss) * int((labels != -100).sum()))
        answer = int(questions.answers[place])
        losses.append(-float(torch.tensor(scores, dtype=torch.float64).log_softmax(0)[answer]))
    return losses


def test_the_importance_of_a_module_for_questions_is_what_they_lose_without_it(model, net, questions):
    table = un.importance(net, questions, methods=["deletion", "deletion_error_rate", "block_influence"])
    places = range(len(questions))
    intact = choice_losses(model, questions, places)
    each = [part for block in model.transformer.h for part in (block.attn, block.mlp)]
    for row, part in zip(table, each, strict=True):
        with switched_off([part]):
            losses = choice_losses(model, questions, places)
        rise = sum(losses) - sum(intact)
        wrong = sum(loss > math.log(2) for loss in losses) - sum(loss > math.log(2) for loss in intact)
        assert row["deletion"] == pytest.approx(rise / len(questions), rel=1e-3, abs=1e-4)
        assert row["deletion_error_rate"] == pytest.approx(wrong / len(questions))
        assert row["n_images"] == len(questions)
        assert 0 < row["block_influence"] < 2


def test_greedy_pruning_of_blocks_takes_the_block_that_costs_least(model, net, questions):
    found = un.prune(net, questions, unit="block", n_deleted=4, n_draws=2, batch_size=7, compare=["one_shot"])
    places = divide(un.Sample(data=questions)).selection.order.tolist()
    gone: list[int] = []
    for _ in range(2):
        costs = {}
        for block in set(range(N_BLOCKS)) - set(gone):
            with switched_off(parts_of(model, [*gone, block])):
                costs[block] = sum(choice_losses(model, questions, places))
        gone.append(min(costs, key=costs.__getitem__))
    deleted = [module for block in gone for module in (2 * block, 2 * block + 1)]
    assert found.route == net.full_route.delete(*deleted)
    assert found.net is net
    assert [row["n_deleted"] for row in found.steps] == [0, 2, 4]
    assert [row["n_deleted"] for row in found.curve.where(strategy="random")] == [2, 4, 2, 4]
    for row in found.curve:
        # A block goes as a whole, whatever chose it.
        kept = {visit.module // 2 for visit in Route.parse(row["route"]).visits if visit.mode == "both"}
        assert len(kept) == N_BLOCKS - row["n_deleted"] // 2


@pytest.mark.parametrize(
    "strategy", ["beam:2", "evolutionary:2", "one_shot:block_influence", "span", "linear_patch"]
)
def test_every_strategy_takes_whole_blocks(net, text, strategy):
    found = un.prune(net, text, strategy=strategy, unit="block", n_deleted=3, n_draws=0, batch_size=12)
    deleted = {visit.module for visit in found.route.visits if visit.mode == "skip"}
    if strategy == "linear_patch":  # a map stands in the place of the first module of its span
        deleted.add(min(deleted) - 1)
    assert len(deleted) == 4
    assert deleted == {module for module in range(2 * N_BLOCKS) if module ^ 1 in deleted}


def test_a_model_without_blocks_is_loaded_by_its_own_library(net, text, tmp_path):
    transformers = require("transformers", "this test")
    found = un.prune(net, text, unit="block", n_deleted=4, n_draws=0, batch_size=12)
    directory = un.export(net, found.route, tmp_path / "small", form="original")
    small = transformers.AutoModelForCausalLM.from_pretrained(directory).eval()
    assert small.config.n_layer == N_BLOCKS - 2
    with torch.no_grad():
        ours = net(text.sequences, found.route)
        torch.testing.assert_close(small(text.sequences).logits, ours.logits)


def test_the_angle_over_a_span_of_blocks_is_that_of_hidden_states(model, net, text):
    table = un.angular_distances(net, text, unit="block", batch_size=5)
    with torch.no_grad():
        states = model(text.sequences, output_hidden_states=True).hidden_states
    assert len(table) == N_BLOCKS * (N_BLOCKS + 1) // 2
    # What transformers calls the last hidden state has passed the last normalisation.
    inside = [row for row in table if row["last_module"] < 2 * N_BLOCKS - 1]
    for row in inside:
        ends = (states[row["first_module"] // 2], states[(row["last_module"] + 1) // 2])
        first, last = (state[:, -1].double() for state in ends)
        cosines = torch.cosine_similarity(first, last, dim=-1)
        angles = torch.arccos(cosines) / math.pi
        margin = float(angles.std() / math.sqrt(len(angles)))
        assert row["angular_distance"] == pytest.approx(float(angles.mean()), rel=1e-4)
        # Student's t for 24 sequences.
        assert row["angular_distance_high"] - row["angular_distance"] == pytest.approx(
            2.069 * margin, rel=1e-3
        )
        assert (row["unit"], row["n_images"]) == ("block", 24)


def test_spans_of_modules_hold_those_of_blocks(net, text):
    modules, blocks = (
        {(row["first_module"], row["last_module"]): row["angular_distance"] for row in table}
        for table in (un.angular_distances(net, text), un.angular_distances(net, text, unit="block"))
    )
    assert len(modules) == 36
    assert {span: modules[span] for span in blocks} == pytest.approx(blocks)


def test_modules_are_not_chosen_on_a_text_and_reported_on_questions(net, text, questions):
    with pytest.raises(DataError, match="noise has sequences, and quiz, the report_data, has questions"):
        un.prune(net, text, n_deleted=1, report_data=questions)


def test_a_unit_that_there_is_not_is_named(net, text):
    with pytest.raises(UnknownNameError, match="block"):
        un.prune(net, text, unit="blocks", n_deleted=1)


def test_the_command_line_prunes_blocks(tmp_path, capsys):
    transformers = require("transformers", "this test")
    config = transformers.GPT2Config(vocab_size=256, n_layer=3, n_embd=16, n_head=2, n_positions=16)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    (tmp_path / "song.txt").write_text("la la " * 300)
    arguments = [f"hf:{tmp_path / 'gpt2'}", "--data", str(tmp_path / "song.txt"), "--unit", "block"]
    assert run(["prune", *arguments, "--n-deleted", "2", "--draws", "0", "--limit", "8"]) == 0
    printed = capsys.readouterr().out
    assert "2 modules of 6 deleted" in printed
    assert "On 4 other sequences: error" in printed
    assert "images" not in printed


def test_the_command_line_heals_blocks_for_transformers(tmp_path, capsys):
    transformers = require("transformers", "this test")
    sizes = {"vocab_size": 256, "n_layer": 3, "n_embd": 16, "n_head": 2, "n_positions": 16}
    config = transformers.GPT2Config(**sizes, attn_pdrop=0, bos_token_id=0, eos_token_id=0)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    letters = torch.randint(97, 123, (4000,), generator=torch.Generator().manual_seed(0)).tolist()
    (tmp_path / "noise.txt").write_text("".join(map(chr, letters)))
    words = ["heal", f"hf:{tmp_path / 'gpt2'}", "--data", str(tmp_path / "noise.txt")]
    words += ["--route", "0-1,2-3s,4-5", "--form", "original", "--out", str(tmp_path / "healed"), "--distil"]
    words += ["--epochs", "1", "--optimiser", "adamw", "--batch-size", "32", "--train-limit", "64"]
    assert run([*words, "--limit", "8"]) == 0
    assert "It was tested on 8 other sequences of noise.txt" in capsys.readouterr().out
    small, whole = (
        transformers.AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("healed", "gpt2")
    )
    assert small.config.n_layer == 2
    moved = small.transformer.h[1].mlp.c_fc.weight - whole.transformer.h[2].mlp.c_fc.weight
    # Adam moves every weight by the learning rate at most, in each of its two steps.
    assert 0 < moved.abs().max() < 2e-4
    assert run([*words[:5], "0-1,2s,3-5", *words[6:]]) == 2
    assert "block" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["text", "questions"])
def test_a_network_that_stayed_as_it_was_is_as_good_as_before(net, request, kind):
    data, route = request.getfixturevalue(kind), net.full_route.delete(2, 3)
    _, pruned, healed = before_and_after(net, Healed(net, route, Table([]), route), data)
    for name in ("error_rate", "error_rate_difference", "loss", "loss_high", "loss_difference"):
        assert healed[name] == pytest.approx(pruned[name], rel=1e-4, abs=1e-6), name
    assert healed["n_images"] == len(data)


def test_a_route_found_on_questions_is_one_of_the_same_network(net, questions):
    found = un.prune(network_for(net, questions), questions, n_deleted=1, n_draws=0)
    assert receipt_of({"quiz": found})["fingerprint"] == net.fingerprint()


def test_questions_are_called_so(net, questions):
    text = str(un.prune(net, questions, n_deleted=1, n_draws=0))
    assert "chosen on 12 questions by loss" in text
    assert "On 12 other questions: error" in text
