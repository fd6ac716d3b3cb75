"""From a text to text data: read, divided, turned into tokens."""

from __future__ import annotations

from pathlib import Path

import torch

from unravelnet.data.encoder import TextEncoder
from unravelnet.data.loading import Split, check_split
from unravelnet.data.text_data import TextData
from unravelnet.data.text_source import read_text
from unravelnet.errors import DataError
from unravelnet.wording import counted

# Long enough for words to depend on each other, short enough for many sequences from a small text.
DEFAULT_LENGTH = 64


def load_text(
    path: str | Path,
    split: Split = "test",
    *,
    length: int = DEFAULT_LENGTH,
    tokenizer: str | Path | TextEncoder | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> TextData:
    """Load a text as sequences of tokens.

    >>> _ = (directory / "song.txt").write_text("la " * 500)
    >>> load_text(directory / "song.txt", length=20)
    TextData(song.txt: 7 sequences of 20 tokens of 256)

    `path`: a file; "-" for standard input; or text:NAME-OR-DIR for a data set with a column of texts, as `load` opens
    it. `split`: "test" is the last tenth of a text, "train" what comes before; a data set may have splits of its own.
    `length`: of every sequence, in
    tokens. `tokenizer`: a file tokenizer.json, as transformers saves it with a model, or a `TextEncoder`; None: each
    byte of the text (UTF-8) is a token. `limit`: draw this many sequences by `seed`. Raises DataError where the file
    is missing, no text or too short, or the tokenizer is damaged.
    """
    check_split(split)
    source = read_text(str(path))
    encoder = as_encoder(tokenizer)
    ids = encoder.encode(source.train if split == "train" else source.test)
    if len(ids) <= length:
        raise DataError(
            f"The {split} split of {source.name} is {counted(len(ids), 'token')} long, too "
            "short for a sequence of "
            f"{length} and the token that comes next. Give a longer text: its last tenth is the test split."
        )
    data = TextData.of(
        torch.tensor(ids, dtype=torch.int64),
        length=length,
        name=source.name,
        vocabulary_size=encoder.vocabulary_size,
        tokenizer=encoder.name,
        before=encoder.before,
        after=encoder.after,
    )
    return data if limit is None else data.subset(limit, seed=seed)


def as_encoder(tokenizer: str | Path | TextEncoder | None) -> TextEncoder:
    """Return what turns a text into tokens: the tokenizer of a file, one that is there already, or bytes for None."""
    if isinstance(tokenizer, TextEncoder):
        return tokenizer
    return TextEncoder() if tokenizer is None else TextEncoder.from_file(tokenizer)
