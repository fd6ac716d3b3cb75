"""Minimal pairs and multiple choice, from files of JSON lines.

A line is a pair, as in BLiMP (Warstadt et al. 2020), of which the good sentence should be the likelier one:

    {"sentence_good": "Karla could listen to herself.", "sentence_bad": "Karla could listen to himself."}

or a question with its options and the right one, by its place from 0, its letter or its text:

    {"question": "The capital of France is", "options": ["Rome", "Paris"], "answer": "B"}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from unravelnet.data.choice_data import ChoiceData, Option
from unravelnet.data.encoder import TextEncoder
from unravelnet.data.text_loading import as_encoder
from unravelnet.data.text_source import as_text, read_bytes
from unravelnet.errors import DataError
from unravelnet.kinds import is_whole
from unravelnet.records.files import usable_path

_SUFFIX = ".jsonl"
_GOOD, _BAD = "sentence_good", "sentence_bad"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FORMS = (
    f'Give lines such as {{"{_GOOD}": "...", "{_BAD}": "..."}} or {{"question": "...", "options": ["...", "..."], '
    '"answer": 0}.'
)


class _Item(NamedTuple):
    """A line: the question that options are read after, empty for a pair, and the place of the right one."""

    question: str
    options: Sequence[str]
    answer: int


def is_choice_file(specification: str) -> bool:
    """Whether a specification of data names pairs or questions: a file of JSON lines, or a folder of such files."""
    path = usable_path(specification)
    return (path.is_file() and path.suffix == _SUFFIX) or (path.is_dir() and bool(_files_in(path)))


def load_choices(
    path: str | Path,
    *,
    tokenizer: str | Path | TextEncoder | None = None,
    start: Sequence[int] = (),
    limit: int | None = None,
    seed: int = 0,
) -> ChoiceData:
    """Load minimal pairs or multiple choice as data whose accuracy can be measured.

    >>> _ = (directory / "pairs.jsonl").write_text('{"sentence_good": "I am.", "sentence_bad": "I are."}')
    >>> load_choices(directory / "pairs.jsonl")
    ChoiceData(pairs: 1 question with 2 options of at most 5 tokens)

    `path`: a file of JSON lines, or a folder of such files, which are read one after the other; all lines are of one
    form. Sentences of a pair are compared by the sum of the log-probabilities of their tokens, options by the mean a
    token, since they may differ in length. The good sentence of a pair is the first or the second option as its text
    decides, so that a network for which both are equal is right in half of the cases. `tokenizer`: as for `load_text`.
    `start`: tokens in front of every sentence where the tokenizer puts none, so that the first word is scored, too.
    `limit`: draw this many by `seed`. Raises DataError where a file is missing, or a line has another form.
    """
    source = usable_path(path)
    encoder = as_encoder(tokenizer)
    items = [item for file in _files_in(source) or [source] for item in _items(file)]
    if len({bool(item.question) for item in items}) != 1:
        fault = "mixes pairs and questions" if items else "is empty"
        raise DataError(f"{source} {fault}. {_FORMS}")
    before = [*encoder.before] or [*start]
    data = ChoiceData.of(
        [[_option(encoder, before, item.question, option) for option in item.options] for item in items],
        [item.answer for item in items],
        name=source.name.removesuffix(_SUFFIX),
        vocabulary_size=max([encoder.vocabulary_size, *(token + 1 for token in before)]),
        is_mean=bool(items[0].question),
        tokenizer=encoder.name,
    )
    return data if limit is None else data.subset(limit, seed=seed)


def _files_in(path: Path) -> list[Path]:
    return sorted(path.glob(f"*{_SUFFIX}")) if path.is_dir() else []


def _option(encoder: TextEncoder, before: Sequence[int], question: str, option: str) -> Option:
    """Make tokens of an option. Words may join at the seam, so both are read together, and what is new is scored."""
    if not question:
        return Option(before, encoder.encode(option))
    context, whole = encoder.encode(question), encoder.encode(f"{question} {option}")
    n_shared = next(
        (place for place, (a, b) in enumerate(zip(context, whole, strict=False)) if a != b), len(context)
    )
    return Option([*before, *whole[:n_shared]], whole[n_shared:])


def _items(path: Path) -> Iterator[_Item]:
    for number, line in enumerate(as_text(read_bytes(path), path).splitlines(), start=1):
        if line.strip():
            yield _item(line, f"Line {number} of {path}")


def _item(line: str, place: str) -> _Item:
    try:
        read = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is no JSON. {_FORMS}") from error
    found = read if isinstance(read, Mapping) else {}
    if _GOOD in found and _BAD in found:
        return _pair(str(found[_GOOD]), str(found[_BAD]))
    options = found.get("options", found.get("choices"))
    is_list = isinstance(options, list) and len(options) > 1
    if not is_list or not found.get("question") or "answer" not in found:
        raise DataError(f"{place} is neither a pair nor a question. {_FORMS}")
    texts = [str(option) for option in options]
    return _Item(str(found["question"]), texts, _answer(found["answer"], texts, place))


def _pair(good: str, bad: str) -> _Item:
    is_second = hashlib.blake2b(f"{good}\n{bad}".encode(), digest_size=1).digest()[0] % 2
    return _Item("", (bad, good) if is_second else (good, bad), is_second)


def _answer(given: Any, options: Sequence[str], place: str) -> int:
    if is_whole(given) and 0 <= given < len(options):
        return int(given)
    if isinstance(given, str) and given in options:
        return options.index(given)
    letter = _LETTERS.find(given) if isinstance(given, str) and len(given) == 1 else -1
    if 0 <= letter < len(options):
        return letter
    raise DataError(
        f"{place} has the answer {given!r}, which is none of its {len(options)} options. Give its place from 0, its "
        "letter, or its text."
    )
