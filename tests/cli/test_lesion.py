"""`lesion` gives the numbers of `evaluate`, keeps them, and goes on where it was stopped."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import sqlite3
import time
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.cli.conftest import assert_one_sentence
from tests.forked import forked
from unravelnet import studies, zoo
from unravelnet.cli import main
from unravelnet.data import load
from unravelnet.machine import machine_of
from unravelnet.measuring.evaluation import evaluate
from unravelnet.models import load as load_model
from unravelnet.records.record import load_table
from unravelnet.routes.route import Route

EXACT = ("--precision", "float32", "--json")


def test_the_numbers_are_those_of_the_library(call, trained):
    ran = call("lesion", trained, "--data", "digits", "--limit", 60, "--metrics", "error_rate,loss", "--json")
    found = json.loads(ran.out)
    net = zoo.load(trained)
    table = evaluate(net, studies.delete_each(net), load("digits"), limit=60, metrics=("error_rate", "loss"))
    rows = found["studies"]["delete_each"]
    assert [row["route"] for row in rows] == [row["route"] for row in table]
    for name in ("error_rate", "loss", "loss_difference_low"):
        assert [row[name] for row in rows] == [row[name] for row in table]
    assert {row["precision"] for row in rows} == {"float32"}
    assert re.fullmatch(r"preact-resnet14 is measured in float32: .*\.\n", ran.err)


def test_the_precision_is_said_once_and_written_down(call, trained):
    words = (
        "lesion",
        trained,
        "--data",
        "digits",
        "--limit",
        60,
        "--study",
        "delete-each,remove-skip",
        "--json",
    )
    for precision in ("float32", "bfloat16"):
        ran = call(*words, "--precision", precision)
        rows = [row for rows in json.loads(ran.out)["studies"].values() for row in rows]
        assert {row["precision"] for row in rows} == {precision}
        emulates = precision == "bfloat16" and not machine_of(torch.device("cpu")).multiplies_bfloat16
        assert ran.err.count("about 8 times slower than float32") == emulates


def test_every_study_has_its_table(call, trained):
    names = "delete-each,delete-many,reorder,remove-skip"
    ran = call(
        "lesion",
        trained,
        "--data",
        "digits",
        "--study",
        names,
        "--counts",
        "1,3",
        "--repeats",
        2,
        "--limit",
        40,
    )
    assert ran.status == 0
    for title in ("delete_each of", "delete_many of", "reorder of", "remove_skip_each of"):
        assert f"{title} preact-resnet14 on digits: n = 40 images" in ran.out
    assert "3 deleted" in ran.out
    assert "1 swap " in ran.out
    # One row a module in two of the studies, beside the intact network.
    assert ran.out.count("stage1.0") == 2


def test_csv_is_a_table(call, trained):
    ran = call(
        "lesion", trained, "--data", "digits", "--limit", 40, "--study", "delete-each,remove-skip", "--csv"
    )
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [row["study"] for row in rows] == ["delete_each"] * 7 + ["remove_skip_each"] * 7
    assert {row["n_images"] for row in rows} == {"40"}


def test_measures_without_labels_need_no_classes(call, trained, tmp_path):
    net = zoo.preact_resnet(8, input_shape=(1, 8, 8), n_classes=12, seed=0)
    zoo.save(net, tmp_path / "twelve")
    refused = call("lesion", tmp_path / "twelve", "--data", "digits")
    assert_one_sentence(refused)
    assert "has 12 outputs and digits has 10 classes" in refused.err
    assert refused.status == 2
    ran = call("lesion", tmp_path / "twelve", "--data", "digits", "--limit", 30, "--metrics", "agreement")
    assert ran.status == 0
    assert "100.0%" in ran.out


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of small colour images, one sub-folder a class; what is decoded stays in the test's directory."""
    import datasets
    from PIL import Image

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    generator = np.random.default_rng(0)
    for label in range(10):
        place = tmp_path / "images" / f"class{label}"
        place.mkdir(parents=True)
        for number in range(8):
            pixels = generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.png")
    return tmp_path / "images"


def test_a_file_somebody_else_wrote_and_a_folder_of_images(call, file, folder):
    model = load_model(f"{file}:resnet20", input_shape=(3, 16, 16))
    ran = call("lesion", f"{file}:resnet20", "--data", folder, "--study", "delete-each,reorder", *EXACT)
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)["studies"]
    # Slow reference: every route by itself, on the same images.
    images = load(str(folder))
    inputs, targets = images.batch(torch.arange(len(images)))
    for row in [*found["delete_each"], *found["reorder"]]:
        with torch.no_grad():
            wrong = model(inputs, Route.parse(row["route"])).argmax(1) != targets
        assert row["error_rate"] == wrong.double().mean().item()
    assert len(found["delete_each"]) == 1 + 9


def test_stopping_by_the_interval_uses_fewer_images(call, trained):
    ran = call("lesion", trained, "--data", "digits", "--batch-size", 50, "--until-ci", 0.2, "--json")
    rows = json.loads(ran.out)["studies"]["delete_each"]
    assert {row["n_images"] for row in rows} == {50}
    assert all(row["complete"] for row in rows)


