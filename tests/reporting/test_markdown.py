"""The claims as Markdown: a function of the directory, with links that lead to the rows."""

import re
from pathlib import Path
from urllib.parse import unquote

import matplotlib
import pytest

from tests.figures import gradient_tables
from tests.reporting import runs, trainings
from tests.reporting.test_training_report import compared_networks
from unravelnet.errors import StoreError
from unravelnet.figures import save_figure
from unravelnet.reporting import report_markdown
from unravelnet.reporting.contents import read_run_directory
from unravelnet.reporting.pages.markdown import figure_file, render_markdown
from unravelnet.reporting.topics.first_figures import first_figures
from unravelnet.reporting.topics.judged import all_claims, tally, told
from unravelnet.reporting.topics.summary import summary
from unravelnet.reporting.words.claim import ON_THRESHOLDS
from unravelnet.reporting.words.verdict import SIGNS

ROOT = Path(__file__).parents[2]
RESULTS, PAGE = ROOT / "results" / "reproduction", ROOT / "docs" / "reproduction.md"


def run_in(tmp_path, networks=None, **options):
    every = [*runs.whole_run(), *compared_networks()] if networks is None else networks
    return runs.write(tmp_path / "results" / "a run", every, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run_in(tmp_path_factory.mktemp("whole"), trained_networks=trainings.whole_table())


@pytest.fixture(scope="module")
def page(whole):
    return report_markdown(whole, whole.parents[1] / "docs" / "reproduction.md")


def section(page, title):
    return page.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(page, title):
    """The cells of the table of a section; a bar inside a cell is escaped."""
    lines = [line for line in section(page, title).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert len({len(line) for line in cells}) == 1
    return cells[2:]


def plain(text):
    """Take the backslashes of Markdown away."""
    return re.sub(r"\\(.)", r"\1", text)


def test_every_claim_has_its_section(page, whole):
    claims = told(all_claims(read_run_directory(whole)))
    sections = plain(section(page, "Claims")).split("\n### ")[1:]
    assert [part.partition("\n")[0] for part in sections] == [f"Claim {n + 1}" for n in range(len(claims))]
    for part, (short, claim) in zip(sections, claims, strict=True):
        assert f"{claim.verdict}: {short}.** {claim.text}" in part
        assert f"- Measured here: {claim.measured}\n" in part
    assert tally([claim for _, claim in claims]) in plain(section(page, "Claims"))


def test_every_verdict_is_listed_with_a_link_to_its_claim(page, whole):
    claims = told(all_claims(read_run_directory(whole)))
    lines = [line for line in section(page, "Verdicts").splitlines() if line.startswith("- ")]
    assert lines == [
        f"- {SIGNS[claim.verdict]} [{short}](#claim-{n})" for n, (short, claim) in enumerate(claims, start=1)
    ]


def test_the_page_opens_with_what_was_found_and_its_figures(page, whole):
    start = page.read_text(encoding="utf-8").partition("## Verdicts")[0]
    assert summary(read_run_directory(whole)) in plain(start)
    images = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", start)
    assert images == [f"reproduction/first_{name}.svg" for name in ("deleting", "removing")]
    assert all((page.parent / image).read_text(encoding="utf-8").startswith("<?xml") for image in images)


def test_networks_and_how_they_were_measured_are_told(page):
    text = section(page, "Networks and protocol")
    assert [line[0] for line in rows(page, "Networks and protocol")] == [
        "ResNet-110",
        "ResNet-110, stochastic depth",
        "VGG-15",
    ]
    assert "- Deleting each module: n = 10,000 images" in text
    # Draws of random studies have their images in common.
    assert text.count("moves all of them alike") == 2


def test_links_lead_to_tables(page):
    text = page.read_text(encoding="utf-8")
    links = [unquote(link) for link in re.findall(r"\]\(([^)#]+)\)", text)]
    assert all((page.parent / link).exists() for link in links)
    tables = {Path(link).resolve() for link in (page.parent / link for link in links) if link.is_file()}
    tables = {file for file in tables if file.suffix == ".csv"}
    assert tables == {path.resolve() for path in (page.parents[1] / "results").rglob("*.csv")}


def test_networks_and_conditions_are_there(page):
    assert len(rows(page, "Trained networks")) == 10
    facts = dict(rows(page, "Conditions"))
    assert facts["seed"] == "7"
    assert facts["packages, torch"] == "2.13.0"
    assert facts["command"] == "unravelnet reproduce --out 'a run'"
    counts = {(line[0], line[2].partition("]")[0]): line[1] for line in rows(page, "Rows")}
    assert counts["all trained networks", "[trained_networks"] == "23"
    assert counts["ResNet-110", "[delete_each"] == "55"


def test_the_same_run_gives_the_same_bytes(page, whole):
    figures = [file.read_bytes() for file in sorted(page.with_suffix("").iterdir())]
    before = page.read_bytes()
    report_markdown(whole, page)
    assert page.read_bytes() == before
    assert [file.read_bytes() for file in sorted(page.with_suffix("").iterdir())] == figures


def test_a_surge_without_skips_stands_below_the_claims(page, tmp_path):
    assert "- ResNet-110: at 54 of 54 modules the error surges without the skip" in section(page, "Claims")
    directory = run_in(tmp_path / "other", [(runs.RESNET, {})])
    assert "surges" not in report_markdown(directory, tmp_path / "page.md").read_text(encoding="utf-8")


def test_what_was_not_tested_is_listed(page, tmp_path):
    assert "- Veit et al. (2016): On ImageNet" in section(page, "Not tested")
    assert "No checkpoints were measured" in section(page, "Not tested")
    measured = {**runs.resnet_tables(), "over_training": gradient_tables.over_training([0.1, 0.2])}
    other = report_markdown(run_in(tmp_path / "other", [(runs.RESNET, measured)]), tmp_path / "page.md")
    assert "checkpoints" not in section(other, "Not tested")
    assert "Littwin and Wolf" in section(other, "Claims")
    assert "the decay r goes from 0.1 (" in section(other, "Path lengths over training")
    assert "Path lengths over training" not in page.read_text(encoding="utf-8")


def test_what_intervals_and_thresholds_are_is_told(page):
    text = page.read_text(encoding="utf-8")
    assert "a rise of the error that of a paired difference on the same images" in section(page, "Claims")
    assert ON_THRESHOLDS in text


def test_names_are_shown_as_they_are(tmp_path):
    odd = {**runs.RESNET, "title": "a|b *c* <d> `e`"}
    directory = run_in(tmp_path, [(odd, runs.resnet_tables())])
    page = report_markdown(directory, tmp_path / "page.md")
    assert r"a\|b \*c\* \<d> \`e\`" in section(page, "Claims")
    assert rows(page, "Rows")[0][0] == r"a\|b \*c\* \<d> \`e\`"


def test_a_run_without_trained_networks_has_no_such_section(tmp_path):
    text = report_markdown(run_in(tmp_path, []), tmp_path / "page.md").read_text(encoding="utf-8")
    assert "## Trained networks" not in text
    assert "## Conditions" in text


def test_what_cannot_be_written_is_one_sentence(tmp_path):
    directory = run_in(tmp_path, [])
    with pytest.raises(StoreError, match="cannot be written"):
        report_markdown(directory, directory / "run.json" / "page.md")
    with pytest.raises(StoreError, match="There is no directory"):
        report_markdown(tmp_path / "nowhere", tmp_path / "page.md")


@pytest.mark.skipif(not RESULTS.is_dir(), reason="the results of the reproduction are not there")
def test_the_page_of_the_reproduction_is_current(tmp_path):
    run = read_run_directory(RESULTS)
    shown = [figure for figure, _ in first_figures(run)]
    command = "unravelnet report results/reproduction --markdown docs/reproduction.md"
    assert PAGE.read_text(encoding="utf-8") == render_markdown(run, PAGE, shown), f"run: {command}"
    places = [figure_file(PAGE, figure) for figure in shown]
    assert sorted(places) == sorted(places[0].parent.iterdir())
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    # Another version draws the same figure in other words.
    if f"\nmatplotlib=={matplotlib.__version__}\n" in pinned:
        fresh = [save_figure(figure.figure, tmp_path / f"{figure.name}.svg") for figure in shown]
        assert [file.read_bytes() for file in places] == [file.read_bytes() for file in fresh], (
            f"run: {command}"
        )
