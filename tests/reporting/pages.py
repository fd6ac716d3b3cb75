"""Reports read strictly."""

import re
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock

from tests.reporting import runs
from unravelnet.records.record import Table
from unravelnet.reporting import report

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """A page read strictly: every element closed where it belongs, every identifier unique."""

    def __init__(self, text):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str | None] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))

    def values(self, name, tag=None):
        return [value for where, what, value in self.attributes if what == name and tag in (None, where)]


def without_drawings():
    """Report inside without drawing the figures to files, which takes most of the time; they are made all the same."""

    def save_nothing(figure, file, *, data=None):
        path = Path(file)
        path.parent.mkdir(exist_ok=True)
        path.write_text('<svg viewBox="0 0 1 1"></svg>')
        if data is not None:
            table = data if isinstance(data, Table) else Table(data.to_dict("records"), list(data.columns))
            table.save(path.with_suffix(".csv"))
        return path

    return mock.patch("unravelnet.reporting.pages.html.save_figure", save_nothing)


def reported(tmp_path, networks, **options):
    """The page of a run, of which only the words matter."""
    with without_drawings():
        return Page(report(runs.write(tmp_path / "run", networks, **options)).read_text(encoding="utf-8"))
