"""A run as one Markdown page, to be kept beside the code: the answer, three figures, verdicts, claims, rows.

The page depends on nothing but the directory of the run and where the page will lie, to which its links are
relative. What the claims mean is in `reporting.words` and `reporting.topics`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from unravelnet.escaping import for_markdown, markdown_target
from unravelnet.mathematics.comparisons import RULE
from unravelnet.papers import ON_PROVENANCE, veit
from unravelnet.reporting.contents import TABLES_DIRECTORY, TRAINED_NETWORKS, WHOLE_TRAININGS, Run
from unravelnet.reporting.pages.html import flattened, subtitle, terms
from unravelnet.reporting.topics.across.chapter import told_of_every_training
from unravelnet.reporting.topics.across.groups import lesioned_groups
from unravelnet.reporting.topics.chapter import Chapter, ShownFigure, ShownTable
from unravelnet.reporting.topics.chapters import title_of, unfinished
from unravelnet.reporting.topics.judged import all_claims, counts, not_told, tally, told, untested
from unravelnet.reporting.topics.networks.chapter import how_measured, table_of_studied
from unravelnet.reporting.topics.over_training.chapter import told_of_over_training
from unravelnet.reporting.topics.skips.surges import on_all_surges
from unravelnet.reporting.topics.summary import summary
from unravelnet.reporting.topics.trainings.epochs import told_of_epochs
from unravelnet.reporting.topics.trainings.findings import (
    on_cost,
    on_recipes,
    on_test_times,
    table_of_networks,
)
from unravelnet.reporting.topics.trainings.groups import groups_of
from unravelnet.reporting.words.claim import ON_THRESHOLDS, Claim
from unravelnet.reporting.words.protocol import RULE as TRAINING_RULE
from unravelnet.reporting.words.verdict import SIGNS

_ON_LESIONS = (
    "Claims about the lesions of one network are of one training of it; how much one training differs from the next is "
    "in none of their intervals. An error has Wilson's interval, a rise of the error that of a paired difference on "
    "the same images (Agresti and Min, 2005)."
)


_ON_SEEDS = (
    "Claims that hold whatever the seed, and those about random routes, have trainings as their sample: their "
    "intervals are of seeds, not of images or modules."
)


def render_markdown(run: Run, file: Path, shown: Sequence[ShownFigure] = ()) -> str:
    """Write the answer, the claims, the trained networks, the conditions and the tables of a run.

    `file`: the page. `shown`: the figures that open it, which lie in the folder of `figure_file`.
    """
    place = file.parent
    return "\n".join(
        [
            "# Reproduction",
            "",
            *_paragraph([summary(run)]),
            *_figures(file, shown),
            *_verdicts(run),
            f"These are the experiments of {veit.ALL_AUTHORS} ({veit.PAPER.year}, arXiv {veit.PAPER.arxiv}) on "
            f"{for_markdown(subtitle(run))} `unravelnet report --markdown` made this page from what a run left in "
            f"{_directory_link(run, place)}.",
            "",
            *_claims(run, place),
            *_not_tested(run),
            *_studied(run),
            *_told(told_of_every_training(run)),
            *_told(told_of_over_training(run)),
            *_networks(run),
            *_told(told_of_epochs(run)),
            *_conditions(run),
            *_rows(run, place),
        ]
    )


def render_chapters(run: Run, file: Path, chapters: Sequence[Chapter]) -> str:
    """Write the report of a run that is no reproduction: its chapters, the conditions and the tables.

    `file`: the page; the figures lie in the folder of `figure_file`.
    """
    return "\n".join(
        [
            f"# {for_markdown(title_of(run, chapters))}",
            "",
            *_paragraph([summary(run)]),
            *_paragraph([subtitle(run)]),
            *_paragraph(unfinished(run, chapters)),
            *(line for chapter in chapters for line in _chapter(chapter, run, file)),
            *_terms(run, chapters),
            *_conditions(run),
            *_rows(run, file.parent),
        ]
    )


def _chapter(chapter: Chapter, run: Run, file: Path) -> list[str]:
    """Write a chapter: its question, tables, figures, findings, claims, and how it was measured."""
    shown = [
        line
        for figure in chapter.figures
        for line in (_image(file, figure), "", for_markdown(figure.caption), "")
    ]
    claims = [
        line
        for number, (short, claim) in enumerate(chapter.claims, start=1)
        for line in _claim(number, short, claim, run, file.parent)
    ]
    return [
        f"## {for_markdown(chapter.title)}",
        "",
        *_paragraph([chapter.asked]),
        *_shown(chapter.tables),
        *shown,
        *_listed(chapter.findings),
        *_paragraph(chapter.missing),
        *claims,
        *_paragraph(chapter.how),
    ]


def _shown(tables: Sequence[ShownTable]) -> list[str]:
    """Write tables, each below its caption."""
    return [
        line
        for shown in tables
        for line in [
            for_markdown(shown.caption),
            "",
            *_table(
                tuple(map(for_markdown, shown.header)), [tuple(map(for_markdown, row)) for row in shown.rows]
            ),
        ]
    ]


def _terms(run: Run, chapters: Sequence[Chapter]) -> list[str]:
    told = [f"**{for_markdown(name)}.** {for_markdown(meaning)}" for name, meaning in terms(run, chapters)]
    return ["## How it was measured", "", *(f"- {line}" for line in told), ""]


def _listed(sentences: Sequence[str]) -> list[str]:
    lines = [f"- {for_markdown(sentence)}" for sentence in sentences]
    return [*lines, ""] if lines else []


def _image(file: Path, figure: ShownFigure) -> str:
    target = markdown_target(_relative(figure_file(file, figure), file.parent))
    return f"![{for_markdown(figure.alt)}]({target})"


def figure_file(file: Path, shown: ShownFigure) -> Path:
    """Give the place of a figure of a page: in a folder beside it that is called as the page is.

    >>> from unravelnet.figures import figure_path_lengths, path_length_rows
    >>> shown = ShownFigure("lengths", figure_path_lengths(3), path_length_rows(3), "", "")
    >>> figure_file(Path("docs/reproduction.md"), shown).as_posix()
    'docs/reproduction/lengths.svg'
    """
    return file.with_suffix("") / f"{shown.name}.svg"


def _figures(file: Path, shown: Sequence[ShownFigure]) -> list[str]:
    """Put the figures beside each other, with their captions below."""
    if not shown:
        return []
    images = [_image(file, figure) for figure in shown]
    return _table(images, [[for_markdown(figure.caption) for figure in shown]])


def _verdicts(run: Run) -> list[str]:
    """List the claims in a few words, each with its verdict and a link to more."""
    claims = told(all_claims(run))
    lines = [
        f"- {SIGNS[claim.verdict]} [{for_markdown(short)}](#claim-{number})"
        for number, (short, claim) in enumerate(claims, start=1)
    ]
    return ["## Verdicts", "", " · ".join(counts([claim for _, claim in claims])), "", *lines, ""]


def _claims(run: Run, place: Path) -> list[str]:
    claims = told(all_claims(run))
    rules = [
        "A verdict follows from intervals, where there are any, by thresholds that stand in the claim. Surely means "
        "that a whole 95 % interval lies on one side, which by chance alone one interval in twenty does.",
        ON_THRESHOLDS,
        ON_PROVENANCE,
    ]
    rules += [_ON_LESIONS] if run.is_about_lesions else []
    rules += [_ON_SEEDS] if lesioned_groups(run) else []
    rules += [TRAINING_RULE, RULE] if run.trained_networks is not None else []
    texts = [
        line
        for number, (short, claim) in enumerate(claims, start=1)
        for line in _claim(number, short, claim, run, place)
    ]
    of_verdicts = tally([claim for _, claim in claims])
    return ["## Claims", "", for_markdown(of_verdicts), "", *_paragraph(rules), *texts, *_remarks(run)]


def _claim(number: int, short: str, claim: Claim, run: Run, place: Path) -> list[str]:
    """Write a claim with its criterion, numbers, rows and origin."""
    links = ", ".join(
        _link(f"{Path(path).parent.name}/{Path(path).stem}", run.directory / path, place)
        for path in claim.rows
    )
    return [
        f"### Claim {number}",
        "",
        f"**{SIGNS[claim.verdict]} {claim.verdict}: {for_markdown(short)}.** {for_markdown(claim.text)}",
        "",
        f"- Measured here: {for_markdown(claim.measured)}",
        f"- Why: {for_markdown(claim.why)}",
        f"- The paper: {for_markdown(claim.paper)} {claim.origin[0].upper()}{claim.origin[1:]}.",
        f"- Rows: {links or 'none, it is computed'}",
        "",
    ]


def _paragraph(sentences: Sequence[str]) -> list[str]:
    text = " ".join(filter(None, sentences))
    return [for_markdown(text), ""] if text else []


def _not_tested(run: Run) -> list[str]:
    """List what the papers claim, and this run has nothing to say to."""
    return [
        "## Not tested",
        "",
        *(f"- {for_markdown(sentence)}" for sentence in (*untested(run), *not_told(all_claims(run)))),
        "",
    ]


def _remarks(run: Run) -> list[str]:
    """Say what follows where the error surges without skips."""
    remarks = [f"- {for_markdown(sentence)}" for sentence in on_all_surges(run)]
    return [*remarks, ""] if remarks else []


def _studied(run: Run) -> list[str]:
    """Say what was studied and how, network by network and study by study."""
    table = table_of_studied(run)
    how = [f"- {for_markdown(sentence)}" for sentence in how_measured(run)]
    return [
        "## Networks and protocol",
        "",
        *_table(table.header, [tuple(map(for_markdown, row)) for row in table.rows]),
        *how,
        *([""] if how else []),
    ]


def _told(chapters: Sequence[Chapter]) -> list[str]:
    """Write tables and findings of chapters that are told without their figures."""
    return [
        line
        for chapter in chapters
        for line in (
            f"## {for_markdown(chapter.title)}",
            "",
            *_shown(chapter.tables),
            *_listed(chapter.findings),
            *_paragraph(chapter.how),
        )
    ]


def _networks(run: Run) -> list[str]:
    groups = groups_of(run)
    if not groups:
        return []
    table = table_of_networks(groups)
    rows = [tuple(map(for_markdown, row)) for row in table.rows]
    found = (on_recipes(groups), *on_cost(groups), *on_test_times(groups))
    sentences = [f"- {for_markdown(sentence)}" for sentence in found if sentence]
    return [
        "## Trained networks",
        "",
        for_markdown(table.caption),
        "",
        *_table(table.header, rows),
        *sentences,
        *([""] if sentences else []),
    ]


def _conditions(run: Run) -> list[str]:
    facts = [(for_markdown(name), for_markdown(value)) for name, value in flattened(run.provenance)]
    return ["## Conditions", "", "As written in run.json.", "", *_table(("Fact", "Value"), facts)]


def _rows(run: Run, place: Path) -> list[str]:
    """List all tables of the run, with a link to each."""
    tables = run.directory / TABLES_DIRECTORY
    listed = [
        (
            for_markdown(network.title),
            str(len(table)),
            _link(study, tables / network.name / f"{study}.csv", place),
        )
        for network in run.networks
        for study, table in network.tables.items()
    ]
    of_all = (
        ("all trained networks", TRAINED_NETWORKS, run.trained_networks),
        ("whole trainings of all lengths", WHOLE_TRAININGS, run.whole_trainings),
    )
    listed += [
        (words, str(len(table)), _link(name, tables / f"{name}.csv", place))
        for words, name, table in of_all
        if table is not None
    ]
    return ["## Rows", "", *_table(("Network", "Rows", "Table"), listed)]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def _directory_link(run: Run, place: Path) -> str:
    relative = _relative(run.directory, place)
    return f"[{for_markdown(relative)}]({markdown_target(relative)})"


def _link(text: str, file: Path, place: Path) -> str:
    return f"[{for_markdown(text)}]({markdown_target(_relative(file, place))})"


def _relative(path: Path, place: Path) -> str:
    return Path(os.path.relpath(path, place)).as_posix()
