"""Studies without a chapter of their own get one. Oracle: the numbers that were put into their tables."""

from __future__ import annotations

import pytest

from tests.figures import tables
from tests.reporting.pages import reported
from tests.reporting.runs import RESNET, VGG


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    studied = {"delete_each": tables.each(tables.resnet_like()), "delete_pairs": tables.pairs(6)}
    studied |= {"scale_each": tables.doses(5)}
    networks = [
        (RESNET, {**studied, "repeat_spans": tables.spans(6)}),
        (VGG, {"repeat_spans": tables.spans(4)}),
    ]
    return reported(tmp_path_factory.mktemp("report"), networks)


def test_the_chapter_says_what_the_study_asks(page):
    assert "Does deleting two modules cost what deleting each of them costs, added up?" in page.text
    assert "What happens if the stream passes the same modules a second time?" in page.text
    assert {"delete-pairs", "repeat-spans"} <= set(page.ids)
    assert "reverse-spans" not in page.ids


def test_interactions_are_told(page):
    # Five neighbours cost 0.2 - 2 * 0.02 more than their sum; ten other pairs cost 0.03 - 2 * 0.02.
    assert "the median interaction of 15 pairs is −1.0 points" in page.text
    assert "the largest interaction is that of modules 0 and 1: +16.0 points" in page.text


def test_extremes_are_told(page):
    assert "ResNet-110: of 15 trials, the smallest error is that of modules 0 to 1 twice 11.0 %" in page.text
    assert "the largest that of modules 0 to 5 twice 31.0 %" in page.text
    assert "VGG-15: of 6 trials" in page.text


def test_there_is_a_figure_of_each_network(page):
    assert "ResNet-110: what deleting two modules costs minus" in page.text
    for title in ("ResNet-110", "VGG-15"):
        assert f"{title}: error when the modules from the first to the last are passed twice." in page.text


def test_doses_are_told(page):
    # Module 2 is the median of five; it costs 0.3 at both ends.
    assert "over 5 modules, the median error is 36.0 % at 0 and 36.0 % at 2 times the branch" in page.text
    assert "Of 20 scaled branches, 0 have a smaller error than the intact network" in page.text
