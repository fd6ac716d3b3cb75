"""`inspect` says of a model what its library and closed forms say."""

from __future__ import annotations

import json

from unravelnet import zoo


def test_a_file_somebody_else_wrote(call, file):
    ran = call("inspect", f"{file}:resnet20", "--json")
    found = json.loads(ran.out)
    assert ran.status == 0
    # He et al. (2015), option A: 9 modules, 269,722 parameters; zero-padded shortcuts at the 4th and 7th.
    assert found["n_modules"] == 9
    assert found["parameters"] == 269_722
    assert [module["kind"] for module in found["modules"]] == ["identity"] * 3 + (
        ["projection"] + ["identity"] * 2
    ) * 2
    assert [module["name"] for module in found["modules"]] == [f"layers.{n}" for n in range(9)]
    assert found["unexplained"] == []
    assert "equals the model's" in found["verified"]


def test_json_is_all_there_is_on_standard_output(call):
    ran = call("inspect", "zoo:preact-resnet20", "--json")
    found = json.loads(ran.out)
    net = zoo.preact_resnet(20)
    assert found["macs"] == net.total_macs
    assert sum(module["parameters"] for module in found["modules"]) < found["parameters"]
    assert found["chains"] == [list(range(9))]
    assert "random" in ran.err


def test_the_table_has_a_row_a_module(call, file):
    ran = call("inspect", f"{file}:resnet20", "--input-shape", "3,16,16")
    lines = ran.out.splitlines()
    rows = [line.split() for line in lines if line.split() and line.split()[0].isdecimal()]
    assert [row[0] for row in rows] == [str(n) for n in range(9)]
    # Three 3×3 convolutions' worth of channels by hand: 2 · 16 · 16 · 9 weights at 16×16 places.
    assert rows[0][:5] == ["0", "layers.0", "identity", "16×16×16", "16×16×16"]
    assert rows[0][7:9] == ["1.18", "M"]
    assert 2 * 16 * 16 * 9 * 16 * 16 == 1_179_648
    assert "The captured output equals the model's" in ran.out
    assert "Every sum was understood." in ran.out
    assert "may be reordered within a chain. Chains: 0-8." in ran.out


def test_plain_networks_stand_by_themselves_in_chains(call):
    ran = call("inspect", "zoo:vgg15", "--data", "digits")
    assert "13 residual modules" in ran.out
    assert "plain" in ran.out


def test_chains_of_a_wide_network_are_its_stages(call):
    found = json.loads(call("inspect", "zoo:wide-resnet16-2", "--json").out)
    assert found["chains"] == [[0, 1], [2, 3], [4, 5]]
    assert [module["kind"] for module in found["modules"]] == ["projection", "identity"] * 3
    # Zagoruyko and Komodakis 2016: 0.7 million parameters.
    assert found["parameters"] == 691_674


def test_junctions_are_shown_where_one_of_them_is_no_sum(call):
    shown = [
        line.split() for line in call("inspect", "zoo:highway8", "--input-shape", "1,8,8").out.splitlines()
    ]
    assert ["0", "stage1.0", "identity", "gate"] in [words[:4] for words in shown]
    assert "junction" not in call("inspect", "zoo:resnet8", "--input-shape", "1,8,8").out
    unet = call("inspect", "zoo:unet", "--input-shape", "1,32,32").out
    assert "concatenate" in unet
    # Four resolutions are left by a long skip; the outermost one is the module that routes visit.
    assert "0 (long0): long1, long2, long3" in unet
    # Of 23 convolutions, two are in front of it and three behind it.
    assert "18 of 23 learned layers are inside module 0; enter it with 0[...]" in unet
