"""Metrics of language models against transformers' own loss, with padding, and intervals by simulation."""

from __future__ import annotations

import importlib.util
import io
import json
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from unravelnet import unravel
from unravelnet._extras import require
from unravelnet.cli.command_line import run
from unravelnet.data import load_text
from unravelnet.data.text_source import is_text
from unravelnet.errors import DataError
from unravelnet.mathematics.intervals import exponential_difference_interval
from unravelnet.measuring.evaluation import evaluate

needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)
METRICS = ("nll", "perplexity", "accuracy", "agreement", "kl_divergence")


@pytest.fixture(scope="module")
def llama():
    transformers = require("transformers", "this test")
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.LlamaConfig(vocab_size=60, max_position_embeddings=64, use_cache=False, **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(config).eval()
        for parameter in model.parameters():
            parameter.data.mul_(3)
    return model


def padded(n=6, length=12):
    """Sequences of several lengths, filled up on the left as for generation, with their next tokens as targets."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, 60, (n, length), generator=generator)
    mask = torch.ones_like(ids)
    for row in range(n):
        mask[row, :row] = 0
    targets = torch.full_like(ids, -100)
    targets[:, :-1] = ids[:, 1:]
    targets[mask == 0] = -100
    return {"input_ids": ids, "attention_mask": mask}, targets


@pytest.fixture(scope="module")
def net(llama):
    return unravel(llama, padded()[0], name="llama")


@needs_transformers
def test_padding_counts_nowhere(llama, net):
    inputs, targets = padded()
    table = evaluate(
        net, [net.full_route, net.full_route.delete(1)], (inputs, targets), metrics=METRICS, batch_size=4
    )
    handle = llama.model.layers[0].mlp.register_forward_hook(lambda m, a, output: torch.zeros_like(output))
    with torch.no_grad():
        # One sequence after the other, without padding: nothing can count that is not there.
        alone = [
            (ids[m > 0][None], t[m > 0][:-1]) for ids, m, t in zip(*inputs.values(), targets, strict=True)
        ]
        deleted = torch.cat([llama(ids).logits[0, :-1] for ids, _ in alone])
        handle.remove()
        intact = torch.cat([llama(ids).logits[0, :-1] for ids, _ in alone])
        # transformers shifts its labels itself, and leaves out those that are -100.
        labels = torch.where(inputs["attention_mask"] > 0, inputs["input_ids"], -100)
        labels[torch.arange(6), torch.arange(6)] = -100  # the first token of each is not predicted
        loss = float(llama(**inputs, labels=labels).loss)
    right = torch.cat([t for _, t in alone])
    assert table[0]["n_predictions"] == len(right) == 6 * 11 - 15
    assert table[0]["nll"] == pytest.approx(loss, rel=1e-4)
    assert table[0]["perplexity"] == pytest.approx(math.exp(loss), rel=1e-4)
    nll = torch.nn.functional.cross_entropy(deleted, right).item()
    p, q = intact.log_softmax(-1), deleted.log_softmax(-1)
    expected = {
        "nll": nll,
        "perplexity": math.exp(nll),
        "perplexity_difference": math.exp(nll) - math.exp(loss),
        "accuracy": (deleted.argmax(-1) == right).float().mean().item(),
        "agreement": (deleted.argmax(-1) == intact.argmax(-1)).float().mean().item(),
        "kl_divergence": (p.exp() * (p - q)).sum(-1).mean().item(),
    }
    assert {name: table[1][name] for name in expected} == pytest.approx(expected, rel=1e-3)
    assert table[1]["perplexity_low"] == pytest.approx(math.exp(table[1]["nll_low"]))
    assert table[1]["perplexity_high"] == pytest.approx(math.exp(table[1]["nll_high"]))


@needs_transformers
def test_padding_does_not_count_where_no_metric_needs_targets(net):
    inputs, targets = padded()
    routes = [net.full_route.delete(1)]
    alone, beside = (
        evaluate(net, routes, (inputs, targets), metrics=metrics)[0]
        for metrics in (["agreement"], ["agreement", "loss"])
    )
    assert alone["n_predictions"] == beside["n_predictions"] == 51
    assert alone["agreement"] == beside["agreement"]


def test_the_interval_of_a_difference_of_exponentials_covers_the_truth():
    generator = np.random.default_rng(0)
    n, sd, rho, gap, n_covered = 400, 1.0, 0.8, 0.3, 0
    for _ in range(1000):
        common, a, b = generator.normal(size=(3, n))
        other = 1 + sd * (math.sqrt(rho) * common + math.sqrt(1 - rho) * b)
        value = 1 + gap + sd * (math.sqrt(rho) * common + math.sqrt(1 - rho) * a)
        d = value - other
        low, high = exponential_difference_interval(
            value.sum(), (value**2).sum(), d.sum(), (d**2).sum(), (value * d).sum(), n
        )
        n_covered += low <= math.exp(1 + gap) - math.e <= high
    assert 930 <= n_covered <= 970


def test_a_ruined_network_has_no_finite_perplexity_and_no_error():
    net_like = exponential_difference_interval(1e6, 1e12, 1e6, 1e12, 1e12, n=100)
    assert net_like == (-math.inf, math.inf)


# -- where text comes from --

SONG = "Ein Männlein steht im Walde. " * 40


def test_standard_input_is_a_text(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(SONG.encode())))
    assert is_text("-")
    text = load_text("-", length=20)
    assert text.name == "standard input"
    test = SONG[len(SONG) * 9 // 10 :].encode()
    assert text.sequences.flatten().tolist() == [*test][: text.sequences.numel()]


@needs_transformers
def test_the_command_line_reads_standard_input(tmp_path, monkeypatch, capsys):
    transformers = require("transformers", "this test")
    sizes = {"vocab_size": 256, "n_layer": 1, "n_embd": 16, "n_head": 2, "n_positions": 32}
    config = transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=1)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(SONG.encode()), isatty=lambda: False))
    arguments = [
        "lesion",
        f"hf:{tmp_path / 'gpt2'}",
        "--data",
        "-",
        "--metrics",
        "perplexity,accuracy",
        "--json",
    ]
    assert run(arguments) == 0
    rows = json.loads(capsys.readouterr().out)["studies"]["delete_each"]
    assert [row["data_name"] for row in rows] == ["standard input"] * 3
    # A random network guesses among the 256 bytes.
    assert rows[0]["perplexity"] == pytest.approx(256, rel=0.1)


def test_a_data_set_of_texts_has_its_own_splits(tmp_path):
    import datasets

    lines = [{"text": f"Verse {n} of the song."} for n in range(30)]
    for split, rows in (("train", lines[:20]), ("test", lines[20:])):
        datasets.Dataset.from_list(rows).to_parquet(tmp_path / f"{split}.parquet")
    text = load_text(f"text:{tmp_path}", length=10)
    joined = "\n\n".join(line["text"] for line in lines[20:]).encode()
    assert text.sequences.flatten().tolist() == [*joined][: text.sequences.numel()]
    assert load_text(f"text:{tmp_path}", "train", length=10).sequences[0].tolist() == [*b"Verse 0 of"]


def test_a_data_set_without_texts_is_refused(tmp_path):
    import datasets

    datasets.Dataset.from_list([{"number": 3}]).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"has no column of texts \(text, content, sentence\); it has number"):
        load_text(f"text:{tmp_path}")
