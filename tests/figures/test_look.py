"""What a user chooses of a figure. The oracles: the renderer's boxes of all texts, and the bytes of the files."""

import inspect
from itertools import combinations, pairwise

import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from tests.figures import tables
from tests.figures.every import COLOUR, COLUMN, EVERY, in_column
from unravelnet import figures
from unravelnet.errors import FigureError
from unravelnet.figures import style
from unravelnet.records.record import Table


def texts_of(figure):
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def ticks_in_sight(axis):
    if not axis.axes.axison:
        return []
    low, high = sorted(axis.get_view_interval())
    return [
        tick.label1
        for tick in axis.get_major_ticks()
        if low <= tick.get_loc() <= high and tick.label1.get_visible() and tick.label1.get_text()
    ]


def clipped(figure):
    """The texts that reach beyond the figure, those of ticks out of sight left out."""
    ticks = {
        label: label in ticks_in_sight(axis)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for label in axis.get_majorticklabels() + axis.get_minorticklabels()
    }
    # One dot at the edge is the rounding of letters to dots.
    page = figure.bbox.padded(1)
    return [
        text.get_text()
        for text in texts_of(figure)
        if ticks.get(text, True) and page.count_contains(text.get_window_extent().corners()) < 4
    ]


def colliding(figure):
    """Neighbours among the ticks of an axis, and blocks around the axes, that overlap."""
    found = []
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            boxes = [(label.get_text(), label.get_window_extent()) for label in ticks_in_sight(axis)]
            found += [(a, b) for (a, one), (b, other) in pairwise(boxes) if one.overlaps(other)]
    blocks = [("axes", axes.get_tightbbox()) for axes in figure.axes]
    blocks += [("legend", legend.get_window_extent()) for legend in figure.legends]
    blocks += [(text.get_text(), text.get_window_extent()) for text in (figure._suptitle, figure._supxlabel)]
    return found + [(a, b) for (a, one), (b, other) in combinations(blocks, 2) if one.overlaps(other)]


@pytest.mark.parametrize("name", EVERY)
def test_every_figure_is_legible_in_a_column(name):
    figure = in_column(name)
    figure.draw_without_rendering()
    assert figure.get_size_inches()[0] == COLUMN
    assert clipped(figure) == []
    assert colliding(figure) == []


@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_clipped_at_the_usual_width(name):
    figure = EVERY[name]()
    figure.draw_without_rendering()
    assert clipped(figure) == []


def test_the_check_finds_what_is_clipped_and_what_collides():
    figure = figures.figure_path_lengths(5)
    figure.axes[0].set_xticks([0, 0.01], ["zero", "nought"])
    figure.axes[0].text(50, 0.1, "far away", in_layout=False)
    figure.draw_without_rendering()
    assert clipped(figure) == ["far away"]
    assert ("zero", "nought") in colliding(figure)


@pytest.mark.parametrize("name", EVERY)
def test_every_figure_takes_colours(name):
    figure = in_column(name)
    lines = {to_hex(line.get_color()) for axes in figure.axes for line in axes.lines}
    used = lines | {
        to_hex(colour)
        for axes in figure.axes
        for patch in axes.patches
        for colour in (patch.get_edgecolor(), patch.get_facecolor())
    }
    assert COLOUR in used
    assert not used & set(style.SERIES_COLOURS) - {style.ORANGE}


def test_the_options_are_seen_in_the_signature():
    drawing = [getattr(figures, name) for name in figures.__all__ if name.startswith("figure_")]
    assert len(drawing) >= 19
    for draw in drawing:
        assert {"width", "colours", "labels", "caption"} <= set(inspect.signature(draw).parameters)


def test_colours_go_by_name_and_by_place():
    study = {"A": tables.each([0.1, 0.2]), "B": tables.each([0.2, 0.3])}
    by_name = figures.figure_delete_each(study, colours={"B": "black"})
    assert {line.get_color() for line in by_name.axes[0].lines} == {style.BLUE, "#000000"}
    by_place = figures.figure_delete_each(study, colours=["black", "red"])
    assert {line.get_color() for line in by_place.axes[0].lines} == {"#000000", "#ff0000"}


