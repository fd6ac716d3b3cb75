"""From a text such as "torchvision:resnet50" to a network that is taken apart.

Sources, a file each: the zoo, new or trained, and directories with a trained network (here), `libraries`
(torchvision, timm, transformers) and `file` (the user's own Python). `weights` loads what the user gives beside
them; `text` reads a text as the model does, and `fit` says whether model and data go together. Nothing is
downloaded, and random weights are said to be random.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from unravelnet import zoo
from unravelnet.capture import unravel
from unravelnet.costs import check_shape
from unravelnet.data import ImageData, TextData, is_text_file, load
from unravelnet.data.text_loading import BYTES
from unravelnet.errors import ModelError, UnknownNameError, unknown_name
from unravelnet.models.file import from_file
from unravelnet.models.fit import check_fits, predicts_next_token
from unravelnet.models.found import Found, Wish, failure_on, say_random
from unravelnet.models.libraries import from_timm, from_torchvision, from_transformers
from unravelnet.models.text import load_text_for
from unravelnet.models.weights import load_into, read_weights
from unravelnet.network import Inputs, Shape, UnraveledNetwork, first_tensor, shape_text
from unravelnet.output import OutputName

__all__ = ["check_fits", "load_data", "load_network", "load_subject"]

_log = logging.getLogger(__name__)

FORMS = (
    "zoo:preact-resnet110, zoo:preact-resnet110-cifar10 (trained), torchvision:resnet50, timm:vit_tiny_patch16_224, "
    "hf:NAME-OR-DIR, FILE.py:FACTORY, or a directory that `train` wrote"
)


def load_network(
    specification: str,
    *,
    data: ImageData | TextData | None = None,
    input_shape: Shape | None = None,
    weights: str | Path | None = None,
) -> UnraveledNetwork:
    """Make a network from a specification and find its residual modules.

    >>> len(load_network("zoo:preact-resnet20").residual_modules)
    9

    `specification`: zoo:NAME (trained where NAME is one of `zoo.pretrained_names()`), torchvision:NAME, timm:NAME,
    hf:NAME-OR-DIR, PATH/TO/FILE.py:FACTORY, or a directory that `train` wrote. `data`: where sizes and the number
    of classes come from, if the model leaves them open. `input_shape`: of one input, without the batch, such as
    (3, 224, 224); for text its length. `weights`: a .safetensors or .pt file to load before the network is taken
    apart. Raises ModelError, UnknownNameError or MissingExtraError where there is no such model, CheckpointError
    where weights do not fit, CaptureError where the model cannot be taken apart, DataError where it takes images
    and the data is a text, or the other way round.
    """
    if input_shape is not None:
        check_shape(input_shape)
    found = _find(specification, _wish(input_shape, data))
    if weights is not None:
        load_into(found.model, read_weights(Path(weights).expanduser()), Path(weights))
    is_captured = isinstance(found.model, UnraveledNetwork)
    net = found.model if is_captured else unravel(found.model, _example_for(found, data), name=found.name)
    assert isinstance(net, UnraveledNetwork)
    net.name = say_random(found.name) if found.is_random and weights is None else found.name
    if isinstance(data, TextData) and data.tokenizer == BYTES:
        _log.info("%s is read byte by byte, without a tokenizer.", data.name)
    return net


def load_data(model: str, data: str) -> ImageData | TextData:
    """Load the test split of data for a model, both as specified on the command line.

    A file is a text, read as the model reads: `model` says by which tokenizer. Raises as `load` and `load_text`.
    """
    return load_text_for(model, data) if is_text_file(data) else load(data)


def load_subject(
    model: str,
    data: str,
    *,
    weights: str | Path | None = None,
    needs_classes: bool = True,
    output: OutputName = None,
) -> tuple[UnraveledNetwork, ImageData | TextData]:
    """Load a network and data that fits it, both as specified on the command line.

    A text has its next tokens as targets, unless the network predicts none. `needs_classes`, `output`: see
    `check_fits`.
    Raises as `load_data`, `load_network` and `check_fits`.
    """
    loaded = load_data(model, data)
    net = load_network(model, data=loaded, weights=weights)
    check_fits(net, loaded, needs_classes=needs_classes, output=output)
    if isinstance(loaded, TextData) and not predicts_next_token(net, loaded, output):
        _log.info("%s predicts no next tokens, so %s has no targets for it.", net.name, loaded.name)
        loaded = loaded.without_targets()
    return net, loaded


def _wish(input_shape: Shape | None, data: ImageData | TextData | None) -> Wish:
    if data is None:
        return Wish(input_shape)
    if isinstance(data, TextData):
        return Wish(input_shape or (data.length,), None, data.vocabulary_size, data.name)
    return Wish(input_shape or data.image_shape, data.n_classes, None, data.name)


def _find(specification: str, wish: Wish) -> Found:
    scheme, colon, rest = specification.partition(":")
    if colon and scheme in _SOURCES:
        if not rest:
            raise ModelError(f"{specification!r} names no model. Give {FORMS}.")
        return _SOURCES[scheme](rest, wish)
    if specification.endswith(".py") or ".py:" in specification:
        return from_file(specification, wish)
    path = Path(specification).expanduser()
    if path.is_dir():
        return _from_directory(path, wish)
    if colon and "/" not in scheme:
        raise unknown_name("kind of model", scheme, [*_SOURCES, "FILE.py"])
    if specification in _names_of_zoo():
        raise ModelError(
            f"There is no directory {specification}. The zoo network is called zoo:{specification}."
        )
    raise ModelError(f"There is no model {specification!r}, nor a directory of that name. Give {FORMS}.")


def _from_zoo(name: str, wish: Wish) -> Found:
    wish.check_takes(f"zoo:{name}", "images")
    if name in zoo.pretrained_names():
        return Found(zoo.pretrained(name), f"zoo:{name}")
    options: dict[str, object] = {"seed": 0}
    if wish.n_classes is not None:
        options["n_classes"] = wish.n_classes
    if wish.input_shape is not None:
        options["input_shape"] = wish.input_shape
    try:
        net = zoo.create(name, **options)
    except UnknownNameError as error:
        raise unknown_name("zoo network", name, _names_of_zoo()) from error
    return Found(net.eval(), f"zoo:{name}", is_random=True)


def _names_of_zoo() -> list[str]:
    """List what may follow "zoo:": networks to be made, and those that come trained."""
    return [*zoo.names(), *zoo.pretrained_names()]


def _from_directory(path: Path, wish: Wish) -> Found:
    if (path / "config.json").is_file() and not (path / "network.json").is_file():
        raise ModelError(f"{path} holds a model of transformers. Give it as hf:{path}.")
    wish.check_takes(str(path), "images")
    net = zoo.load(path)
    return Found(net, net.name)


_SOURCES: dict[str, Callable[[str, Wish], Found]] = {
    "zoo": _from_zoo,
    "torchvision": from_torchvision,
    "timm": from_timm,
    "hf": from_transformers,
}


def _example_for(found: Found, data: ImageData | TextData | None) -> Inputs:
    """Choose the first example that the model takes."""
    failures = []
    for example in found.examples:
        error = failure_on(found.model, example)
        if error is None:
            return example
        text = str(error).strip().partition("\n")[0][:150]
        failures.append(
            f"{shape_text(tuple(first_tensor(example).shape[1:]))} ({type(error).__name__}: {text})"
        )
    if isinstance(data, TextData):
        mending = (
            f"Give data that it was made for; {data.name} is a text, in sequences of {data.length} tokens."
        )
    elif data is not None:
        mending = (
            f"Give data that it was made for; the images of {data.name} are {shape_text(data.image_shape)}."
        )
    else:
        mending = "Give the shape of one input that it was made for, such as --input-shape 3,64,64."
    raise ModelError(f"{found.name} does not run on inputs of {' nor of '.join(failures)}. {mending}")
