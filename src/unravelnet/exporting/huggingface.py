"""Models of transformers made again with fewer layers: the configuration is cut, and the class is made from it.

Every architecture has names of its own for the number of its layers, and some have lists with an entry a layer. What
may be such a number is tried: the right one gives a model with the tensors that are left.
"""

from __future__ import annotations

import contextlib
import copy
import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unravelnet._extras import quiet_transformers, require
from unravelnet.errors import ModelError
from unravelnet.exporting.blocks import Container

_LOADERS = (
    "AutoModelForCausalLM",
    "AutoModelForMaskedLM",
    "AutoModelForSeq2SeqLM",
    "AutoModelForImageClassification",
    "AutoModelForSequenceClassification",
    "AutoModel",
)
# How configurations call the number of layers, and lists with an entry a layer.
_NUMBERS = ("layer", "depth", "block", "stage")
_LISTS = ("layer", "block", "type", "pattern")
# What reads text and prepares images, beside the weights.
_COMPANIONS = (
    "tokenizer*",
    "vocab.*",
    "merges.txt",
    "special_tokens_map.json",
    "*.model",
    "preprocessor_config.json",
)

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class _OfTransformers:
    """A model of transformers with a cut configuration, and the one that it was made from."""

    model: Any
    original: nn.Module

    @property
    def loader(self) -> str:
        """The class that loads it: an automatic one where there is one."""
        transformers = require("transformers", "A model of transformers")
        config = type(self.model.config)
        return next(
            (name for name in _LOADERS if _class_for(transformers, name, config) is type(self.model)),
            type(self.model).__name__,
        )

    @property
    def loading(self) -> str:
        return f"transformers.{self.loader}.from_pretrained(DIRECTORY)"

    def save(self, directory: Path) -> None:
        transformers = require("transformers", "A model of transformers")
        with quiet_transformers(transformers):
            self.model.save_pretrained(directory)
        write_companions(self.original, directory)

    def load(self, directory: Path) -> nn.Module:
        transformers = require("transformers", "A model of transformers")
        loader = getattr(transformers, self.loader)
        with quiet_transformers(transformers):
            loaded: nn.Module = loader.from_pretrained(
                str(directory), local_files_only=True, trust_remote_code=False, dtype=self.model.dtype
            )
        return loaded


def write_companions(model: nn.Module, directory: Path) -> None:
    """Write what reads text or prepares images for a model beside it, from the directory that it was loaded from."""
    source = getattr(getattr(model, "config", None), "_name_or_path", "")
    if not isinstance(source, str) or not source or not Path(source).is_dir():
        return
    found = [file for pattern in _COMPANIONS for file in Path(source).glob(pattern) if file.is_file()]
    for file in found:
        shutil.copy(file, directory / file.name)
    # The tokenizer of a model in GGUF is in the file of its weights.
    weights = list(Path(source).glob("*.gguf"))
    if not found and len(weights) == 1:
        transformers = require("transformers", f"The tokenizer of {weights[0].name}")
        options = {"gguf_file": str(weights[0]), "local_files_only": True, "trust_remote_code": False}
        # Progress bars are drawn for such files whatever the settings are.
        with contextlib.redirect_stderr(io.StringIO()):
            transformers.AutoTokenizer.from_pretrained(source, **options).save_pretrained(directory)


def _class_for(transformers: Any, loader: str, config: type) -> object:
    found: object = getattr(transformers, loader)._model_mapping.get(config, None)
    return found


def remade_of_transformers(
    model: Any, containers: Sequence[Container], weights: Mapping[str, Tensor]
) -> _OfTransformers:
    """Make a model of transformers with the layers that stay.

    Raises ModelError where its configuration has no number for them.
    """
    transformers = require("transformers", "A model of transformers")
    with quiet_transformers(transformers):
        settings = model.config.to_dict()
        # Weights from a file of GGUF are plain numbers here, whatever the configuration still says.
        settings.pop("quantization_config", None)
        for container in containers:
            if not container.is_whole:
                settings = _cut(model, settings, container, weights)
        made = _made(model, settings)
    found = made.state_dict()
    wrong = sorted(set(found) ^ set(weights)) or [n for n in found if found[n].shape != weights[n].shape]
    if wrong:
        raise _cannot_say(model, containers[0], f"it then has other tensors, such as {wrong[0]}")
    made.load_state_dict(weights)
    return _OfTransformers(made.to(model.dtype), model)


def _cut(
    model: Any, settings: dict[str, Any], container: Container, weights: Mapping[str, Tensor]
) -> dict[str, Any]:
    """Change the number of layers that this container has, and the lists beside that number."""
    prefix = f"{container.path}."
    left = {name: tensor.shape for name, tensor in weights.items() if name.startswith(prefix)}
    for key in _numbers(settings, len(container.blocks)):
        tried = copy.deepcopy(settings)
        part = _part(tried, key[:-1])
        part[key[-1]] = len(container.kept)
        if isinstance(part, dict):
            _cut_lists(part, container)
        try:
            with torch.device("meta"):
                made = _made(model, tried)
        except Exception:  # a configuration may refuse a number in any way
            continue
        found = {name: tensor.shape for name, tensor in made.state_dict().items() if name.startswith(prefix)}
        if found == left:
            return tried
    raise _cannot_say(model, container, "it has no number of these blocks")


def _made(model: Any, settings: Mapping[str, Any]) -> Any:
    config = type(model.config).from_dict(copy.deepcopy(dict(settings)))
    own = model.config._attn_implementation
    made = type(model)._from_config(config, **({} if own is None else {"attn_implementation": own}))
    return made


def _numbers(settings: Mapping[str, Any], n_blocks: int) -> Iterator[Key]:
    """List where a configuration, or one inside it, holds the number of blocks; in lists, one a stage."""
    for name, value in settings.items():
        if type(value) is int and value == n_blocks and any(word in name for word in _NUMBERS):
            yield (name,)
        elif isinstance(value, list) and any(word in name for word in _NUMBERS):
            yield from (
                (name, place)
                for place, number in enumerate(value)
                if type(number) is int and number == n_blocks
            )
        elif isinstance(value, dict):
            yield from ((name, *key) for key in _numbers(value, n_blocks))


def _part(settings: Any, key: Key) -> Any:
    for name in key:
        settings = settings[name]
    return settings


def _cut_lists(part: dict[str, Any], container: Container) -> None:
    """Cut the lists that have an entry a layer, and number anew the layers that a list names."""
    n_blocks = len(container.blocks)
    for name, value in part.items():
        if not isinstance(value, list) or not any(word in name for word in _LISTS):
            continue
        if len(value) == n_blocks:
            part[name] = [value[place] for place in container.kept]
        elif value and all(type(number) is int and 0 <= number < n_blocks for number in value):
            part[name] = [place for place, old in enumerate(container.kept) if old in value]


def _cannot_say(model: Any, container: Container, why: str) -> ModelError:
    return ModelError(
        f"The configuration of {type(model).__name__} cannot say that {len(container.kept)} of the "
        f"{len(container.blocks)} blocks of {container.path} stay: {why}. Export as "
        'form="directory", "pt2" or "onnx".'
    )
