"""Whether a network and data go together: asked by running the network on a little of the data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unravelnet.data import ChoiceData, ImageData, Loaded, TextData
from unravelnet.errors import CaptureError, DataError, first_line
from unravelnet.network import UnraveledNetwork, in_evaluation_mode, shape_text
from unravelnet.network.output import Output, OutputName, tensors_of
from unravelnet.wording import counted

# What networks raise on inputs that they were not made for.
_MISFITS = (RuntimeError, ValueError, IndexError, TypeError, CaptureError)


def check_fits(
    net: UnraveledNetwork,
    data: Loaded,
    *,
    needs_classes: bool = True,
    output: OutputName = None,
) -> None:
    """Raise DataError unless a network takes these images, or this text, and has an output for each class.

    `needs_classes`: whether predictions will be compared with the targets of images. `output`: which tensor holds
    them, as for `evaluate`. Whether a network predicts the tokens of a text is for `n_predicted_positions` to say.
    """
    if isinstance(data, TextData):
        _check_takes_text(net, data)
    elif isinstance(data, ChoiceData):
        _check_chooses(net, data, output)
    else:
        _check_takes_images(net, data)
        if needs_classes:
            _check_has_classes(net, data, output)


def _check_chooses(net: UnraveledNetwork, choices: ChoiceData, output: OutputName) -> None:
    text = choices.as_text()
    _check_takes_text(net, text)
    if n_predicted_positions(net, text, output) != text.length:
        raise DataError(
            f"{net.name} does not predict every next token of {choices.name}, so its options have no probabilities. "
            "Give a causal language model."
        )


def n_predicted_positions(net: UnraveledNetwork, text: TextData, output: OutputName = None) -> int:
    """Count the positions of a sequence, from its end, at which a network gives logits of the token that comes next.

    All of them for most language models, one for those that give the last only, none for others: there must be
    logits for every token, and they must not see what they predict, so that those before the last position may not
    change with the last token. Embedding models fail the one, masked language models the other.
    """
    tokens = text.sequences[:1]
    returned = _run(net, tokens)
    chosen = Output.of(output)
    logits = chosen.pick(returned)
    if not chosen.key and not _has_logits(returned):
        return 0
    is_of_tokens = logits.dim() == 3 and 1 <= logits.shape[1] <= text.length
    if not is_of_tokens or logits.shape[-1] <= text.largest_token:
        return 0
    changed = tokens.clone()
    # Another token, and one that is surely known.
    changed[:, -1] = 0 if tokens[0, -1] else text.sequences.max()
    earlier = slice(None, -1)
    others = chosen.pick(_run(net, changed))
    is_causal = torch.allclose(logits[:, earlier], others[:, earlier], rtol=1e-4, atol=1e-5)
    return logits.shape[1] if is_causal else 0


def _has_logits(returned: Any) -> bool:
    """Whether the first tensor that a model returns may be logits: it is called so, or has no name."""
    return isinstance(returned, Tensor | tuple | list) or "logits" in tensors_of(returned)


def _check_takes_images(net: UnraveledNetwork, images: ImageData) -> None:
    inputs, _ = images.batch(torch.arange(min(2, len(images))))
    try:
        _run(net, inputs)
    except _MISFITS as error:
        raise DataError(
            f"{net.name} does not take the images of {images.name}, which are {shape_text(images.image_shape)} "
            f"({first_line(error)}). Give data of the size that it was made for."
        ) from error


def _check_has_classes(net: UnraveledNetwork, images: ImageData, output: OutputName) -> None:
    n_outputs = Output.of(output).chosen_from(net.outputs, net.name).n_classes(net.outputs)
    if n_outputs != images.n_classes:
        raise DataError(
            f"{net.name} has {counted(n_outputs, 'output')} and {images.name} has "
            f"{counted(images.n_classes, 'class')}, so its "
            "predictions cannot be right or wrong. Give data with the classes that the network was trained for, or "
            "measure what needs no targets: agreement, kl_divergence, cosine, squared_error; the gradient of the "
            "squared_norm."
        )


def _check_takes_text(net: UnraveledNetwork, text: TextData) -> None:
    # The sequence with the largest token, for which a vocabulary may be too small.
    largest = int(text.sequences.amax(dim=1).argmax())
    tokens = text.sequences[[largest, 0]]
    try:
        _run(net, tokens)
    except _MISFITS as error:
        if _takes(net, torch.zeros_like(tokens)):
            raise DataError(
                f"{net.name} does not know all tokens of {text.name}, which are numbered up to {text.largest_token} "
                f"({first_line(error)}). Give a model with a vocabulary of {text.vocabulary_size}, or the tokenizer "
                "that belongs to this one."
            ) from error
        raise DataError(
            f"{net.name} does not take the text {text.name} as sequences of {counted(text.length, 'token')} "
            f"({first_line(error)}). Give images, such as digits, or a language model: hf:NAME-OR-DIR."
        ) from error


def _takes(net: UnraveledNetwork, inputs: Tensor) -> bool:
    try:
        _run(net, inputs)
    except _MISFITS:
        return False
    return True


def _run(net: UnraveledNetwork, inputs: Tensor) -> Any:
    with in_evaluation_mode(net), torch.no_grad():
        return net(inputs)
