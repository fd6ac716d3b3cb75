"""What the shell offers when somebody presses Tab; nothing that would take time to import."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

# The names of `zoo.names()`, which imports torch.
ZOO_NAMES = (
    *(f"preact-resnet{depth}" for depth in (20, 56, 110, 164, 1202)),
    *(f"resnet{depth}" for depth in (20, 32, 44, 56, 110, 1202)),
    *(f"plain{depth}" for depth in (20, 32, 44, 56, 110)),
    *(f"wide-resnet{size}" for size in ("16-4", "16-8", "28-10", "40-4")),
    "highway19",
    *(
        f"imagenet-{kind}{depth}"
        for kind in ("resnet", "preact-resnet")
        for depth in (18, 34, 50, 101, 152, 200)
    ),
    "vgg15",
    "wide-resnet38",
    "unet",
)
# Those whose output is a map, which `train` has no loss for.
_OF_PIXELS = ("unet",)
_SHIPPED = Path(__file__).parents[1] / "zoo" / "shipped"
_SCHEMES = ("torchvision:", "timm:", "hf:", "package:")


def complete_model(incomplete: str) -> list[str]:
    """Offer the networks of the zoo, the schemes of others, directories and Python files.

    >>> complete_model("zoo:vgg")
    ['zoo:vgg15', 'zoo:vgg15-cifar10']
    """
    zoo = sorted(f"zoo:{name}" for name in (*ZOO_NAMES, *shipped_names()))
    return [*_beginning_with(incomplete, (*zoo, *_SCHEMES)), *_paths(incomplete, suffixes=(".py",))]


def complete_zoo_network(incomplete: str) -> list[str]:
    """Offer the networks of the zoo that can be trained."""
    return _beginning_with(incomplete, [name for name in ZOO_NAMES if name not in _OF_PIXELS])


def complete_data(incomplete: str) -> list[str]:
    """Offer the built-in data, directories and texts."""
    return [*_beginning_with(incomplete, ("digits",)), *_paths(incomplete, suffixes=(".txt", ".jsonl"))]


def complete_names(known: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Offer names for a list with commas in it: those that it does not have yet.

    >>> complete_names(lambda: ["exact", "rms", "sampled"])("exact,")
    ['exact,rms', 'exact,sampled']

    `known`: gives all names; it is called when somebody presses Tab.
    """

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        given = before.split(",")
        return [f"{before}{comma}{name}" for name in known() if name.startswith(last) and name not in given]

    return complete


def shipped_names() -> list[str]:
    """List the trained networks that come with the package, as `zoo.pretrained_names` does, without torch."""
    return sorted(path.parent.name for path in _SHIPPED.glob("*/network.json"))


def _beginning_with(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _paths(incomplete: str, *, suffixes: tuple[str, ...]) -> list[str]:
    """List directories and files of some suffixes that begin like this."""
    parent, slash, last = incomplete.rpartition("/")
    try:
        entries = sorted(Path(f"{parent}{slash}" or ".").iterdir())
    except OSError:
        return []
    return [
        f"{parent}{slash}{entry.name}{'/' if entry.is_dir() else ''}"
        for entry in entries
        if entry.name.startswith(last)
        and (last or not entry.name.startswith("."))
        and (entry.is_dir() or entry.suffix in suffixes)
    ]
