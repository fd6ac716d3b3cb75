"""`unravelnet export`: writes what a route leaves, says what is left, and ends in one sentence where it cannot."""

from __future__ import annotations

import json

import torch

from tests.cli.conftest import assert_one_sentence
from unravelnet import load


def test_a_directory_is_written_and_is_a_model_itself(call, trained, tmp_path):
    ran = call(
        "export", trained, "--route", "0-1,2s,3-5", "--out", "small", "--data", "digits", "--limit", "50"
    )
    assert ran.status == 0, ran.err
    first, differences, error, batch, loading = ran.out.splitlines()
    assert first.startswith("small: 5 of 6 residual modules")
    assert "read back from disk 0e+00" in differences
    assert "before" in error
    assert "on 50." in error
    assert "ms after" in batch
    assert loading.startswith("Load it by unravelnet.load(DIRECTORY)")
    listed = json.loads(call("inspect", "small", "--json").out)
    assert listed["n_modules"] == 5
    lesion = call("lesion", "small", "--data", "digits", "--limit", "20", "--json")
    assert lesion.status == 0, lesion.err


def test_the_receipt_as_json(call, trained, tmp_path):
    ran = call("export", trained, "--route", "0-1,2s,3-5", "--out", "small.pt2", "--json")
    receipt = json.loads(ran.out)
    assert (receipt["form"], receipt["route"], receipt["measured"]) == ("pt2", "0-1,2s,3-5", None)
    x, net = torch.randn(3, 1, 8, 8), load(str(trained))
    program = torch.export.load(tmp_path / "small.pt2").module()
    torch.testing.assert_close(program(x), net(x, net.full_route.delete(2)))


def test_mistakes_end_in_a_sentence(call, trained):
    for words, reason in (
        (("--route", "0-9", "--out", "small"), "There is no module"),
        (("--route", "0-", "--out", "small"), "0-"),
        (("--route", "0-5", "--out", "small.zip"), "is no form of an export"),
        (("--route", "0-5", "--out", "small", "--form", "original"), "has no original class"),
    ):
        ran = call("export", trained, *words)
        assert_one_sentence(ran)
        assert reason in ran.err
        assert ran.status == 2
