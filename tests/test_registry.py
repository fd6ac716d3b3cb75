"""Registries: every name of ours leads to its value, and what packages add is found beside them."""

from __future__ import annotations

import sys
from textwrap import dedent

import pytest

from unravelnet import studies, zoo
from unravelnet.columns import find
from unravelnet.errors import ExtensionError, UnknownNameError
from unravelnet.registry import METRICS, STUDIES
from unravelnet.studies import Draws

STUDY = """
    from unravelnet.studies import Study, Trial

    BACKWARDS = Study(
        "backwards", "Backwards", "Does the order matter?",
        plan=lambda net, draws: [
            Trial(net.full_route, "backwards", "intact"),
            Trial(net.full_route.reverse(), "backwards", "backwards"),
        ],
    )
"""


@pytest.fixture(scope="module")
def net():
    return zoo.preact_resnet(20, input_shape=(1, 8, 8), widths=(4, 4, 4), seed=0)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install packages as pip leaves them: a module, and its entry points in the metadata beside it."""

    def install(package, code, **groups):
        (tmp_path / f"{package}.py").write_text(dedent(code))
        metadata = tmp_path / f"{package}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        points = (f"[unravelnet.{group}]\n{point}\n" for group, point in groups.items())
        (metadata / "entry_points.txt").write_text("\n".join(points))
        monkeypatch.delitem(sys.modules, package, raising=False)

    monkeypatch.syspath_prepend(tmp_path)
    return install


@pytest.mark.parametrize("registry", [STUDIES, METRICS], ids=lambda registry: registry.word)
def test_every_value_has_the_name_that_it_is_found_by(registry):
    assert registry.names() == [value.name for value in registry]


@pytest.mark.parametrize("name", STUDIES.own)
def test_a_study_plans_what_its_name_says(name, net):
    study = STUDIES.find(name)
    trials = study.plan(net, Draws(counts=[1, 2], repeats=2))
    assert {trial.study for trial in trials} == {name}
    assert (trials[0].label, trials[0].route) == ("intact", net.full_route)
    assert all(net.check(trial.route) for trial in trials)
    facts = {fact for trial in trials for fact, _ in trial.facts}
    assert facts | {"module"} >= set(study.columns) >= facts
    assert all(find(column) for column in study.columns)
    assert study.title[-1] != study.question[-1] == "?"
    assert study.cost(trials) == studies.n_passes(trials)


def test_studies_of_the_registry_are_the_functions(net):
    draws = Draws(counts=[2, 3], repeats=2, seed=5)
    drawn = {"repeats": 2, "seed": 5}
    assert STUDIES.find("delete_each").plan(net, draws) == studies.delete_each(net)
    assert STUDIES.find("remove_skip_each").plan(net, draws) == studies.remove_skip_each(net)
    assert STUDIES.find("reorder").plan(net, draws) == studies.reorder(net, [2, 3], **drawn)
    for name, eligible in (("delete_many", "all"), ("delete_many_same_shape", "same-shape")):
        found = STUDIES.find(name).plan(net, draws)
        assert found == studies.delete_many(net, [2, 3], eligible=eligible, **drawn)


def test_the_study_of_a_package_is_found_behind_ours(installed, net):
    installed("backpack", STUDY, studies="backwards = backpack:BACKWARDS")
    assert STUDIES.names() == [*STUDIES.own, "backwards"]
    trials = STUDIES.find("backwards").plan(net, Draws())
    assert [trial.route for trial in trials] == [net.full_route, net.full_route.reverse()]


def test_a_package_cannot_take_a_name_of_ours(installed, net):
    installed("backpack", STUDY, studies="delete_each = backpack:BACKWARDS")
    assert STUDIES.names() == list(STUDIES.own)
    assert STUDIES.find("delete_each").plan(net, Draws()) == studies.delete_each(net)


@pytest.mark.parametrize(
    ("code", "place", "message"),
    [
        ("import no_such_library", "BACKWARDS", "cannot be loaded: ModuleNotFoundError: No module named 'no_such"),
        ("x = 1", "BACKWARDS", "cannot be loaded: AttributeError: .*'BACKWARDS'. Mend the package, or uninstall"),
        ("raise SystemExit(3)", "BACKWARDS", "cannot be loaded: SystemExit: 3"),
        ("BACKWARDS = 7", "BACKWARDS", "is of the class int. Make it a value of unravelnet.studies.study.Study"),
        (STUDY.replace('"backwards", "B', '"forwards", "B'), "BACKWARDS", "has the name 'forwards'. Give both"),
    ],
)  # fmt: skip
def test_a_broken_extension_is_a_sentence_that_names_the_package(installed, code, place, message):
    installed("backpack", code, studies=f"backwards = backpack:{place}")
    with pytest.raises(
        ExtensionError, match=f"^The package backpack registers the study 'backwards', .*{message}"
    ):
        STUDIES.find("backwards")


def test_what_a_package_computes_wrongly_names_the_package(installed, net):
    installed("backpack", STUDY.replace("reverse()", "revers()"), studies="backwards = backpack:BACKWARDS")
    study = STUDIES.find("backwards")
    with pytest.raises(
        ExtensionError, match="backpack registers the study 'backwards', which failed: AttributeErr"
    ):
        study.plan(net, Draws())


def test_two_packages_with_one_name_are_named(installed):
    for package in ("backpack", "rucksack"):
        installed(package, STUDY, studies=f"backwards = {package}:BACKWARDS")
    message = r"^The package (\w+) registers .*, and the package (?!\1)(backpack|rucksack) does so too"
    with pytest.raises(ExtensionError, match=message):
        STUDIES.find("backwards")


def test_an_unknown_name_is_answered_with_the_nearest_also_of_packages(installed):
    installed("backpack", STUDY, studies="backwards = backpack:BACKWARDS")
    with pytest.raises(UnknownNameError, match=r"no study 'backward'\. Did you mean 'backwards'"):
        STUDIES.find("backward")


def test_no_trials_cost_nothing():
    assert STUDIES.find("delete_each").cost([]) == 0
