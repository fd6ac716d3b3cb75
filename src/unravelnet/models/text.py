"""A text, or questions with options, read as a model reads them: by its tokenizer, or byte by byte."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unravelnet._extras import require
from unravelnet.data import ChoiceData, TextData, load_choices, load_text
from unravelnet.data.encoder import N_BYTES, TextEncoder
from unravelnet.data.loading import Split
from unravelnet.data.text_loading import DEFAULT_LENGTH
from unravelnet.errors import DataError, ModelError
from unravelnet.exporting.directory import GRAPH_FILE, text_limits
from unravelnet.models.gguf import encoder_of, gguf_file, of_package
from unravelnet.models.huggingface import longest_sequence, read_config, start_token, vocabulary_size
from unravelnet.records.files import usable_path

_TOKENIZER = "tokenizer.json"
# Bytes, and as many special tokens; a larger vocabulary has words in it.
_MOST_OF_BYTES = 2 * N_BYTES
# What tokenizers were saved in before; they hold the words and not all of the rules.
_OLDER_TOKENIZERS = ("vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model")


@dataclass(frozen=True, slots=True)
class Reader:
    """How a model reads text.

    `encoder`: its tokenizer; None where it has none. `vocabulary_size`: how many tokens it knows, and `longest`: how
    many it takes at once; None where that is not known. `start`: the token that a text begins with where its tokenizer
    puts none; empty if there is none.
    """

    encoder: TextEncoder | None = None
    vocabulary_size: int | None = None
    longest: int | None = None
    start: tuple[int, ...] = ()


def load_text_for(specification: str, path: str, split: Split = "test") -> TextData:
    """Load a split of a text file as the model of a specification reads it.

    A model without a tokenizer is given bytes. Raises DataError where its vocabulary has no
    room for bytes, and as `load_text`; ModelError where the tokenizer is of an older kind.
    """
    reader = reader_for(specification, path)
    length = min(DEFAULT_LENGTH, reader.longest or DEFAULT_LENGTH)
    text = load_text(path, split, length=length, tokenizer=reader.encoder)
    _check_known(text, reader, specification)
    return text


def load_choices_for(specification: str, path: str) -> ChoiceData:
    """Load minimal pairs or multiple choice as the model of a specification reads them.

    Raises as `load_text_for` and `load_choices`, and DataError where an option is longer than the model takes.
    """
    reader = reader_for(specification, path)
    choices = load_choices(path, tokenizer=reader.encoder, start=reader.start)
    _check_known(choices, reader, specification)
    if reader.longest is not None and choices.length > reader.longest:
        raise DataError(
            f"{choices.name} has an option of {choices.length} tokens with its question, and {specification} takes "
            f"{reader.longest} at once. Leave such questions out."
        )
    return choices


def _check_known(data: TextData | ChoiceData, reader: Reader, specification: str) -> None:
    known = reader.vocabulary_size
    if known is not None and data.largest_token >= known:
        raise DataError(
            f"The tokenizer of {specification} gives {data.name} the token {data.largest_token}, and the model knows "
            f"{known}, numbered 0 to {known - 1}. Give the {_TOKENIZER} that belongs to it."
        )


def reader_for(specification: str, path: str) -> Reader:
    """Look up how the model of a specification reads a text.

    Raises DataError where it has no tokenizer and does not read bytes, ModelError where there is no such model.
    """
    scheme, _, name = specification.partition(":")
    place = of_package(name) if scheme == "package" and name else name
    reader = _reader_of(place) if scheme in ("hf", "package") and name else _reader_in(specification)
    known = reader.vocabulary_size
    if reader.encoder is None and known is not None and not N_BYTES <= known <= _MOST_OF_BYTES:
        size = "too small" if known < N_BYTES else "not that of a model of bytes"
        raise DataError(
            f"{specification} has no {_TOKENIZER} and a vocabulary of {known:,}, which is {size} to read {path} byte "
            f"by byte: that takes {N_BYTES}. Put the {_TOKENIZER} of the model beside its config.json."
        )
    return reader


def _reader_in(specification: str) -> Reader:
    """Look up how a network reads that `export` wrote, with the tokenizer of its model beside it."""
    directory = Path(specification).expanduser()
    if not (directory / GRAPH_FILE).is_file():
        return Reader()
    tokenizer = directory / _TOKENIZER
    encoder = TextEncoder.from_file(tokenizer) if tokenizer.is_file() else None
    return Reader(encoder, *text_limits(directory))


def _reader_of(name: str) -> Reader:
    """Look up how a model of transformers reads. Raises ModelError where there is no such model."""
    file = gguf_file(name)
    config = read_config(require("transformers", f"The model hf:{name}"), name)
    tokenizer = _tokenizer_of(name) if file is None else None
    encoder = None if tokenizer is None else TextEncoder.from_file(tokenizer)
    return Reader(
        encoder if file is None else encoder_of(file),
        vocabulary_size(config),
        longest_sequence(config),
        start_token(config),
    )


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
