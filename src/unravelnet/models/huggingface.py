"""Models of transformers, from a directory, a file of GGUF in it, or the cache of what was downloaded before.

A directory is data: code that lies in it is never run (`trust_remote_code=False` at every call), and nothing is
downloaded. Without weights on this machine a model is made from its configuration, with random ones.
"""

from __future__ import annotations

import contextlib
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from unravelnet._extras import quiet_transformers, require
from unravelnet.costs import MOST_LAYERS, check_number
from unravelnet.errors import CheckpointError, CostError, ModelError
from unravelnet.kinds import is_whole
from unravelnet.models import gguf
from unravelnet.models.examples import N_TOKENS, image_batch, token_batch
from unravelnet.models.found import Example, Found, Wish, explained, listed, reason_of
from unravelnet.models.libraries import IMAGENET_SIZE
from unravelnet.models.transforms import transform_of_directory
from unravelnet.models.weights import refuse
from unravelnet.network import Inputs
from unravelnet.network.transform import Transform
from unravelnet.records.files import usable_path
from unravelnet.records.provenance import memory_bytes

_log = logging.getLogger("unravelnet.models")
_WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin", "*.index.json")
_HEADS = (
    "AutoModelForCausalLM",
    "AutoModelForMaskedLM",
    "AutoModelForSeq2SeqLM",
    "AutoModelForImageClassification",
    "AutoModelForSequenceClassification",
    "AutoModel",
)
# A batch of images: images, channels, height, width.
_DIMENSIONS_OF_IMAGES = 4
_NAME_ON_HUB = re.compile(r"[\w.-]+(/[\w.-]+)?")
# By attribute of a configuration, the ways to compute something that are torch's own. What else it may name is compiled
# code, which transformers would fetch and run.
_OWN_WAYS = {
    "_attn_implementation": (None, "eager", "sdpa"),
    "_experts_implementation": (None, "eager", "grouped_mm", "batched_mm"),
}
_NO_CODE = (
    "Code from the directory of a model is never run. If you trust it, make the model in a Python file of your own and "
    "give FILE.py:FACTORY."
)


def from_transformers(name: str, wish: Wish) -> Found:
    """Load a model of transformers from a local directory or its cache; from its configuration if that is all.

    `name`: a directory with config.json, DIR?gguf=FILE, or a name that has been downloaded before. Raises
    ModelError where there is none or it needs code of its own, CheckpointError where weights are damaged,
    DataError where it does not take the kind of data.
    """
    transformers = require("transformers", f"The model hf:{name}")
    with quiet_transformers(transformers):
        config = read_config(transformers, name)
        head = _head(transformers, config)
        _check_memory(head, name, config)
        found = _stored(head, name, config) or _drawn(head, name, config, wish)
    takes_text = getattr(found.model, "main_input_name", "input_ids") == "input_ids"
    wish.check_takes(f"hf:{name}", "text" if takes_text else "images")
    with explained(f"hf:{name} does not say what inputs it takes"):
        example = _token_example(config, wish) if takes_text else _image_example(config, wish)
    # The method of a model from GGUF refuses, although the weights are no longer quantised.
    model = nn.Module.float(found.model).eval()
    return replace(found, model=model, examples=(example,), transform=_transform(name, example))


def _transform(name: str, example: Example) -> Transform | None:
    """Read how images are prepared, where a directory says so and its model takes images."""
    inputs, directory = example.inputs, usable_path(name)
    if (
        not isinstance(inputs, torch.Tensor)
        or inputs.dim() != _DIMENSIONS_OF_IMAGES
        or not directory.is_dir()
    ):
        return None
    return transform_of_directory(directory, (inputs.shape[2], inputs.shape[3]))