def test_labels_replace_titles_of_figure_axes_and_legend():
    new = {
        "Error when deleting each module": "Fehler ohne ein Modul",
        "Module (index)": "Modul",
        "Error (%)": "Fehler (%)",
        "chance": "Raten",
        "net": "Netz",
    }
    figure = figures.figure_delete_each({"net": tables.each([0.9, 0.8])}, n_classes=10, labels=new)
    assert set(new.values()) <= {text.get_text() for text in texts_of(figure)}
    assert not set(new) & {text.get_text() for text in texts_of(figure)}


def test_labels_reach_the_names_of_rows_and_broken_texts():
    figure = EVERY["trained_errors"](labels={"Plain-20": "flach", "Test error (%)": "Fehler " * 40})
    figure.draw_without_rendering()
    assert "flach" in [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert clipped(figure) == []
    broken = EVERY["layer_responses"](width=COLUMN, labels={"Standard deviation of the responses": "σ"})
    assert [axes.get_ylabel() for axes in broken.axes] == ["σ", "σ"]


def test_an_empty_text_leaves_an_entry_of_the_legend_out():
    study = {"net": tables.each([0.9, 0.8])}
    figure = figures.figure_delete_each(study, n_classes=10, labels={"chance": ""})
    assert "chance" not in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_caption_can_be_left_out_and_the_axes_have_its_room():
    with_it, without = (figures.figure_path_lengths(9, **look) for look in ({}, {"caption": ""}))
    for figure in (with_it, without):
        figure.draw_without_rendering()
    assert without.get_supxlabel() == ""
    assert without.axes[0].get_position().height > with_it.axes[0].get_position().height


@pytest.mark.parametrize("name", ["resnet_in_one_word_" * 16, "a network with many words " * 12, "WWW\nWWW"])
def test_names_of_any_length_stay_inside(name):
    table = tables.each([0.1, 0.2])
    for figure in (
        figures.figure_delete_each({name: table}, width=COLUMN, title=name),
        figures.figure_remove_skip_each({name: (table, table)}, width=COLUMN),
    ):
        figure.draw_without_rendering()
        assert clipped(figure) == []
        assert colliding(figure) == []


@pytest.mark.parametrize(
    ("look", "message"),
    [
        ({"width": 0}, "from 3 to 40, not '0'. A column"),
        ({"width": 1e9}, "inches"),
        ({"width": float("nan")}, "'nan'"),
        ({"width": "wide"}, "'wide'"),
        ({"width": True}, "'True'"),
        ({"colours": "black"}, "colours is a mapping"),
        ({"colours": []}, "colours is a mapping"),
        ({"colours": ["blak"]}, "'blak' is no colour"),
        ({"colours": {"paths": None}}, "'None' is no colour"),
        ({"colours": {"path": "black"}}, "no series 'path', which colours names; it has 'paths'"),
        (
            {"labels": {"Eror": "Error"}},
            "no text 'Eror', which labels names; it has 'How long the paths are'",
        ),
        ({"labels": {"paths": 3}}, "labels is a mapping"),
        ({"labels": ["paths"]}, "labels is a mapping"),
        ({"caption": 3}, "caption"),
    ],
)
def test_what_cannot_be_drawn_is_told(look, message):
    with pytest.raises(FigureError, match=message):
        figures.figure_path_lengths(3, **look)


def test_an_unknown_option_is_no_choice():
    with pytest.raises(TypeError, match="widht"):
        figures.figure_path_lengths(3, widht=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("draw", [figures.figure_delete_each, figures.figure_training])
def test_a_table_without_a_name_is_told(draw):
    with pytest.raises(FigureError, match=r"is a Table; expected Mapping\[str, Table\]. Give a dict"):
        draw(Table([{"error_rate": 0.5}]))
