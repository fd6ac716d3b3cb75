"""Every column of every table that the product makes has its one entry, and every entry a table.

The tables are made by the functions that users call, on small networks; the files in results/ were written by it.
"""

from __future__ import annotations

import copy
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import torch

import unravelnet as un
from tests.reporting.pages import without_drawings
from tests.shipped_networks import PLANS, shipped_place
from unravelnet import studies, zoo
from unravelnet.cli.inspect import describe
from unravelnet.columns import COLUMNS, find, label, title
from unravelnet.columns import words as words_of_the_glossary
from unravelnet.columns.glossary import glossary
from unravelnet.data import load
from unravelnet.figures import path_length_rows, path_survival_rows
from unravelnet.gradient import effective_depths, layer_responses, module_measures, path_gradients
from unravelnet.measuring.ensembles import ensemble_of_routes
from unravelnet.pruning.calibration import overlap
from unravelnet.readers.pairs import interactions
from unravelnet.records.record import Table, load_table
from unravelnet.registry import METRICS, SCORES
from unravelnet.reproduction import reproduce
from unravelnet.training.dynamics import over_training
from unravelnet.training.loop import train

__all__ = ["shipped_place"]

ROOT = Path(__file__).parents[1]
# Written by benchmarks/ and shipping/, or by hand; the product writes or reads no such tables.
NOT_OF_THE_PRODUCT = {
    "benchmarks.csv",
    "benchmarks_against.csv",
    "digits_recipes.csv",
    "networks.csv",
    "other_trainings.csv",
    "recipe_trials.csv",
    "effective_paths/recipe_trials.csv",
    "importance/correlations.csv",
    "pruned_resnet/found.csv",
    "pruned_resnet/healed.csv",
    "pruned_resnet/latency.csv",
    "pruned_resnet/onnx.csv",
}
# Columns of texts that have no other values than those in quotation marks in their meaning.
CLOSED = (
    "kind",
    "junction",
    "layer_kind",
    "measured_after",
    "method",
    "at",
    "per",
    "members",
    "statistics",
    "precision",
)


def of_a_training(directory):
    net = zoo.preact_resnet(8, input_shape=(1, 8, 8), widths=(2, 2, 4), seed=0)
    history = train(net, "digits", epochs=1, keep_epochs="all", out=directory)
    found = over_training(directory, "digits", n_images=8)
    return {
        "train": history,
        "over_training": found.over_training,
        "spectra_over_training": found.spectra_over_training,
        "normalisation_scales": found.normalisation_scales,
    }


def of_a_search(net, data):
    found = un.prune(net, data, n_deleted=1, n_draws=1)
    shared = overlap({"a": found.route, "b": found.route}, [(0,), (1,), (2,)])
    return {"pruning": found.steps, "pruning_curve": found.curve, "overlap": shared}


def in_blocks(net):
    """Name modules as those of a transformer are named, two to a block."""
    named = copy.deepcopy(net)
    for number, module in enumerate(named.residual_modules):
        module.name = f"blocks.{number // 2}.{('attn', 'mlp')[number % 2]}"
    return named


def of_a_network(net):
    every = {"metrics": METRICS.names(), "limit": 20}
    plan = [*studies.delete_each(net), *studies.delete_many(net, [1, 2], repeats=2, seed=0)]
    pair = load("digits").batch(torch.arange(20))
    gradients = {"limit": 6, "seed": 0}
    described = describe(net)["modules"]
    pairs = un.evaluate(net, studies.delete_pairs(net), pair)
    scored = un.importance(net, "digits", methods=SCORES.names(), **gradients)
    return {
        "evaluate": un.evaluate(net, plan, "digits", **every),
        "evaluate a pair": un.evaluate(net, plan, pair, until_ci=0.1),
        "evaluate batches": un.evaluate(net, plan, iter([pair])),
        "evaluate without targets": un.evaluate(net, plan, pair[0], metrics=["agreement"]),
        "delete_pairs": pairs,
        "interactions": Table(interactions(pairs).to_dict("records")),
        "repeat_spans": un.evaluate(net, studies.repeat_spans(net), pair),
        "scale_each": un.evaluate(net, studies.scale_each(net, [0.5]), pair),
        "measure_means": un.measure_means(net, pair),
        "delete_each of blocks": un.evaluate(net, studies.delete_each(in_blocks(net), unit="block"), pair),
        "module_table": Table(net.module_table().to_dict("records")),
        # There, residual modules inside others are listed and not counted.
        "inspect": Table([{name: row[name] for name in row if name != "inner"} for row in described]),
        **{
            f"path_gradients {method}": path_gradients(net, "digits", method=method, draws=3, **gradients)
            for method in ("exact", "rms", "sampled")
        },
        "importance": scored,
        "correlations": scored.correlations,
        "importance, estimated": un.importance(net, "digits", until_decided=0.01, limit=20),
        "module_measures": module_measures(net, "digits", **gradients),
        "layer_responses": layer_responses(net, "digits", **gradients),
        "effective_depths": effective_depths(net, "digits", **gradients),
        **of_a_search(net, pair),
        "ensemble_of_routes": ensemble_of_routes(net, "digits", n_routes=4, others=[net], limit=20),
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory, shipped_place):
    """The directory of a reproduction with tiny networks: its tables, and the data beside the report's figures."""
    directory = tmp_path_factory.mktemp("run")
    with without_drawings():
        reproduce("digits", directory, networks=PLANS[:1], images=40, repeats=2, precision="float32", seed=3)
    return directory


