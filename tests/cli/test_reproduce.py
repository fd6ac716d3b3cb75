"""`unravelnet reproduce` from shipped networks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.shipped_networks import PLANS, shipped_place
from unravelnet import zoo
from unravelnet.measuring.evaluation import evaluate
from unravelnet.reproduction.directory import default_directory

__all__ = ["shipped_place"]

# The others of its studies and measurements are those of tests/test_reproduce_shipped.py.
FEW = tuple(
    replace(plan, studies=plan.studies and ("delete_each", "remove_skip_each"), measurements=())
    for plan in PLANS
)


@pytest.fixture
def _shipped(shipped_place, monkeypatch):
    monkeypatch.setattr("unravelnet.reproduction.choice.SHIPPED_NETWORKS", FEW)
    monkeypatch.setattr("unravelnet.reproduction.report", lambda directory: directory / "report.html")


@pytest.mark.usefixtures("_shipped")
def test_shipped_networks_are_used_and_it_is_said(call, tmp_path):
    ran = call("reproduce", "--quick", "--repeats", 2, "--json")
    assert ran.status == 0
    assert "The networks for digits are shipped and not trained again" in ran.err
    printed = json.loads(ran.out)
    # A quick run does not stand in the way of a full one.
    assert printed["report"] == "runs/digits-quick/report.html"
    assert "runs/digits-quick/tables/trained_networks.csv" in printed["tables"]
    settings = json.loads((tmp_path / "runs/digits-quick/run.json").read_text())["reproduction"]
    assert (settings["quick"], settings["repeats"], settings["epochs"]) == (True, 2, None)
    # Of networks that are only compared no module is deleted: there is nothing to sum up.
    assert [network["name"] for network in printed["networks"]] == ["resnet", "stochastic-depth"]
    net = zoo.pretrained("tiny")
    error_rate = evaluate(net, [net.full_route], "digits")[0]["error_rate"]
    assert printed["networks"][0]["error_rate"] == error_rate
    # What was begun quickly goes on so.
    again = call("reproduce", "--out", "runs/digits-quick")
    assert again.status == 0
    assert "Goes on with the quick run in runs/digits-quick." in again.err
    assert "Report: runs/digits-quick/report.html" in again.out


@pytest.mark.parametrize("data", ["..", ".", "sub/..", "sub/"])
def test_no_run_goes_into_the_present_directory_unasked(tmp_path, monkeypatch, data):
    (tmp_path / "here" / "sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    name = Path(data).resolve().name
    assert default_directory(data, quick=False) == Path("runs") / name
    assert name in (tmp_path.name, "here", "sub")
