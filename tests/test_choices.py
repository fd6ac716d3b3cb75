"""Minimal pairs and multiple choice: a network that chooses against log-probabilities added up by hand."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from unravelnet import studies, unravel
from unravelnet._extras import require
from unravelnet.cli.command_line import run
from unravelnet.data import ChoiceData, load_choices
from unravelnet.data.choice_data import Option
from unravelnet.errors import DataError
from unravelnet.gradient import path_gradients
from unravelnet.measuring.evaluation import evaluate
from unravelnet.models import load_data, load_subject
from unravelnet.network.choosing import ChoosingNetwork
from unravelnet.routes.route import Route

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)
BLIMP = Path(__file__).parents[2] / "shared" / "data" / "blimp"
QUESTIONS: list[dict[str, Any]] = [
    {"question": "The capital of France is", "options": ["Rome", "Paris", "a city"], "answer": "B"},
    {"question": "Two and two are", "choices": ["four", "seventeen"], "answer": 0},
    {"question": "Grass is", "options": ["blue", "green"], "answer": "green"},
]


def save_gpt2(directory, **options):
    transformers = require("transformers", "this test")
    sizes = {"vocab_size": 258, "n_layer": 2, "n_embd": 24, "n_head": 2, "n_positions": 128, **options}
    config = transformers.GPT2Config(**sizes, bos_token_id=256, eos_token_id=257)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = transformers.GPT2LMHeadModel(config)
        # The usual small weights would leave all words alike.
        for parameter in model.parameters():
            parameter.data.mul_(4)
    model.save_pretrained(directory)
    return directory, model.eval()


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return save_gpt2(tmp_path_factory.mktemp("choices") / "gpt2")


@pytest.fixture(scope="module")
def plain(gpt2):
    return unravel(gpt2[1], torch.zeros(2, 5, dtype=torch.int64), name="gpt2")


@pytest.fixture(scope="module")
def cats(gpt2, tmp_path_factory):
    """A network that chooses, with its pairs and their lines."""
    path, lines = pairs(tmp_path_factory.mktemp("pairs") / "cats.jsonl")
    return *load_subject(f"hf:{gpt2[0]}", str(path)), lines


def write(path, lines):
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def pairs(path):
    lines = [
        {"sentence_good": f"The cat number {n} sits.", "sentence_bad": f"The cat {n} sit."} for n in range(7)
    ]
    return write(path, lines), lines


def log_probability(model, context, scored):
    """Of the scored tokens behind the context, one sequence at a time, by transformers' own loss."""
    ids = torch.tensor([[*context, *scored]])
    labels = ids.clone()
    labels[:, : max(1, len(context))] = -100
    with torch.no_grad():
        loss = model(ids, labels=labels).loss
    return -float(loss) * int((labels != -100).sum())


def test_the_likelier_sentence_is_the_one_with_the_larger_sum(gpt2, cats):
    _, model = gpt2
    net, data, lines = cats
    assert isinstance(data, ChoiceData)
    scores = [
        [log_probability(model, [256], line[key].encode()) for key in ("sentence_good", "sentence_bad")]
        for line in lines
    ]
    inputs, answers = data.batch(torch.arange(len(data)))
    with torch.no_grad():
        found = net(inputs)
    good_first = torch.stack(
        [found.gather(1, answers[:, None])[:, 0], found.gather(1, 1 - answers[:, None])[:, 0]], 1
    )
    torch.testing.assert_close(good_first, torch.tensor(scores), rtol=1e-4, atol=1e-3)
    row = evaluate(net, [net.full_route], data, metrics=("accuracy",))[0]
    assert row["accuracy"] == sum(good > bad for good, bad in scores) / len(lines)
    assert (row["n_images"], row["n_predictions"]) == (7, 7)


def test_options_are_compared_by_the_mean_of_their_tokens(gpt2, tmp_path):
    directory, model = gpt2
    net, data = load_subject(f"hf:{directory}", str(write(tmp_path / "quiz.jsonl", QUESTIONS)))
    assert isinstance(data, ChoiceData)
    assert data.answers.tolist() == [1, 0, 1]
    inputs, _ = data.batch(torch.arange(3))
    with torch.no_grad():
        found = net(inputs)
    for line, row in zip(QUESTIONS, found, strict=True):
        options = line.get("options", line.get("choices"))
        context = [256, *line["question"].encode()]
        for option, score in zip(options, row, strict=False):
            scored = f" {option}".encode()
            assert float(score) == pytest.approx(
                log_probability(model, context, scored) / len(scored), rel=1e-4
            )
    # An option that a question does not have is never the likeliest.
    assert (found[1:, 2] < found[1:, :2].min()).all()


