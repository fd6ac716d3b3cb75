"""A text read as a model reads it: by the tokenizer that stands beside the model, or byte by byte."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unravelnet._extras import require
from unravelnet.data import TextData, load_text
from unravelnet.data.text_loading import DEFAULT_LENGTH, N_BYTES
from unravelnet.errors import DataError, ModelError
from unravelnet.exporting.directory import GRAPH_FILE, text_limits
from unravelnet.models.huggingface import longest_sequence, read_config, vocabulary_size
from unravelnet.records.files import usable_path

_TOKENIZER = "tokenizer.json"
# What tokenizers were saved in before; they hold the words and not all of the rules.
_OLDER_TOKENIZERS = ("vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model")


@dataclass(frozen=True, slots=True)
class Reader:
    """How a model reads text.

    `tokenizer`: its tokenizer.json; None where it has none. `vocabulary_size`: how many tokens it knows, and
    `longest`: how many it takes at once; None where that is not known.
    """

    tokenizer: Path | None = None
    vocabulary_size: int | None = None
    longest: int | None = None


def load_text_for(specification: str, path: str) -> TextData:
    """Load the test split of a text file as the model of a specification reads it.

    A model without a tokenizer is given bytes. Raises DataError where its vocabulary has no
    room for bytes, and as `load_text`; ModelError where the tokenizer is of an older kind.
    """
    scheme, _, name = specification.partition(":")
    reader = _reader_of(name) if scheme == "hf" and name else _reader_in(specification)
    known = reader.vocabulary_size
    if reader.tokenizer is None and known is not None and known < N_BYTES:
        raise DataError(
            f"{specification} has no {_TOKENIZER} and a vocabulary of {known}, which is too small to read {path} byte "
            f"by byte: that takes {N_BYTES}. Put the {_TOKENIZER} of the model beside its config.json."
        )
    length = min(DEFAULT_LENGTH, reader.longest or DEFAULT_LENGTH)
    text = load_text(path, length=length, tokenizer=reader.tokenizer)
    if known is not None and text.largest_token >= known:
        raise DataError(
            f"The tokenizer of {specification} gives {text.name} the token {text.largest_token}, and the model knows "
            f"{known}, numbered 0 to {known - 1}. Give the {_TOKENIZER} that belongs to it."
        )
    return text


def _reader_in(specification: str) -> Reader:
    """Look up how a network reads that `export` wrote, with the tokenizer of its model beside it."""
    directory = Path(specification).expanduser()
    if not (directory / GRAPH_FILE).is_file():
        return Reader()
    tokenizer = directory / _TOKENIZER
    return Reader(tokenizer if tokenizer.is_file() else None, *text_limits(directory))


def _reader_of(name: str) -> Reader:
    """Look up how a model of transformers reads. Raises ModelError where there is no such model."""
    config = read_config(require("transformers", f"The model hf:{name}"), name)
    return Reader(_tokenizer_of(name), vocabulary_size(config), longest_sequence(config))


def _tokenizer_of(name: str) -> Path | None:
    """Find the tokenizer of a model in its directory, or in the cache of the hub."""
    directory = usable_path(name)
    if not directory.is_dir():
        import huggingface_hub

        cached = huggingface_hub.try_to_load_from_cache(name, _TOKENIZER)
        return Path(cached) if isinstance(cached, str) else None
    if (directory / _TOKENIZER).is_file():
        return directory / _TOKENIZER
    older = [file for file in _OLDER_TOKENIZERS if (directory / file).is_file()]
    if older:
        raise ModelError(
            f"{name} has a tokenizer of an older kind ({', '.join(older)}) and no {_TOKENIZER}. Write one with "
            f"transformers: AutoTokenizer.from_pretrained({name!r}).save_pretrained({name!r})"
        )
    return None
