"""`unravelnet report`: the page, and beside it the claims as Markdown."""

import json

import pytest

from tests.cli.conftest import assert_one_sentence
from tests.language_files import write_model
from tests.reporting import runs
from tests.reporting.pages import Page, without_drawings


@pytest.fixture(autouse=True)
def _drawings_elsewhere():
    # Those of a page are the matter of tests/reporting.
    with without_drawings():
        yield


def test_markdown_is_written_beside_the_report(call, tmp_path):
    runs.write(tmp_path / "run", [])
    ran = call("report", "run", "--markdown", "docs/page.md")
    assert (ran.status, ran.out) == (0, "Report: run/report.html\nMarkdown: docs/page.md\n")
    text = (tmp_path / "docs" / "page.md").read_text(encoding="utf-8")
    assert text.startswith("# Reproduction\n")
    assert "[../run](../run)" in text


def test_json_names_what_was_written(call, tmp_path):
    runs.write(tmp_path / "run", [])
    assert json.loads(call("report", "run", "--json").out) == {"report": "run/report.html"}
    both = json.loads(call("report", "run", "--markdown", "page.md", "--json").out)
    assert both == {"report": "run/report.html", "markdown": "page.md"}


def test_a_page_that_cannot_be_written_is_one_sentence(call, tmp_path):
    runs.write(tmp_path / "run", [])
    ran = call("report", "run", "--markdown", "run/run.json/page.md")
    assert_one_sentence(ran)
    assert "cannot be written" in ran.err


def test_the_report_of_a_text_speaks_of_no_images(call, tmp_path):
    write_model(tmp_path / "llama")
    (tmp_path / "book.txt").write_text("the cats sit here . the dog sits there . " * 300)
    measured = ("hf:llama", "--data", "book.txt", "--limit", 8, "--out", "run")
    for command, *options in (
        ("lesion", "--study", "delete-each,delete-many", "--repeats", 2, "--counts", "1,2"),
        ("paths", "--method", "exact,sampled", "--draws", 8, "--modules"),
        ("importance",),
        ("prune", "--n-deleted", 1),
    ):
        ran = call(command, *measured, *options)
        assert ran.status == 0, ran.err
    assert call("report", "run", "--markdown", "page.md").status == 0
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    # The provenance has the words that the test was called by.
    assert "image" not in page.text.rpartition(" Provenance ")[0].lower()
    assert "n = 8 sequences" in page.text
    assert "share of tokens" in page.text
    assert "![" in (markdown := (tmp_path / "page.md").read_text(encoding="utf-8"))
    assert "image" not in markdown.partition("## Conditions")[0].lower()
    assert page.values("id", tag="section")[1:-2] == [
        *("delete-each", "delete-many", "path-gradients", "effective-depth", "importance", "pruning"),
        "networks",
    ]


def test_whole_blocks_have_chapters_of_their_own(call, tmp_path):
    write_model(tmp_path / "llama")
    (tmp_path / "book.txt").write_text("the cats sit here . the dog sits there . " * 300)
    for unit in ("module", "block"):
        ran = call(
            *("lesion", "hf:llama", "--data", "book.txt", "--limit", 8, "--unit", unit, "--out", "run"),
            *("--study", "delete-each,delete-pairs"),
        )
        assert ran.status == 0, ran.err
    assert call("report", "run").status == 0
    page = Page((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    assert page.values("id", tag="section")[1:-2] == [
        *("delete-each", "delete-each-of-blocks", "delete-pairs", "delete-pairs-of-blocks", "networks")
    ]
    assert "has left no table" not in page.text
    drawn = {path.stem for path in (tmp_path / "run" / "figures").glob("*.svg")}
    assert {"delete_pairs_hf-llama", "delete_pairs_of_blocks_hf-llama"} <= drawn
