"""A model from a Python file of the user: `path/to/file.py:factory` or `path/to/file.py:factory(depth=20)`.

The file is run, as `python file.py` would: give only files that you trust.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from unravelnet._extras import repair_torchvision
from unravelnet.errors import ModelError, unknown_name
from unravelnet.lending import lent_streams
from unravelnet.models.examples import examples_for
from unravelnet.models.factory import Factory, factory_of
from unravelnet.models.found import Found, Wish, reason_of
from unravelnet.records.files import usable_path

# What a user's file is called while it is imported.
_OWN_NAME = re.compile(r"\b_unravelnet_user_\w+(?=\.)")


def from_file(specification: str, wish: Wish) -> Found:
    """Make a model by calling a function (or a class) of a Python file.

    Raises ModelError where the file, the factory, what it is called with, or the model is not as expected, with the
    line of the file where it went wrong.
    """
    path_text, colon, called = specification.partition(".py:")
    path = usable_path(f"{path_text}.py" if colon else specification)
    if not path.is_file():
        raise ModelError(f"There is no file {path}. Give PATH/TO/FILE.py:FACTORY.")
    if not colon:
        raise ModelError(
            f"{specification} does not say what makes the model. Give {specification}:FACTORY; the file defines: "
            f"{', '.join(_defined(path)) or 'nothing'}."
        )
    factory = factory_of(called)
    with _settings_left_alone(), _importing(path):
        model = _made(_imported(path), factory, path)
    return Found(model, f"{path.name}:{called}", examples_for(model, wish))


def _imported(path: Path) -> ModuleType:
    """Run a file, after the packages that it lies in, anew each time.

    Its name stays the same, because it is part of the fingerprint of what the file defines, and no other path has it,
    so that a folder may be called like an installed package.
    """
    repair_torchvision()
    folders = _packages_of(path)
    first = folders[0] if folders else path.resolve()
    digest = hashlib.sha256(str(first).encode()).hexdigest()[:8]
    name = f"_unravelnet_user_{first.stem.replace('.', '_')}_{digest}"
    _forget(name)
    try:
        for folder in folders:
            name = name if folder == first else f"{name}.{folder.name}"
            module = _run(_package(name, folder))
        if not folders or path.name != "__init__.py":
            name = f"{name}.{path.stem.replace('.', '_')}" if folders else name
            module = _run(importlib.util.spec_from_file_location(name, path))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit and the like are no end of ours
        _forget(name.partition(".")[0])
        raise ModelError(
            f"{path} cannot be imported: {_what_happened(error, path)}{_mending(error, path)}"
        ) from error
    return module


def _packages_of(path: Path) -> list[Path]:
    """List the folders that are packages around a file, the outermost first; none where it stands by itself.

    A folder is one if it has an `__init__.py`, or the file imports from it with dots.
    """
    n_dots = max((node.level for node in _nodes(path) if isinstance(node, ast.ImportFrom)), default=0)
    folders: list[Path] = []
    for folder in path.resolve().parents:
        if not (folder / "__init__.py").is_file() and len(folders) >= n_dots:
            break
        folders.insert(0, folder)
    return folders


def _package(name: str, folder: Path) -> ModuleSpec:
    start = folder / "__init__.py"
    if start.is_file():
        found = importlib.util.spec_from_file_location(name, start, submodule_search_locations=[str(folder)])
        assert found is not None, "a .py file has a loader"
        return found
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    return spec


def _run(spec: ModuleSpec | None) -> ModuleType:
    """Run a module, unless a package around it has done so."""
    assert spec is not None, "a .py file has a loader"
    if spec.name in sys.modules:
        return sys.modules[spec.name]
    module = importlib.util.module_from_spec(spec)
    # Known under its name while it lives: dataclasses and type hints look it up.
    sys.modules[spec.name] = module
    if spec.origin is not None and spec.loader is not None:
        writes_nothing, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # beside the file of the user
        try:
            spec.loader.exec_module(module)
        finally:
            sys.dont_write_bytecode = writes_nothing
    return module


def _forget(name: str) -> None:
    """Take a module and all within it out of those that are imported."""
    for known in [known for known in sys.modules if known == name or known.startswith(f"{name}.")]:
        del sys.modules[known]


def _made(module: ModuleType, factory: Factory, path: Path) -> nn.Module:
    found: Any = getattr(module, factory.name, None)
    if found is None:
        raise unknown_name(f"model factory in {path}:", factory.name, _defined(path))
    if isinstance(found, nn.Module) and factory.takes_nothing:
        return found
    if isinstance(found, nn.Module) or not callable(found):
        raise ModelError(
            f"{path}:{factory.name} is a {type(found).__name__}; expected a function that returns a torch.nn.Module."
        )
    try:
        model = found(*factory.arguments, **factory.options)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        called = (
            " It is called without arguments: give them as in make(depth=20)."
            if factory.takes_nothing
            else ""
        )
        raise ModelError(
            f"{factory.written} of {path} failed: {_what_happened(error, path)}{called}"
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"{factory.written} of {path} returned a {type(model).__name__}; expected a torch.nn.Module."
        )
    return model


@contextlib.contextmanager
def _importing(path: Path) -> Iterator[None]:
    """Let a file import its neighbours, as it could if it were run by itself, and the package that it is part of."""
    packages = _packages_of(path)
    places = [*(str(folder.parent) for folder in packages[:1]), str(path.resolve().parent)]
    sys.path[:0] = places
    try:
        yield
    finally:
        for place in places:
            with contextlib.suppress(ValueError):  # the file may have changed the path itself
                sys.path.remove(place)


@contextlib.contextmanager
def _settings_left_alone() -> Iterator[None]:
    """Give back the settings of torch and Python that a file may change for the whole process.

    Those of warnings and logging among them: a file that is silent shall not silence what others say.
    """
    directory, words, depth = Path.cwd(), list(sys.argv), sys.getrecursionlimit()
    dtype, has_gradients, device = (
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.get_default_device(),
    )
    silent_below, loggers = logging.root.manager.disable, _loggers_disabled()
    try:
        with lent_streams(), warnings.catch_warnings():
            yield
    finally:
        logging.disable(silent_below)
        for logger, disabled in loggers:
            logger.disabled = disabled
        os.chdir(directory)
        sys.argv[:] = words
        sys.setrecursionlimit(depth)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(has_gradients)
        if torch.get_default_device() != device:
            torch.set_default_device(None if device.type == "cpu" else device)


def _loggers_disabled() -> list[tuple[logging.Logger, bool]]:
    known = logging.root.manager.loggerDict.values()
    return [(logger, logger.disabled) for logger in known if isinstance(logger, logging.Logger)]


def _nodes(path: Path) -> list[ast.AST]:
    """Parse a file without running it; nothing where it cannot be parsed."""
    try:
        return list(ast.walk(ast.parse(path.read_bytes())))
    except (SyntaxError, ValueError, RecursionError, OSError):
        return []


def _defined(path: Path) -> list[str]:
    """List the public functions and classes of a file without running it."""
    body = next((node.body for node in _nodes(path) if isinstance(node, ast.Module)), [])
    names = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [name for name in names if not name.startswith("_")]


def _what_happened(error: BaseException, path: Path) -> str:
    """Name the error and the last line of the user's file that it passed through."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == path.absolute()
    ]
    if isinstance(error, SyntaxError) and error.lineno:
        place = f" (line {error.lineno})"
    else:
        place = f" (line {own[-1].lineno})" if own else ""
    return f"{_OWN_NAME.sub('', reason_of(error))}{place}."


def _mending(error: BaseException, path: Path) -> str:
    """Say how to import a file whose package is larger than what lies around it shows."""
    if "relative import" not in str(error):
        return ""
    return f" Put an __init__.py into every folder of its package, or give a file beside it that imports {path.stem}."
