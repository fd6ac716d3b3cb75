"""Chooses the memory layout for a training: channels last where that is safe.

oneDNN, which computes the convolutions of torch on a CPU, overruns its memory in one place: the gradient of the
weights of a strided 1x1 convolution in float32 with fewer input channels than one of its vectors holds (16 with
AVX-512, 8 with AVX2), where an operand lies channels last. Whether a network makes such a convolution is seen by
running it once. Forward passes and gradients of inputs are not affected, so `inference.Bench` lays channels last as
it likes. `docs/upstream/` has a script that shows the fault without us.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from unravelnet.network import Inputs

# Of AVX-512, on every processor: then the layout, and with it the rounding, does not depend on the processor.
_MOST_FLOATS_IN_A_VECTOR = 16


@dataclass(frozen=True, slots=True)
class Layout:
    """How images and weights lie in memory, and whether oneDNN computes the convolutions."""

    channels_last: bool
    uses_onednn: bool = True

    @property
    def memory_format(self) -> torch.memory_format:
        """The format of images and weights for torch."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Leave oneDNN out where the layout says so; afterwards all is as it was."""
        onednn: Any = torch.backends.mkldnn
        was_enabled = onednn.enabled
        onednn.enabled = was_enabled and self.uses_onednn
        try:
            yield
        finally:
            onednn.enabled = was_enabled


# From the fastest to the safest: a network may itself permute its values to channels last.
_LAYOUTS = (Layout(channels_last=True), Layout(channels_last=False), Layout(False, uses_onednn=False))


def lay(net: nn.Module, layout: Layout, device: torch.device) -> None:
    """Move a network to a device and lay its weights out."""
    # Annotated by torch for one of the two at a time, and documented for both.
    cast(Any, net).to(device=device, memory_format=layout.memory_format)
    for parameter in net.parameters():
        if parameter.dim() == 4 and not layout.channels_last:
            # Else weights of 1x1 convolutions keep the strides of channels last, and torch goes by these.
            parameter.data = parameter.data.flatten().view(parameter.shape)


def place(inputs: Inputs, layout: Layout, device: torch.device) -> Inputs:
    """Move inputs of any form to a device, images laid out."""

    def placed(value: object) -> object:
        if not isinstance(value, Tensor):
            return value
        return value.to(device, memory_format=layout.memory_format) if value.dim() == 4 else value.to(device)

    return cast(Inputs, tree_map(placed, inputs))


def choose_layout(run: Callable[[Layout], object], *, channels_last: bool = True) -> Layout:
    """Choose the fastest layout in which gradients of weights stay within their memory.

    >>> net = torch.nn.Conv2d(16, 32, 1, stride=2)
    >>> choose_layout(lambda layout: net(torch.zeros(2, 16, 8, 8).to(memory_format=layout.memory_format)))
    Layout(channels_last=True, uses_onednn=True)

    `run`: runs the network once in a layout, on images of any number and size. `channels_last`: False where the
    default layout is asked for.
    """
    for layout in _LAYOUTS[not channels_last : -1]:
        with _Watch() as watch:
            run(layout)
        if not watch.overruns:
            return layout
    return _LAYOUTS[-1]


def overruns_memory(
    input: Tensor, weight: Tensor, stride: Sequence[int] = (1,), groups: int = 1, **others: Any
) -> bool:
    """Whether the gradient of a convolution's weights would overrun memory in oneDNN.

    >>> images, weight = torch.zeros(2, 4, 8, 8), torch.zeros(8, 4, 1, 1)
    >>> laid = images.to(memory_format=torch.channels_last)
    >>> overruns_memory(images, weight, (2, 2)), overruns_memory(laid, weight, (2, 2))
    (False, True)

    The arguments are those of `torch.ops.aten.convolution`; of a transposed convolution the channels that count are
    those that leave it, and stand in the same place of the shape.
    """
    return (
        input.device.type == "cpu"
        and input.dtype == torch.float32
        and input.dim() == weight.dim() == 4
        and tuple(weight.shape[2:]) == (1, 1)
        and weight.shape[1] < _MOST_FLOATS_IN_A_VECTOR
        and groups == 1
        and max(stride) > 1
        and (_is_channels_last(input) or _is_channels_last(weight))
    )


def _is_channels_last(tensor: Tensor) -> bool:
    """Decide by strides as torch does, for which the weights of a 1x1 convolution can be contiguous and this."""
    least = 0
    for place in (1, 3, 2, 0):
        stride, size = tensor.stride(place), tensor.shape[place]
        if not size or stride < least or (place == 0 and least == tensor.stride(1)):
            return False
        least = stride * size
    return True


class _Watch(TorchDispatchMode):
    """Looks at every convolution inside a `with`."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Otherwise torch imports its compiler, which takes as long as torch itself.
        return False

    def __init__(self) -> None:
        super().__init__()
        self.overruns = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            input, weight, _, stride, _, _, _, _, groups = args
            self.overruns |= overruns_memory(input, weight, stride, groups)
        return func(*args, **(kwargs or {}))
