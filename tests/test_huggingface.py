"""Directories of transformers: code in them never runs, and weights that are not the model's are refused by name."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from unravelnet._extras import require
from unravelnet.cli.command_line import run
from unravelnet.errors import CheckpointError, DataError, ModelError, UnravelError
from unravelnet.models import load, load_data, load_subject
from unravelnet.models.found import Wish
from unravelnet.models.huggingface import from_transformers, read_config

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)

IDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
POEM = "Am Brunnen vor dem Tore, da steht ein Lindenbaum.\n" * 60


def save_model(directory, kind="GPT2LMHeadModel", **options):
    transformers = require("transformers", "this test")
    sizes = {"vocab_size": 260, "n_layer": 1, "n_embd": 16, "n_head": 2, "n_positions": 24, **IDS, **options}
    model = getattr(transformers, kind)(transformers.GPT2Config(**sizes))
    model.save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("saved") / "gpt2")


@pytest.fixture(scope="module")
def whole(saved):
    return load(f"hf:{saved}")


@pytest.fixture
def gpt2(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "gpt2")


@pytest.fixture
def poem(tmp_path):
    path = tmp_path / "poem.txt"
    path.write_text(POEM)
    return path


def change_config(directory, **changes):
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_weights(directory, change):
    path = directory / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


# -- no code from data --

CLASSES = ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoTokenizer", "AutoProcessor")


@pytest.fixture(params=["known", "unknown", "generation"])
def hostile(request, gpt2, monkeypatch):
    """A directory whose own code leaves a mark, and somebody who says yes to every question."""
    code = f"open({str(gpt2 / 'it-ran')!r}, 'w').close()\nfrom transformers import *\nclass Own: pass\n"
    (gpt2 / "own.py").write_text(code)
    if request.param == "generation":
        (gpt2 / "custom_generate").mkdir()
        (gpt2 / "custom_generate" / "generate.py").write_text(code)
    else:
        maps = dict.fromkeys(CLASSES, "own.Own")
        change_config(gpt2, auto_map=maps, **({"model_type": "own"} if request.param == "unknown" else {}))
        tokenizer = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}}
        (gpt2 / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 20))
    return gpt2


@pytest.mark.parametrize("door", ["data", "inspect", "lesion", "paths"])
def test_code_of_a_directory_never_runs(hostile, poem, door, capsys):
    model = f"hf:{hostile}"
    calls = {
        "data": lambda: load_data(model, str(poem)),
        "inspect": lambda: run(["inspect", model]),
        "lesion": lambda: run(["lesion", model, "--data", str(poem), "--metrics", "loss", "--limit", "1"]),
        "paths": lambda: run(["paths", model, "--data", str(poem), "--limit", "1"]),
    }
    with contextlib.suppress(UnravelError):
        assert calls[door]() not in (1, 130)
    assert not (hostile / "it-ran").exists()
    assert "Do you wish" not in capsys.readouterr().out, "nobody is asked"


def test_code_of_a_directory_is_named(gpt2):
    change_config(gpt2, model_type="own", auto_map={"AutoConfig": "own.Own"})
    with pytest.raises(
        ModelError, match=r"needs code of its own \(auto_map in config\.json\)\. .* never run"
    ):
        load(f"hf:{gpt2}")


def test_pickled_weights_of_a_directory_do_not_run(gpt2):
    class Bomb:
        def __reduce__(self):
            return exec, (f"open({str(gpt2 / 'it-ran')!r}, 'w').close()",)

    (gpt2 / "model.safetensors").unlink()
    torch.save({"transformer.wte.weight": Bomb()}, gpt2 / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"damaged or do not fit its config\.json"):
        load(f"hf:{gpt2}")
    assert not (gpt2 / "it-ran").exists()


# -- weights --


def test_missing_weights_are_refused_by_name_or_drawn_from_the_seed(gpt2):
    change_weights(gpt2, lambda w: [w.pop(name) for name in list(w) if "h.0.mlp" in name])
    with pytest.raises(
        CheckpointError,
        match=r"missing: transformer\.h\.0\.mlp\.c_fc\.bias, .* and 1 more\..*--allow-missing",
    ):
        load(f"hf:{gpt2}")
    net = load(f"hf:{gpt2}", allow_missing=True)
    assert net.name == f"hf:{gpt2} (4 tensors missing)"
    assert net.fingerprint() == load(f"hf:{gpt2}", allow_missing=True).fingerprint()


def test_weights_of_another_model_are_refused_by_name(gpt2):
    change_weights(gpt2, lambda w: [w.clear(), w.update({"layer.weight": torch.ones(2, 2)})])
    for allow_missing in (False, True):
        with pytest.raises(CheckpointError, match=r"missing: .*; unknown: layer\.weight\. .*classes\.$"):
            load(f"hf:{gpt2}", allow_missing=allow_missing)


def test_weights_of_another_shape_are_refused_by_name(gpt2):
    change_weights(gpt2, lambda w: w.update({"transformer.wpe.weight": torch.ones(5, 16)}))
    with pytest.raises(CheckpointError, match=r"wpe\.weight is \(5, 16\) and should be \(24, 16\)"):
        load(f"hf:{gpt2}", allow_missing=True)


def test_tied_weights_are_not_missing(saved, whole):
    # The head of GPT-2 is its embedding, which stands in the file once.
    assert not any("lm_head" in name for name in load_file(saved / "model.safetensors"))
    assert whole.name == f"hf:{saved}"


def test_stored_tensors_of_no_use_are_said(gpt2, caplog):
    change_weights(gpt2, lambda w: w.update({"transformer.extra": torch.ones(2)}))
    with caplog.at_level("INFO", logger="unravelnet"):
        load(f"hf:{gpt2}")
    assert "that the model does not have are left out: transformer.extra." in caplog.text


def test_a_head_that_was_never_stored_is_missing(tmp_path):
    directory = save_model(tmp_path / "headless", kind="GPT2Model", tie_word_embeddings=False)
    change_config(directory, architectures=["GPT2ForSequenceClassification"], num_labels=3)
    with pytest.raises(CheckpointError, match=r"missing: score\.weight\."):
        load(f"hf:{directory}")


def test_weights_that_are_given_fill_what_a_directory_lacks(gpt2, whole, tmp_path):
    shutil.copy(gpt2 / "model.safetensors", tmp_path / "whole.safetensors")
    change_weights(gpt2, lambda w: w.pop("transformer.ln_f.bias"))
    filled = load(f"hf:{gpt2}", weights=tmp_path / "whole.safetensors")
    assert filled.fingerprint() == whole.fingerprint()


# -- configurations --


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "nothing"}, "config.json cannot be used: ValueError"),
        ({"n_head": 3}, "."),
        ({"n_embd": "wide"}, "."),
        ({"n_layer": -1}, "."),
        (
            {"n_embd": 20_000, "n_layer": 50},
            r"has 894\.\d GiB of parameters as float32, and this machine has",
        ),
        ({"n_layer": 10**7}, r"10,000,000 layers \(n_layer in config\.json\) are too many"),
        ({"vocab_size": 0}, "."),
        (
            {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
            "holds quantised weights",
        ),
    ],
)
def test_odd_configurations_are_explained(gpt2, poem, changes, message):
    (gpt2 / "model.safetensors").unlink()
    change_config(gpt2, **changes)
    for call in (lambda: load(f"hf:{gpt2}"), lambda: load_subject(f"hf:{gpt2}", str(poem))):
        with pytest.raises(UnravelError, match=message):
            call()


@pytest.mark.parametrize("text", ["", "[]", "3", '{"a":' * 100_000, '{"model_type": {}}', "\xff\xfe"])
def test_a_configuration_that_is_none_is_explained(gpt2, text):
    (gpt2 / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(ModelError, match=r"cannot be used|no model for a configuration"):
        load(f"hf:{gpt2}")


@pytest.mark.parametrize(
    "architectures", [["Nothing"], ["BertModel"], ["Trainer"], [3, {}], "GPT2Model", {}, None]
)
def test_an_architecture_of_no_use_gives_way_to_one_that_is(gpt2, architectures):
    change_config(gpt2, architectures=architectures)
    found = from_transformers(str(gpt2), Wish())
    assert (type(found.model).__name__, found.is_random) == ("GPT2LMHeadModel", False)


# -- tokenizers --


@pytest.mark.parametrize("vocabulary", [{}, {"Am": 0}, {"Am": 0, "Brunnen": 3}])
@pytest.mark.parametrize("kind", ["WordLevel", "WordPiece", "BPE", "Unigram"])
def test_tokenizers_that_lack_words_are_explained(gpt2, poem, kind, vocabulary):
    tokenizers = require("tokenizers", "this test")
    models = tokenizers.models
    try:
        made = {
            "WordLevel": lambda: models.WordLevel(vocabulary),
            "WordPiece": lambda: models.WordPiece(vocabulary),
            "BPE": lambda: models.BPE(vocabulary, []),
            "Unigram": lambda: models.Unigram([(word, -1.0) for word in vocabulary]),
        }[kind]()
    except Exception:
        pytest.skip("tokenizers itself does not make this one")
    tokenizers.Tokenizer(made).save(str(gpt2 / "tokenizer.json"))
    with pytest.raises(DataError, match="tokenizer"):
        load_data(f"hf:{gpt2}", str(poem))


def test_no_name_in_a_configuration_is_read_as_code(tmp_path, monkeypatch):
    # The adapters of this model are named after the languages of its configuration.
    name = 'a", "b"); import left_a_mark; ("'
    (tmp_path / "left_a_mark.py").write_text("open('mark', 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    transformers = require("transformers", "this test")
    sizes = dict.fromkeys(("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers"), 2)
    config = transformers.XmodConfig(vocab_size=20, languages=[name], default_language=name, **sizes, **IDS)
    transformers.XmodForMaskedLM(config).save_pretrained(tmp_path / "xmod")
    with pytest.raises(UnravelError, match="has an attribute with the name"):
        load(f"hf:{tmp_path / 'xmod'}")
    assert not (tmp_path / "mark").exists()


TOKENS = torch.arange(24)[None]


def logits_of(directory):
    """Compute with the model itself, which is loaded and not taken apart."""
    with torch.no_grad():
        return from_transformers(str(directory), Wish()).model(TOKENS).logits


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "experts_implementation"])
def test_no_way_to_compute_is_fetched(key, gpt2, monkeypatch):
    def fetched(*args, **kwargs):
        raise AssertionError("code is fetched")

    hub_kernels = importlib.import_module("transformers.integrations.hub_kernels")
    monkeypatch.setattr(hub_kernels, "load_and_register_attn_kernel", fetched, raising=False)
    model_code = importlib.import_module("transformers.modeling_utils")
    monkeypatch.setattr(model_code, "lazy_import_flash_attention", fetched, raising=False)
    plain = logits_of(gpt2)
    for way in ("an-owner/a-kernel", "flash_attention_2", "an-owner/a-kernel@main:function"):
        change_config(gpt2, **{key: way})
        assert torch.equal(logits_of(gpt2), plain)


def test_a_network_is_found_whatever_way_to_compute_is_named(gpt2, whole):
    change_config(gpt2, attn_implementation="an-owner/a-kernel")
    torch.testing.assert_close(load(f"hf:{gpt2}")(TOKENS).logits, whole(TOKENS).logits)


def test_no_way_to_compute_a_part_is_fetched(tmp_path):
    transformers = require("transformers", "this test")
    parts = transformers.BertConfig(), transformers.GPT2Config()
    transformers.EncoderDecoderConfig.from_encoder_decoder_configs(*parts).save_pretrained(tmp_path)
    change_config(tmp_path, attn_implementation={"encoder": "eager", "decoder": "an-owner/a-kernel"})
    config = read_config(transformers, str(tmp_path))
    assert (config.encoder._attn_implementation, config.decoder._attn_implementation) == ("eager", None)
