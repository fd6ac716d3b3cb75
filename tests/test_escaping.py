"""Text of strangers at every door: read back by a parser of the medium, it is text and nothing else."""

import json
import unicodedata
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from unravelnet.escaping import for_html, for_json, for_markdown, for_terminal, markdown_target, visible

TERMINAL_PAYLOADS = [
    "\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x9b31m", "a\rb", "a\nunravelnet: done", "\x08\x08", "\u202egpj.exe",
    "\u2066x\u2069", "\u200b", "\u2028", "\x00", "\x7f", "\ud800", "\U000e0041", "\ufeff",
]  # fmt: skip
MARKDOWN_PAYLOADS = [
    "[x](javascript:alert(1))", "![x](http://a/b.png)", "<script>alert(1)</script>", "<b onclick=x>", "a|b|c",
    "`code`", "**bold** *it* _it_ __b__", "~~gone~~", "&lt;b&gt; &#60;", "# title", "## ", "- item", "+ item", "-",
    "---", "===", "> quoted", "1. one", "12) twelve", "    code", "```\ncode", "a\n\n# b", "\\", "a\\|b", "$x$",
    "<http://a.b>", "[a]: http://b", "_", "* * *", "___", "|", "a\n---", "\u202e", "![", "](", "[^1]",
    "snake_case_name",
]  # fmt: skip
HTML_PAYLOADS = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", "<!--", "</title>",
    "&lt;", "]]>", "<svg/onload=alert(1)>", "javascript:alert(1)",
]  # fmt: skip
any_text = st.text(st.characters(codec=None), max_size=30)
signs = st.text(st.sampled_from("\\|*`<[]$~_&#+-=>1.)(! \nax"), max_size=20)


@pytest.mark.parametrize("payload", TERMINAL_PAYLOADS, ids=ascii)
def test_a_terminal_gets_nothing_that_it_obeys(payload):
    shown = for_terminal(f"before{payload}after")
    assert shown.isprintable()
    assert shown.startswith("before")
    assert shown.endswith("after")
    assert "\\" in shown


@given(text=any_text)
def test_every_text_is_printable_in_a_terminal(text):
    shown = for_terminal(text)
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert not {unicodedata.category(sign) for sign in shown} & {"Cc", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    "text", ["naïve", "网络", "a b", "R²", "👩\u200d🔬", "نمی\u200cخواهم", "C:\\nets\\x1b", "∂L/∂x"]
)
def test_ordinary_text_is_left_as_it_is(text):
    assert for_terminal(text) == visible(text) == text


@given(text=any_text)
@example(text="\U000e0041\x9b\u202e\n")
def test_json_keeps_its_values_and_moves_no_cursor(text):
    shown = for_json(json.dumps({"name": text}, ensure_ascii=False, indent=1))
    assert json.loads(shown) == {"name": text}
    assert not set(map(unicodedata.category, shown.replace("\n", ""))) & {"Cc", "Cs", "Zl", "Zp"}


def as_read(markdown):
    """The text that a reader of Markdown sees, and the kinds of everything that is no plain text."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    parts = [part for token in tokens for part in ([token] if token.children is None else token.children)]
    text = "".join(part.content for part in parts if part.type in ("text", "text_special"))
    return text, [part.type for part in parts if part.type not in ("text", "text_special")]


def assert_is_plain(text):
    seen = for_terminal(" ".join(text.split()))
    paragraph = ["paragraph_open", "paragraph_close"]
    item = ["bullet_list_open", "list_item_open", *paragraph, "list_item_close", "bullet_list_close"]
    table = as_read("| a | b |\n| --- | --- |\n| x | y |")[1]
    for markdown, before, after, kinds in [
        (for_markdown(text), "", "", paragraph if seen else []),
        (f"- {for_markdown(text)}", "", "", item if seen else None),
        (f"| a | b |\n| --- | --- |\n| {for_markdown(text)} | y |", "ab", "y", table),
    ]:
        read, found = as_read(markdown)
        assert read == before + seen + after
        assert kinds is None or found == kinds


@pytest.mark.parametrize("payload", MARKDOWN_PAYLOADS, ids=ascii)
def test_markdown_shows_a_payload_as_it_is(payload):
    assert_is_plain(payload)


@given(text=any_text | signs)
@settings(max_examples=200)
def test_markdown_shows_any_text_as_it_is(text):
    assert_is_plain(text)


def test_addresses_in_text_do_not_become_links():
    assert for_markdown("see https://a.b or www.a.b: 3") == r"see https\://a.b or www\.a.b: 3"


@given(path=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1))
@example(path="javascript:alert(1)")
@example(path="a run/b (1)/<c>.csv")
@example(path="a\nb")
def test_the_target_of_a_link_is_one_and_leads_to_the_file(path):
    target = markdown_target(path)
    assert unquote(target) == path
    tokens = MarkdownIt("commonmark").parse(f"[x]({target})")
    (link,) = [part for token in tokens for part in token.children or [] if part.type == "link_open"]
    assert unquote(link.attrs["href"]) == path
    assert ":" not in target


def test_the_target_of_a_file_whose_name_is_no_text_leads_to_it():
    assert markdown_target("n\udcffet.csv") == "n%FFet.csv"


class Read(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("payload", [*HTML_PAYLOADS, *TERMINAL_PAYLOADS], ids=ascii)
def test_html_shows_a_payload_as_it_is(payload):
    safe = for_html(payload)
    page = Read(f"<p title=\"{safe}\" lang='{safe}'>{safe}</p>")
    assert page.tags == ["p"]
    assert page.attributes == [("title", visible(payload)), ("lang", visible(payload))]
    assert page.text == visible(payload)
