"""The glossary, written from the words and columns of the product.

`python -m unravelnet.columns.glossary > docs/glossary.md` writes it; a test fails where the file differs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unravelnet.columns import (
    architectures,
    gradients,
    importance,
    measurements,
    networks,
    searches,
    trainings,
    words,
)
from unravelnet.columns.column import Column

_INTRODUCTION = """# Glossary

This page is generated: `python -m unravelnet.columns.glossary > docs/glossary.md`.

Every quantity has one name, one unit and one formula, and a name means the same in every table. \
Code and columns use exactly these names. Options use them with \
dashes. Figures, reports, notebooks and the tables of the command line show the titles. Shares are in [0, 1] in tables \
and are shown in percent. The columns `name_low` and `name_high` hold the ends of the interval of a column that is \
marked with ↕. `name_difference` compares a column that is marked with Δ with the intact network.
"""
_ON_METRICS = (
    "Each is a mean over predictions (images, or tokens). z are the logits of a route, z⁰ those of the intact network, "
    "y the target, p = softmax(z)."
)
_ON_GRADIENTS = (
    "Unless said otherwise, the gradient is that of the loss of one image with respect to the output of the stem. "
    "Norms are Euclidean. Each norm is computed for one image and averaged over images. A network has n modules, and "
    "path lengths are k = 0 … n."
)
_ON_SCORES = (
    "Each is a mean over images, and says how much a module matters. Images on which it is not defined are left out. "
    "The loss is that of an image: the mean over its predictions."
)
_ON_ARCHITECTURES = "The table is [results/architectures.csv](../results/architectures.csv), a row a model."
_ON_FILES = """## Table files

A table is saved as `.csv` or `.parquet`. `load_table` reads it back with the type of every value. CSV has no types, \
so its cells follow these rules:

| cell | value |
|---|---|
| empty | None in a column of numbers, the empty text in a column of texts |
| `1.5`, `-3`, `true`, `NaN`, `Infinity` | a number or a truth value, as in JSON |
| `null`, `[1.5]` | None, or a number, in a column of texts |
| `'3`, `'null`, `'=1+1` | the text after the apostrophe. Without it, the text would be read as a number, or a \
spreadsheet would take it for a formula |
| anything else | a text |
"""


@dataclass(frozen=True, slots=True)
class _Section:
    title: str
    words: words.Words = ()
    columns: tuple[Column, ...] = ()
    introduction: str = ""


_SECTIONS = (
    _Section("Structure", words.STRUCTURE, networks.STRUCTURE),
    _Section("Paths and routes", words.PATHS, networks.PATHS),
    _Section("Metrics", words.METRICS, measurements.METRICS, _ON_METRICS),
    _Section("Gradients", words.GRADIENTS, gradients.GRADIENTS, _ON_GRADIENTS),
    _Section("Modules and layers", (), gradients.MODULES),
    _Section("Importance", (), (*importance.SCORES, *importance.ESTIMATES), _ON_SCORES),
    _Section("Rank correlations of scores", (), importance.CORRELATIONS),
    _Section("Over training", (), gradients.OVER_TRAINING),
    _Section("Ensembles", (), measurements.ENSEMBLES),
    _Section("Lesions", (), measurements.LESIONS),
    _Section("Pruning", (), searches.SEARCHES),
    _Section("What every measurement says of itself", words.MEASUREMENTS, measurements.FACTS),
    _Section("Training", words.TRAINING, trainings.TRAINING),
    _Section("Trained networks", words.TRAINED_NETWORKS, trainings.TRAINED_NETWORKS),
    _Section("Survey of architectures", (), architectures.ARCHITECTURES, _ON_ARCHITECTURES),
    _Section("Reproduction", words.REPRODUCTION),
)


def glossary() -> str:
    """Write the glossary as Markdown."""
    return "\n".join([_INTRODUCTION, *map(_written, _SECTIONS), _ON_FILES])


def _written(section: _Section) -> str:
    parts = [f"## {section.title}", ""]
    if section.introduction:
        parts += [section.introduction, ""]
    if section.words:
        parts += _table(("word", "meaning"), section.words)
    if section.columns:
        parts += _table(("column", "title", "unit", "type", "meaning"), map(_cells, section.columns))
    return "\n".join(parts)


def _cells(column: Column) -> tuple[str, ...]:
    marks = f"{' ↕' if column.has_interval else ''}{' Δ' if column.has_difference else ''}"
    return f"`{column.name}`{marks}", column.title, column.unit, column.type, column.meaning


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [*(f"| {' | '.join(map(_cell, line))} |" for line in lines), ""]


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    sys.stdout.write(glossary())
