"""Names that strangers chose, in a report: HTML and Markdown show them and do nothing else."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from tests.figures import tables
from tests.reporting import runs
from tests.reporting.pages import Page
from unravelnet.records.record import Table
from unravelnet.reporting import report, report_markdown

PAYLOAD = (
    "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>[x](javascript:alert(1))|`$\\x$ "
    "\x1b[2J\u202e"
)
SEEN = PAYLOAD.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run in which every text is a payload that may be one."""
    odd = {**runs.RESNET, "title": PAYLOAD, "structure": PAYLOAD}
    rows = [
        {**row, "data_name": PAYLOAD, "network_name": PAYLOAD} for row in tables.each(tables.resnet_like())
    ]
    facts = {PAYLOAD: PAYLOAD, "command": ["unravelnet", PAYLOAD], "lone": "\ud800"}
    directory = tmp_path_factory.mktemp("odd") / "javascript:alert(1) <b>"
    return runs.write(directory, [(odd, {"delete_each": Table(rows)})], provenance=facts)


def test_the_page_shows_them_and_has_no_script(run):
    page = Page(report(run).read_text(encoding="utf-8"))
    assert not {"script", "img", "iframe", "b"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert all(value.startswith(("#", "figures/", "tables/")) for value in page.values("href"))
    assert page.text.count(SEEN) > 3


def test_the_markdown_shows_them_and_links_only_to_tables(run):
    text = report_markdown(run, run.parent / "page.md").read_text(encoding="utf-8")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    parts = [part for token in tokens for part in (token.children or [token])]
    assert not [part for part in parts if part.type in ("html_block", "html_inline")]
    assert {part.attrs["src"] for part in parts if part.type == "image"} == {"page/first_deleting.svg"}
    links = {part.attrs["href"] for part in parts if part.type == "link_open"}
    links = {link for link in links if not re.fullmatch(r"#claim-\d+", link)}
    assert {link.split("/")[0] for link in links} == {"javascript%3Aalert%281%29%20%3Cb%3E"}
    shown = "".join(part.content for part in parts if part.type in ("text", "text_special"))
    assert shown.count(" ".join(SEEN.split())) > 3
    assert not {"\x1b", "\u202e", "\ud800"} & set(text)
