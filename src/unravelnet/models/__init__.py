"""From a text such as "torchvision:resnet50" to a network that is taken apart.

Sources, a file each: the zoo, new or trained, and directories with a trained network (here), `libraries`
(torchvision, timm), `huggingface` (transformers), `exported` (what `export` wrote) and `file` (the user's own Python).
`examples` finds inputs that a model takes, `weights` loads what the user gives beside it; `text` reads a text as the
model does, and `fit` says whether model and data go together. Nothing is downloaded, code is run from files that
the user names only, and random weights are said to be random.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from unravelnet import zoo
from unravelnet.capture import unravel
from unravelnet.costs import check_seed, check_shape
from unravelnet.data import ChoiceData, ImageData, Loaded, TextData, loading
from unravelnet.data.choice_loading import is_choice_file
from unravelnet.data.encoder import BYTES
from unravelnet.data.text_source import is_text
from unravelnet.errors import CheckpointError, ModelError, UnknownNameError, unknown_name
from unravelnet.exporting.directory import GRAPH_FILE
from unravelnet.exporting.libraries import DESCRIPTION_FILE
from unravelnet.measuring.sample import network_for
from unravelnet.models.examples import image_batch
from unravelnet.models.exported import from_export
from unravelnet.models.file import from_file
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
from unravelnet.models.huggingface import from_package, from_transformers
from unravelnet.models.libraries import from_timm, from_torchvision
from unravelnet.models.suitable import check_kind, check_numbers, choose_example
from unravelnet.models.text import load_choices_for, load_text_for
from unravelnet.models.weights import load_into, read_weights, refuse
from unravelnet.network import Shape, UnraveledNetwork
from unravelnet.network.output import OutputName
from unravelnet.records.files import usable_path

__all__ = ["check_fits", "load", "load_data", "load_subject"]

_log = logging.getLogger(__name__)

FORMS = (
    "zoo:preact-resnet110, zoo:preact-resnet110-cifar10 (trained), torchvision:resnet50, timm:vit_tiny_patch16_224, "
    "hf:NAME-OR-DIR, hf:DIR?gguf=FILE, package:NAME, FILE.py:FACTORY, or a directory that `train` or `export` wrote"
)
_AS_TRAINED = "as it was trained"


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
    hf:NAME-OR-DIR, hf:DIR?gguf=FILE, package:NAME (an installed package that carries a model of transformers),
    PATH/TO/FILE.py:FACTORY, or a directory that `train` or `export` wrote. `data`: where sizes and the number of
    classes come from, if the model leaves them open; loaded data, or its name as on the command line.
    `input_shape`: of one input, without the batch, such as (3, 224, 224); for text its length. `weights`: a file of
    safetensors or of `torch.save` to load before the network is taken apart; `weights_key`: which of several sets of
    weights in it, such as "teacher". `allow_missing`: go on without tensors that the weights lack, and say so in the
    name. `seed`: of weights that are drawn. What a Python file prints goes to standard error.

    Raises ModelError, UnknownNameError or MissingExtraError where there is no such model, CheckpointError where
    weights do not fit, CaptureError where the model cannot be taken apart, DataError where it takes images and the
    data is a text, or the other way round.
    """
    _check_form(specification, input_shape)
    check_seed(seed)
    if isinstance(data, str):
        data = load_data(specification, data)
    wish = _wish(input_shape, data, seed)
    with explained(f"{specification} cannot be used"), drawn_from_seed(seed):
        found = _find(specification, wish)
        check_kind(found)
        example = choose_example(found, data)
        missing = _with_weights(found, weights, weights_key, allow_missing=allow_missing)
        check_numbers(found)
        is_captured = isinstance(found.model, UnraveledNetwork)
        net = found.model if is_captured else unravel(found.model, example.inputs, name=found.name)
    assert isinstance(net, UnraveledNetwork)
    net.input_origin = example.origin
    _name_modules(net, found.module_names)
    name = say_missing(found.name, missing) if missing else found.name
    net.name = say_random(name) if found.is_random and weights is None else name
    if isinstance(data, TextData | ChoiceData) and data.tokenizer == BYTES:
        _log.info("%s is read byte by byte, without a tokenizer.", data.name)
    return net


