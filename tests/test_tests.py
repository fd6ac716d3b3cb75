"""What all tests have in common: they use no private names, and look at the messages of errors."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
# Python's own protocol for notebooks, the file that mends broken installations, and the front door's list.
PROTOCOLS = {"_repr_html_", "_extras", "_HOME_OF_NAME", "_ROOMS"}
# These come from the tests themselves, without a message.
RAISED_BY_TESTS = {
    "AssertionError",
    "InterruptedError",
    "KeyboardInterrupt",
    "Stop",
    "StoppedError",
    "type(error)",
}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_" and name not in PROTOCOLS


@functools.lru_cache(maxsize=2)
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def names_made(path: Path) -> set[str]:
    """Functions, classes, constants and attributes of `self` that a file makes."""
    made = set()
    for node in nodes_of(path):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            made.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            made.add(node.attr)
    return made


def names_used(path: Path) -> Iterator[str]:
    """Names from elsewhere: attributes, imports, and paths of names in strings, as monkeypatch takes them."""
    for node in nodes_of(path):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and str(node.value).startswith("unravelnet."):
            yield from str(node.value).split(".")


@functools.cache
def private_names() -> set[str]:
    sources = (ROOT / "src" / "unravelnet").rglob("*.py")
    return {name for path in sources for name in names_made(path) if is_private(name)}


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_uses_a_private_name(path: Path) -> None:
    assert {name for name in names_used(path) if name in private_names()} <= names_made(path)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_expected_error_is_known_by_its_message(path: Path) -> None:
    unseen = []
    for node in nodes_of(path):
        if not isinstance(node, ast.With):
            continue
        for item in node.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.raises":
                looks = any(word.arg == "match" for word in call.keywords) or item.optional_vars is not None
                if not looks and ast.unparse(call.args[0]) not in RAISED_BY_TESTS:
                    unseen.append(f"{path.name}:{node.lineno}")
    assert unseen == []
