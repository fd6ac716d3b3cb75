"""Reference networks, built directly as `UnraveledNetwork`: no capture, no export.

`preact_resnet` is the network of Veit et al. (2016), `resnet` and `plain` those of He et al. (2015), `vgg15` the one
without skips that collapses, `wide_resnet` those of Zagoruyko and Komodakis (2016), `wide_resnet38` that of Wu et al.
(2016), `highway` those of Srivastava et al. (2015), `unet` that of Ronneberger et al. (2015), `imagenet_resnet` and
`imagenet_preact_resnet` those of He et al. (2015, 2016) for photographs. `create` makes them by name; `save` and
`load` keep them in a directory; `pretrained` loads those that come with the package, trained.
"""

from unravelnet.zoo.highway import highway
from unravelnet.zoo.imagenet import imagenet_preact_resnet, imagenet_resnet
from unravelnet.zoo.plain import plain, vgg15
from unravelnet.zoo.pretrained import pretrained, pretrained_directory, pretrained_for, pretrained_names
from unravelnet.zoo.recipe import Recipe, recipe_of
from unravelnet.zoo.registry import create, names
from unravelnet.zoo.residual import preact_resnet, resnet
from unravelnet.zoo.store import Description, load, read_description, save
from unravelnet.zoo.unet import unet
from unravelnet.zoo.wide import wide_resnet
from unravelnet.zoo.wide38 import wide_resnet38

__all__ = [
    "Description",
    "Recipe",
    "create",
    "highway",
    "imagenet_preact_resnet",
    "imagenet_resnet",
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
    "unet",
    "vgg15",
    "wide_resnet",
    "wide_resnet38",
]