def load_data(model: str, data: str) -> Loaded:
    """Load the test split of data for a model, both as specified on the command line.

    A file of JSON lines holds pairs or questions; any other file is a text, and so are "-" (standard input) and
    text:NAME-OR-DIR. They are read as the model reads: `model` says by which tokenizer. Raises as `load`, `load_text`
    and `load_choices`.
    """
    if is_choice_file(data):
        return load_choices_for(model, data)
    return load_text_for(model, data) if is_text(data) else loading.load(data)


def load_subject(
    model: str,
    data: str,
    *,
    weights: str | Path | None = None,
    weights_key: str | None = None,
    allow_missing: bool = False,
    needs_classes: bool = True,
    output: OutputName = None,
) -> tuple[UnraveledNetwork, Loaded]:
    """Load a network and data that fits it, both as specified on the command line.

    A text has its next tokens as targets, at those positions where the network predicts them. For questions with
    options the network is one that chooses among them. `needs_classes` and `output`: see `check_fits`.
    Raises as `load_data`, `load` and `check_fits`.
    """
    loaded = load_data(model, data)
    net = load(model, data=loaded, weights=weights, weights_key=weights_key, allow_missing=allow_missing)
    check_fits(net, loaded, needs_classes=needs_classes, output=output)
    if isinstance(loaded, TextData):
        loaded = _with_targets_of(net, loaded, output)
    return network_for(net, loaded), loaded


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


def _find(specification: str, wish: Wish) -> Found:
    scheme, colon, rest = specification.partition(":")
    if colon and scheme in _SOURCES:
        if not rest:
            raise ModelError(f"{specification!r} names no model. Give {FORMS}.")
        return _SOURCES[scheme](rest, wish)
    if specification.endswith(".py") or ".py:" in specification:
        return from_file(specification, wish)
    path = usable_path(specification)
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
        return _trained(zoo.pretrained(name), f"zoo:{name}", wish)
    options: dict[str, object] = {"seed": wish.seed}
    if wish.n_classes is not None:
        options["n_classes"] = wish.n_classes
    if wish.input_shape is not None:
        options["input_shape"] = wish.input_shape
    try:
        net = zoo.create(name, **options)
    except UnknownNameError as error:
        raise unknown_name("zoo network", name, _names_of_zoo()) from error
    origin = "its usual size" if wish.input_shape is None else wish.origin
    return Found(net.eval(), f"zoo:{name}", (_example_of(net, origin),), is_random=True)


def _names_of_zoo() -> list[str]:
    """List what may follow "zoo:": networks to be made, and those that come trained."""
    return [*zoo.names(), *zoo.pretrained_names()]


def _from_directory(path: Path, wish: Wish) -> Found:
    if (path / "config.json").is_file() and not (path / "network.json").is_file():
        raise ModelError(f"{path} holds a model of transformers. Give it as hf:{path}.")
    if any((path / file).is_file() for file in (GRAPH_FILE, DESCRIPTION_FILE)):
        return from_export(path, wish)
    wish.check_takes(str(path), "images")
    net = zoo.load(path)
    return _trained(net, net.name, wish)


def _trained(net: UnraveledNetwork, name: str, wish: Wish) -> Found:
    asked = wish.input_shape
    # Whether it fits data that is given, `check_fits` says.
    if asked is not None and asked != net.input_shape and not wish.data_name:
        raise ModelError(
            f"{name} was made for inputs of {_sides(net.input_shape)}, and {_sides(asked)} is asked for. Leave "
            "--input-shape out."
        )
    return Found(net, name, (_example_of(net, _AS_TRAINED),))


def _sides(shape: Shape) -> str:
    return "×".join(map(str, shape))


def _example_of(net: UnraveledNetwork, origin: str) -> Example:
    return Example(image_batch(net.input_shape), origin)


_SOURCES: dict[str, Callable[[str, Wish], Found]] = {
    "zoo": _from_zoo,
    "torchvision": from_torchvision,
    "timm": from_timm,
    "hf": from_transformers,
    "package": from_package,
}
