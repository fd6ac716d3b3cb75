"""Maps of pairs and spans: which places a cell covers, and where colours end. The oracle is the table."""

from __future__ import annotations

import numpy as np
import pytest

from unravelnet.figures import figure_delete_pairs, figure_spans
from unravelnet.records.record import Table


def image_of(figure):
    """The picture of a map, the first module from the left and the other one from below; empty places are NaN."""
    [image] = figure.axes[0].images
    return image, image.get_array().filled(np.nan)


def caption_of(figure):
    return figure.get_supxlabel().replace("\n", " ").replace("\xa0", " ")


def span(first, last, value, **facts):
    ends = {"first_module": first, "last_module": last, "n_images": 4, "n_predictions": 256}
    return {"label": f"modules {first} to {last} twice", **ends, "nll": value, **facts}


def test_a_cell_of_blocks_covers_the_modules_of_both():
    rows = [
        span(first, last, first + last / 10, unit="block") for first, last in [(0, 1), (0, 3), (2, 3), (4, 5)]
    ]
    figure = figure_spans(Table(rows), metric="nll")
    _, picture = image_of(figure)
    expected = np.full((6, 6), np.nan)
    expected[0:2, 0:2], expected[2:4, 0:2], expected[2:4, 2:4], expected[4:6, 4:6] = 0.1, 0.3, 2.3, 4.5
    np.testing.assert_allclose(picture, expected)
    assert caption_of(figure) == "4 spans, n = 256 predictions each."
    assert figure.axes[0].get_legend_handles_labels()[1] == ["one span of blocks"]


def test_a_cell_of_modules_covers_one_place():
    rows = [span(0, 1, 0.5), span(0, 3, 0.7)]
    _, picture = image_of(figure_spans(Table(rows), metric="nll"))
    assert int(np.isfinite(picture).sum()) == 2
    assert (picture[1, 0], picture[3, 0]) == (0.5, 0.7)


def test_colours_end_where_most_cells_do():
    rows = [span(first, first + 1, 1 + first / 100) for first in range(40)]
    whole, _ = image_of(figure_spans(Table(rows), metric="nll"))
    assert whole.get_clim() == pytest.approx((1.0, 1.39))
    figure = figure_spans(Table([*rows, span(0, 5, 30.0)]), metric="nll")
    cut, picture = image_of(figure)
    assert np.nanmax(picture) == 30
    assert cut.get_clim()[1] == pytest.approx(np.quantile([*(row["nll"] for row in rows), 30.0], 0.95))
    # Of 41 cells the two largest are beyond: 95 % end between the third and the second.
    assert caption_of(figure).endswith("; 2 cells beyond the scale.")


def test_pairs_of_blocks_have_no_gaps():
    rise = "nll_difference"
    alone = [
        {"label": f"block {b}", "first_module": 2 * b, rise: 0.1, "unit": "block", "n_images": 4}
        for b in range(3)
    ]
    pairs = [
        {
            "label": f"blocks {a} and {b}",
            "first_module": 2 * a,
            "second_module": 2 * b,
            rise: 0.2 + (a + b) / 10,
            "unit": "block",
            "n_images": 4,
        }
        for a, b in [(0, 1), (0, 2), (1, 2)]
    ]
    figure = figure_delete_pairs(Table([*alone, *pairs]), metric="nll")
    _, picture = image_of(figure)
    # The first of the pairs begin at 0 and 2, the second at 2 and 4.
    np.testing.assert_allclose(picture[2:6, 0:2], [[0.1] * 2] * 2 + [[0.2] * 2] * 2)
    np.testing.assert_allclose(picture[4:6, 2:4], [[0.3] * 2] * 2)
    assert int(np.isfinite(picture).sum()) == 12
    assert caption_of(figure) == "3 pairs of blocks, n = 4 images each."
