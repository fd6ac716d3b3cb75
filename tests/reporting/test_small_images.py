"""The paragraph about small images: its numbers are those that were put in, and it stands where it is due."""

from __future__ import annotations

import pytest

from tests.figures import gradient_tables, tables
from tests.reporting import runs
from tests.reporting.pages import reported

DIGITS = {
    **runs.RESNET,
    "title": "ResNet-8",
    "n_modules": 12,
    "downsampling": [4, 8],
    "epochs": 15,
    "n_train_images": 1347,
    "input_shape": [1, 8, 8],
}
ERRORS = [0.86, *[0.07] * 3, 0.1, *[0.06] * 3, 0.05, *[0.06] * 3]
STUDIES = {
    "delete_each": tables.each(ERRORS),
    "delete_many": tables.many({5: [0.2, 0.2], 10: [0.31, 0.37, 0.59]}),
    "ensemble": gradient_tables.ensemble([0.3, 0.2, 0.15]),
}


def text_of(tmp_path, changes=None, **studies):
    return reported(tmp_path, [({**DIGITS, **(changes or {})}, STUDIES | studies)]).text


def test_the_numbers_are_those_of_the_tables(tmp_path):
    text = text_of(tmp_path)
    # By hand: changes against an intact error of 6 %; their median is 0, of 12 modules 6 do not change at all.
    for sentence in (
        "The paper's images have 32×32 pixels; these have 8×8.",
        "ResNet-8 is trained on 1,347 images for 15 epochs, the paper's network on 50,000 images for 164 epochs.",
        "Deleting one module changes the error by 0.0 points in the median and by +80.0 at most, at module 0.",
        "For 6 of 12 modules the interval of the change includes 0.",
        "here these change it by +4.0 at module 4 and −1.0 at module 8.",
        "Ten random deletions leave an error of 37.0 % in the median of 3 draws.",
        "Averaging 4 random routes helps: they err in 15.0 % together, one of them in 30.0 %, and the intact network "
        "in 6.0 %.",
        "The errors of two routes have a correlation of 0.45.",
    ):
        assert sentence in text


def test_averages_that_are_worse_are_said_to_be(tmp_path):
    text = text_of(tmp_path, ensemble=gradient_tables.ensemble([0.3, 0.35, 0.4]))
    assert (
        "Averaging 4 random routes does not help: they err in 40.0 % together, one of them in 30.0 %" in text
    )


@pytest.mark.parametrize("start", [False, True])
def test_the_start_of_the_training_is_said(tmp_path, start):
    assert ("its branches start at zero" in text_of(tmp_path, {"zero_init_residual": start})) == start


@pytest.mark.parametrize("change", [{"input_shape": [3, 32, 32]}, {"input_shape": []}, {"role": "vgg"}])
def test_other_networks_have_no_such_paragraph(tmp_path, change):
    assert "These are not the paper's numbers" not in text_of(tmp_path, change)


def test_what_was_not_measured_has_no_sentence(tmp_path):
    text = reported(tmp_path, [(DIGITS, {})]).text
    assert "these have 8×8" in text
    assert "Ten random deletions" not in text
