"""Where a training may begin other than at random weights: with those of a trained network."""

from __future__ import annotations

from unravelnet import zoo
from unravelnet.errors import TrainingError
from unravelnet.network import UnraveledNetwork

_SHIPPED = "zoo:"


def starting_network(text: str, net: UnraveledNetwork) -> UnraveledNetwork:
    """Load the trained network that the training of another one of its kind starts from.

    >>> starting_network("zoo:resnet20-cifar10", zoo.create("resnet20")).name
    'resnet20-cifar10'

    `text`: `start` of a plan, "zoo:NAME" or a directory that `train` wrote. `net`: what is to be trained; it is not
    changed. Raises UnknownNameError where no network of this name is shipped, CheckpointError where the directory holds
    none, and TrainingError where its weights do not fit.
    """
    is_shipped = text.startswith(_SHIPPED)
    start = zoo.pretrained(text.removeprefix(_SHIPPED)) if is_shipped else zoo.load(text)
    shapes, own = ({name: tensor.shape for name, tensor in n.state_dict().items()} for n in (start, net))
    if shapes != own:
        raise TrainingError(
            f"The weights of {text}, which is {start.name}, do not fit {net.name or 'the network'}. Start from a "
            "network of the same kind, for the same images and classes."
        )
    return start
