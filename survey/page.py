"""Writes `docs/architectures.md` from the rows of the survey."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from unravelnet.records.record import load_table, whole_file

Row = dict[str, Any]

VERDICTS = ("right", "refused as expected", "wrong", "refused", "failed")
_GOOD = VERDICTS[:2]
# From here on the cost of a capture is that of the model, not of the graph.
_LARGE_MIB = 200
# What a capture of a large model may take: so many forward passes and seconds more, and so many times its weights.
_PASSES, _SECONDS, _WEIGHTS = 3, 5, 1.3
_LONGEST_REASON = 300

_PAGE = """\
# Architectures

`unravelnet.unravel` was run on {n_models} models of {n_families} families. A family that several libraries have is
counted once for each of them. What was found is compared with what the definition of each model says. This page is
made by `make architectures`; a row a model is in [results/architectures.csv](../results/architectures.csv).

{share:.1%} are captured and right, or refused for the reason that their definition gives ({n_good} of {n_models}).
Half of the captures take less than {seconds:.1f} seconds of the processor.

{summary}

- *Right*: the number of modules in a row, the number of modules inside others and the kinds of junction are those of
  the definition. On five random inputs the outputs differ by at most 1e-5 of the largest one.
- *Refused as expected*: the model has no residual module, or cannot be captured, and the error gives this reason.
- *Wrong*, *refused*, *failed*: all others.

Whatever is not right is [listed below](#reasons) with its reason.

## What counts

A residual module joins a value x with a learned function of x. It is counted by hand, in the source and the paper of
each model, by these rules.

- In a sum, what goes around the function is x itself, or at most linear in x: a pooling, a projection.
- Two layers of one value that are added are one layer, and no module: neither goes around the other. A value that is
  only normalised or pooled goes around.
- A concatenation counts where all of x stands beside a function of it. Concatenations around residual sums do not.
- A gate counts where it mixes x with a function of it.
- A module in the branch of another one is counted as a module inside it, not in the row.
- In a row of layers without skips, each learned layer but the last is a plain module.

Models have random weights. Most have fewer blocks and smaller images than usual, because the structure repeats itself
and does not depend on the size of an image. Seconds were measured on {hardware}, with {versions}.

## Large models

Models with at least {large} MiB of weights. A capture should take at most {passes} forward passes and {more} seconds,
and memory for at most {weights} times the weights.

{largest}
{tables}
## Reasons

{reasons}
"""


def write_page(root: Path) -> str:
    """Write `docs/architectures.md` under a directory from its rows; return a line on what was written."""
    rows = list(load_table(root / "results" / "architectures.csv"))
    with whole_file(root / "docs" / "architectures.md") as temporary:
        temporary.write_text(page(rows), encoding="utf-8")
    return f"{len(rows)} models: docs/architectures.md"


def page(rows: Sequence[Row]) -> str:
    """Write the page for these rows."""
    good = [row for row in rows if row["verdict"] in _GOOD]
    captured = [row["capture_seconds"] for row in rows if row["capture_seconds"] is not None]
    libraries = list(dict.fromkeys(row["library"] for row in rows))
    return _PAGE.format(
        n_models=len(rows),
        n_families=len({(row["library"], row["family"]) for row in rows}),
        n_good=len(good),
        share=len(good) / len(rows),
        seconds=median(captured),
        summary=_summary(rows, libraries),
        hardware=_all_of(rows, "hardware"),
        versions=_all_of(rows, "versions"),
        large=_LARGE_MIB,
        passes=_PASSES,
        more=_SECONDS,
        weights=_WEIGHTS,
        largest=_largest(rows),
        tables="\n".join(
            _library(name, [row for row in rows if row["library"] == name]) for name in libraries
        ),
        reasons=_reasons([row for row in rows if row["verdict"] != "right"]),
    )


def _summary(rows: Sequence[Row], libraries: Sequence[str]) -> str:
    def line(name: str, some: Sequence[Row]) -> list[str]:
        counts = Counter(row["verdict"] for row in some)
        families = len({(row["library"], row["family"]) for row in some})
        return [name, str(len(some)), str(families), *(str(counts[verdict]) for verdict in VERDICTS)]

    lines = [line(name, [row for row in rows if row["library"] == name]) for name in libraries]
    return _table(["library", "models", "families", *VERDICTS], [*lines, line("all", rows)])


def _largest(rows: Sequence[Row]) -> str:
    large = [
        row for row in rows if (row["weights_mib"] or 0) >= _LARGE_MIB and row["capture_mib"] is not None
    ]
    return _table(
        [
            "model",
            "weights, MiB",
            "forward pass, s",
            "capture, s",
            "at most, s",
            "memory, MiB",
            "at most, MiB",
        ],
        [
            [
                f"`{row['model']}` of {row['library']}",
                f"{row['weights_mib']:.0f}",
                f"{row['forward_seconds']:.1f}",
                f"{row['capture_seconds']:.1f}",
                f"{_PASSES * row['forward_seconds'] + _SECONDS:.1f}",
                f"{row['capture_mib']:.0f}",
                f"{_WEIGHTS * row['weights_mib']:.0f}",
            ]
            for row in large
        ],
    )


def _library(name: str, rows: Sequence[Row]) -> str:
    header = ["family", "model", "verdict", "modules", "inside", "junctions", "seconds", "by definition"]
    lines = [
        [
            row["family"],
            f"`{row['model']}`",
            row["verdict"],
            _beside(row, "n_modules"),
            _beside(row, "n_nested"),
            row["junctions"] or "–",
            "–" if row["capture_seconds"] is None else f"{row['capture_seconds']:.1f}",
            row["definition"],
        ]
        for row in rows
    ]
    return f"## {name}\n\n{_table(header, lines)}\n"


def _beside(row: Row, name: str) -> str:
    """Write what was found, and what was expected where that is another number."""
    found, expected = row[name], row[f"{name}_expected"]
    if found is None:
        return "–"
    return str(found) if found == expected else f"{found} instead of {expected}"


def _reasons(rows: Sequence[Row]) -> str:
    if not rows:
        return "Nothing."
    return "\n".join(
        f"- `{row['model']}` of {row['library']}, {row['verdict']}: {_short(row['reason'])}" for row in rows
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON].rsplit(" ", 1)[0] + " …"


def _all_of(rows: Iterable[Row], name: str) -> str:
    return "; ".join(sorted({row[name] for row in rows}))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return (
        "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
        + "\n"
    )
