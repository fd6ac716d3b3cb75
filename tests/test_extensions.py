"""An installed package adds a study, a metric, a figure, a claim and a score: the example of docs/extending.md."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import assert_one_sentence, call, trained
from tests.reporting.pages import Page, without_drawings
from tests.shipped_networks import PLANS, SHIPPED, shipped
from unravelnet import registry, zoo
from unravelnet.data import load
from unravelnet.records.record import load_table
from unravelnet.reporting import report
from unravelnet.reproduction import reproduce

__all__ = ["call", "trained"]

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
[CODE], [PROJECT] = (re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.M | re.S) for kind in ("python", "toml"))
RESNET = replace(PLANS[0], studies=("delete_each",), measurements=())


def install(place, code=CODE):
    """Leave the package as pip does: its file, and its entry points in the metadata beside it."""
    groups = tomllib.loads(PROJECT)["project"]["entry-points"]
    (place / "backpack.py").write_text(code)
    metadata = place / "backpack-1.0.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: backpack\nVersion: 1.0\n")
    lines = [f"[{group}]\n{name} = {at}" for group, points in groups.items() for name, at in points.items()]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    sys.modules.pop("backpack", None)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A place on the path of imports, with the package in it."""
    directory = tmp_path_factory.mktemp("site-packages")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(directory)
        install(directory)
        yield directory


@pytest.fixture(scope="module")
def run(place, tmp_path_factory):
    """The directory of a reproduction with the study of the package."""
    directory = tmp_path_factory.mktemp("run")
    options = {"images": 450, "repeats": 1, "precision": "float32"}
    with shipped(tmp_path_factory.mktemp("shipped"), SHIPPED[:1]):
        reproduce("digits", directory, networks=[RESNET], studies=["delete_ends"], **options)
        yield directory


@pytest.fixture
def broken(place):
    """The package, broken by other code for one test."""
    yield lambda code: install(place, code)
    install(place)


def test_the_study_and_the_metric_are_in_the_command_line(place, call, trained):
    words = ("lesion", trained, "--data", "digits", "--limit", 30, "--study", "delete-ends")
    ran = call(*words, "--metrics", "error_rate,certainty", "--json")
    assert ran.status == 0, ran.err
    rows = json.loads(ran.out)["studies"]["delete_ends"]
    assert [row["route"] for row in rows] == ["0-5", "0s,1-5", "0-4,5s"]
    assert all(0.1 < row["certainty_low"] < row["certainty"] < row["certainty_high"] for row in rows)
    assert "first module" in call(*words).out


def test_importance_has_the_score(place, call, trained):
    ran = call("importance", trained, "--data", "digits", "--methods", "size-behind", "--json")
    assert ran.status == 0, ran.err
    rows = json.loads(ran.out)["modules"]
    net = zoo.load(trained).eval()
    data = load("digits", "test")
    inputs, _ = data.batch(torch.arange(len(data)))
    with torch.no_grad():
        state = net.advance(net.enter(inputs), net.full_route.moves[0])
    sizes = state.x.abs().flatten(1).mean(dim=1)
    assert rows[0]["size_behind"] == pytest.approx(sizes.mean().item(), rel=1e-4)
    assert [row["size_behind"] is not None for row in rows] == [True] * len(net.residual_modules)


def test_the_shell_and_the_errors_offer_them(place, call):
    from unravelnet.cli.studies import every_option_name

    assert every_option_name()[-1] == "delete-ends"
    assert registry.METRICS.names()[-1] == "certainty"
    words = ("lesion", "zoo:resnet20", "--data", "digits")
    assert "Did you mean 'delete-ends'" in call(*words, "--study", "delete-end").err
    assert "Did you mean 'certainty'" in call(*words, "--metrics", "certainti").err


def test_reproduce_measures_the_study_with_its_metrics(run):
    table = load_table(run / "tables" / "resnet" / "delete_ends.csv")
    net, data = zoo.pretrained("tiny"), load("digits", "test")
    # Slow reference: the forward pass of the last row by itself.
    inputs, _ = data.batch(torch.arange(len(data)))
    assert (table["label"], table["n_images"]) == (["intact", "first module", "last module"], [450] * 3)
    with torch.no_grad():
        probabilities = net(inputs, net.full_route.delete(5)).softmax(dim=1).amax(dim=1)
    assert table[2]["certainty"] == pytest.approx(probabilities.mean().item(), abs=1e-5)
    assert (
        load_table(run / "tables" / "resnet" / "delete_each.csv")[6]["error_rate"] == table[2]["error_rate"]
    )


def test_the_report_has_the_chapter_the_figure_and_the_claim(run):
    page = Page((run / "report.html").read_text(encoding="utf-8"))
    assert "Which module matters more, the first or the last?" in page.text
    assert (
        "ResNet-14: error of the intact network, without its first module, and without its last." in page.text
    )
    assert (run / "figures" / "errors_of_ends_resnet.svg").exists()
    assert "Without its first module ResNet-14 errs more often than without its last." in page.text
    first, last = load_table(run / "tables" / "resnet" / "delete_ends.csv")["error_rate"][1:]
    assert f"{first:.1%} against {last:.1%}." in page.text
    assert "Of 1 test of claims of backpack, " in page.text


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_library", "registers the study 'delete_ends', but backpack:STUDY cannot be loaded"),
        (
            CODE.replace("full.delete(0)", "full.dele(0)"),
            "registers the study 'delete_ends', which failed: Attri",
        ),
        (
            CODE.replace('Trial(full, "delete_ends", "intact")', "3"),
            "whose plan gives a value of the class int",
        ),
        (CODE.replace("STUDY = Study(", "STUDY = dict(name=").replace("    plan,\n", ""), "cannot be loaded"),
    ],
)
def test_a_broken_package_is_one_sentence(broken, call, trained, code, message):
    broken(code)
    ran = call("lesion", trained, "--data", "digits", "--limit", 10, "--study", "delete-ends")
    assert_one_sentence(ran)
    assert ran.err.splitlines()[-1].startswith("unravelnet: The package backpack ")
    assert message in ran.err
    assert ran.status == 2


@pytest.mark.parametrize(
    ("code", "sentences"),
    [
        (
            "import no_such_library",
            [
                "The package backpack registers the study 'delete_ends', but",
                "The package backpack registers the figure 'errors_of_ends', but",
                "The package backpack registers the claim 'first_module_matters', but",
            ],
        ),
        (
            CODE.replace("def judge(run):", "def judge(run):\n    return 7").replace(
                "axes.bar(", "axes.bart("
            ),
            [
                "The package backpack registers the claim 'first_module_matters', whose judge gives a value of the "
                "class int",
                "The package backpack registers the figure 'errors_of_ends', which failed: AttributeError",
            ],
        ),
        (CODE.replace('figure="errors_of_ends"', 'figure="nowhere"'), ["There is no figure 'nowhere'."]),
    ],
)
def test_a_report_is_written_without_what_is_broken_and_says_so(broken, run, code, sentences):
    broken(code)
    with without_drawings():
        page = Page(report(run).read_text(encoding="utf-8"))
    for sentence in sentences:
        assert sentence in page.text
    assert "Deleting each module" in page.text


def test_a_run_goes_on_with_the_studies_that_it_began_with(run):
    before = load_table(run / "tables" / "resnet" / "delete_ends.csv")
    with without_drawings():
        reproduce("digits", run, images=450, repeats=1, precision="float32")
    assert load_table(run / "tables" / "resnet" / "delete_ends.csv") == before
