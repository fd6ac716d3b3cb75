"""The lower bounds that users get are the versions that `make test-oldest` installs; the newest are not below them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pinned(name: str) -> dict[str, Version]:
    lines = re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {package.lower(): Version(version) for package, version in lines}


def lower_bounds() -> dict[str, Version]:
    extras = PROJECT["optional-dependencies"]
    requirements = [
        Requirement(line) for line in (*PROJECT["dependencies"], *extras["timm"], *extras["transformers"])
    ]
    return {r.name: Version(next(iter(r.specifier)).version) for r in requirements}


def test_lower_bounds_are_the_oldest_versions_that_are_tested():
    assert lower_bounds() == pinned("constraints-oldest.txt")


def test_the_newest_versions_are_not_older_than_the_lower_bounds():
    newest = pinned("constraints.txt")
    assert all(newest[name] >= version for name, version in lower_bounds().items())
