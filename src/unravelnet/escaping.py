r"""Text from files and models made harmless where it is shown: one function for each medium.

Names of models, classes, tensors and paths are written by strangers. A terminal would obey their control characters,
a Markdown or HTML page would take them for links and scripts. Templates of the report escape HTML by themselves;
cells of CSV, which a spreadsheet would take for formulas, are the matter of `table_file`.
"""

from __future__ import annotations

import html
import json
import os
import re
import unicodedata
from urllib.parse import quote_from_bytes

# Control characters (C0, DEL and C1), format characters (they turn the direction of a text, or cannot be seen), halves
# of surrogate pairs, and the separators of lines and paragraphs.
_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Format characters that words and emoji need and that change nothing around them.
_HARMLESS = frozenset("\u00ad\u200c\u200d\u2060")
LONGEST_NAME = 200
"""Characters of a name (of a network, of data) that are shown; its middle is left out if there are more."""
_MOST_LINE_BREAKS = 3
# Signs of Markdown inside a line: everywhere, at the edge of a word, before the name of an entity, in an address.
_INLINE_MARKDOWN = re.compile(
    r"([\\|*`<\[\]$~]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)|:(?=//)|(?<=\bwww)\.)", re.IGNORECASE
)
# What makes a block at the start of a line: a heading, a quotation, a list, a rule.
_BLOCK_MARKDOWN = re.compile(r"^(?:(#{1,6}|[-+])(?=\s|$)|([>=]|--)|(\d{1,9})(?=[.)](?:\s|$)))")


def for_terminal(text: str) -> str:
    r"""Write out what a terminal would obey or not show, line breaks included.

    >>> for_terminal("conv\x1b[2J")
    'conv\\x1b[2J'
    """
    if text.isprintable():  # nearly always, and much quicker to see
        return text
    return "".join(_written_out(sign) if _is_unseen(sign) else sign for sign in text)


def for_html(text: str) -> str:
    """Make text that stands in an HTML page, also inside the quotes of an attribute.

    >>> for_html("<b onclick='x'>")
    '&lt;b onclick=&#x27;x&#x27;&gt;'
    """
    return html.escape(visible(text))


def visible(text: str) -> str:
    r"""Write out characters that cannot be seen; white space stays.

    >>> visible("a\nb\u202ec")
    'a\nb\\u202ec'
    """
    return "".join(_written_out(sign) if _is_unseen(sign) and sign not in "\t\n" else sign for sign in text)


def shortened(text: str, *, longest: int = LONGEST_NAME) -> str:
    """Leave out the middle of a text that is longer than anybody reads, and all its line breaks if it has many.

    >>> shortened("a" * 6 + "z" * 6, longest=7)
    'aaa…zzz'
    """
    if text.count("\n") > _MOST_LINE_BREAKS:
        text = " ".join(text.split())
    half = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"


def for_markdown(text: str) -> str:
    r"""Keep a text as it is where Markdown would read signs into it, and in one line.

    >>> for_markdown("a|b *c*")
    'a\\|b \\*c\\*'
    """
    inline = _INLINE_MARKDOWN.sub(r"\\\1", for_terminal(" ".join(text.split())))
    return _BLOCK_MARKDOWN.sub(_escaped_block, inline)


def markdown_target(path: str) -> str:
    """Make a relative path the target of a link of Markdown, or of HTML.

    >>> markdown_target("a run/javascript:x.csv")
    'a%20run/javascript%3Ax.csv'
    """
    return quote_from_bytes(os.fsencode(path))


def for_json(text: str) -> str:
    r"""Write out, in JSON text, what a terminal would obey; the values stay the same.

    >>> for_json('"\x9b"')
    '"\\u009b"'
    """
    return "\n".join(
        line
        if line.isprintable()
        else "".join(json.dumps(sign)[1:-1] if _is_unseen(sign) else sign for sign in line)
        for line in text.split("\n")
    )


def _is_unseen(sign: str) -> bool:
    return unicodedata.category(sign) in _UNSEEN_CATEGORIES and sign not in _HARMLESS


def _written_out(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")


def _escaped_block(found: re.Match[str]) -> str:
    # The full stop behind a number is what makes it the item of a list.
    return f"{found[3]}\\" if found[3] else f"\\{found[0]}"
