"""Where models come from, by what stands before the colon: the zoo and directories (here), and a file for each other.

Nothing is downloaded, and random weights are said to be random.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from unravelnet import zoo
from unravelnet.errors import ModelError, UnknownNameError, unknown_name
from unravelnet.exporting.directory import GRAPH_FILE
from unravelnet.exporting.libraries import DESCRIPTION_FILE
from unravelnet.models.examples import image_batch
from unravelnet.models.exported import from_export
from unravelnet.models.file import from_file
from unravelnet.models.found import Example, Found, Wish
from unravelnet.models.huggingface import from_transformers
from unravelnet.models.libraries import from_timm, from_torchvision
from unravelnet.models.packages import from_package
from unravelnet.models.transforms import transform_of_zoo
from unravelnet.network import Shape, UnraveledNetwork
from unravelnet.records.files import usable_path

FORMS = (
    "zoo:preact-resnet110, zoo:preact-resnet110-cifar10 (trained), torchvision:resnet50, timm:vit_tiny_patch16_224, "
    "hf:NAME-OR-DIR, hf:DIR?gguf=FILE, package:NAME, FILE.py:FACTORY, FILE.py:FACTORY(depth=20), or a directory that "
    "`train`, `heal` or `export` wrote"
)
_AS_TRAINED = "as it was trained"


def find(specification: str, wish: Wish) -> Found:
    """Make the model that a specification means; raises as `models.load`."""
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
        return _trained(zoo.pretrained(name), f"zoo:{name}", wish, zoo.pretrained_directory(name))
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
    return _trained(net, net.name, wish, path)


def _trained(net: UnraveledNetwork, name: str, wish: Wish, directory: Path) -> Found:
    transform = transform_of_zoo(zoo.read_description(directory), net.input_shape)
    asked = wish.input_shape
    # Whether it fits data that is given, `check_fits` says.
    if asked is not None and asked != net.input_shape and not wish.data_name:
        raise ModelError(
            f"{name} was made for inputs of {_sides(net.input_shape)}, and {_sides(asked)} is asked for. Leave "
            "--input-shape out."
        )
    return Found(net, name, (_example_of(net, _AS_TRAINED),), transform=transform)


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
