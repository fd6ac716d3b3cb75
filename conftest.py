"""What all tests share, those in docstrings included."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

# Before torch or matplotlib are imported: one thread a test process, no window, no network.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(autouse=True)
def _names_in_examples(doctest_namespace: dict[str, Any], tmp_path: Path) -> None:
    """Let the examples in docstrings write to a `directory` of their own."""
    doctest_namespace["directory"] = tmp_path
