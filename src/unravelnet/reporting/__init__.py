"""One self-contained HTML file that tells what a run found, and the same as Markdown.

What the run was made for gives the title and comes first; a reproduction follows the order of the paper.

The pages need no network and no script. `words` has what all topics share: sentences, claims, and how verdicts follow.
`topics` has a folder for each topic, with its chapter, its findings and its claims. `pages` puts them together. What a
run has to leave in its directory is in `contents`.
"""

from __future__ import annotations

import os
from pathlib import Path

from unravelnet.errors import StoreError
from unravelnet.records.files import usable_path
from unravelnet.records.provenance import FACTS_FILE
from unravelnet.records.record import whole_file
from unravelnet.reporting.contents import read_run_directory

__all__ = ["report", "report_markdown"]

REPORT_FILE = "report.html"


def report(directory: str | os.PathLike[str]) -> Path:
    """Write the report of a run and return its path, `directory`/report.html.

    >>> _ = (directory / "run.json").write_text("{}")
    >>> _ = (directory / "networks.json").write_text("[]")
    >>> report(directory).name
    'report.html'

    Figures go to `directory`/figures, each as SVG with its data as CSV. A chapter that has nothing to show is left out;
    of a reproduction, the list of what was not tested says why. The same run gives the same bytes. Raises StoreError
    where the directory or a file in it is missing, damaged, or cannot be written.
    """
    run = read_run_directory(usable_path(directory))
    # Imported here: to judge claims, nothing needs to be drawn.
    from unravelnet.reporting.pages.html import render

    page = render(run)
    target = run.directory / REPORT_FILE
    with whole_file(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    if not (run.directory / FACTS_FILE).exists():
        raise StoreError(f"{run.directory} was removed while its report was written. Run again.")
    return target


def report_markdown(directory: str | os.PathLike[str], file: str | os.PathLike[str]) -> Path:
    """Write the report of a run as one Markdown page, and return its path.

    >>> _ = (directory / "run.json").write_text("{}")
    >>> _ = (directory / "networks.json").write_text("[]")
    >>> report_markdown(directory, directory / "reproduction.md").name
    'reproduction.md'

    The page of a reproduction has the answer, the claims, the trained networks and the conditions, that of another run
    its chapters. `file`: where to; links to the tables are relative to it. The figures of the page go to a folder
    beside it that is called as the page is, as SVG. The same run gives the same bytes. Raises StoreError as `report`
    does.
    """
    target, run = usable_path(file), read_run_directory(usable_path(directory))
    # Imported here: to judge claims, nothing needs to be drawn.
    from unravelnet.figures import save_figure
    from unravelnet.reporting.pages.markdown import figure_file, render_chapters, render_markdown
    from unravelnet.reporting.topics.chapters import all_chapters
    from unravelnet.reporting.topics.first_figures import first_figures

    if run.is_reproduction:
        shown = [figure for figure, _ in first_figures(run)]
        page = render_markdown(run, target, shown)
    else:
        chapters = all_chapters(run)
        shown = [figure for chapter in chapters for figure in chapter.figures]
        page = render_chapters(run, target, chapters)
    with whole_file(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    for figure in shown:
        save_figure(figure.figure, figure_file(target, figure))
    return target