def test_a_directory_keeps_what_was_measured(call, trained, tmp_path):
    words = ["lesion", trained, "--data", "digits", "--limit", 40, "--out", tmp_path / "kept"]
    first = call(*words)
    path = tmp_path / "kept" / "tables" / "net" / "delete_each.csv"
    table = load_table(path)
    with closing(sqlite3.connect(tmp_path / "kept" / "results.sqlite")) as store:
        n_trials = store.execute("select count(*) from trials where complete").fetchone()
    assert n_trials == (7,)
    second = call(*words)
    assert second.out == first.out
    assert load_table(path) == table
    assert call("report", tmp_path / "kept").status == 0
    assert (tmp_path / "kept" / "report.html").stat().st_size > 10_000


def test_a_finished_study_is_not_measured_again(call, trained, tmp_path, monkeypatch):
    words = ["lesion", trained, "--data", "digits", "--limit", 40, "--out", tmp_path / "kept"]
    first = call(*words)

    def never(*args):
        raise AssertionError("measured twice")

    monkeypatch.setattr("unravelnet.measuring.evaluation.walk", never)
    assert call(*words).out == first.out


def test_two_networks_of_one_name_keep_their_tables(call, tmp_path):
    for seed in (0, 1):
        zoo.save(zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=seed), tmp_path / str(seed) / "net")
        assert (
            call(
                "lesion",
                tmp_path / str(seed) / "net",
                "--data",
                "digits",
                "--limit",
                20,
                "--out",
                tmp_path / "kept",
            ).status
            == 0
        )
    assert sorted(path.name for path in (tmp_path / "kept" / "tables").iterdir()) == ["net", "net-2"]


def test_a_directory_of_another_run_is_refused(call, trained, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"reproduction": {}}')
    ran = call("lesion", trained, "--data", "digits", "--out", tmp_path / "run")
    assert_one_sentence(ran)
    assert "holds a run of another kind" in ran.err


def run_in_files(words, place):
    """Run the command line as a program does, with its output in files."""
    for name, number in (("out", 1), ("err", 2)):
        os.dup2(os.open(place / name, os.O_WRONLY | os.O_CREAT), number)
    main(words)


def test_ctrl_c_says_what_is_kept_and_the_next_call_goes_on(call, trained, tmp_path):
    words = [
        "lesion", str(trained), "--data", "digits", "--study", "delete-many", "--counts", "1,2,3,4",
        "--repeats", "30", "--batch-size", "10", "--precision", "float32", "--out",
    ]  # fmt: skip
    store = tmp_path / "stopped" / "results.sqlite"
    with forked(run_in_files, [*words, str(tmp_path / "stopped")], tmp_path) as process:
        wait_for_rows(store, process)
        os.kill(process.pid, signal.SIGINT)
        process.join(60)
        out, err = ((tmp_path / name).read_text() for name in ("out", "err"))
        assert process.exitcode == 130, err
    assert err.endswith(
        f"unravelnet: Interrupted. All that was measured is in {tmp_path / 'stopped'}; the same command continues from "
        "there.\n"
    )
    assert "delete_many of" in out
    assert call(*words, tmp_path / "stopped").status == 0
    assert call(*words, tmp_path / "unbroken").status == 0
    resumed, whole = (
        load_table(tmp_path / name / "tables" / "net" / "delete_many.csv") for name in ("stopped", "unbroken")
    )
    assert resumed == whole


def wait_for_rows(store: Path, process: BaseProcess) -> None:
    """Wait until a run has committed something and is not done yet."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert process.is_alive()
        if store.exists():
            with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
                try:
                    (n,) = connection.execute("select count(*) from trials").fetchone()
                except sqlite3.OperationalError:
                    n = 0
            if n:
                return
        time.sleep(0.02)
    raise AssertionError("nothing was committed in two minutes")


def test_a_short_network_is_studied_without_naming_counts(call, tmp_path):
    assert call("train", "preact-resnet8", "--data", "digits", "--epochs", 1, "--out", tmp_path).status == 0
    words = ("lesion", tmp_path, "--data", "digits", "--limit", 20, "--study", "delete-many", "--repeats", 1)
    ran = call(*words, "--json")
    assert ran.status == 0, ran.err
    # Three modules: of the counts 1, 2, 3 and 5 the first three can be deleted.
    assert [row["n_deleted"] for row in json.loads(ran.out)["studies"]["delete_many"]] == [0, 1, 2, 3]
    assert "Give counts of at most 3" in call(*words, "--counts", 5).err


def test_a_study_of_many_trials_says_what_it_costs_and_prints_the_largest(call, tmp_path):
    zoo.save(zoo.preact_resnet(56, input_shape=(1, 8, 8), widths=(2, 2, 2), seed=0), tmp_path / "deep")
    ran = call("lesion", tmp_path / "deep", "--data", "digits", "--limit", 4, "--study", "delete-pairs")
    assert ran.status == 0, ran.err
    # 27 modules, 27 · 26 / 2 pairs, the intact network.
    assert "delete_pairs measures 379 routes. Each image costs as much as " in ran.err
    assert "the 100 trials of 378 with the largest value of error_rate" in ran.out
    shown = [line for line in ran.out.splitlines() if "[" in line]
    assert len(shown) == 1 + 100
    assert shown[0].startswith("intact")
    errors = [float(re.search(r"([\d.]+)% \[", line)[1]) for line in shown[1:]]
    assert errors == sorted(errors, reverse=True)
