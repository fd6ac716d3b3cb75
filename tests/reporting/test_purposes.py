"""What a run was made for gives its report the title and the order of its chapters, in words that fit the data."""

import re

import pytest

from tests.figures import gradient_tables, tables
from tests.reporting import runs
from tests.reporting.pages import reported
from unravelnet.records.record import Table
from unravelnet.reporting import report_markdown
from unravelnet.reporting.words.terms import terms_of

SEARCH = Table(
    [
        {
            "study": "pruning",
            "label": "intact" if step == 0 else f"module {step}",
            "route": "0-53" if step == 0 else "0,1s,2-53",
            "strategy": "greedy",
            "step": step,
            "is_chosen": step == 1,
            "selected_by": "loss",
            "selection_difference": 0.01 * step,
            "selection_error_rate": 0.05,
            "n_selection_images": 500,
            "n_deleted": step,
            "n_images": 400,
            "macs_left": 1 - 0.02 * step,
            "parameters_left": 1 - 0.01 * step,
            "error_rate": 0.06 + 0.002 * step,
            "error_rate_difference": 0.002 * step,
            "error_rate_difference_low": 0.001 * step,
            "error_rate_difference_high": 0.003 * step,
            "data_name": "cifar10/test",
        }
        for step in (0, 1)
    ]
)
# What the help of each command says that it is for, beside the tables that it leaves.
MADE = {
    "prune": ({"pruning": SEARCH}, "Which modules can go: ResNet-110", "pruning"),
    "importance": ({"importance": tables.importance(54)}, "Which modules matter: ResNet-110", "importance"),
    "paths": (
        {"path_gradients_exact": gradient_tables.exact()},
        "The gradient by path length: ResNet-110",
        "path-gradients",
    ),
    "lesion": ({"reorder": runs.resnet_tables()["reorder"]}, "Reordering modules: ResNet-110", "reorder"),
}


def made_by(*commands):
    """The facts of a run directory that these commands share."""
    facts = {name: value for name, value in runs.PROVENANCE.items() if name != "networks"}
    return {**facts, **dict.fromkeys(commands, "net")}


def chapters(page):
    """The anchors of the chapters: the sections between what was found and how it was measured."""
    sections = page.values("id", tag="section")
    return sections[sections.index("findings") + 1 : sections.index("measuring")]


def headline(tmp_path):
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    return re.search(r"<h1>(.*?)</h1>", text)[1], re.search(r"<title>(.*?)</title>", text)[1]


@pytest.mark.parametrize("command", MADE)
def test_what_a_run_was_made_for_comes_first(tmp_path, command):
    studies, title, first = MADE[command]
    page = reported(tmp_path, [(runs.RESNET, studies)], provenance=made_by(command))
    assert headline(tmp_path) == (title, title)
    assert chapters(page) == [first, "networks"]


@pytest.mark.parametrize("command", MADE)
def test_nothing_is_said_of_tables_that_a_run_was_never_to_have(tmp_path, command):
    page = reported(tmp_path, [(runs.RESNET, MADE[command][0])], provenance=made_by(command))
    assert "There is no table" not in page.text
    assert "is missing" not in page.text
    assert "What was not tested" not in page.text


@pytest.mark.parametrize("command", ["prune", "importance"])
def test_papers_are_told_only_where_a_claim_is_tested(tmp_path, command):
    page = reported(tmp_path, [(runs.RESNET, MADE[command][0])], provenance=made_by(command))
    for words in ("Veit", "The paper", "arXiv", "agrees", "Thresholds", "ensembles"):
        assert words not in page.text


def test_a_chapter_has_the_claims_that_its_table_tests(tmp_path):
    lesions = {"delete_each": tables.each(tables.resnet_like())}
    page = reported(tmp_path, [(runs.RESNET, lesions)], provenance=made_by("lesion"))
    text = page.text.partition(" 1 Deleting each module")[2].partition(" 2 The networks")[0]
    assert "Deleting any one module of ResNet-110 that does not down-sample" in text
    # Arithmetic settles it for any network, so that no lesion tests it.
    assert "0.45 %" not in page.text


def test_commands_that_share_a_directory_are_told_one_after_the_other(tmp_path):
    studies = {**MADE["prune"][0], **MADE["importance"][0]}
    page = reported(tmp_path, [(runs.RESNET, studies)], provenance=made_by("importance", "prune"))
    assert headline(tmp_path)[0] == "Which modules matter and which modules can go: ResNet-110"
    assert chapters(page) == ["importance", "pruning", "networks"]


def test_a_command_that_has_left_nothing_is_said_to_be_unfinished(tmp_path):
    page = reported(tmp_path, [(runs.RESNET, {})], provenance=made_by("prune"))
    assert "unravelnet prune has left no table that this report shows." in page.text
    assert chapters(page) == ["networks"]


def test_a_pruned_network_is_summed_up_in_numbers_of_its_row(tmp_path):
    page = reported(tmp_path, [(runs.RESNET, {"pruning": SEARCH})], provenance=made_by("prune"))
    assert (
        "Without 1 module of 54, ResNet-110 needs 98.0 % of its multiply-accumulate operations and 99.0 % of its "
        "parameters. Its error is then 6.2 %, a change by +0.2 points."
    ) in page.text.replace("\u00a0", " ")
    assert "The route is 0,1s,2-53." in page.text


def test_a_reproduction_misses_only_what_it_planned(tmp_path):
    plan = {"studies": ["delete_each"], "measurements": [], "given": {"name": "mine"}}
    of_one_figure = {**runs.PROVENANCE, "reproduction": {"networks": [plan]}}
    study = {"delete_each": tables.each(tables.resnet_like())}
    assert (
        "There is no table" not in reported(tmp_path, [(runs.RESNET, study)], provenance=of_one_figure).text
    )
    assert "There is no table reorder" in reported(tmp_path, [(runs.RESNET, study)]).text


def test_the_markdown_of_a_run_has_the_chapters_of_its_page(tmp_path):
    directory = runs.write(
        tmp_path / "run", [(runs.RESNET, MADE["importance"][0])], provenance=made_by("importance")
    )
    page = report_markdown(directory, tmp_path / "page.md").read_text(encoding="utf-8")
    assert re.findall(r"^#+ .*", page, flags=re.MULTILINE) == [
        "# Which modules matter: ResNet-110",
        "## Which modules matter",
        "## The networks",
        "## How it was measured",
        "## Conditions",
        "## Rows",
    ]
    images = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page)
    assert images
    assert all((tmp_path / image).is_file() for image in images)


def test_a_term_is_explained_where_it_is_used():
    def names(text):
        return [name for name, _ in terms_of(text, units="sequences", predictions="tokens")]

    assert names("12 MACs are left, and it surely errs.") == ["MACs", "Surely", "Trainings"]
    assert names("The points lie on a line, with a relative error of 1e-7.") == ["Trainings"]
    [(_, meaning), _] = terms_of("Its error is small.", units="sequences", predictions="tokens")
    assert meaning.startswith("The share of tokens whose most likely class")
