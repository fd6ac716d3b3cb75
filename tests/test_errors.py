"""Errors: one family, each with a sentence that helps."""

import ast
import builtins
import inspect
from pathlib import Path

import pytest

from unravelnet import errors
from unravelnet.errors import UnknownNameError, UnravelError, unknown_name

SOURCE = Path(errors.__file__).parent
CLASSES = [value for value in vars(errors).values() if getattr(value, "__module__", "") == errors.__name__]
CLASSES = [value for value in CLASSES if inspect.isclass(value)]
BUILTIN = {name for name, value in vars(builtins).items() if inspect.isclass(value)}
# What is raised to say "this cannot happen" or to end the program.
NOT_FOR_USERS = {"AssertionError", "NotImplementedError", "SystemExit"}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_one_except_clause_catches_all(kind):
    assert issubclass(kind, UnravelError)
    with pytest.raises(UnravelError, match="what happened"):
        raise kind("what happened")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_says_what_it_stands_for(kind):
    assert kind.__doc__.endswith(".")
    assert kind.__name__.endswith("Error")


def test_names_of_errors_do_not_clash_with_those_of_python():
    assert not {kind.__name__ for kind in CLASSES} & BUILTIN


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("eror_rate", "Did you mean 'error_rate'?"),
        ("los", "Did you mean 'loss'?"),
        ("Error_Rate", "Did you mean 'error_rate'?"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, hint):
    error = unknown_name("metric", name, ["loss", "error_rate"])
    assert isinstance(error, UnknownNameError)
    assert str(error) == f"There is no metric {name!r}. {hint} Known: error_rate, loss."


def test_nothing_is_suggested_where_nothing_is_near():
    assert str(unknown_name("metric", "zzz", ["loss"])) == "There is no metric 'zzz'. Known: loss."


def builtin_mistakes(source):
    """The builtin errors that a source lets out.

    Python's protocols ask for them in methods such as `__getattr__`; in a `try` that catches them they do not
    get out.
    """
    found = set()

    def look(node, caught):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("__") and node.name.endswith("__"):
            return
        if isinstance(node, ast.Raise) and node.exc is not None:
            kind = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            found.update({ast.unparse(kind)} - caught)
        tried = node.body if isinstance(node, ast.Try) else []
        for child in ast.iter_child_nodes(node):
            look(child, caught | names_caught(node) if child in tried else caught)

    look(ast.parse(source), NOT_FOR_USERS)
    return found & BUILTIN


def names_caught(node):
    handlers = getattr(node, "handlers", [])
    types = [name for handler in handlers if handler.type for name in ast.walk(handler.type)]
    return {name.id for name in types if isinstance(name, ast.Name)}


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_mistakes_of_users_raise_errors_of_ours(path):
    assert builtin_mistakes(path.read_text()) == set()


def test_the_check_finds_a_builtin_error():
    assert builtin_mistakes("def f(n):\n    raise ValueError(f'bad {n}')") == {"ValueError"}
    assert builtin_mistakes("raise Exception") == {"Exception"}
    assert builtin_mistakes("try:\n    pass\nexcept KeyError:\n    raise KeyError(1)") == {"KeyError"}
    assert builtin_mistakes("try:\n    raise KeyError(1)\nexcept (OSError, KeyError):\n    pass") == set()
    assert builtin_mistakes("def __getattr__(name):\n    raise AttributeError(name)") == set()
    assert builtin_mistakes("raise RouteError('no')\nraise error\nraise unknown_name('a', 'b', [])") == set()
