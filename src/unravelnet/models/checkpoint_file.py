"""What a checkpoint file holds, read without running anything that is in it."""

from __future__ import annotations

import contextlib
import pickle
import pickletools
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from unravelnet.errors import CheckpointError

# A file of safetensors starts with the length of its header, in eight bytes, and the header.
_N_LENGTH = 8
_N_LOOKED_AT = 200
# Before 1.6, torch wrote a magic number, a version, facts of the machine and then the object, each pickled.
_N_OLD_PICKLES = 4
EXPECTED = "Expected tensors by name: safetensors, or what torch.save(model.state_dict(), FILE) writes."
CONVERSION = (
    "A file that you trust can be converted in Python: "
    "torch.save(torch.load(OLD, weights_only=False).state_dict(), NEW)."
)


class _Nothing:
    """Stands in the place of a class or function of others that a file names; keeps nothing and does nothing."""

    def __new__(cls, *args: object, **kwargs: object) -> _Nothing:
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class _Entries:
    """Stands in the place of a class of others; its objects become mappings of what was stored in them."""

    def __new__(cls, *args: object, **kwargs: object) -> OrderedDict[str, object]:  # type: ignore[misc]
        # Of all mappings, torch fills this type and plain dictionaries only, and sets attributes of this one only.
        return OrderedDict()


def read_checkpoint(path: Path) -> object:
    """Read what a file holds; objects that are neither tensors nor plain values are replaced by empty ones.

    Raises CheckpointError where there is no such file, it is damaged or of another kind.
    """
    if path.is_dir():
        raise CheckpointError(f"{path} is a directory. Give the file in it that holds the weights.")
    try:
        with path.open("rb") as file:
            start = file.read(_N_LOOKED_AT)
        if path.suffix == ".safetensors" or start[_N_LENGTH : _N_LENGTH + 1] == b"{":
            return load_file(path)
        return _unpickled(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no file {path} to load weights from.") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # whatever the bytes of a file lead torch and safetensors to
        raise CheckpointError(f"{path} cannot be used: {_reason(start, error)} {EXPECTED}") from error


def _unpickled(path: Path) -> object:
    stand_ins: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
        # What builds values of numpy has states of another form.
        (_Nothing if name.startswith("numpy.") else _Entries, name)
        for name in _names_of_others(path)
    ]
    # torch remarks on files that other programs pickled, before it refuses them.
    with warnings.catch_warnings(), torch.serialization.safe_globals(stand_ins):
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True)


def _names_of_others(path: Path) -> list[str]:
    """List the classes and functions that a file names and torch does not know, without importing any."""
    if zipfile.is_zipfile(path):
        with contextlib.suppress(ValueError):  # a TorchScript program, which torch.load refuses
            return torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
        return []
    names = []
    with path.open("rb") as file, contextlib.suppress(ValueError):  # what follows is no pickle
        for _ in range(_N_OLD_PICKLES):
            names += [str(word) for opcode, word, _ in pickletools.genops(file) if opcode.name == "GLOBAL"]
    full_names = dict.fromkeys(name.replace(" ", ".") for name in names)
    return [name for name in full_names if not name.startswith(("torch.", "collections.OrderedDict"))]


def _reason(start: bytes, error: Exception) -> str:
    """Say in a sentence what is wrong with a file, by how it starts and what its reader said."""
    if not start:
        return "it is empty."
    if start.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS. `git lfs pull` fetches the file itself."
    if "TorchScript" in str(error):
        return "it holds a TorchScript program. torch.jit.load(FILE).state_dict() gives its tensors."
    if _is_text(start):
        return "it is a text."
    if isinstance(error, pickle.UnpicklingError | TypeError):
        return f"it is damaged, or holds objects that cannot be read without running code. {CONVERSION}"
    return f"it is damaged or no checkpoint ({type(error).__name__})."


def _is_text(start: bytes) -> bool:
    return start.isascii() and all(byte >= ord(" ") or chr(byte).isspace() for byte in start)
