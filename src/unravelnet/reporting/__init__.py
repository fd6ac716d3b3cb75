"""One self-contained HTML file that tells what a run found, in the order of the paper.

The page needs no network and no script. It opens with the claims of the paper and what was measured of each
(`reporting.claims`); chapters with figures follow (`reporting.chapters`); how it was measured and with what stands
at the end. What a run has to leave in its directory is in `reporting.contents`.
"""

from __future__ import annotations

import os
from pathlib import Path

from unravelnet.record import whole_file
from unravelnet.reporting.contents import read_run_directory
from unravelnet.reporting.page import render

__all__ = ["report"]

REPORT_FILE = "report.html"


def report(directory: str | os.PathLike[str]) -> Path:
    """Write the report of a run and return its path, `directory`/report.html.

    >>> _ = (directory / "run.json").write_text("{}")
    >>> _ = (directory / "networks.json").write_text("[]")
    >>> report(directory).name
    'report.html'

    Figures go to `directory`/figures, each as SVG, PNG and CSV. A chapter whose table is missing says so. The
    same run gives the same bytes. Raises StoreError where the directory or a file in it is missing, damaged,
    or cannot be written.
    """
    run = read_run_directory(Path(directory))
    page = render(run)
    target = run.directory / REPORT_FILE
    with whole_file(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return target
