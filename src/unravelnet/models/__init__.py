"""From a text such as "torchvision:resnet50" to a network that is taken apart.

Sources, a file each: the zoo, new or trained, and directories with a trained network (`sources`), `libraries`
(torchvision, timm), `huggingface` (transformers), `packages` (installed ones), `exported` (what `export` wrote) and
`file` (the user's own Python). `examples` finds inputs that a model takes, `weights` loads what the user gives beside
it; `text` reads a text as the model does, `transforms` says how images are prepared for it, and `fit` says whether
model and data go together. Nothing is downloaded, code is run from files that the user names only, and random weights
are said to be random.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from torch import nn

from unravelnet.capture import unravel
from unravelnet.costs import check_seed, check_shape
from unravelnet.data import ChoiceData, ImageData, Loaded, TextData, Transform, loading
from unravelnet.data.choice_loading import is_choice_file
from unravelnet.data.encoder import BYTES
from unravelnet.data.text_source import is_text
from unravelnet.errors import CheckpointError, DataError, ModelError, unknown_name
from unravelnet.measuring.sample import network_for
from unravelnet.models.examples import examples_for, image_batch
from unravelnet.models.fit import check_fits, n_predicted_positions
from unravelnet.models.found import (
    Example,
    Found,
    Wish,
    drawn_from_seed,
    explained,
    say_missing,
    say_random,
    say_unknown,
)
from unravelnet.models.sources import FORMS, find
from unravelnet.models.suitable import check_kind, check_numbers, choose_example
from unravelnet.models.text import load_choices_for, load_text_for
from unravelnet.models.transforms import transform_of_model, usual_transform
from unravelnet.models.weights import load_into, read_weights, refuse
from unravelnet.network import Shape, UnraveledNetwork, first_tensor
from unravelnet.network.output import Output, OutputName
from unravelnet.records.files import usable_path

__all__ = [
    "check_fits",
    "load",
    "load_beside",
    "load_data",
    "load_images_for",
    "load_subject",
    "transform_of",
]

_log = logging.getLogger(__name__)

TransformName = Literal["data", "model"]


def load(
    specification: str,
    *,
    data: Loaded | str | None = None,
    input_shape: Shape | None = None,
    weights: str | Path | None = None,
    weights_key: str | None = None,
    allow_missing: bool = False,
    seed: int = 0,
) -> UnraveledNetwork:
    """Make a network from a specification and find its residual modules, as the command line does.

    >>> net = load("zoo:preact-resnet20", input_shape=(1, 8, 8))
    >>> net.name, len(net.residual_modules), net.input_shape
    ('zoo:preact-resnet20 (random weights)', 9, (1, 8, 8))

    `specification`: zoo:NAME (trained where NAME is one of `zoo.pretrained_names()`), torchvision:NAME, timm:NAME,
    hf:NAME-OR-DIR, hf:DIR?gguf=FILE, package:NAME (an installed package that carries a model),
    PATH/TO/FILE.py:FACTORY or PATH/TO/FILE.py:FACTORY(depth=20), or a directory that `train` or `export` wrote.
    `data`: where sizes and the number of classes come from, if the model leaves them open; loaded data, or its name as
    on the command line. `input_shape`: of one input, without the batch, such as (3, 224, 224); for text its length.
    `weights`: a file of safetensors or of `torch.save` to load before the network is taken apart; `weights_key`: which
    of several sets of weights in it, such as "teacher". `allow_missing`: go on without tensors that the weights lack,
    and say so in the name. `seed`: of weights that are drawn. What a Python file prints goes to standard error.

    Raises ModelError, UnknownNameError or MissingExtraError where there is no such model, CheckpointError where
    weights do not fit, CaptureError where the model cannot be taken apart, DataError where it takes images and the
    data is a text, or the other way round.
    """
    _check_form(specification, input_shape)
    check_seed(seed)
    if isinstance(data, str):
        data = load_data(specification, data)
    wish = _wish(input_shape, data, seed)
    if weights is not None:
        wish = replace(wish, weights_file=usable_path(weights).name)
    with explained(f"{specification} cannot be used"), drawn_from_seed(seed):
        found = find(specification, wish)
        check_kind(found)
        example = choose_example(found, data)
        missing = _with_weights(found, weights, weights_key, allow_missing=allow_missing)
        check_numbers(found)
        is_captured = isinstance(found.model, UnraveledNetwork)
        net = found.model if is_captured else unravel(found.model, example.inputs, name=found.name)
    assert isinstance(net, UnraveledNetwork)
    net.input_origin = example.origin
    own = found.transform or transform_of_model(found.model)
    net.image_transform = own and _at_size_of(own, net)
    _name_modules(net, found.module_names)
    name = say_missing(found.name, missing) if missing else found.name
    net.name = say_random(name) if found.is_random and weights is None else name
    if isinstance(data, TextData | ChoiceData) and data.tokenizer == BYTES:
        _log.info("%s is read byte by byte, without a tokenizer.", data.name)
    return net


def transform_of(model: str | nn.Module, *, weights: str | Path | None = None) -> Transform:
    """Say how the images are prepared that a model was trained for: size, resizing, interpolation, mean, deviation.

    >>> transform_of("zoo:preact-resnet110-cifar10").size
    (32, 32)

    `model`: a specification as for `load`, a model, or a network. `weights`: the file that it will be loaded from,
    whose name may say which publication of torchvision it is. A model that does not say it gets the usual transform
    for ImageNet, with a remark. Raises as `load` does, and DataError for a model that takes no images.
    """
    if isinstance(model, str):
        _check_form(model, None)
        wish = Wish(weights_file="" if weights is None else usable_path(weights).name)
        with explained(f"{model} cannot be used"), drawn_from_seed(wish.seed):
            found = find(model, wish)
        own, example, name = found.transform or transform_of_model(found.model), found.examples[0], found.name
    elif isinstance(model, UnraveledNetwork):
        origin = model if model.origin is None else model.origin.model
        own, name = model.image_transform or transform_of_model(origin), model.title
        own = own and _at_size_of(own, model)
        example = Example(image_batch(model.input_shape), "")
    else:
        own, name = transform_of_model(model), type(model).__name__
        example = examples_for(model, Wish())[0]
    if own is not None:
        return own
    usual = usual_transform(tuple(first_tensor(example.inputs).shape[1:]))
    _log.info(
        "%s does not say how its images are prepared. They are prepared as is usual for ImageNet: %s.",
        name,
        usual,
    )
    return usual


def _at_size_of(transform: Transform, net: UnraveledNetwork) -> Transform | None:
    """Bring a transform to the size of the inputs of a network; none where they have other channels."""
    shape = net.input_shape
    is_of_images = len(shape) == 3 and shape[0] == len(transform.mean)
    return transform.at((shape[1], shape[2])) if is_of_images else None


def load_images_for(
    net: UnraveledNetwork, data: str, split: loading.Split = "test", *, output: OutputName = None
) -> ImageData:
    """Load images as a network was trained for; classes that are numbers go on to its last output.

    >>> from unravelnet import zoo
    >>> load_images_for(zoo.resnet(8, input_shape=(3, 16, 16)), "digits").image_shape
    (3, 16, 16)

    Raises as `data.load` and `transform_of`.
    """
    images = loading.load(data, split, transform=transform_of(net))
    n_outputs = Output.of(output).chosen_from(net.outputs, net.name).n_classes(net.outputs)
    numbers = tuple(map(str, range(n_outputs)))
    is_numbered = images.classes == numbers[: images.n_classes]
    return replace(images, classes=numbers) if is_numbered else images


def load_data(model: str, data: str, split: loading.Split = "test") -> Loaded:
    """Load a split of data for a model, both as specified on the command line.

    A file of JSON lines holds pairs or questions; any other file is a text, and so are "-" (standard input) and
    text:NAME-OR-DIR. They are read as the model reads: `model` says by which tokenizer. Raises as `load`, `load_text`
    and `load_choices`, and DataError for questions to train on.
    """
    if is_choice_file(data) and split == "train":
        raise DataError(
            f"{data} holds questions, which a network is tested on and not trained on. Give a text to train on."
        )
    if is_choice_file(data):
        return load_choices_for(model, data)
    return load_text_for(model, data, split) if is_text(data) else loading.load(data, split)


def load_subject(
    model: str,
    data: str,
    *,
    weights: str | Path | None = None,
    weights_key: str | None = None,
    allow_missing: bool = False,
    needs_classes: bool = True,
    output: OutputName = None,
    transform: TransformName = "data",
) -> tuple[UnraveledNetwork, Loaded]:
    """Load a network and data that fits it, both as specified on the command line.

    A text has its next tokens as targets, at those positions where the network predicts them. For questions with
    options the network is one that chooses among them. `needs_classes` and `output`: see `check_fits`. `transform`: how
    images are prepared; "data": as they are, normalised by the training split, for which the model is made; "model": as
    those that the model was trained for (`transform_of`). Raises as `load_data`, `load` and `check_fits`, and
    UnknownNameError for another transform.
    """
    if transform not in get_args(TransformName):
        raise unknown_name("transform", str(transform), get_args(TransformName))
    stored: dict[str, Any] = {"weights": weights, "weights_key": weights_key, "allow_missing": allow_missing}
    if transform == "model" and not is_choice_file(data) and not is_text(data):
        net = load(model, **stored)
        loaded: Loaded = load_images_for(net, data, output=output)
    else:
        loaded = load_data(model, data)
        net = load(model, data=loaded, **stored)
    check_fits(net, loaded, needs_classes=needs_classes, output=output)
    if isinstance(loaded, TextData):
        loaded = _with_targets_of(net, loaded, output)
    return network_for(net, loaded), loaded


def load_beside(
    model: str,
    data: str,
    first: Loaded,
    *,
    split: loading.Split = "test",
    images_for: UnraveledNetwork | None = None,
) -> Loaded:
    """Load further data for a model: a text has targets where the first text has them.

    `images_for`: prepare images as this network was trained for. Raises as `load_data` and `load_images_for`.
    """
    if images_for is not None and isinstance(first, ImageData):
        return load_images_for(images_for, data, split)
    loaded = load_data(model, data, split)
    if not isinstance(loaded, TextData) or not isinstance(first, TextData):
        return loaded
    if first.targets is None:
        return loaded.without_targets()
    return loaded if first.n_predicted is None else loaded.at_end(first.n_predicted)


def _with_targets_of(net: UnraveledNetwork, text: TextData, output: OutputName) -> TextData:
    """Keep those targets of a text that a network predicts."""
    n_positions = n_predicted_positions(net, text, output)
    if n_positions == text.length:
        return text
    if not n_positions:
        _log.info("%s predicts no next tokens, so %s has no targets for it.", net.name, text.name)
        return text.without_targets()
    _log.info(
        "%s gives logits at the end of a sequence only, and is measured there: at %d of %d positions.",
        net.name,
        n_positions,
        text.length,
    )
    return text.at_end(n_positions)


def _check_form(specification: object, input_shape: object) -> None:
    """Raise ModelError where a specification is no text, or a shape no row of sizes."""
    if not isinstance(specification, str):
        raise ModelError(
            f"A model is specified by a text, and this is a {type(specification).__name__}. Give {FORMS}. A model that "
            "is there already is opened by un.unravel(model, example)."
        )
    if input_shape is None:
        return
    if not isinstance(input_shape, tuple | list) or not all(type(size) is int for size in input_shape):
        raise ModelError(
            f"The input shape {input_shape!r} is no row of whole numbers. Give the shape of one input, such as "
            "(3, 224, 224)."
        )
    check_shape(input_shape)


def _wish(input_shape: Shape | None, data: Loaded | None, seed: int) -> Wish:
    if data is None:
        return Wish(input_shape, seed=seed)
    if not isinstance(data, ImageData):
        return Wish(input_shape or (data.length,), None, data.vocabulary_size, data.name, seed)
    return Wish(input_shape or data.image_shape, data.n_classes, None, data.name, seed)


def _with_weights(
    found: Found, weights: str | Path | None, key: str | None, *, allow_missing: bool
) -> list[str]:
    """Load the weights that are given, if any; list the tensors that have no stored values."""
    if weights is not None:
        path = usable_path(weights)
        return load_into(found.model, read_weights(path, key), path, allow_missing=allow_missing)
    if key is not None:
        raise CheckpointError(
            f"--weights-key {key} chooses among the weights of a file, and none is given: --weights FILE."
        )
    return _stored_missing(found, allow_missing=allow_missing)


def _stored_missing(found: Found, *, allow_missing: bool) -> list[str]:
    """List the tensors that the model's own store did not have. Raises CheckpointError unless that is allowed."""
    missing = list(found.missing)
    can_go_on = any(name not in found.missing for name, _ in found.model.named_parameters())
    if missing and not (allow_missing and can_go_on):
        wrong = {"missing": missing, "unknown": found.unknown}
        raise refuse(found.name, found.model, wrong, can_go_on=can_go_on)
    if found.unknown:
        say_unknown(found.name, found.unknown)
    return missing


def _name_modules(net: UnraveledNetwork, names: Sequence[str]) -> None:
    """Give modules the names that they had, where the graph that was stored has lost them."""
    if len(names) == len(net.residual_modules):
        for module, name in zip(net.residual_modules, names, strict=True):
            module.name = name
