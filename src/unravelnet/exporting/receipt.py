"""Receipts read back from what `export` wrote, whatever its form."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

from unravelnet._extras import require
from unravelnet.errors import StoreError, one_line
from unravelnet.exporting.program import RECEIPT
from unravelnet.records.files import usable_path


def read_receipt(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the receipt of an export: what was cut, and how it was checked.

    >>> from unravelnet import export, zoo
    >>> net = zoo.preact_resnet(8, seed=0)
    >>> receipt = read_receipt(export(net, net.full_route.delete(1), directory / "pruned.pt2"))
    >>> receipt["route"], receipt["n_modules_left"], receipt["relative_differences"]["read back from disk"]
    ('0,1s,2', 2, 0.0)

    `path`: the file or directory that `export` returned. Nothing in it is run. Raises StoreError where there is no
    receipt, and MissingExtraError where a file of ONNX cannot be read without the extra onnx.
    """
    source = usable_path(path)
    try:
        receipt = json.loads(_text(source))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, RecursionError) as error:
        raise StoreError(
            f"{source} holds no receipt of an export: {one_line(error)} Give what export wrote."
        ) from error
    if not isinstance(receipt, dict):
        raise StoreError(f"{source} holds no receipt of an export. Give what export wrote.")
    return receipt


def _text(source: Path) -> str:
    if source.is_dir():
        return (source / RECEIPT).read_text(encoding="utf-8")
    if source.suffix == ".onnx":
        model = require("onnx", "Reading a file of ONNX").load(str(source), load_external_data=False)
        return {entry.key: str(entry.value) for entry in model.metadata_props}[RECEIPT]
    with zipfile.ZipFile(source) as archive:
        name = next((name for name in archive.namelist() if name.endswith(f"/extra/{RECEIPT}")), RECEIPT)
        return archive.read(name).decode("utf-8")
