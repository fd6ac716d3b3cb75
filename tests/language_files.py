"""The files that the page on language models speaks of: a small random Llama, texts, and minimal pairs."""

from __future__ import annotations

import json
import re
from pathlib import Path

from unravelnet._extras import require

WORDS = ["the", "cats", "sit", "sits", "here", "there", "dog", "and", ".", "a", "?"]


def write_language_files(directory: Path, page: str) -> None:
    """Write what a page needs that opens hf:llama; its minimal pairs are those that it shows."""
    write_model(directory / "llama")
    (directory / "valid.txt").write_text("the cats sit here . the dog sits there . " * 200)
    (directory / "test.txt").write_text("a dog sits and the cats sit . here sits a dog . " * 200)
    shown = "".join(re.findall(r"^```json\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL))
    pairs = [json.loads(line) for line in shown.splitlines()]
    (directory / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs * 3)).lower())


def write_model(directory: Path) -> None:
    """Write a model of four blocks with a tokenizer of few words."""
    transformers, tokenizers = require("transformers", "this test"), require("tokenizers", "this test")
    config = transformers.LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=32,
        bos_token_id=0,
        eos_token_id=0,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(directory)
    words = {word: number for number, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="?"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(directory / "tokenizer.json"))
