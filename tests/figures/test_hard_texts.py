"""Figures whose names come from strangers. Warnings are errors here: nothing may be said while they are drawn."""

import re

import pytest

from tests.figures import every, gradient_tables, tables
from tests.figures.test_look import clipped
from tests.reporting import runs, trainings
from tests.reporting.pages import without_drawings
from unravelnet import figures
from unravelnet.figures import look, save_figure
from unravelnet.records.record import Table
from unravelnet.reporting import report

TEXTS = {
    "long word": "x" * 5000,
    "many words": "a word " * 700,
    "unfinished formula": "$\\frac{",
    "formula": "net $x^2$ and $\\undefined$",
    "line breaks": "a\nb\r\nc",
    "many line breaks": "line\n" * 500,
    "emoji": "\U0001f600 net",
    "Chinese": "网络",
    "right to left": "שלום مرحبا \u202e",
    "empty": "",
    "white space": " \t ",
    "underscore": "_net",
    "two underscores": "__net__",
    "format signs": "%s {} {0} %(x)s \\n",
    "tags": "</svg><script>&lt;",
    "control characters": "a\x00b\x1b[2J",
    "half a pair": "\ud800",
    "many accents": "e" + "\u0301" * 2000,
}
BESIDE = "ResNet-110"
FEW = tables.each([0.1, 0.3])


def drawn(draw, text, **options):
    named = {text: FEW, BESIDE: FEW}
    return {
        "legend": lambda: figures.figure_delete_each(named, **options),
        "panels": lambda: figures.figure_remove_skip_each(dict.fromkeys(named, (FEW, FEW)), **options),
        "training": lambda: figures.figure_training(dict.fromkeys(named, every._history(3)), **options),
        "measures": lambda: figures.figure_module_measures(
            dict.fromkeys(named, gradient_tables.module_measures()), **options
        ),
        "responses": lambda: figures.figure_layer_responses(
            dict.fromkeys(named, gradient_tables.layer_responses(9)), **options
        ),
        "kinds": lambda: figures.figure_degradation(
            {text: dict.fromkeys(named, every._history(3))}, **options
        ),
        "rows": lambda: figures.figure_trained_errors(
            Table(trainings.trained(text, [0.1, 0.2], routes=text)), **options
        ),
        "frame": lambda: figures.figure_path_lengths(3, title=text, caption=text * 2, **options),
    }[draw]()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_text_can_be_drawn_and_saved(text, tmp_path):
    legend = drawn("legend", text)
    assert len(legend.legends[0].get_texts()) == 2, "every series is in the legend"
    for name in ("legend.svg", "legend.pdf"):
        assert save_figure(legend, tmp_path / name).stat().st_size > 0


@pytest.mark.parametrize("text", ["x" * 5000, "$\\frac{", ""], ids=["long", "formula", "empty"])
def test_hard_texts_stand_above_panels(text, tmp_path):
    panels = drawn("panels", text, width=every.COLUMN)
    assert save_figure(panels, tmp_path / "panels.pdf").stat().st_size > 0


@pytest.mark.parametrize("text", ["x" * 5000, "$\\frac{", ""], ids=["long", "formula", "empty"])
@pytest.mark.parametrize("draw", ["training", "measures", "responses", "kinds", "rows", "frame"])
def test_every_figure_takes_hard_texts(draw, text, tmp_path):
    figure = drawn(draw, text)
    save_figure(figure, tmp_path / "figure.svg")
    assert max(figure.get_size_inches()) < 12


@pytest.mark.parametrize("width", [None, every.COLUMN])
def test_long_names_stay_inside(width):
    for draw in ("legend", "panels"):
        figure = drawn(draw, "x" * 5000, width=width)
        figure.draw_without_rendering()
        assert clipped(figure) == []


def test_two_different_names_in_letters_that_files_lack_make_two_figures(tmp_path):
    networks = [
        ({**runs.RESNET, "name": name, "title": name}, {"reorder": tables.orders([(0.9, 0.1), (0.8, 0.2)])})
        for name in ("网络", "模型", "n" * 250)
    ]
    with without_drawings():
        page = report(runs.write(tmp_path / "run", networks)).read_text(encoding="utf-8")
    assert len(list((tmp_path / "run" / "figures").glob("reorder*.svg"))) == 3
    assert "网络" in page
    assert "模型" in page


def test_networks_with_one_title_are_told_apart_in_a_report(tmp_path):
    networks = [
        ({**runs.RESNET, "name": name, "title": "t" * 5000}, {"delete_each": FEW}) for name in ("a", "b")
    ]
    with without_drawings():
        page = report(runs.write(tmp_path / "run", networks)).read_text(encoding="utf-8")
    assert "t" * 201 not in page
    assert "(network 1)" in page
    assert "(network 2)" in page


def test_the_middle_of_a_long_name_is_left_out():
    figure = drawn("legend", "begin" + "x" * 5000 + "end")
    (label,) = [
        re.sub(r"\s", "", t.get_text()) for t in figure.legends[0].get_texts() if "begin" in t.get_text()
    ]
    assert re.fullmatch("beginx+…x+end", label)
    assert len(label) <= 201


def test_labels_and_colours_find_hard_names():
    for text in ("x" * 5000, "_net", "", "a\nb"):
        shown = look.NAMELESS if text == "" else text
        drawn("legend", text, colours={text: "black"}, labels={shown: "renamed"})
