"""Where the lines of a text break, by the widths that its letters have in print."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import accumulate, takewhile

from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

FONT = "DejaVu Sans"
# Dots an inch of a figure in a notebook.
_SCREEN = 100


@contextlib.contextmanager
def glyphs_may_be_missing() -> Iterator[None]:
    """Let names be drawn that the font has no letters for: as boxes, and in SVG by the fonts of whoever looks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
        yield


@lru_cache(maxsize=4096)
def inches(text: str, size: float, *, weight: str = "normal") -> float:
    """Measure the width of a line.

    >>> round(inches("m" * 72, 10.0))
    10
    """
    font = FontProperties(family=[FONT], size=size, weight=weight)
    printed, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    # On a screen letters are a whole number of dots wide, which is up to a twentieth more.
    shown, _, _ = _screen().get_text_width_height_descent(text, font, ismath=False)
    return max(float(printed) / 72, float(shown) / _SCREEN)


@cache
def _screen() -> RendererAgg:
    return RendererAgg(1, 1, _SCREEN)


def broken(text: str, room: float, size: float, *, weight: str = "normal") -> str:
    r"""Break a text so that no line is wider than the room: between words, and within one that is wider alone.

    >>> broken("the error of each module", 0.9, 8.5)
    'the error of\neach module'

    `room`: in inches. `size`: of the letters, in points. Breaks that are there stay.
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        words, n_begun = paragraph.split(" "), 0
        while (n := max(n_begun, _n_that_fit(words, " ", room, size, weight))) < len(words):
            *full, begun = _pieces(words[n], room, size, weight)
            lines += [part for part in (_joined(words[:n]).rstrip(" "), *full) if part]
            words, n_begun = [begun, *words[n + 1 :]], 1
        lines.append(_joined(words))
    return "\n".join(lines)


def _pieces(word: str, room: float, size: float, weight: str) -> list[str]:
    """Cut a word into pieces that fit; at least one letter each."""
    pieces: list[str] = []
    while word or not pieces:
        n = max(1, _n_that_fit(list(word), "", room, size, weight))
        pieces.append(word[:n])
        word = word[n:]
    return pieces


def _n_that_fit(parts: list[str], between: str, room: float, size: float, weight: str) -> int:
    """Count the parts that fit into a line. The widths of parts, known from other lines, tell about how many."""

    def fits(n: int) -> bool:
        return inches(_joined(parts[:n], between), size, weight=weight) <= room

    widths = accumulate(inches(part + between, size, weight=weight) for part in parts)
    n = sum(1 for _ in takewhile(room.__ge__, widths))
    while n < len(parts) and fits(n + 1):
        n += 1
    while n and not fits(n):
        n -= 1
    return n


def _joined(words: list[str], between: str = " ") -> str:
    return between.join(words).lstrip(" ")
