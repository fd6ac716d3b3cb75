"""The page: chapters, claims and provenance put into one HTML file by a template."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from unravelnet.escaping import shortened, visible
from unravelnet.figures import save_figure
from unravelnet.figures.style import unbroken
from unravelnet.records.record import Table
from unravelnet.reporting.chapter import Chapter, ShownFigure, ShownTable
from unravelnet.reporting.chapters import all_chapters
from unravelnet.reporting.claims import ON_THRESHOLDS
from unravelnet.reporting.comparisons import RULE
from unravelnet.reporting.contents import Run
from unravelnet.reporting.inline import inline_svg
from unravelnet.reporting.protocol import RULE as TRAINING_RULE
from unravelnet.reporting.sentences import listed
from unravelnet.reporting.small_images import on_small_images
from unravelnet.reporting.verdict_table import all_claims, tally, untested

FIGURES_DIRECTORY = "figures"
_TEMPLATES = Path(__file__).parent / "templates"
_MOST_ROWS = 150
# Figures that may open the page, the most telling first, by how their names start.
_LEADS = ("remove_skip_each", "delete_each", "length_contribution", "path_gradient", "ensemble")
_TITLE_OF_COLUMN = {
    "network_title": "Network",
    "study": "Study",
    "label": "Lesion",
    "n_deleted": "Deleted",
    "method": "Method",
    "position": "Position",
    "layer": "Layer",
    "name": "Module",
    "members": "Members",
    "n_members": "Number",
    "error_rate": "Error rate",
    "error_rate_difference": "Change",
    "epoch": "Epoch",
    "train_loss": "Loss, training",
    "train_error_rate": "Error rate, training",
    "test_error_rate": "Error rate, test",
    "path": "Path",
    "length": "Length",
    "path_count": "Paths",
    "share": "Share",
    "is_left": "Left",
    "path_gradient_norm": "Mean norm",
    "path_gradient_rms": "Root mean square",
    "length_contribution": "Paths × mean norm",
    "length_gradient_norm": "Norm of the sum",
    "length_share": "Share of the sums",
    "theory_weight": "Theory",
    "coherence": "Coherence",
    "decay": "Decay",
    "r_squared": "R²",
    "n_after": "Behind",
    "effective_depth": "Effective depth",
    "mean_length": "Mean length",
    "length_low": "90 %, from",
    "length_high": "90 %, to",
    "dominating_length": "Dominating length",
    "predicted_length": "Predicted",
    "branch_to_stream": "Branch to stream",
    "branch_stream_cosine": "Cosine with stream",
    "branch_gradient_cosine": "Cosine with gradient",
    "gradient_gain": "Gain",
    "measured_after": "Measured after",
    "response_std": "Standard deviation",
    "scale": "Mean |γ|",
    "branch_scale": "Mean |γ| × norm",
    "member_error_rate": "One member",
    "disagreement": "Disagreement",
    "error_correlation": "Correlation of errors",
    "group": "Trained alike",
    "training_seed": "Seed",
    "test_time": "How it is tested",
    "n_routes": "Routes",
    "is_as_trained": "As the method tests",
    "images_per_second": "Images/s",
}
_SIGN_OF_VERDICT = {
    "agrees": "✓",
    "agrees in kind": "≈",
    "does not agree": "✗",
    "not decided": "?",
    "not comparable": "≠",
    "not measured": "–",
}


def render(run: Run) -> str:
    """Draw the figures of a run into its directory, and write its page around them."""
    every, judged = all_chapters(run), all_claims(run)
    chapters = [(chapter, _drawings(run, chapter)) for chapter in every if chapter.has_something]
    template = _environment().get_template("report.html.jinja")
    return template.render(
        subtitle=subtitle(run),
        rule=f"{TRAINING_RULE} {RULE}" if run.trained_networks is not None else "",
        tally=tally(judged),
        on_small_images=on_small_images(run),
        claims=judged,
        untested=[*untested(run), *_left_out(every)],
        lead=_lead(run, every),
        thresholds=ON_THRESHOLDS,
        chapters=chapters,
        anchors={chapter.anchor for chapter, _ in chapters},
        provenance=list(flattened(run.provenance)),
        css=Markup(_resource("report.css")),
        signs=_SIGN_OF_VERDICT,
        is_about_lesions=run.is_about_lesions,
    )


def flattened(facts: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Turn nested facts into pairs of a name and a text; of a list of things with names only these.

    >>> list(flattened({"seed": 0, "versions": {"torch": "2.13"}, "command": ["unravelnet", "reproduce"]}))
    [('seed', '0'), ('versions, torch', '2.13'), ('command', 'unravelnet reproduce')]
    >>> list(flattened({"networks": [{"name": "resnet", "depth": 110}, {"name": "vgg", "depth": 15}]}))
    [('networks', 'resnet, vgg')]
    """
    for name, value in facts.items():
        here = (*path, str(name).replace("_", " "))
        if isinstance(value, Mapping):
            yield from flattened(value, here)
        elif (
            isinstance(value, list)
            and value
            and all(isinstance(part, Mapping) and "name" in part for part in value)
        ):
            yield ", ".join(here), ", ".join(str(part["name"]) for part in value)
        else:
            yield ", ".join(here), _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return shlex.join(value)
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _drawings(run: Run, chapter: Chapter) -> list[tuple[ShownFigure, Markup, ShownTable | None]]:
    """Save the figures of a chapter and give each with its drawing and its numbers."""
    drawings = []
    for shown in chapter.figures:
        stem = run.directory / FIGURES_DIRECTORY / shown.name
        save_figure(shown.figure, f"{stem}.png")
        save_figure(shown.figure, f"{stem}.svg", data=shown.data)
        drawings.append((shown, _drawn(run, shown, name=f"figure-{shown.name}"), _numbers(shown)))
    return drawings


