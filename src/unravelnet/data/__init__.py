"""Data in every form that users have it in, as batches for a network.

`load` makes image data from a specification ("digits", a directory, a name on the hub), as it is or brought to what a
network takes by a `Transform`, `load_text` text data from a text, `load_choices` questions with options from JSON
lines; `as_batches` takes them, tensors, a torch `Dataset` or any iterable of batches; `Augmentation` is the
crop-and-flip of training.
"""

from unravelnet.data.augment import Augmentation
from unravelnet.data.batches import Batches, as_batches
from unravelnet.data.choice_data import ChoiceData
from unravelnet.data.choice_loading import load_choices
from unravelnet.data.image_data import ImageData
from unravelnet.data.loading import load
from unravelnet.data.source import Loaded
from unravelnet.data.text_data import TextData
from unravelnet.data.text_loading import load_text
from unravelnet.network.transform import Transform

__all__ = [
    "Augmentation",
    "Batches",
    "ChoiceData",
    "ImageData",
    "Loaded",
    "TextData",
    "Transform",
    "as_batches",
    "load",
    "load_choices",
    "load_text",
]
