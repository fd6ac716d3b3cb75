"""Data in every form that users have it in, as batches for a network.

`load` makes image data from a specification ("digits", a directory, a name on the hub); `as_batches` takes
that, tensors, a torch `Dataset` or any iterable of batches; `Augmentation` is the crop-and-flip of training.
"""

from unravelnet.data.augment import Augmentation
from unravelnet.data.batches import Batches, as_batches
from unravelnet.data.image_data import ImageData
from unravelnet.data.loading import load

__all__ = ["Augmentation", "Batches", "ImageData", "as_batches", "load"]
