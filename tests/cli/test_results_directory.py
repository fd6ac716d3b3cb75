"""A directory that several commands write to: nobody's entry is lost, and what is gone is no success."""

from __future__ import annotations

import inspect
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cli.conftest import assert_one_sentence
from unravelnet import zoo
from unravelnet.cli.results_directory import ResultsDirectory
from unravelnet.measuring import evaluation
from unravelnet.records.directory_lock import locked
from unravelnet.records.record import Table
from unravelnet.reporting.contents import read_run_directory


def lesion(trained, out, *more):
    return ["lesion", trained, "--data", "digits", "--limit", 20, "--out", out, *more]


def test_entries_that_are_made_at_once_are_all_there(tmp_path):
    nets = [zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=seed) for seed in range(8)]

    def enter(number):
        command = "lesion" if number % 2 else "paths"
        results = ResultsDirectory(
            tmp_path, nets[number], command=command, specification=f"net{number}", n_classes=10
        )
        results.save(Table([{"x": number}]), "odd")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(8)))
    run = read_run_directory(tmp_path)
    assert sorted(network.name for network in run.networks) == [f"net{number}" for number in range(8)]
    assert {"lesion", "paths"} <= set(run.provenance)
    assert [network.tables["odd"]["x"] for network in run.networks] == [
        [int(network.name[3:])] for network in run.networks
    ]


def test_a_busy_directory_is_a_failure_of_the_machine(call, trained, tmp_path, monkeypatch):
    monkeypatch.setitem(inspect.unwrap(locked).__kwdefaults__, "wait_seconds", 0.0)
    with locked(tmp_path / "kept"):
        ran = call(*lesion(trained, tmp_path / "kept"))
    assert_one_sentence(ran)
    assert "Another process is writing to the directory" in ran.err
    assert ran.status == 1


@pytest.mark.parametrize("gone", ["all of it", "run.json", "networks.json", "tables"])
def test_what_was_removed_meanwhile_is_no_success(gone, call, trained, tmp_path, monkeypatch):
    kept, studies = tmp_path / "kept", []

    def removing(*args, **options):
        studies.append(options)
        table = evaluate(*args, **options)
        if len(studies) == 2:
            place = kept if gone == "all of it" else kept / gone
            place.unlink() if place.is_file() else shutil.rmtree(place)
        return table

    evaluate = evaluation.evaluate
    monkeypatch.setattr(evaluation, "evaluate", removing)
    ran = call(*lesion(trained, kept, "--study", "delete-each,remove-skip"))
    assert_one_sentence(ran)
    assert "was removed while the command went on. Run it again." in ran.err
    assert ran.status == 2


def test_a_network_whose_name_ends_like_a_table_is_reported(call, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "net.csv")
    assert call(*lesion(tmp_path / "net.csv", tmp_path / "kept")).status == 0
    (network,) = read_run_directory(tmp_path / "kept").networks
    assert network.name == "net.csv"
    assert len(network.tables["delete_each"]) == 7


def test_a_training_does_not_take_the_directory_of_lesions(call, trained, tmp_path):
    assert call(*lesion(trained, tmp_path / "kept")).status == 0
    before = (tmp_path / "kept" / "run.json").read_bytes()
    ran = call("train", "preact-resnet8", "--data", "digits", "--epochs", 1, "--out", tmp_path / "kept")
    assert_one_sentence(ran)
    assert "holds a run of another kind" in ran.err
    assert (ran.status, (tmp_path / "kept" / "run.json").read_bytes()) == (2, before)


@pytest.mark.parametrize(
    ("file", "content", "phrase"),
    [
        ("networks.json", b"[" * 100_000, "networks.json cannot be read"),
        ("networks.json", b"\xff\xfe", "networks.json cannot be read"),
        ("networks.json", b'{"a": 1}', "does not hold a JSON list of networks"),
        ("networks.json", b"[7]", "An entry of .* has no 'name': 7"),
        ("run.json", b"[" * 100_000, "run.json cannot be read"),
        ("run.json", b"7", "does not hold the facts of a run"),
    ],
)
def test_files_with_other_content_are_explained(file, content, phrase, call, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "networks.json").write_text("[]")
    (tmp_path / file).write_bytes(content)
    ran = call("report", tmp_path)
    assert_one_sentence(ran)
    assert ran.status == 2
    assert re.search(phrase, ran.err)


ENTRY = {"name": "net", "role": "resnet", "n_modules": 3}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ["net"]), ("name", "../net"), ("name", "a\x00b"), ("title", 7), ("role", {}), ("n_modules", "three"),
        ("n_modules", -1), ("n_parameters", "many"), ("downsampling", 3), ("downsampling", ["a"]), ("n_classes", 1.5),
        ("epochs", [1]), ("structure", None),
    ],
)  # fmt: skip
def test_networks_with_other_fields_are_explained(field, value, call, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "networks.json").write_text(json.dumps([{**ENTRY, field: value}]))
    ran = call("report", tmp_path)
    assert_one_sentence(ran)
    assert field in ran.err
    assert ran.status == 2
