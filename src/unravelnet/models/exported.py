"""Directories that `export` wrote: a graph that is data, or a model that its library makes again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from unravelnet.errors import ModelError
from unravelnet.exporting.directory import GRAPH_FILE, read_directory
from unravelnet.exporting.libraries import load_described
from unravelnet.exporting.program import RECEIPT
from unravelnet.models.examples import examples_for, token_batch
from unravelnet.models.found import Example, Found, Wish
from unravelnet.network import Inputs, first_tensor, shape_text
from unravelnet.zoo.store import read_json

_AS_EXPORTED = "as it was exported"


def from_export(directory: Path, wish: Wish) -> Found:
    """Read a model from a directory that `export` wrote. Raises CheckpointError where it is damaged."""
    if not (directory / GRAPH_FILE).is_file():
        wish.check_takes(str(directory), "images")
        receipt = read_json(
            directory / RECEIPT, missing=f"There is no {RECEIPT} in {directory}. Export again."
        )
        name = f"{receipt.get('network')}, route {receipt.get('route')}"
        model = load_described(directory)
        return Found(model, name, examples_for(model, wish))
    stored = read_directory(directory)
    wish.check_takes(str(directory), "text" if stored.takes_text else "images")
    example = Example(stored.example, _AS_EXPORTED)
    asked = wish.input_shape
    if asked is not None and stored.takes_text and isinstance(stored.example, Tensor):
        largest = int(stored.example.max())
        example = Example(token_batch(asked[-1], largest + 1), f"tokens, {wish.origin}")
    elif asked is not None and not wish.data_name:
        _check_shape(directory, stored.example, asked)
    return Found(
        stored.model, stored.name, (example,), module_names=stored.modules, transform=stored.transform
    )


def _check_shape(directory: Path, example: Inputs, asked: tuple[int, ...]) -> None:
    own = tuple(first_tensor(example).shape[1:])
    if not isinstance(example, Mapping) and own != asked:
        raise ModelError(
            f"{directory} was exported for inputs of {shape_text(own)}, and {shape_text(asked)} is asked for. Leave "
            "--input-shape out."
        )
