"""A model from a Python file of the user: `path/to/file.py:factory`.

The file is run, as `python file.py` would: give only files that you trust.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from unravelnet._extras import repair_torchvision
from unravelnet.errors import ModelError, unknown_name
from unravelnet.models.found import Found, Wish, drawn_from_seed, image_batch, token_batch

_N_FIRST_TOKENS = 16
_USUAL_SHAPES = ((3, 32, 32), (3, 224, 224))


def from_file(specification: str, wish: Wish) -> Found:
    """Make a model by calling a function without arguments (or a class) of a Python file.

    Raises ModelError where the file, the factory or the model is not as expected, with the line of the file
    where it went wrong.
    """
    path_text, _, factory_name = specification.rpartition(":")
    path = Path(path_text if path_text.endswith(".py") else specification).expanduser()
    if not path.is_file():
        raise ModelError(f"There is no file {path}. Give PATH/TO/FILE.py:FACTORY.")
    if not path_text.endswith(".py"):
        raise ModelError(
            f"{specification} does not say what makes the model. Give {specification}:FACTORY; the file defines: "
            f"{', '.join(_defined(path)) or 'nothing'}."
        )
    with drawn_from_seed(), _beside(path):
        model = _made(_imported(path), factory_name, path)
    if wish.vocabulary_size is not None and wish.input_shape is not None:
        # Tokens that every vocabulary has. Whether it has all of the text's is told better when it is tried.
        tokens = token_batch(wish.input_shape[-1], min(_N_FIRST_TOKENS, wish.vocabulary_size))
        return Found(model, f"{path.name}:{factory_name}", (tokens,))
    shapes = (wish.input_shape,) if wish.input_shape else _USUAL_SHAPES
    return Found(model, f"{path.name}:{factory_name}", tuple(map(image_batch, shapes)))


def _imported(path: Path) -> ModuleType:
    """Run a file as a module of a name that only this path has, anew each time.

    The name stays the same, because it is part of the fingerprint of what the file defines.
    """
    repair_torchvision()
    name = f"_unravelnet_user_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "a .py file has a loader"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Known under its name while it lives: dataclasses and type hints look it up.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ModelError(f"{path} cannot be imported: {_what_happened(error, path)}") from error
    return module


def _made(module: ModuleType, factory_name: str, path: Path) -> nn.Module:
    found: Any = getattr(module, factory_name, None)
    if found is None:
        raise unknown_name(f"model factory in {path}:", factory_name, _defined(path))
    if isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise ModelError(
            f"{path}:{factory_name} is a {type(found).__name__}; expected a function without arguments that returns "
            "a torch.nn.Module."
        )
    try:
        model = found()
    except Exception as error:
        raise ModelError(
            f"{factory_name}() of {path} failed: {_what_happened(error, path)} It is called without arguments and "
            "must return a torch.nn.Module."
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"{factory_name}() of {path} returned a {type(model).__name__}; expected a torch.nn.Module."
        )
    return model


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Let a file import its neighbours, as it could if it were run by itself."""
    directory = str(path.resolve().parent)
    sys.path.insert(0, directory)
    try:
        yield
    finally:
        sys.path.remove(directory)


def _defined(path: Path) -> list[str]:
    """List the public functions and classes of a file without running it."""
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (SyntaxError, ValueError):
        return []
    names = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [name for name in names if not name.startswith("_")]


def _what_happened(error: BaseException, path: Path) -> str:
    """Name the error and the last line of the user's file that it passed through."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    if isinstance(error, SyntaxError) and error.lineno:
        place = f" (line {error.lineno})"
    else:
        place = f" (line {own[-1].lineno})" if own else ""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}{place}".rstrip(".") + "."
