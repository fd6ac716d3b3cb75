"""Lines are as full as they can be: against a brute force that adds one word or letter after the other."""

from __future__ import annotations

import random

import pytest

from unravelnet.figures.wrapping import broken, inches

SIZE = 8.5
PARTS = (
    "a",
    "il",
    "W",
    "mmm",
    " ",
    " ",
    " ",
    "AV",
    "é",
    "\n",
    "0.5",
    "fi",
    "e\u0301",
    "supercalifragilistic",
)


def broken_by_hand(text: str, room: float) -> str:
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if inches(longer, SIZE) <= room:
                line = longer
                continue
            lines += [line.rstrip(" ")] if line.rstrip(" ") else []
            line = ""
            for letter in word:
                if line and inches(line + letter, SIZE) > room:
                    lines.append(line)
                    line = ""
                line += letter
        lines.append(line)
    return "\n".join(lines)


@pytest.mark.parametrize("room", [0.02, 0.3, 0.9, 2.5])
def test_lines_are_those_of_words_that_are_added_one_by_one(room: float) -> None:
    generator = random.Random(0)
    for _ in range(40):
        text = "".join(generator.choices(PARTS, k=generator.randint(0, 40)))
        assert broken(text, room, SIZE) == broken_by_hand(text, room), repr(text)
