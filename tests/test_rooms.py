"""Rooms: imports point one way, and plain data stays free of torch.

Reads the imports of every file, those inside functions and for type checkers as well.
"""

import ast
import functools
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

import unravelnet

SOURCE = Path(unravelnet.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

# Floors of the house, from below. A file may import from its own floor and those below.
FLOORS = {
    "errors": {"errors"},
    "plain data": {
        "columns",
        "costs",
        "door",
        "escaping",
        "figures",
        "kinds",
        "mathematics",
        "lending",
        "options",
        "papers",
        "wording",
        "paths",
        "precision",
        "readers",
        "records",
        "registry",
        "reporting",
        "routes",
        "studies",
        "training_plan",
    },
    "torch": {
        "_extras",
        "capture",
        "data",
        "devices",
        "exporting",
        "gradient",
        "machine",
        "measuring",
        "memory_layout",
        "models",
        "network",
        "pruning",
        "training",
        "zoo",
    },
    "corridors": {"__main__", "cli", "reproduction"},
}
FLOOR_OF_ROOM = {room: floor for floor, rooms in enumerate(FLOORS.values()) for room in rooms}
TORCH = {"torch", "torchvision", "timm", "transformers", "safetensors", "datasets"}
OPTIONAL = {"torchvision", "timm", "transformers", "tokenizers", "onnx", "onnxscript", "onnxruntime", "ray"}
OPTIONAL |= {"starlette", "uvicorn", "gguf", "accelerate"}
FRONT_DOOR = "__init__"


def room_of(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@functools.cache
def imports(source):
    """The full names that a source imports; `from a import b` imports a.b, which may be a room or a value."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def packages_imported(source):
    return {name.partition(".")[0] for name in imports(source)}


def rooms_imported(source):
    ours = {name.split(".")[1] for name in imports(source) if name.startswith("unravelnet.")}
    # `from unravelnet import Route` goes through the front door: count the room that it leads to.
    homes = {name: home.split(".")[1] for name, home in unravelnet._HOME_OF_NAME.items()}
    return {room if room in FLOOR_OF_ROOM else homes.get(room, room) for room in ours}


def imported_from_above(room, source):
    return {other for other in rooms_imported(source) if FLOOR_OF_ROOM[other] > FLOOR_OF_ROOM[room]}


def is_plain(room):
    return room in FLOORS["errors"] | FLOORS["plain data"]


def files_of_rooms():
    return [path for path in FILES if room_of(path) != FRONT_DOOR]


def name_of(path):
    return str(path.relative_to(SOURCE))


def test_every_room_has_its_floor():
    assert {room_of(path) for path in files_of_rooms()} <= set(FLOOR_OF_ROOM), (
        "give a new room its floor above"
    )


def test_the_page_on_design_lists_the_rooms():
    page = (Path(__file__).parents[1] / "docs/design.md").read_text(encoding="utf-8")
    lines = page.partition("```text\nerrors")[2].partition("```")[0].splitlines()
    listed = {"errors", *(room for line in lines[1:] for room in line.partition("   ")[0].split())}
    assert listed == set(FLOOR_OF_ROOM) - {"_extras", "__main__"}


@pytest.mark.parametrize("path", files_of_rooms(), ids=name_of)
def test_imports_point_down(path):
    assert imported_from_above(room_of(path), path.read_text()) == set()


@pytest.mark.parametrize("path", [path for path in FILES if is_plain(room_of(path))], ids=name_of)
def test_plain_data_imports_no_torch(path):
    assert packages_imported(path.read_text()) & TORCH == set()


def test_errors_import_nothing_of_ours():
    assert rooms_imported((SOURCE / "errors.py").read_text()) == set()


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) != "_extras"], ids=name_of)
def test_only_one_room_imports_optional_packages(path):
    assert packages_imported(path.read_text()) & OPTIONAL == set()


def test_no_rooms_import_each_other():
    graph = nx.DiGraph(
        (room_of(path), other) for path in files_of_rooms() for other in rooms_imported(path.read_text())
    )
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    assert [sorted(circle) for circle in nx.simple_cycles(graph)] == []


def test_importing_plain_data_does_not_import_torch():
    modules = ["unravelnet"]
    for path in FILES:
        if is_plain(room_of(path)):
            parts = path.relative_to(SOURCE).with_suffix("").parts
            modules.append(".".join(["unravelnet", *parts]).removesuffix(".__init__"))
    lines = [
        "import importlib, sys",
        f"for name in {modules!r}:",
        "    importlib.import_module(name)",
        "    assert 'torch' not in sys.modules, name",
    ]
    ran = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_judging_claims_does_not_import_what_draws():
    lines = [
        "import sys",
        "from pathlib import Path",
        "from unravelnet.reporting.contents import Run",
        "from unravelnet.reporting.topics.judged import all_claims",
        "assert all_claims(Run(Path(), {}, ()))",
        "assert 'matplotlib' not in sys.modules",
    ]
    ran = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_front_door_knows_where_everything_is():
    for name in unravelnet.__all__:
        home = unravelnet._HOME_OF_NAME.get(name, f"unravelnet.{name}")
        assert home.split(".")[1] in FLOOR_OF_ROOM


def test_no_room_hides_a_public_name():
    # Python sets a package's attribute to the submodule of that name once anything imports it.
    assert {name for name, home in unravelnet._HOME_OF_NAME.items() if home == f"unravelnet.{name}"} == set()


def test_the_front_door_is_short_and_opens_every_name():
    assert len(unravelnet.__all__) <= 24
    for name in [*unravelnet._HOME_OF_NAME, *unravelnet._ROOMS]:
        assert getattr(unravelnet, name).__name__.rpartition(".")[2] == name


def test_the_main_job_is_a_function_also_after_its_room_was_imported():
    from unravelnet import reproduction

    assert inspect.unwrap(unravelnet.reproduce) is inspect.unwrap(reproduction.reproduce)


def test_functions_at_the_front_door_are_found_again_by_pickle():
    assert pickle.loads(pickle.dumps(unravelnet.evaluate)) is unravelnet.evaluate


def test_an_unknown_public_name_is_refused():
    with pytest.raises(AttributeError, match="has no attribute 'unravle'"):
        _ = unravelnet.unravle


# -- the checks themselves --


@pytest.mark.parametrize(
    "source",
    [
        "from unravelnet.measuring.evaluation import evaluate",
        "import unravelnet.measuring.evaluation",
        "from unravelnet import evaluate",
        "def late():\n    from unravelnet.measuring.evaluation import Bench",
        "if TYPE_CHECKING:\n    from unravelnet.measuring.evaluation import Bench",
    ],
)
def test_the_check_finds_an_import_from_above(source):
    assert imported_from_above("routes", source) == {"measuring"}
    assert imported_from_above("cli", source) == set()


@pytest.mark.parametrize("source", ["import torch.nn", "from torch import nn", "def f():\n    import torch"])
def test_the_check_finds_torch(source):
    assert packages_imported(source) & TORCH == {"torch"}


def test_the_check_sees_through_the_front_door():
    assert rooms_imported("from unravelnet import Route, UnraveledNetwork") == {"routes", "network"}
