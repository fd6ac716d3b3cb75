"""What all tests share, those in docstrings included."""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Before torch or matplotlib are imported: one thread a test process, no window, no network.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


# Thousands of tests leave millions of objects, through which Python would search for cycles every few seconds. What is
# imported and collected before the first of them stays to the end, and is never searched.
gc.set_threshold(100_000, 20, 50)
gc.disable()


def pytest_collection_finish() -> None:
    """Search for cycles from here on, in what tests make."""
    gc.freeze()
    gc.enable()


# On a busy machine an example takes long, which says nothing of the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _names_in_examples(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> None:
    """Let the examples in docstrings write to a `directory` of their own."""
    if isinstance(request.node, pytest.DoctestItem):
        doctest_namespace["directory"] = request.getfixturevalue("tmp_path")
