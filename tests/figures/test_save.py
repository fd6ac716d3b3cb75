"""Figures on disk: the same bytes for the same figure, the data beside it, nothing half-written."""

import re
import xml.etree.ElementTree as ElementTree

import pandas as pd
import pytest
from PIL import Image

from tests.figures import tables
from tests.figures.every import in_column
from unravelnet.errors import FigureError, StoreError
from unravelnet.figures import figure_delete_each, figure_path_lengths, path_length_rows, save_figure
from unravelnet.records.record import load_table


def test_svg_png_and_data_stand_beside_each_other(tmp_path):
    table = tables.each([0.1, 0.2])
    figure, file = figure_delete_each({"net": table}), tmp_path / "figures" / "delete_each.svg"
    path = save_figure(figure, file, data=table)
    save_figure(figure, str(file.with_suffix(".png")))
    assert path == tmp_path / "figures" / "delete_each.svg"
    assert sorted(file.name for file in path.parent.iterdir()) == [
        f"delete_each.{end}" for end in ("csv", "png", "svg")
    ]
    assert load_table(path.with_suffix(".csv")) == table
    assert ElementTree.parse(path).getroot().tag.endswith("svg")
    with Image.open(path.with_suffix(".png")) as image:
        assert image.size == (1440, 740)


def test_texts_stay_texts(tmp_path):
    path = save_figure(figure_path_lengths(5), tmp_path / "lengths.svg")
    texts = [element.text for element in ElementTree.parse(path).iter() if element.tag.endswith("}text")]
    assert "Path length (modules entered)" in texts


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_the_same_figure_gives_the_same_bytes(tmp_path, suffix):
    first, second = (
        save_figure(
            figure_delete_each({"net": tables.each([0.1, 0.2])}),
            tmp_path / name / f"f{suffix}",
            data=tables.each([0.1]),
        )
        for name in ("one", "two")
    )
    assert first.read_bytes() == second.read_bytes()
    assert first.with_suffix(".csv").read_bytes() == second.with_suffix(".csv").read_bytes()


@pytest.mark.parametrize("name", ["delete_each", "path_gradient", "trained_errors", "unraveled"])
def test_pdf_embeds_truetype_and_no_type_3(tmp_path, name):
    content = save_figure(in_column(name), tmp_path / "figure.PDF").read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/FontFile2" in content
    assert b"/Type3" not in content
    assert b"/CreationDate" not in content


@pytest.mark.parametrize("name", ["figure", "figure.jpeg", "figure.pdf.exe"])
def test_another_suffix_is_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(
        FigureError, match=re.escape(f"as .pdf, .svg, .png; the name {name!r} ends otherwise")
    ):
        save_figure(figure_path_lengths(3), tmp_path / name, data=path_length_rows(3))
    assert list(tmp_path.iterdir()) == []


def test_a_data_frame_keeps_exact_counts(tmp_path):
    path = save_figure(figure_path_lengths(80), tmp_path / "lengths.svg", data=path_length_rows(80))
    counts = load_table(path.with_suffix(".csv")).to_pandas()["path_count"]
    assert sum(counts) == 2**80
    assert isinstance(path_length_rows(80), pd.DataFrame)


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(StoreError, match="file"):
        save_figure(figure_path_lengths(3), tmp_path / "file" / "figures" / "lengths.svg")
