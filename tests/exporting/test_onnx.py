"""A file of ONNX gives in onnxruntime what the route gives in torch; without the packages one sentence says so."""

from __future__ import annotations

import sys

import pytest
import torch

import unravelnet as un
from tests.exporting.small import Tower, library
from unravelnet.errors import CaptureError, MissingExtraError, StoreError
from unravelnet.exporting import export
from unravelnet.exporting.receipt import read_receipt


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return un.unravel(Tower(), torch.randn(2, 6))


def test_onnxruntime_gives_what_the_route_gives(net, tmp_path):
    for package in ("onnx", "onnxscript"):
        library(package)
    runtime = library("onnxruntime")
    route = net.full_route.delete(1).scale(0.5, 2)
    path = export(net, route, tmp_path / "small.onnx")
    session = runtime.InferenceSession(str(path))
    assert ([i.name for i in session.get_inputs()], [o.name for o in session.get_outputs()]) == (
        ["input"],
        ["output"],
    )
    for batch_size in (1, 2, 7):
        x = torch.randn(batch_size, 6)
        (output,) = session.run(None, {"input": x.numpy()})
        torch.testing.assert_close(torch.as_tensor(output), net(x, route))
    receipt = read_receipt(path)
    assert receipt["route"] == "0,1s,2*0.5,3"
    assert receipt["relative_differences"]["ONNX"] < 1e-5


def test_half_precision_may_be_rounded_elsewhere_or_is_refused(tmp_path):
    for package in ("onnx", "onnxscript"):
        library(package)
    runtime = library("onnxruntime")
    torch.manual_seed(0)
    model, x = Tower().eval(), torch.randn(5, 6)
    wide = model.head(model.blocks[2:](model.blocks[0](x)))
    for dtype in (torch.float16, torch.bfloat16):
        net = un.unravel(model.to(dtype), x.to(dtype))
        path = tmp_path / f"{dtype}.onnx"
        if dtype is torch.bfloat16:
            with pytest.raises(CaptureError, match="onnxruntime does not run Tower as ONNX"):
                export(net, net.full_route.delete(1), path)
            assert not path.exists()
            continue
        export(net, net.full_route.delete(1), path)
        (output,) = runtime.InferenceSession(str(path)).run(None, {"input": x.half().numpy()})
        torch.testing.assert_close(torch.as_tensor(output).float(), wide, atol=5e-3, rtol=5e-3)


def test_a_missing_package_is_named(net, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        MissingExtraError, match=r"An export to ONNX needs .* pip install 'unravelnet\[onnx\]'"
    ):
        export(net, net.full_route.delete(1), tmp_path / "small.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_export_has_no_receipt(tmp_path):
    (tmp_path / "other.pt2").write_text("nothing")
    with pytest.raises(StoreError, match="holds no receipt of an export"):
        read_receipt(tmp_path / "other.pt2")
    with pytest.raises(StoreError, match="holds no receipt of an export"):
        read_receipt(tmp_path)
