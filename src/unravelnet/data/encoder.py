"""How a text becomes tokens: by the tokenizer of a model, or byte by byte."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, Self

from unravelnet._extras import require
from unravelnet.errors import DataError, first_line

BYTES = "bytes"
"""The name of the encoder that makes every byte of a text a token."""
N_BYTES = 256
"""The size of its vocabulary."""


class TextEncoder:
    """Turns texts into tokens.

    >>> encoder = TextEncoder()
    >>> encoder.encode("Hi"), encoder.name, encoder.vocabulary_size
    ([72, 105], 'bytes', 256)

    `tokenizer`: one of the package `tokenizers`; None: each byte of a text (UTF-8) is a token. `before`, `after`: the
    special tokens that it puts around every text, which `encode` leaves out. Raises DataError where the tokenizer
    cannot be used.
    """

    before: Sequence[int] = ()
    after: Sequence[int] = ()

    def __init__(self, tokenizer: Any = None, name: str = BYTES) -> None:
        self.name = name
        self.vocabulary_size = N_BYTES
        self._tokenizer = tokenizer
        if tokenizer is None:
            return
        with _usable(name):
            # Saved settings may cut a text, or fill it up, to the length of some training.
            tokenizer.no_truncation()
            tokenizer.no_padding()
            self.before, self.after = _special_tokens(tokenizer)
            # Numbers may be left out in a vocabulary, so that it is larger than it has words.
            self.vocabulary_size = 1 + max(tokenizer.get_vocab().values(), default=-1)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a tokenizer.json, as transformers saves it with a model."""
        tokenizers = require("tokenizers", "Reading text by the tokenizer of a model")
        with _usable(path):
            tokenizer = tokenizers.Tokenizer.from_file(str(path))
        return cls(tokenizer, Path(path).name)

    def encode(self, text: str) -> list[int]:
        """Turn a text into tokens, without special ones. Raises DataError where it knows none of the words."""
        if self._tokenizer is None:
            return list(text.encode("utf-8"))
        with _usable(self.name):
            ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        if text and not ids:
            raise DataError(
                f"The tokenizer {self.name} makes no tokens of the text: it knows none of its words, and has no token "
                "for unknown ones. Give the one that belongs to the model."
            )
        return ids


@contextlib.contextmanager
def _usable(name: object) -> Iterator[None]:
    """Turn whatever a tokenizer raises into an error of ours: the package raises nothing more specific."""
    try:
        yield
    except Exception as error:
        raise DataError(
            f"The tokenizer {name} cannot be used: {first_line(error)}. Save it again with the model that "
            "it belongs to."
        ) from error


def _special_tokens(tokenizer: Any) -> tuple[Sequence[int], Sequence[int]]:
    """List the tokens that a tokenizer puts before and after every text."""
    if not tokenizer.num_special_tokens_to_add(is_pair=False):
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
