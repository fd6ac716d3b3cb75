"""What the README says is so: its examples run, and it names what there is. Links in documents lead somewhere."""

from __future__ import annotations

import doctest
import importlib.util
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from tests.language_files import write_language_files
from unravelnet import zoo
from unravelnet._extras import repair_torchvision
from unravelnet.cli.command_line import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HOW_TO = sorted((ROOT / "docs" / "how-to").glob("*.md"))
ZOO_PAGE = (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8")
ROOT_COMMAND: Any = typer.main.get_command(app)


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)


def failures_of(source: str) -> int:
    test = doctest.DocTestParser().get_doctest(source, {}, "README", "README.md", 0)
    assert test.examples
    return doctest.DocTestRunner(verbose=False).run(test, clear_globs=False).failed


def test_the_python_of_the_readme_runs():
    with torch.random.fork_rng(devices=[]):
        # One session: later blocks use names of earlier ones.
        assert failures_of("\n".join(blocks("python"))) == 0


def test_the_check_of_examples_finds_a_wrong_one(capsys):
    assert failures_of(">>> 1 + 1\n3\n") == 1


def commands_of(page: str) -> list[str]:
    lines = [line for block in blocks("bash", page) for line in block.splitlines()]
    return [line.partition("#")[0].strip() for line in lines if re.match("unravelnet [a-z]", line)]


@pytest.mark.parametrize("command", commands_of(README))
def test_the_commands_of_the_readme_parse(command):
    _, name, *words = shlex.split(command)
    ROOT_COMMAND.commands[name].make_context(name, words)


def test_the_readme_shows_every_command():
    assert {command.split()[1] for command in commands_of(README)} == set(ROOT_COMMAND.commands)


def test_the_readme_names_targets_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", "\n".join(blocks("bash")), flags=re.MULTILINE)
    assert targets == ["demo", "test"]
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


# -- how-to pages --


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_the_python_of_a_how_to_page_runs(page, tmp_path, monkeypatch):
    text = page.read_text(encoding="utf-8")
    for library in re.findall(
        r"^>>> (?:import|from) (timm|torchvision|transformers)", text, flags=re.MULTILINE
    ):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    repair_torchvision()
    monkeypatch.chdir(tmp_path)  # where pages write their files
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if "hf:llama" in text:
            write_language_files(tmp_path, text)
        assert failures_of("\n".join(blocks("python", text))) == 0


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_the_commands_of_a_how_to_page_parse(page):
    commands = commands_of(page.read_text(encoding="utf-8"))
    assert commands
    for command in commands:
        _, name, *words = shlex.split(command)
        ROOT_COMMAND.commands[name].make_context(name, words)


def test_the_readme_links_to_every_how_to_page():
    assert {page.name for page in HOW_TO} == set(re.findall(r"\(docs/how-to/([^)]+)\)", README))


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        *(f"docs/{name}.md" for name in ("glossary", "cli", "design", "extending", "zoo")),
        *(str(page.relative_to(ROOT)) for page in HOW_TO),
    ],
)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in link:
            assert ((ROOT / page).parent / link).exists(), link


ROWS_OF_THE_ZOO = re.findall(
    r"^\| `([^`]+)` \| `(zoo[^`]+)` \| (\d+) \| ([\d,]+) \|", ZOO_PAGE, flags=re.MULTILINE
)


@pytest.mark.parametrize(("name", "code", "n_modules", "n_parameters"), ROWS_OF_THE_ZOO)
def test_the_page_on_the_zoo_counts_right(name, code, n_modules, n_parameters):
    with torch.device("meta"):
        net, by_function = zoo.create(name), eval(code, {"zoo": zoo})
    assert zoo.recipe_of(by_function) == zoo.recipe_of(net)
    assert len(net.residual_modules) == int(n_modules)
    assert sum(parameter.numel() for parameter in net.parameters()) == int(n_parameters.replace(",", ""))


def test_the_page_on_the_zoo_has_every_family():
    def families(names):
        return {re.split(r"\d", name)[0] for name in names}

    assert families(row[0] for row in ROWS_OF_THE_ZOO) == families(zoo.names())


def test_the_readme_names_the_versions_that_the_package_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    torch_from = next(name for name in project["dependencies"] if name.startswith("torch>="))
    expected = [project["requires-python"].removeprefix(">="), torch_from.removeprefix("torch>=")]
    assert re.findall(r"(?:Python|PyTorch) (\d+\.\d+)", README) == expected