def read_config(transformers: Any, name: str) -> Any:
    """Read the configuration of a model in a directory or in the cache.

    Raises ModelError where there is none, it cannot be used, or the model needs code of its own.
    """
    file = gguf.gguf_file(name)
    config = _stored_config(transformers, name) if file is None else gguf.config_of(transformers, file)
    if getattr(config, "quantization_config", None) is not None:
        raise ModelError(
            f"hf:{name} holds quantised weights (quantization_config in config.json), which are not taken apart. Give "
            "the model that it was made from."
        )
    for key, value in config.to_dict().items():
        if "layer" in key and is_whole(value):
            check_number(value, MOST_LAYERS, f"layers ({key} in config.json)")
    _choose_own_ways(config, name)
    return config


def _stored_config(transformers: Any, name: str) -> Any:
    directory = usable_path(name)
    is_directory = directory.is_dir()
    if is_directory and not (directory / "config.json").is_file():
        raise ModelError(
            f"There is no config.json in {name}. Give a directory that transformers saved a model in."
            f"{_gguf_hint(directory)}"
        )
    try:
        return transformers.AutoConfig.from_pretrained(
            str(directory) if is_directory else name, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # whatever stands in the file
        if "custom code" in str(error):
            raise ModelError(
                f"hf:{name} needs code of its own (auto_map in config.json). {_NO_CODE}"
            ) from error
        if is_directory:
            raise ModelError(f"{directory / 'config.json'} cannot be used: {reason_of(error)}.") from error
        hint = f"; get it with: hf download {name}" if _NAME_ON_HUB.fullmatch(name) else ""
        raise ModelError(
            f"There is no directory {name}, and no model of that name was downloaded before. Nothing is downloaded "
            f"here{hint}."
        ) from error


def _gguf_hint(directory: Path) -> str:
    files = sorted(directory.glob("*.gguf"))
    return f" A model in a file of GGUF is given as hf:{directory}?gguf={files[0].name}." if files else ""


def _choose_own_ways(config: Any, name: str) -> None:
    """Let torch compute what a configuration, or one inside it, would have computed by code from elsewhere."""
    for attribute, own in _OWN_WAYS.items():
        if (asked := getattr(config, attribute, None)) not in own:
            _log.info("hf:%s asks for %s, which is code of its own; torch computes it instead.", name, asked)
            setattr(config, attribute, None)
    for part in vars(config).values():
        if hasattr(part, "_attn_implementation"):
            _choose_own_ways(part, name)


def vocabulary_size(config: Any) -> int | None:
    """Say how many tokens a model knows; None for a model of images."""
    return _whole_number(config, "vocab_size")


def longest_sequence(config: Any) -> int | None:
    """Say how many tokens a model takes at once; None where that is not known."""
    return _whole_number(config, "max_position_embeddings")


def start_token(config: Any) -> tuple[int, ...]:
    """Say what token a text begins with: the one for that, else the one for its end; none where there is neither."""
    known = vocabulary_size(config) or 0
    named = (_whole_number(config, name, least=0) for name in ("bos_token_id", "eos_token_id"))
    return next(((token,) for token in named if token is not None and token < known), ())


def _whole_number(config: Any, name: str, least: int = 1) -> int | None:
    for part in (config, config.get_text_config()):
        value = getattr(part, name, None)
        if isinstance(value, int) and value >= least:
            return value
    return None


def _head(transformers: Any, config: Any) -> Any:
    """Choose the class of model: the one that the configuration names, or the first that it can have."""
    architectures = config.architectures if isinstance(config.architectures, list) else []
    for architecture in architectures:
        named = getattr(transformers, architecture, None) if isinstance(architecture, str) else None
        if isinstance(named, type) and isinstance(config, getattr(named, "config_class", None) or ()):
            return named
    for name in _HEADS:
        head = getattr(transformers, name)
        if type(config) in head._model_mapping:
            if architectures:
                _log.info("transformers has no model %s; it is read by %s.", listed(architectures), name)
            return head
    raise ModelError(
        f"transformers has no model for a configuration of type {config.model_type!r}. Give one that it can make "
        "by AutoModel."
    )


def _check_memory(head: Any, name: str, config: Any) -> None:
    """Raise CostError where the parameters of a model are larger than the memory of this machine."""
    n_bytes = 0
    # What is wrong with a configuration is told when it is used.
    with contextlib.suppress(Exception), torch.random.fork_rng(devices=[]), torch.device("meta"):
        n_bytes = 4 * sum(parameter.numel() for parameter in _made(head, config).parameters())
    available = memory_bytes()
    if available is not None and n_bytes > available:
        raise CostError(
            f"hf:{name} has {n_bytes / 2**30:.1f} GiB of parameters as float32, and this machine has "
            f"{available / 2**30:.1f} GiB of memory. Give a smaller model."
        )


def _made(head: Any, config: Any) -> nn.Module:
    # The class of one architecture takes no such option: it is a part of transformers itself.
    is_own = hasattr(head, "_from_config")
    model: nn.Module = (
        head._from_config(config) if is_own else head.from_config(config, trust_remote_code=False)
    )
    return model


def _stored(head: Any, name: str, config: Any) -> Found | None:
    """Load the weights that are on this machine; None where there are none."""
    file = gguf.gguf_file(name)
    directory = usable_path(name) if file is None else file.parent
    is_directory = directory.is_dir()
    if file is None and is_directory and not any(any(directory.glob(pattern)) for pattern in _WEIGHT_FILES):
        return None
    if (directory / "custom_generate").exists():
        # Older versions of transformers run it without asking.
        raise ModelError(f"hf:{name} brings code of its own (custom_generate). {_NO_CODE}")
    try:
        with contextlib.ExitStack() as around:
            sentence = f"The weights in {name} are damaged or do not fit its config.json"
            around.enter_context(explained(sentence, CheckpointError))
            if file is not None:
                around.enter_context(gguf.without_bars())
            model, loaded = head.from_pretrained(
                str(directory) if is_directory else name,
                config=config,
                gguf_file=None if file is None else str(file),
                local_files_only=True,
                trust_remote_code=False,
                dtype=torch.float32,
                # What does not fit is refused here, with names.
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    except CheckpointError as error:
        if isinstance(error.__cause__, OSError) and not is_directory:
            return None  # the configuration is in the cache and the weights are not
        raise
    misshapen = [
        f"{tensor} is {tuple(stored)} and should be {tuple(own)}"
        for tensor, stored, own in sorted(loaded["mismatched_keys"])
    ]
    if misshapen:
        raise refuse(name, model, {"of another form": misshapen})
    missing, unknown = sorted(loaded["missing_keys"]), sorted(loaded["unexpected_keys"])
    return Found(model, f"hf:{name}", missing=tuple(missing), unknown=tuple(unknown))


def _drawn(head: Any, name: str, config: Any, wish: Wish) -> Found:
    """Make a model from its configuration, with random weights."""
    if wish.n_classes is not None:
        config.num_labels = wish.n_classes
    with explained(f"hf:{name} cannot be made from its config.json"):
        model = _made(head, config)
    return Found(model, f"hf:{name}", is_random=True)


def _image_example(config: Any, wish: Wish) -> Example:
    """Make inputs for a model of images."""
    if wish.input_shape is not None:
        return Example(image_batch(wish.input_shape), wish.origin)
    vision = getattr(config, "vision_config", config)
    side = getattr(vision, "image_size", IMAGENET_SIZE)
    height, width = (side, side) if isinstance(side, int) else side
    return Example(image_batch((getattr(vision, "num_channels", 3), height, width)), "from its config.json")


def _token_example(config: Any, wish: Wish) -> Example:
    """Make inputs for a model of text; a dict where a decoder needs its own."""
    length, origin = min(N_TOKENS, longest_sequence(config) or N_TOKENS), "tokens, a short text"
    if wish.input_shape is not None:
        length, origin = wish.input_shape[-1], f"tokens, {wish.origin}"
    n_words = vocabulary_size(config)
    if n_words is None:
        raise ModelError(
            "The configuration of a model for text names no size of its vocabulary (vocab_size)."
        )
    tokens = token_batch(length, n_words)
    inputs: Inputs = tokens
    if getattr(config, "is_encoder_decoder", False):
        inputs = {"input_ids": tokens, "decoder_input_ids": tokens}
    return Example(inputs, origin)
