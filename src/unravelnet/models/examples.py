"""Inputs to try a model with, where nobody has said what it takes.

A model is asked what it was made for: its settings name a size of images, its first layer counts channels or tokens.
What says nothing is tried with usual sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from unravelnet.costs import MOST_PIXELS
from unravelnet.models.found import Example, Wish
from unravelnet.network import Shape, shape_text

# Long enough for every position to matter, short enough to be captured in a second.
N_TOKENS = 16
# Tokens that every vocabulary has. Whether it has all of a text's is told better when it is tried.
_N_FIRST_TOKENS = 16
_N_CHANNELS = 3
_USUAL_SHAPES = ((3, 32, 32), (3, 224, 224))
_SIZES = ("image_size", "img_size")
_SETTINGS = ("default_cfg", "pretrained_cfg", "config")


def examples_for(model: nn.Module, wish: Wish) -> tuple[Example, ...]:
    """List inputs to try a model with, the likeliest first.

    >>> [example.origin for example in examples_for(nn.Linear(8, 8), Wish((8,)))]
    ['as asked for']
    """
    if wish.is_text:
        assert wish.input_shape is not None, "a text has sequences of a length"
        tokens = token_batch(wish.input_shape[-1], min(_N_FIRST_TOKENS, wish.vocabulary_size or 1))
        return (Example(tokens, f"tokens, {wish.origin}"),)
    n_words = _n_words(model)
    if wish.input_shape is not None:
        given = Example(image_batch(wish.input_shape), wish.origin)
        if n_words and len(wish.input_shape) == 1 and not wish.data_name:
            return Example(token_batch(wish.input_shape[0], n_words), f"tokens, {wish.origin}"), given
        return (given,)
    of_tokens = (
        [Example(token_batch(N_TOKENS, n_words), "tokens, as its first layer embeds")] if n_words else []
    )
    shapes = {**_declared_shape(model)}
    for shape in _USUAL_SHAPES:
        shapes.setdefault(shape, f"the first that it takes of {' and '.join(map(shape_text, _USUAL_SHAPES))}")
    return (*of_tokens, *(Example(image_batch(shape), origin) for shape, origin in shapes.items()))


def image_batch(shape: Shape) -> torch.Tensor:
    """Make a batch of two images to capture a model with."""
    return torch.zeros(2, *shape)


def token_batch(length: int, vocabulary_size: int) -> torch.Tensor:
    """Make a batch of two sequences of tokens to capture a model with."""
    # The first few tokens are mostly special ones (padding, end), which some models count or forbid.
    first = min(4, vocabulary_size - 1)
    generator = torch.Generator().manual_seed(0)
    return torch.randint(first, vocabulary_size, (2, length), generator=generator)


def _n_words(model: nn.Module) -> int | None:
    """Count the tokens that a model knows, where its first layer with parameters is an embedding."""
    layers = (layer for layer in model.modules() if next(layer.parameters(recurse=False), None) is not None)
    first = next(layers, None)
    return first.num_embeddings if isinstance(first, nn.Embedding) else None


def _declared_shape(model: nn.Module) -> Mapping[Shape, str]:
    """Give the shape of images that a model, or the first of its parts that names one, says it is for."""
    convolution = next((layer for layer in model.modules() if isinstance(layer, nn.Conv2d)), None)
    n_channels = _N_CHANNELS if convolution is None else convolution.in_channels
    # Sizes of the model itself come first: published settings stay what they are if it was made for another size.
    for attributes, read in ((_SIZES, _sides), (_SETTINGS, _size_in_settings)):
        for layer in model.modules():
            for attribute in attributes:
                sides = read(getattr(layer, attribute, None))
                if sides is not None:
                    return {(n_channels, *sides): f"from its {attribute}"}
    return {}


def _size_in_settings(settings: Any) -> tuple[int, int] | None:
    """Read the size of images in the settings of timm or transformers."""
    named = settings if isinstance(settings, Mapping) else getattr(settings, "__dict__", {})
    input_size = named.get("input_size")
    if isinstance(input_size, tuple | list) and len(input_size) == 3:
        return _sides(input_size[1:])
    return next((sides for name in _SIZES if (sides := _sides(named.get(name))) is not None), None)


def _sides(size: object) -> tuple[int, int] | None:
    """Read a side, or height and width; None where it is neither.

    >>> _sides(32), _sides([24, 48]), _sides("large")
    ((32, 32), (24, 48), None)
    """
    pair = (size, size) if isinstance(size, int) else size
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        return None
    height, width = pair
    is_size = all(type(side) is int and 0 < side <= MOST_PIXELS for side in pair)
    return (height, width) if is_size else None
