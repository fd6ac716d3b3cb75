"""The page: chapters, claims and provenance put into one HTML file by a template."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from unravelnet import columns
from unravelnet.escaping import shortened, visible
from unravelnet.figures import save_figure
from unravelnet.mathematics.comparisons import RULE
from unravelnet.readers.rows import unit_of
from unravelnet.records.record import Table
from unravelnet.reporting.contents import HISTORY, Run
from unravelnet.reporting.pages.inline import inline_svg
from unravelnet.reporting.topics.chapter import Chapter, ShownFigure, ShownTable, texts_of
from unravelnet.reporting.topics.chapters import all_chapters, kind_of, title_of, unfinished
from unravelnet.reporting.topics.first_figures import first_figures
from unravelnet.reporting.topics.judged import all_claims, counts, not_told, tally, told, untested
from unravelnet.reporting.topics.networks.small_images import on_small_images
from unravelnet.reporting.topics.summary import summary
from unravelnet.reporting.words.claim import Claim
from unravelnet.reporting.words.protocol import RULE as TRAINING_RULE
from unravelnet.reporting.words.sentences import listed
from unravelnet.reporting.words.terms import terms_of
from unravelnet.reporting.words.verdict import SIGNS
from unravelnet.wording import unbroken

FIGURES_DIRECTORY = "figures"
_TEMPLATES = Path(__file__).parent / "templates"
_MOST_ROWS = 150
# In the order in which they are shown.
_SHOWN_COLUMNS = (
    "network_title",
    "study",
    "label",
    "n_deleted",
    "method",
    "position",
    "layer",
    "name",
    "members",
    "n_members",
    "error_rate",
    "error_rate_difference",
    "epoch",
    "train_loss",
    "train_error_rate",
    "test_error_rate",
    "path",
    "length",
    "path_count",
    "path_share",
    "surviving_share",
    "share",
    "is_left",
    "path_gradient_norm",
    "path_gradient_rms",
    "length_contribution",
    "length_gradient_norm",
    "length_share",
    "theory_weight",
    "coherence",
    "decay",
    "r_squared",
    "n_after",
    "effective_depth",
    "mean_length",
    "length_low",
    "length_high",
    "dominating_length",
    "predicted_length",
    "branch_to_stream",
    "branch_stream_cosine",
    "branch_gradient_cosine",
    "gradient_gain",
    "measured_after",
    "response_std",
    "scale",
    "scaled_norm",
    "member_error_rate",
    "disagreement",
    "error_correlation",
    "group",
    "training_seed",
    "test_time",
    "n_routes",
    "is_as_trained",
    "images_per_second",
)


def render(run: Run) -> str:
    """Draw the figures of a run into its directory, and write its page around them."""
    every, judged = all_chapters(run), all_claims(run)
    first = [(shown, anchor, _saved(run, shown)) for shown, anchor in first_figures(run)]
    chapters = [(chapter, _drawings(run, chapter)) for chapter in every if not _is_left_out(run, chapter)]
    known = told(judged)
    template = _environment().get_template("report.html.jinja")
    return template.render(
        is_reproduction=run.is_reproduction,
        kind=kind_of(run),
        title=title_of(run, every),
        subtitle=subtitle(run),
        summary=summary(run),
        unfinished=unfinished(run, every),
        first=first,
        counts=counts([claim for _, claim in known]),
        claims=known,
        on_small_images=on_small_images(run),
        tally=tally([claim for _, claim in known]),
        terms=terms(run, every, known if run.is_reproduction else []),
        untested=[*untested(run), *not_told(judged), *_left_out(run, every)],
        chapters=chapters,
        anchors={chapter.anchor for chapter, _ in chapters},
        provenance=list(flattened(run.provenance)),
        css=Markup(_resource("report.css")),
        signs=SIGNS,
        quoted=quote,
    )


def terms(
    run: Run, chapters: Sequence[Chapter], claims: Sequence[tuple[str, Claim]] = ()
) -> list[tuple[str, str]]:
    """Give the terms that the chapters of a page use, and the claims outside them, each with its meaning."""
    tables = [
        table.to_pandas()
        for network in run.studied
        for study, table in network.tables.items()
        if study != HISTORY
    ]
    rule = f"{TRAINING_RULE} {RULE}" if run.trained_networks is not None else ""
    text = " ".join(
        [summary(run), *(part for chapter in chapters for part in chapter.texts), *texts_of(claims)]
    )
    predictions = unit_of(tables, of_predictions=True)
    return terms_of(text, units=unit_of(tables), predictions=predictions, rule=rule)


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
    return [(shown, _saved(run, shown), _numbers(shown)) for shown in chapter.figures]


def _saved(run: Run, shown: ShownFigure) -> Markup:
    """Save a figure with its data, and make it part of the page."""
    file = save_figure(shown.figure, run.directory / FIGURES_DIRECTORY / f"{shown.name}.svg", data=shown.data)
    svg = file.read_text(encoding="utf-8")
    return Markup(inline_svg(svg, name=f"figure-{shown.name}", title=shown.caption, description=shown.alt))


def _is_left_out(run: Run, chapter: Chapter) -> bool:
    """Tell whether a chapter stands in the list of what was not tested, which only a reproduction has."""
    return run.is_reproduction and not chapter.has_something


def _left_out(run: Run, chapters: Iterable[Chapter]) -> list[str]:
    """Say of the chapters that have nothing to show why they are left out."""
    left_out = [chapter for chapter in chapters if _is_left_out(run, chapter)]
    return [f"{chapter.title}: {' '.join(chapter.missing)}" for chapter in left_out]


def _numbers(shown: ShownFigure) -> ShownTable | None:
    """Make the numbers of a figure readable without it, where they are not too many."""
    frame = shown.data.to_pandas() if isinstance(shown.data, Table) else shown.data
    names = _shown_columns(frame)
    if not names or len(frame) > _MOST_ROWS:
        return None
    known = [columns.find(name) for name in names]
    rows = tuple(tuple(map(_cell, row, known)) for row in frame[names].itertuples(index=False))
    return ShownTable(shown.caption, tuple(columns.label(name) for name in names), rows)


def _shown_columns(frame: pd.DataFrame) -> list[str]:
    """Choose the columns that are shown, each with the ends of its interval behind it."""
    names = dict.fromkeys(
        part for name in _SHOWN_COLUMNS if name in frame for part in (name, f"{name}_low", f"{name}_high")
    )
    return [name for name in names if name in frame and frame[name].notna().any()]


def _cell(value: Any, column: columns.Column | None) -> str:
    """Write a value with four digits, a share in percent."""
    if value is None or value != value:
        return ""
    if column is not None and column.is_share and isinstance(value, int | float):
        return f"{100 * value:.4g}"
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
