"""Where the lines of a text break, by the widths that its letters have in print."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from functools import cache, lru_cache

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
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if inches(longer, size, weight=weight) <= room:
                line = longer
                continue
            *full, line = _pieces(word, room, size, weight)
            lines += [part for part in (longer.removesuffix(word).rstrip(" "), *full) if part]
        lines.append(line)
    return "\n".join(lines)


def _pieces(word: str, room: float, size: float, weight: str) -> list[str]:
    """Cut a word into pieces that fit; at least one letter each."""
    pieces = [""]
    for letter in word:
        if pieces[-1] and inches(pieces[-1] + letter, size, weight=weight) > room:
            pieces.append("")
        pieces[-1] += letter
    return pieces
