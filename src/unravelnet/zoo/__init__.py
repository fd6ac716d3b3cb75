"""Reference networks, built directly as `UnraveledNetwork`: no capture, no export.

`preact_resnet` is the network of Veit et al. (2016), `resnet` and `plain` those of He et al. (2015), `vgg15`
the one without skips that collapses. `create` makes them by name; `save` and `load` keep them in a directory;
`pretrained` loads those that come with the package, trained.
"""

from unravelnet.zoo.plain import plain, vgg15
from unravelnet.zoo.pretrained import pretrained, pretrained_directory, pretrained_for, pretrained_names
from unravelnet.zoo.recipe import Recipe, recipe_of
from unravelnet.zoo.registry import create, names
from unravelnet.zoo.residual import preact_resnet, resnet
from unravelnet.zoo.store import Description, load, read_description, save

__all__ = [
    "Description",
    "Recipe",
    "create",
    "load",
    "names",
    "plain",
    "preact_resnet",
    "pretrained",
    "pretrained_directory",
    "pretrained_for",
    "pretrained_names",
    "read_description",
    "recipe_of",
    "resnet",
    "save",
    "vgg15",
]
