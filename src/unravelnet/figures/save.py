"""Figures on disk: SVG for pages and papers, PNG for slides, and the data behind them as CSV."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text

from unravelnet.escaping import visible
from unravelnet.files import usable_path
from unravelnet.record import Table, whole_file

if TYPE_CHECKING:
    import os

_DOTS_PER_INCH = 200


def save_figure(
    figure: Figure, data: Table | pd.DataFrame, directory: str | os.PathLike[str], name: str
) -> Path:
    """Write `name`.svg, `name`.png and the data beside them as `name`.csv; return the path of the SVG.

    >>> from unravelnet.figures import figure_path_lengths, path_length_rows
    >>> save_figure(figure_path_lengths(3), path_length_rows(3), directory, "path_lengths").name
    'path_lengths.svg'

    Each file is written whole or not at all; the same figure gives the same bytes. Texts in the SVG stay
    texts, so that they can be searched and read aloud. Raises StoreError where a file cannot be written.
    """
    _write_out_unseen(figure)
    stem = usable_path(directory) / name
    table = data if isinstance(data, Table) else Table(data.to_dict("records"), list(map(str, data.columns)))
    table.save(stem.with_name(f"{name}.csv"))
    _write(stem.with_name(f"{name}.png"), _png(figure))
    _write(stem.with_name(f"{name}.svg"), svg_text(figure, name=name).encode())
    return stem.with_name(f"{name}.svg")


def svg_text(figure: Figure, *, name: str) -> str:
    """Draw a figure as SVG text, the same for the same figure and name.

    `name`: becomes part of the identifiers in the SVG, so that several may stand in one page.
    """
    settings = {"svg.hashsalt": name, "svg.fonttype": "none"}
    nothing = {"Date": None, "Creator": None}
    drawn = _drawn(lambda file: figure.savefig(file, format="svg", metadata=nothing), settings).decode()
    # Verdana is as wide as DejaVu; the others are narrower, so that nothing overlaps without either.
    return drawn.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")


def _write_out_unseen(figure: Figure) -> None:
    """Replace characters that no font has in names of networks and data."""
    for text in figure.findobj(Text):
        if isinstance(text, Text) and visible(text.get_text()) != text.get_text():
            text.set_text(visible(text.get_text()))


def _png(figure: Figure) -> bytes:
    return _drawn(lambda file: figure.savefig(file, format="png", dpi=_DOTS_PER_INCH), {})


def _drawn(draw: Callable[[BytesIO], None], settings: dict[Any, Any]) -> bytes:
    # Drawn in memory first: whatever goes wrong in drawing is not a matter of the disk.
    file = BytesIO()
    with matplotlib.rc_context(settings):
        draw(file)
    return file.getvalue()


def _write(path: Path, content: bytes) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