def test_a_study_of_a_network_that_chooses_is_that_of_hooks(gpt2, plain, tmp_path):
    _, model = gpt2
    path, lines = pairs(tmp_path / "cats.jsonl")
    data = load_choices(path, start=[256])
    # Evaluated as it is: what is measured on questions chooses.
    table = evaluate(plain, studies.delete_each(plain), data, metrics=("accuracy", "loss"))
    block = model.transformer.h[1].mlp
    handle = block.register_forward_hook(lambda module, args, output: torch.zeros_like(output))
    try:
        good, bad = (
            torch.tensor([log_probability(model, [256], line[key].encode()) for line in lines])
            for key in ("sentence_good", "sentence_bad")
        )
    finally:
        handle.remove()
    row = next(row for row in table if row["route"] == "0-2,3s")
    assert row["accuracy"] == float((good > bad).float().mean())
    assert row["loss"] == pytest.approx(float(-torch.stack([good, bad]).log_softmax(0)[0].mean()), rel=1e-3)


def test_gradients_by_path_length_are_of_the_loss_of_the_choice(cats):
    net, data, _ = cats
    spectrum = path_gradients(net, data, limit=3)
    assert len(spectrum) == 5
    assert spectrum[0]["gradient_error"] < 1e-4


def test_how_far_options_are_filled_up_changes_nothing(plain):
    short = [[Option([9], [1, 2, 3]), Option([9], [4, 5])]]
    long = [*short, [Option([9], range(50)), Option([9], range(60))]]
    alone, beside = (ChoiceData.of(q, [0] * len(q), name="q", vocabulary_size=258) for q in (short, long))
    with torch.no_grad():
        first, second = (
            ChoosingNetwork.of(plain)(data.batch(torch.tensor([0]))[0]) for data in (alone, beside)
        )
    torch.testing.assert_close(first, second)


def test_a_network_that_chooses_is_another_one_in_the_store(plain):
    choosing = ChoosingNetwork.of(plain), ChoosingNetwork.of(plain, is_mean=True)
    prints = {made.fingerprint() for made in (plain, *choosing)}
    assert len(prints) == 3
    assert isinstance(ChoosingNetwork.of(plain).full_route, Route)


def test_the_command_line_measures_pairs(gpt2, tmp_path, capsys):
    path, _ = pairs(tmp_path / "cats.jsonl")
    arguments = [f"hf:{gpt2[0]}", "--data", str(path), "--metrics", "accuracy", "--json"]
    assert run(["lesion", *arguments]) == 0
    rows = json.loads(capsys.readouterr().out)["studies"]["delete_each"]
    assert [row["n_predictions"] for row in rows] == [7] * 5


def test_without_a_first_token_the_first_word_is_not_scored():
    data = ChoiceData.of([[Option([], [5, 6, 7]), Option([], [5, 8])]], [0], name="q", vocabulary_size=10)
    assert data.sequences.tolist() == [[[5, 6], [5, 0]]]
    assert data.targets.tolist() == [[[6, 7], [8, -100]]]


def test_the_good_sentence_is_first_in_about_half_of_the_pairs(tmp_path):
    lines = [{"sentence_good": f"good {n}", "sentence_bad": f"bad {n}"} for n in range(400)]
    answers = load_choices(write(tmp_path / "many.jsonl", lines)).answers
    assert 160 < int(answers.sum()) < 240


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"is empty\. Give lines such as"),
        ("{", r"Line 1 of .* is no JSON"),
        ('\n{"sentence_good": "a"}', "Line 2 of .* is neither a pair nor a question"),
        ("[1]", "is neither a pair nor a question"),
        ('{"question": "q", "options": ["a"], "answer": 0}', "is neither a pair nor a question"),
        (
            '{"question": "q", "options": ["a", "b"], "answer": "C"}',
            "answer 'C', which is none of its 2 options",
        ),
        ('{"question": "q", "options": ["a", "b"], "answer": 2}', "answer 2, which is none"),
        (
            '{"sentence_good": "a", "sentence_bad": "b"}\n{"question": "q", "options": ["a", "b"], "answer": 0}',
            "mixes pairs and questions",
        ),
    ],
)
def test_lines_of_another_form_are_refused(tmp_path, text, message):
    (tmp_path / "odd.jsonl").write_text(text)
    with pytest.raises(DataError, match=message):
        load_choices(tmp_path / "odd.jsonl")


def test_an_option_that_is_too_long_for_the_model_is_refused(tmp_path):
    directory, _ = save_gpt2(tmp_path / "short", n_positions=8)
    path, _ = pairs(tmp_path / "cats.jsonl")
    with pytest.raises(
        DataError, match=r"has an option of 22 tokens with its question, and .* takes 8 at once"
    ):
        load_data(f"hf:{directory}", str(path))


def test_a_model_that_sees_what_it_should_predict_does_not_choose(tmp_path):
    transformers = require("transformers", "this test")
    sizes = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=300, **sizes)).save_pretrained(
        tmp_path / "bert"
    )
    path, _ = pairs(tmp_path / "cats.jsonl")
    with pytest.raises(DataError, match="does not predict every next token of cats"):
        load_subject(f"hf:{tmp_path / 'bert'}", str(path))


def test_blimp_is_read_as_a_folder():
    if not BLIMP.is_dir():
        pytest.skip("BLiMP is not there")
    data = load_choices(BLIMP, limit=50)
    assert (len(data), data.n_classes, data.name) == (50, 2, "blimp")
