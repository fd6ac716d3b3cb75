"""Figures on disk: the same bytes for the same figure, the data beside it, nothing half-written."""

import xml.etree.ElementTree as ElementTree

import pandas as pd
import pytest
from PIL import Image

from tests.figures import tables
from unravelnet.errors import StoreError
from unravelnet.figures import figure_delete_each, figure_path_lengths, path_length_rows, save_figure
from unravelnet.record import load_table


def test_svg_png_and_data_stand_beside_each_other(tmp_path):
    table = tables.each([0.1, 0.2])
    path = save_figure(figure_delete_each({"net": table}), table, tmp_path / "figures", "delete_each")
    assert path == tmp_path / "figures" / "delete_each.svg"
    assert sorted(file.name for file in path.parent.iterdir()) == [
        f"delete_each.{end}" for end in ("csv", "png", "svg")
    ]
    assert load_table(path.with_suffix(".csv")) == table
    assert ElementTree.parse(path).getroot().tag.endswith("svg")
    with Image.open(path.with_suffix(".png")) as image:
        assert image.size == (1440, 740)


def test_texts_stay_texts(tmp_path):
    path = save_figure(figure_path_lengths(5), path_length_rows(5), tmp_path, "lengths")
    texts = [element.text for element in ElementTree.parse(path).iter() if element.tag.endswith("}text")]
    assert "Path length (modules entered)" in texts


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    first, second = (
        save_figure(
            figure_delete_each({"net": tables.each([0.1, 0.2])}), tables.each([0.1]), tmp_path / name, "f"
        )
        for name in ("one", "two")
    )
    for suffix in (".svg", ".png", ".csv"):
        assert first.with_suffix(suffix).read_bytes() == second.with_suffix(suffix).read_bytes()


def test_a_data_frame_keeps_exact_counts(tmp_path):
    path = save_figure(figure_path_lengths(80), path_length_rows(80), tmp_path, "lengths")
    counts = load_table(path.with_suffix(".csv")).to_pandas()["path_count"]
    assert sum(counts) == 2**80
    assert isinstance(path_length_rows(80), pd.DataFrame)


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(StoreError, match="file"):
        save_figure(figure_path_lengths(3), path_length_rows(3), tmp_path / "file" / "figures", "lengths")
