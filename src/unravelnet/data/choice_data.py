"""Questions with options in memory: which of several rows of tokens is the likeliest?

Shapes in this file: N questions with K options of at most L tokens; a batch has B questions.
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
from unravelnet.data.text_data import TextData
from unravelnet.errors import DataError
from unravelnet.wording import counted


@dataclass(frozen=True, slots=True)
class Option:
    """One option as tokens: `context` is what it is read after, and `scored` what its probability is of."""

    context: Sequence[int]
    scored: Sequence[int]


@dataclass(frozen=True, eq=False)
class ChoiceData:
    """Options of questions, of which a language model takes the likeliest.

    >>> pair = [Option([7], [1, 2, 3]), Option([7], [1, 2, 4])]
    >>> data = ChoiceData.of([pair], [0], name="one pair", vocabulary_size=10)
    >>> data.sequences.tolist(), data.targets.tolist()
    ([[[7, 1, 2], [7, 1, 2]]], [[[1, 2, 3], [1, 2, 4]]])

    `sequences`: int64 [N, K, L], filled up with 0. `targets`: the token that comes next where it is scored, else -100;
    an option that a question does not have is not scored at all. `answers`: int64 [N], the right options. `is_mean`:
    whether an option's score is its mean log-probability a token, or the sum. Raises DataError for data of another
    form.
    """

    sequences: Tensor
    targets: Tensor
    answers: Tensor
    name: str
    vocabulary_size: int
    is_mean: bool = False
    tokenizer: str = ""
    unit: ClassVar[str] = "questions"

    def __post_init__(self) -> None:
        n_questions, n_options = self.sequences.shape[:2] if self.sequences.dim() == 3 else (0, 0)
        if not n_questions or n_options < 2 or self.targets.shape != self.sequences.shape:
            raise DataError(
                f"The options of {self.name} are {list(self.sequences.shape)}, with targets "
                f"{list(self.targets.shape)}; expected both [questions, 2 options or more, tokens]."
            )
        if self.answers.shape != (n_questions,):
            raise DataError(
                f"{self.name} has {counted(n_questions, 'question')} and answers of shape "
                f"{tuple(self.answers.shape)}; give one answer a question."
            )
        has_option = (self.targets != IGNORED_TARGET).any(dim=2)
        places = self.answers.clamp(0, n_options - 1)
        is_there = has_option.gather(1, places[:, None])[:, 0] & (places == self.answers)
        if not is_there.all():
            place = int((~is_there).nonzero()[0])
            raise DataError(
                f"The answer of question {place} of {self.name} is option {int(self.answers[place])}, and it has "
                f"{int(has_option[place].sum())} with tokens to score, numbered from 0."
            )
        self.as_text()  # what is no token is refused as in any text

    @classmethod
    def of(
        cls,
        questions: Sequence[Sequence[Option]],
        answers: Sequence[int],
        *,
        name: str,
        vocabulary_size: int,
        is_mean: bool = False,
        tokenizer: str = "",
    ) -> ChoiceData:
        """Lay options side by side: each begins at the first place, and what is left is filled up."""
        rows = [option for options in questions for option in options]
        length = max((len(row.context) + len(row.scored) for row in rows), default=1) - 1
        shape = len(questions), max(map(len, questions), default=0), max(1, length)
        sequences = torch.zeros(shape, dtype=torch.int64)
        targets = torch.full(shape, IGNORED_TARGET)
        for number, options in enumerate(questions):
            for place, option in enumerate(options):
                whole = torch.tensor([*option.context, *option.scored], dtype=torch.int64)
                sequences[number, place, : len(whole) - 1] = whole[:-1]
                # Without a context there is nothing that the first token could be predicted from.
                start = max(0, len(option.context) - 1)
                targets[number, place, start : len(whole) - 1] = whole[start + 1 :]
        return cls(sequences, targets, torch.tensor(answers), name, vocabulary_size, is_mean, tokenizer)

    def __len__(self) -> int:
        return len(self.sequences)

    def __repr__(self) -> str:
        return (
            f"ChoiceData({self.name}: {counted(len(self), 'question')} with {counted(self.n_classes, 'option')} of "
            f"at most {counted(self.length, 'token')})"
        )

    @property
    def length(self) -> int:
        """The number of tokens of the longest option, without the last, which nothing is predicted from."""
        return self.sequences.shape[2]

    @property
    def n_classes(self) -> int:
        """How many options a question has at most."""
        return self.sequences.shape[1]

    @property
    def largest_token(self) -> int:
        """The largest number that stands for a token here."""
        return max(int(self.sequences.max()), int(self.targets.max()))

    def as_text(self) -> TextData:
        """Give all options as sequences of a text: shape [N · K, L]."""
        sequences, targets = self.sequences.flatten(0, 1), self.targets.flatten(0, 1)
        return TextData(sequences, targets, self.name, self.vocabulary_size, self.tokenizer)

    def batch(self, indices: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Give questions, as a network that chooses takes them, with their answers."""
        inputs = {"tokens": self.sequences[indices], "targets": self.targets[indices]}
        return inputs, self.answers[indices]

    def take(self, indices: Tensor) -> ChoiceData:
        """Choose questions by their positions."""
        return replace(
            self,
            sequences=self.sequences[indices],
            targets=self.targets[indices],
            answers=self.answers[indices],
        )

    def subset(self, limit: int, *, seed: int = 0) -> ChoiceData:
        """Draw `limit` questions without replacement; they keep their order. Raises DataError where there are fewer."""
        return self.take(draw(len(self), limit, seed, unit=self.unit, name=self.name))

    def fingerprint(self) -> str:
        """Hash options and answers: the identity of the data in the results store."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.blake2b(digest_size=8)
        digest.update(json.dumps(["choices", list(self.sequences.shape), self.is_mean]).encode())
        for tensor in (self.sequences, self.targets, self.answers):
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()
