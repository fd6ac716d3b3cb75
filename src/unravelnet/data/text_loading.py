"""From a text file to text data: read, divided, turned into tokens.

The last tenth of a text is its test split. It is divided before it is turned into tokens, so that the same words
are tested whatever the tokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unravelnet._extras import require
from unravelnet.data.loading import Split, check_split
from unravelnet.data.text_data import TextData
from unravelnet.errors import DataError, first_line
from unravelnet.records.files import usable_path
from unravelnet.wording import counted

BYTES = "bytes"
"""The name of the tokenizer that makes every byte of a text a token."""
N_BYTES = 256
"""The size of its vocabulary."""

# Long enough for words to depend on each other, short enough for many sequences from a small text.
DEFAULT_LENGTH = 64


def load_text(
    path: str | Path,
    split: Split = "test",
    *,
    length: int = DEFAULT_LENGTH,
    tokenizer: str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> TextData:
    """Load a text file as sequences of tokens.

    >>> _ = (directory / "song.txt").write_text("la " * 500)
    >>> load_text(directory / "song.txt", length=20)
    TextData(song.txt: 7 sequences of 20 tokens of 256)

    `split`: "test" is the last tenth of the text, "train" what comes before. `length`: of every sequence, in
    tokens. `tokenizer`: a file tokenizer.json, as transformers saves it with a model; None: each byte of the text
    (UTF-8) is a token. `limit`: draw this many sequences by `seed`. Raises DataError where the file is missing,
    no text or too short, or the tokenizer is damaged.
    """
    check_split(split)
    source = usable_path(path)
    training, test = divide_text(_read(source))
    chosen = training if split == "train" else test
    tokens = _bytes_of(chosen) if tokenizer is None else _tokens_of(chosen, Path(tokenizer))
    if len(tokens.ids) <= length:
        raise DataError(
            f"The {split} split of {source.name} is {counted(len(tokens.ids), 'token')} long, too "
            "short for a sequence of "
            f"{length} and the token that comes next. Give a longer text: its last tenth is the test split."
        )
    data = TextData.of(
        tokens.ids,
        length=length,
        name=source.name,
        vocabulary_size=tokens.vocabulary_size,
        tokenizer=BYTES if tokenizer is None else Path(tokenizer).name,
        before=tokens.before,
        after=tokens.after,
    )
    return data if limit is None else data.subset(limit, seed=seed)


def is_text_file(specification: str) -> bool:
    """Whether a specification of data names a text file: every file does, since images come in directories."""
    return usable_path(specification).is_file()


def divide_text(text: str) -> tuple[str, str]:
    """Divide a text for training and testing: the last tenth of its characters is tested.

    >>> divide_text("0123456789")
    ('012345678', '9')
    """
    end = len(text) * 9 // 10
    return text[:end], text[end:]


class _Tokens(NamedTuple):
    """A text as tokens, and the special ones that a sequence starts and ends with."""

    ids: Tensor
    vocabulary_size: int
    before: Sequence[int] = ()
    after: Sequence[int] = ()


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}.") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not a text in UTF-8: byte {error.start} is none of it. Give a text file; images are loaded "
            "from a directory or by the name of a data set."
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _bytes_of(text: str) -> _Tokens:
    encoded = bytearray(text.encode("utf-8"))
    # An empty buffer is refused by torch; that there is nothing in it is said later.
    ids = torch.frombuffer(encoded, dtype=torch.uint8) if encoded else torch.zeros(0, dtype=torch.uint8)
    return _Tokens(ids.to(torch.int64), N_BYTES)


def _tokens_of(text: str, path: Path) -> _Tokens:
    tokenizers = require("tokenizers", "Reading text by the tokenizer of a model")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
        # Saved settings may cut a text, or fill it up, to the length of some training.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        before, after = _special_tokens(tokenizer)
        # Numbers may be left out in a vocabulary, so that it is larger than it has words.
        vocabulary_size = 1 + max(tokenizer.get_vocab().values(), default=-1)
    except Exception as error:  # the package raises nothing more specific
        raise DataError(
            f"The tokenizer {path} cannot be used: {first_line(error)}. Save it again with the model that "
            "it belongs to."
        ) from error
    if text and not ids:
        raise DataError(
            f"The tokenizer {path} makes no tokens of the text: it knows none of its words, and has no token for "
            "unknown ones. Give the one that belongs to the model."
        )
    return _Tokens(torch.tensor(ids, dtype=torch.int64), vocabulary_size, before, after)


def _special_tokens(tokenizer: Any) -> tuple[Sequence[int], Sequence[int]]:
    """List the tokens that a tokenizer puts before and after every text."""
    added = tokenizer.num_special_tokens_to_add(is_pair=False)
    if not added:
        return (), ()
    probe = tokenizer.encode("a")
    n_before, n_after = (
        _count_leading(mask) for mask in (probe.special_tokens_mask, probe.special_tokens_mask[::-1])
    )
    return probe.ids[:n_before], probe.ids[len(probe.ids) - n_after :]


def _count_leading(is_special: Sequence[int]) -> int:
    """Count the special tokens at the start.

    >>> _count_leading([1, 1, 0, 1])
    2
    """
    return sum(1 for _ in takewhile(bool, is_special))
