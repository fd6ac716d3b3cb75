"""Figures on disk: PDF and SVG for papers and pages, PNG for slides, and the data behind them as CSV."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from unravelnet.errors import FigureError
from unravelnet.figures.wrapping import glyphs_may_be_missing
from unravelnet.records.files import usable_path
from unravelnet.records.record import Table, whole_file

if TYPE_CHECKING:
    import os

_DOTS_PER_INCH = 200


def save_figure(
    figure: Figure, file: str | os.PathLike[str], *, data: Table | pd.DataFrame | None = None
) -> Path:
    """Write a figure as PDF, SVG or PNG, by the suffix of the file; return its path.

    >>> from unravelnet.figures import figure_path_lengths, path_length_rows
    >>> save_figure(figure_path_lengths(3), directory / "lengths.pdf", data=path_length_rows(3)).name
    'lengths.pdf'

    `data`: what the figure shows, written beside it as CSV. Each file is written whole or not at all; the same figure
    gives the same bytes. PDF embeds its fonts as TrueType. Texts stay texts in PDF and SVG, so that they can be
    searched and read aloud. Raises FigureError for another suffix, StoreError where a file cannot be written.
    """
    path = usable_path(file)
    write = _FORMATS.get(path.suffix.lower())
    if write is None:
        raise FigureError(
            f"A figure is saved as {', '.join(_FORMATS)}; the name {path.name!r} ends otherwise. Change its end."
        )
    content = write(figure, path.stem)
    if data is not None:
        table = (
            data if isinstance(data, Table) else Table(data.to_dict("records"), list(map(str, data.columns)))
        )
        table.save(path.with_suffix(".csv"))
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
    return path


def _svg(figure: Figure, name: str) -> bytes:
    # The name becomes part of the identifiers, so that several drawings may stand in one page.
    settings = {"svg.hashsalt": name, "svg.fonttype": "none"}
    nothing = {"Date": None, "Creator": None}
    drawn = _drawn(lambda file: figure.savefig(file, format="svg", metadata=nothing), settings)
    # Verdana is as wide as DejaVu; the others are narrower, so that nothing overlaps without either.
    return drawn.replace(b"'DejaVu Sans'", b"'DejaVu Sans', Verdana, sans-serif")


def _pdf(figure: Figure, name: str) -> bytes:
    # 42: TrueType. Publishers refuse the Type 3 fonts that matplotlib embeds without it.
    nothing = {"CreationDate": None, "Creator": None, "Producer": None}
    return _drawn(lambda file: figure.savefig(file, format="pdf", metadata=nothing), {"pdf.fonttype": 42})


def _png(figure: Figure, name: str) -> bytes:
    return _drawn(lambda file: figure.savefig(file, format="png", dpi=_DOTS_PER_INCH), {})


def _drawn(draw: Callable[[BytesIO], None], settings: dict[Any, Any]) -> bytes:
    # Drawn in memory first: whatever goes wrong in drawing is not a matter of the disk.
    file = BytesIO()
    with glyphs_may_be_missing(), matplotlib.rc_context(settings):
        draw(file)
    return file.getvalue()


_FORMATS: dict[str, Callable[[Figure, str], bytes]] = {".pdf": _pdf, ".svg": _svg, ".png": _png}
