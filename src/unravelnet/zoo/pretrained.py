"""Networks that come with the package, already trained: each is a directory that is found by its name.

Such a directory holds what `save` writes, with weights at half precision, and beside it `history.csv` (an epoch a
row, as `train` writes it) and `card.md`, which says how the network was made and how often it errs.
"""

from __future__ import annotations

from pathlib import Path

from unravelnet.errors import unknown_name
from unravelnet.network import UnraveledNetwork
from unravelnet.zoo.store import DESCRIPTION_FILE, load, read_description

SHIPPED_DIRECTORY = Path(__file__).parent / "shipped"


def pretrained(name: str) -> UnraveledNetwork:
    """Load a trained network that comes with the package, in evaluation mode.

    `name`: one of `pretrained_names()`, such as "preact-resnet110-cifar10"; the network bears it, too. It expects
    images that are normalised as those it learned from: `data.load` does it. Nothing is downloaded. Raises
    UnknownNameError where no network of this name is shipped.
    """
    net = load(pretrained_directory(name))
    net.name = name
    return net


def pretrained_names() -> list[str]:
    """List the networks that come with the package, in alphabetical order.

    >>> [name for name in pretrained_names() if name.endswith("-imagenet")]
    []
    """
    return sorted(path.parent.name for path in SHIPPED_DIRECTORY.glob(f"*/{DESCRIPTION_FILE}"))


def pretrained_directory(name: str) -> Path:
    """Return the directory of a network that comes with the package: weights, description, history and card.

    Raises UnknownNameError where no network of this name is shipped.
    """
    known = pretrained_names()
    if name not in known:
        raise unknown_name("shipped network", name, known)
    return place_of(name)


def pretrained_for(test_fingerprint: str) -> list[str]:
    """List the shipped networks whose error was measured on these test images.

    >>> pretrained_for("the fingerprint of nothing")
    []

    `test_fingerprint`: of the test split, from `ImageData.fingerprint`.
    """
    return [name for name in pretrained_names() if _tested_on(name) == test_fingerprint]


def place_of(name: str) -> Path:
    """Return where a shipped network of this name stands, or would."""
    return SHIPPED_DIRECTORY / name


def _tested_on(name: str) -> str | None:
    fingerprint: str | None = read_description(place_of(name)).facts.get("test", {}).get("data_fingerprint")
    return fingerprint
