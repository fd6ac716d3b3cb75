"""A text in memory as data for language models: sequences of tokens, each token with the one that comes next.

Shapes in this file: N sequences of L tokens; a batch has B sequences.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from unravelnet.data.drawing import draw
from unravelnet.data.targets import IGNORED_TARGET
from unravelnet.errors import DataError
from unravelnet.wording import counted


@dataclass(frozen=True, eq=False)
class TextData:
    """Sequences of tokens of one length, with the next tokens as targets.

    >>> text = TextData.of(torch.arange(8), length=3, name="counting", vocabulary_size=10)
    >>> text.sequences.tolist(), text.targets.tolist()
    ([[0, 1, 2], [3, 4, 5]], [[1, 2, 3], [4, 5, 6]])

    `sequences`: int64 [N, L]. `targets`: of the same shape, with -100 where no token is to be predicted, or None
    for a network that predicts none. `vocabulary_size`: how many tokens there can be. `tokenizer`: what made the
    tokens: "bytes", or the name of a tokenizer. `n_predicted`: at how many positions at its end a sequence has
    predictions; None: at all. Raises DataError for data that is empty or of another form.
    """

    sequences: Tensor
    targets: Tensor | None
    name: str
    vocabulary_size: int
    tokenizer: str = ""
    n_predicted: int | None = None
    unit: ClassVar[str] = "sequences"

    def __post_init__(self) -> None:
        if self.sequences.dim() != 2 or self.sequences.dtype != torch.int64:
            dtype = str(self.sequences.dtype).removeprefix("torch.")
            raise DataError(
                f"The sequences of {self.name} are {dtype} {list(self.sequences.shape)}; expected int64 [sequences, "
                "tokens]."
            )
        if not self.sequences.numel():
            raise DataError(f"{self.name} is empty: there are no tokens in it.")
        if self.targets is not None and self.targets.shape != self.sequences.shape:
            raise DataError(
                f"{self.name} has sequences of shape {tuple(self.sequences.shape)} and targets of shape "
                f"{tuple(self.targets.shape)}; give one target a token."
            )
        if int(self.sequences.min()) < 0 or self.largest_token >= self.vocabulary_size:
            raise DataError(
                f"{self.name} has tokens from {int(self.sequences.min())} to {self.largest_token}; with a vocabulary "
                f"of {self.vocabulary_size} they are numbered 0 to {self.vocabulary_size - 1}."
            )

    @classmethod
    def of(
        cls,
        tokens: Tensor,
        *,
        length: int,
        name: str,
        vocabulary_size: int,
        tokenizer: str = "",
        before: Sequence[int] = (),
        after: Sequence[int] = (),
    ) -> TextData:
        """Cut a row of tokens into sequences; what is left at the end is dropped.

        `length`: of every sequence, `before` and `after` included: special tokens that every sequence starts and
        ends with. A target is always the token that comes next in the text, at the end of a sequence the first
        one of the following. Raises DataError where the text does not give one sequence.
        """
        n_own = length - len(before) - len(after)
        if n_own < 1:
            raise DataError(
                f"A sequence of {counted(length, 'token')} has no room for text: "
                f"{len(before) + len(after)} of them are special "
                "tokens. Give a larger length."
            )
        if len(tokens) <= n_own:
            raise DataError(
                f"{name} is {counted(len(tokens), 'token')} long, too short for a sequence of {n_own} "
                "and the one that comes "
                "next. Give a longer text."
            )
        windows = tokens.to(torch.int64).unfold(0, n_own + 1, n_own)
        rows = len(windows)
        first, last = (
            torch.tensor(special, dtype=torch.int64).expand(rows, -1) for special in (before, after)
        )
        sequences = torch.cat([first, windows[:, :-1], last], dim=1)
        targets = torch.full_like(sequences, IGNORED_TARGET)
        start = len(before)
        targets[:, start : start + n_own] = windows[:, 1:]
        if before:
            targets[:, start - 1] = windows[:, 0]
        return cls(sequences, targets, name, vocabulary_size, tokenizer)

    def __len__(self) -> int:
        return len(self.sequences)

    def __repr__(self) -> str:
        return (
            f"TextData({self.name}: {counted(len(self), 'sequence')} of {counted(self.length, 'token')} "
            f"of {self.vocabulary_size})"
        )

    @property
    def length(self) -> int:
        """The number of tokens of every sequence."""
        return self.sequences.shape[1]

    @property
    def n_classes(self) -> int | None:
        """How many targets there can be, as classes of images: the vocabulary; None where there are none."""
        return None if self.targets is None else self.vocabulary_size

    @property
    def largest_token(self) -> int:
        """The largest number that stands for a token here, as an input or as a target."""
        both = (self.sequences,) if self.targets is None else (self.sequences, self.targets)
        return max(int(tokens.max()) for tokens in both)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor | None]:
        """Give sequences with their targets."""
        if self.targets is None:
            return self.sequences[indices], None
        first = 0 if self.n_predicted is None else self.length - self.n_predicted
        return self.sequences[indices], self.targets[indices, first:]

    def take(self, indices: Tensor) -> TextData:
        """Choose sequences by their positions."""
        targets = None if self.targets is None else self.targets[indices]
        return replace(self, sequences=self.sequences[indices], targets=targets)

    def subset(self, limit: int, *, seed: int = 0) -> TextData:
        """Draw `limit` sequences without replacement; they keep their order, and a smaller limit gives a part.

        Raises DataError where there are fewer.
        """
        return self.take(draw(len(self), limit, seed, unit=self.unit, name=self.name))

    def at_end(self, n_predicted: int) -> TextData:
        """Give the same sequences for a network that predicts at so many positions of their ends only."""
        return replace(self, n_predicted=n_predicted)

    def without_targets(self) -> TextData:
        """Give the same sequences for a network that predicts no tokens."""
        return replace(self, targets=None)

    def fingerprint(self) -> str:
        """Hash sequences and targets: the identity of the data in the results store."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.blake2b(digest_size=8)
        form = ["text", list(self.sequences.shape), self.targets is not None]
        digest.update(json.dumps(form if self.n_predicted is None else [*form, self.n_predicted]).encode())
        for tensor in (self.sequences, self.targets):
            if tensor is not None:
                digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()
