"""`unravelnet report`: the page, and beside it the claims as Markdown."""

import json

from tests.cli.conftest import assert_one_sentence
from tests.reporting import runs


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
