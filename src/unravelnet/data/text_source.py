"""Where text comes from: a file, standard input, or a data set with a column of texts.

The last tenth of a file is its test split. It is divided before it is turned into tokens, so that the same words are
tested whatever the tokenizer.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from unravelnet.data.repository import open_tables, splits_of
from unravelnet.errors import DataError
from unravelnet.records.files import usable_path

STANDARD_INPUT = "-"
_DATA_SET = "text:"
_COLUMNS = ("text", "content", "sentence")
# Between the texts of a data set, as between paragraphs.
_BETWEEN = "\n\n"


class Text(NamedTuple):
    """A text with its name, divided for training and testing."""

    name: str
    train: str
    test: str


def is_text(specification: str) -> bool:
    """Whether a specification of data names a text.

    >>> is_text("-"), is_text("text:path/to/wikitext"), is_text("digits")
    (True, True, False)

    Every file is one, since images come in directories.
    """
    is_named = specification == STANDARD_INPUT or specification.startswith(_DATA_SET)
    return is_named or usable_path(specification).is_file()


def read_text(specification: str) -> Text:
    """Read a text: a file, "-" for standard input, or text:NAME-OR-DIR for a data set.

    Raises DataError where it is missing or is no text.
    """
    if specification.startswith(_DATA_SET):
        return _of_data_set(specification.removeprefix(_DATA_SET))
    if specification == STANDARD_INPUT:
        name, content = "standard input", sys.stdin.buffer.read()
    else:
        name, content = usable_path(specification).name, read_bytes(usable_path(specification))
    return Text(name, *divide_text(as_text(content, name)))


def divide_text(text: str) -> tuple[str, str]:
    """Divide a text for training and testing: the last tenth of its characters is tested.

    >>> divide_text("0123456789")
    ('012345678', '9')
    """
    end = len(text) * 9 // 10
    return text[:end], text[end:]


def read_bytes(path: Path) -> bytes:
    """Read a file. Raises DataError where that is not possible."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def as_text(content: bytes, name: object) -> str:
    """Decode a text in UTF-8. Raises DataError where it is none."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name} is not a text in UTF-8: byte {error.start} is none of it. Give a text file; images are loaded "
            "from a directory or by the name of a data set."
        ) from error


def _of_data_set(name: str) -> Text:
    """Join the texts of a data set; what has no test split is divided as a file is."""
    tables = open_tables(name)
    column = next(
        (column for column in _COLUMNS if all(column in t.column_names for t in tables.values())), None
    )
    if column is None:
        has = ", ".join(next(iter(tables.values())).column_names)
        raise DataError(
            f"The data set {name} has no column of texts ({', '.join(_COLUMNS)}); it has {has}. Rename one of them."
        )
    texts = {split: _BETWEEN.join(map(str, table[column])) for split, table in splits_of(tables).items()}
    if "test" in texts:
        return Text(name, texts.get("train", ""), texts["test"])
    return Text(name, *divide_text(_BETWEEN.join(texts.values())))