def _lead(run: Run, chapters: Sequence[Chapter]) -> tuple[Chapter, ShownFigure, Markup] | None:
    """Choose the figure that opens the page, and draw it once more, with identifiers of its own."""
    for name in _LEADS:
        for chapter in chapters:
            for shown in chapter.figures:
                if shown.name.startswith(name):
                    return chapter, shown, _drawn(run, shown, name=f"lead-{shown.name}")
    return None


def _drawn(run: Run, shown: ShownFigure, *, name: str) -> Markup:
    """Read a figure that was saved, and make it part of the page."""
    svg = (run.directory / FIGURES_DIRECTORY / f"{shown.name}.svg").read_text(encoding="utf-8")
    return Markup(inline_svg(svg, name=name, title=shown.caption, description=shown.alt))


def _left_out(chapters: Sequence[Chapter]) -> list[str]:
    """Say of the chapters that have nothing to show why they are left out."""
    left_out = [chapter for chapter in chapters if not chapter.has_something]
    return [f"{chapter.title}: {' '.join(chapter.missing)}" for chapter in left_out]


def _numbers(shown: ShownFigure) -> ShownTable | None:
    """Make the numbers of a figure readable without it, where they are not too many."""
    frame = shown.data.to_pandas() if isinstance(shown.data, Table) else shown.data
    titles = _titles(frame)
    if not titles or len(frame) > _MOST_ROWS:
        return None
    rows = tuple(tuple(_cell(value) for value in row) for row in frame[list(titles)].itertuples(index=False))
    return ShownTable(shown.caption, tuple(titles.values()), rows)


def _titles(frame: pd.DataFrame) -> dict[str, str]:
    """Choose the columns that are shown, each with the ends of its interval behind it, and title them."""
    titles: dict[str, str] = {}
    for name, title in _TITLE_OF_COLUMN.items():
        if name in frame:
            titles |= {name: title, f"{name}_low": "from", f"{name}_high": "to"}
    return {name: title for name, title in titles.items() if name in frame and frame[name].notna().any()}


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def subtitle(run: Run) -> str:
    """Say what was studied, and on which data."""
    names = sorted(
        {
            shortened(str(row["data_name"]))
            for network in run.studied
            for table in network.tables.values()
            if "data_name" in table.columns
            for row in table
            if row["data_name"]
        }
    )
    studied = listed([network.title for network in run.studied]) if run.studied else "no network"
    return f"{studied}, measured on {listed(names)}." if names else f"{studied}."


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_typeset,
    )


def _typeset(value: Any) -> Any:
    return unbroken(visible(value)) if type(value) is str else value


def _resource(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
