"""Models of torchvision, timm and transformers, by name.

Nothing is downloaded: models are made from their description with random weights, unless weights are on this
machine already (a local directory, or the cache of transformers).
"""

from __future__ import annotations

import contextlib
import inspect
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from unravelnet._extras import require
from unravelnet.errors import CheckpointError, ModelError
from unravelnet.models.found import Found, Wish, drawn_from_seed, image_batch, no_such_model, token_batch
from unravelnet.network import Inputs

# Long enough for every position to matter, short enough to be captured in a second.
_N_TOKENS = 16
_IMAGENET_SIZE = 224
_WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")
_HEADS = (
    "AutoModelForCausalLM",
    "AutoModelForMaskedLM",
    "AutoModelForSeq2SeqLM",
    "AutoModelForImageClassification",
    "AutoModelForSequenceClassification",
    "AutoModel",
)


def from_torchvision(name: str, wish: Wish) -> Found:
    """Make a model of torchvision with random weights, such as "resnet50"."""
    wish.check_takes(f"torchvision:{name}", "images")
    models = require("torchvision.models", f"The model torchvision:{name}")
    if name not in models.list_models():
        raise no_such_model(
            "torchvision model", name, models.list_models(), "torchvision.models.list_models()"
        )
    options: dict[str, Any] = {"weights": None}
    if "weights_backbone" in inspect.signature(models.get_model_builder(name)).parameters:
        # Its default would be downloaded.
        options["weights_backbone"] = None
    if wish.n_classes is not None:
        options["num_classes"] = wish.n_classes
    if name in ("googlenet", "inception_v3"):
        options |= {"init_weights": True, "aux_logits": False}
    with drawn_from_seed():
        model = models.get_model(name, **options)
    shape = wish.input_shape or (3, *_torchvision_size(models, name))
    return Found(model, f"torchvision:{name}", (image_batch(shape),), is_random=True)


def _torchvision_size(models: Any, name: str) -> tuple[int, int]:
    """Take the image size that the published weights of a model are for."""
    crop = getattr(models.get_model_weights(name).DEFAULT.transforms(), "crop_size", None)
    side = crop[0] if isinstance(crop, list) else _IMAGENET_SIZE
    return side, side


def from_timm(name: str, wish: Wish) -> Found:
    """Make a model of timm with random weights, such as "vit_tiny_patch16_224"."""
    wish.check_takes(f"timm:{name}", "images")
    timm = require("timm", f"The model timm:{name}")
    # A tag behind a dot names published weights, of which there are none here.
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise no_such_model("timm model", name, timm.list_models(), "timm.list_models()")
    usual = timm.get_pretrained_cfg(architecture, allow_unregistered=True)
    usual_shape = tuple(usual.input_size) if usual else (3, _IMAGENET_SIZE, _IMAGENET_SIZE)
    shape = wish.input_shape or usual_shape
    options: dict[str, Any] = {} if wish.n_classes is None else {"num_classes": wish.n_classes}
    if shape[0] != usual_shape[0]:
        options["in_chans"] = shape[0]
    if usual and usual.fixed_input_size and shape[1:] != usual_shape[1:]:
        options["img_size"] = shape[1:]
    with drawn_from_seed():
        try:
            model = timm.create_model(architecture, pretrained=False, **options)
        except (TypeError, ValueError, AssertionError) as error:
            raise ModelError(
                f"timm:{architecture} cannot be made for inputs of {'×'.join(map(str, shape))}: {error}. It is made "
                f"for {'×'.join(map(str, usual_shape))}; give data of that size."
            ) from error
    return Found(model, f"timm:{architecture}", (image_batch(shape),), is_random=True)


def from_transformers(name: str, wish: Wish) -> Found:
    """Load a model of transformers from a local directory or its cache; from its configuration if that is all.

    `name`: a directory with config.json, or a name that has been downloaded before. Raises ModelError where
    there is none, CheckpointError where weights are damaged, DataError where it does not take the kind of data.
    """
    transformers = require("transformers", f"The model hf:{name}")
    with _quiet(transformers):
        config = read_config(transformers, name)
        head = _head(transformers, config)
        stored = _stored(head, name, config)
        model = _drawn(head, config, wish) if stored is None else stored
    takes_text = getattr(model, "main_input_name", "input_ids") == "input_ids"
    wish.check_takes(f"hf:{name}", "text" if takes_text else "images")
    example = _token_example(config, wish) if takes_text else _image_example(config, wish)
    return Found(model.float().eval(), f"hf:{name}", (example,), is_random=stored is None)


