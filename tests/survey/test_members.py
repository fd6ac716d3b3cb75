"""Every family of the libraries is in the survey, and every member says how its modules were counted."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest

from survey.members import MEMBERS, find
from unravelnet._extras import require
from unravelnet.errors import MissingExtraError

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"


def library(package: str):
    """Import a package of the version that the survey is of; others have other files."""
    name = package.split(".")[0]
    pinned = re.search(rf"^{name}==(\S+)$", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)[1]
    try:
        module = require(package, "This test")
    except MissingExtraError as error:
        pytest.skip(str(error))
    if (installed := metadata.version(name).split("+")[0]) != pinned:
        pytest.skip(f"The survey is of {name} {pinned}, and {installed} is installed.")
    return module


def families_of(name: str) -> set[str]:
    return {member.family for member in MEMBERS if member.library == name}


def test_every_file_of_timm_that_registers_models_is_there():
    assert families_of("timm") == set(library("timm").list_modules())


def test_every_file_of_torchvision_that_builds_models_is_there():
    models = library("torchvision.models")
    files = {models.get_model_builder(name).__module__ for name in models.list_models()}
    families = {file.removeprefix("torchvision.models.") for file in files}
    # The same networks with weights of 8 bits.
    assert families_of("torchvision") == {name for name in families if not name.startswith("quantization")}


def test_every_family_of_torchvision_and_timm_is_a_file_that_there_is():
    for name in ("torchvision", "timm"):
        library(name)
        for family in families_of(name):
            assert importlib.util.find_spec(f"{name}.models.{family}"), family


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: f"{member.library} {member.model}")
def test_the_count_of_a_member_is_told(member):
    assert member.truth[-1] == "."
    assert "\n" not in member.truth
    if member.refused:
        assert (member.modules, member.nested, member.kinds) == (0, 0, ())
    for kind, count in member.kinds:
        assert kind in {"add", "concatenate", "partial", "gate", "plain"}
        assert 0 < count <= member.modules + member.nested


def test_a_member_is_found_by_its_name():
    names = Counter((member.library, member.model) for member in MEMBERS)
    assert [name for name, count in names.items() if count > 1] == []
    assert find("torchvision", "resnet18").modules == 8
    with pytest.raises(KeyError, match="no such member"):
        find("torchvision", "resnet19")
