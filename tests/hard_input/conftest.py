"""The place where a row of hard input runs."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from unravelnet import UnraveledNetwork, zoo

pytest.register_assert_rewrite("tests.hard_input.runner")

from tests.hard_input.runner import World  # noqa: E402


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # The first optimizer or export of a process imports it, and it adds a filter of warnings: that is no row's doing.
    importlib.import_module("torch._dynamo")
    directory = tmp_path_factory.mktemp("stored") / "net"
    zoo.save(zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0), directory)
    return directory


@pytest.fixture(scope="module")
def net(stored: Path) -> Iterator[UnraveledNetwork]:
    loaded = zoo.load(stored).eval()
    before = loaded.fingerprint()
    yield loaded
    assert loaded.fingerprint() == before, "no row changes the network"


@pytest.fixture
def world(
    stored: Path,
    net: UnraveledNetwork,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> World:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    return World(here, net, stored, capfd)