@contextlib.contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Let transformers work without progress bars and remarks, and give its settings back."""
    logging = transformers.utils.logging
    verbosity, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if has_bars:
            logging.enable_progress_bar()


def read_config(transformers: Any, name: str) -> Any:
    """Read the configuration of a model in a directory or in the cache. Raises ModelError where there is none."""
    directory = Path(name).expanduser()
    if directory.is_dir() and not (directory / "config.json").is_file():
        raise ModelError(
            f"There is no config.json in {name}. Give a directory that transformers saved a model in."
        )
    try:
        return transformers.AutoConfig.from_pretrained(
            str(directory) if directory.is_dir() else name, local_files_only=True
        )
    except (OSError, ValueError, KeyError) as error:
        if directory.is_dir():
            raise ModelError(f"{directory / 'config.json'} cannot be used: {_first_line(error)}") from error
        raise ModelError(
            f"There is no directory {name}, and no model of that name was downloaded before. Nothing is downloaded "
            f"here; get it with: hf download {name}"
        ) from error


def vocabulary_size(config: Any) -> int | None:
    """Say how many tokens a model knows; None for a model of images."""
    return getattr(config, "vocab_size", None) or getattr(config.get_text_config(), "vocab_size", None)


def _head(transformers: Any, config: Any) -> Any:
    """Choose the class of model: the one that the configuration names, or the first that it can have."""
    for architecture in config.architectures or ():
        if isinstance(getattr(transformers, architecture, None), type):
            return getattr(transformers, architecture)
    for name in _HEADS:
        head = getattr(transformers, name)
        if type(config) in head._model_mapping:
            return head
    raise ModelError(
        f"transformers has no model for a configuration of type {config.model_type!r}. Give one that it can make "
        "by AutoModel."
    )


def _stored(head: Any, name: str, config: Any) -> nn.Module | None:
    """Load the weights that are on this machine; None where there are none."""
    directory = Path(name).expanduser()
    if directory.is_dir() and not any(any(directory.glob(pattern)) for pattern in _WEIGHT_FILES):
        return None
    source = str(directory) if directory.is_dir() else name
    try:
        model: nn.Module = head.from_pretrained(
            source, config=config, local_files_only=True, dtype=torch.float32
        )
    except (SafetensorError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"The weights in {name} are damaged or of another model: {_first_line(error)}"
        ) from error
    except OSError as error:
        if directory.is_dir():
            raise CheckpointError(f"The weights in {name} cannot be read: {_first_line(error)}") from error
        # The configuration is in the cache and the weights are not.
        return None
    return model


def _drawn(head: Any, config: Any, wish: Wish) -> nn.Module:
    """Make a model from its configuration, with random weights."""
    if wish.n_classes is not None:
        config.num_labels = wish.n_classes
    make = getattr(head, "_from_config", None) or head.from_config
    with drawn_from_seed():
        model: nn.Module = make(config)
    return model


def _image_example(config: Any, wish: Wish) -> Inputs:
    """Make inputs for a model of images."""
    vision = getattr(config, "vision_config", config)
    side = getattr(vision, "image_size", _IMAGENET_SIZE)
    height, width = (side, side) if isinstance(side, int) else side
    return image_batch(wish.input_shape or (getattr(vision, "num_channels", 3), height, width))


def _token_example(config: Any, wish: Wish) -> Inputs:
    """Make inputs for a model of text; a dict where a decoder needs its own."""
    length = wish.input_shape[-1] if wish.input_shape else _N_TOKENS
    n_words = vocabulary_size(config)
    assert n_words is not None, "a model of text has a vocabulary"
    tokens = token_batch(length, n_words)
    if getattr(config, "is_encoder_decoder", False):
        return {"input_ids": tokens, "decoder_input_ids": tokens}
    return tokens


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0]