@pytest.fixture(scope="module")
def tables(tmp_path_factory, run):
    net = zoo.preact_resnet(8, input_shape=(1, 8, 8), widths=(2, 2, 4), seed=0)
    paths = {"path_lengths": path_length_rows(3), "path_survival": path_survival_rows(3, deleted=[1])}
    written = {
        str(path.relative_to(place)): load_table(path)
        for place in (run, ROOT / "results")
        for path in sorted(place.rglob("*.csv"))
        if str(path.relative_to(place)) not in NOT_OF_THE_PRODUCT
    }
    return {
        **of_a_training(tmp_path_factory.mktemp("training")),
        **of_a_network(net),
        **{name: Table(frame.to_dict("records")) for name, frame in paths.items()},
        **written,
    }


def members():
    """Every entry, with those for the ends of intervals and for differences."""
    return [member for column in COLUMNS for member in column.family()]


def test_no_column_lacks_an_entry(tables):
    lacking = defaultdict(set)
    for table, rows in tables.items():
        for name in rows.columns:
            if find(name) is None:
                lacking[name].add(table)
    assert not lacking


def test_no_entry_lacks_a_table(tables):
    found = {find(name) for rows in tables.values() for name in rows.columns}
    assert [member.name for member in members() if member not in found] == []


def test_no_name_has_two_meanings():
    words = [
        word.strip("`") for section in vars(words_of_the_glossary).values() for word in _words_in(section)
    ]
    counts = Counter([*(column.name for column in members()), *words])
    assert {name for name, count in counts.items() if count > 1} == set()


def _words_in(section):
    return [word for word, _ in section if word.startswith("`")] if isinstance(section, tuple) else []


@pytest.mark.parametrize("name", CLOSED)
def test_texts_are_those_that_the_meaning_lists(tables, name):
    listed = set(re.findall(r'"([^"]+)"', find(name).meaning))
    found = {value for rows in tables.values() if name in rows.columns for value in rows[name]} - {None}
    assert found
    assert found <= listed


def test_titles_are_unique_in_each_table(tables):
    for table, rows in tables.items():
        titles = Counter(title(name) for name in rows.columns)
        assert [name for name, count in titles.items() if count > 1] == [], table


def test_titles_are_unique_whichever_columns_stand_in_one_table():
    titles = Counter(member.title for member in members())
    assert {name for name, count in titles.items() if count > 1} == set()


KINDS = {"text": (str,), "whole number": (int,), "number": (int, float), "truth value": (bool,)}


def test_values_are_of_the_type_that_is_told(tables):
    wrong = {
        (table, name, value)
        for table, rows in tables.items()
        for name in rows.columns
        for value in rows[name]
        if value is not None and not is_of(value, find(name).type)
    }
    assert wrong == set()


def is_of(value, kind):
    return isinstance(value, KINDS[kind]) and (kind == "truth value" or not isinstance(value, bool))


def test_shares_are_shares(tables):
    for table, rows in tables.items():
        for name in rows.columns:
            column = find(name)
            least = {"share": 0.0, "percentage points": -1.0}.get(column.unit)
            for value in rows[name] if least is not None else ():
                assert value is None or value != value or least - 1e-9 <= value <= 1 + 1e-9, (table, name)


def test_every_metric_is_told_as_it_is_measured():
    for metric in METRICS:
        column = find(metric.name)
        assert (column.is_share, column.has_interval, column.has_difference) == (metric.is_rate, True, True)


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_the_meaning_is_a_sentence_and_the_title_none(column):
    assert column.meaning[-1] == "." != column.title[-1]
    assert "\n" not in column.title + column.meaning
    assert "_" not in column.title


def test_the_glossary_is_up_to_date():
    written = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert written == glossary(), "run: python -m unravelnet.columns.glossary > docs/glossary.md"


def test_the_glossary_has_every_column_once():
    lines = [line for line in glossary().splitlines() if line.startswith("| `")]
    for column in COLUMNS:
        assert sum(f" | {column.meaning.replace('|', chr(92) + '|')} |" in line for line in lines) == 1


def test_an_unknown_name_is_its_own_title():
    assert find("my_accuracy") is None
    assert (title("my_accuracy"), label("my_accuracy")) == ("my accuracy", "my accuracy")


def test_labels_have_the_unit_that_people_read():
    assert [
        label(name) for name in ("error_rate", "error_rate_difference", "loss_low", "n_after", "module")
    ] == [
        "Error (%)",
        "Error, change (percentage points)",
        "Cross-entropy loss, from (nats)",
        "Later modules",
        "Module (index)",
    ]


def test_the_check_of_tables_finds_what_is_wrong():
    with pytest.raises(AssertionError, match="sharpness"):
        test_no_column_lacks_an_entry({"mine": Table([{"sharpness": 0.5}])})
    with pytest.raises(AssertionError, match="'index'"):
        test_no_entry_lacks_a_table({"mine": Table([{"loss": 0.5}])})
    with pytest.raises(AssertionError, match="mine"):
        test_titles_are_unique_in_each_table({"mine": Table([{"loss": 0.5, "Cross-entropy loss": 0.5}])})
    with pytest.raises(AssertionError, match="convolution"):
        test_texts_are_those_that_the_meaning_lists({"mine": Table([{"kind": "convolution"}])}, "kind")
    with pytest.raises(AssertionError, match="'loss', 'squared_norm'"):
        test_values_are_of_the_type_that_is_told({"mine": Table([{"loss": "squared_norm"}])})
    with pytest.raises(AssertionError, match="error_rate"):
        test_shares_are_shares({"mine": Table([{"error_rate": 12.0}])})
