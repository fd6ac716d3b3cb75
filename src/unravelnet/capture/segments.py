"""The callables that a captured graph is cut into, and what each of them reads beside the stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from torch import Tensor, fx, nn

from unravelnet.capture.call import Call
from unravelnet.errors import CaptureError
from unravelnet.network import NOTHING_HELD, Held, Inputs, Segment


class GraphSegment(Segment):
    """A piece of the graph as a function of the stream and of held values."""

    def __init__(self, graph: fx.GraphModule, reads: Sequence[str]) -> None:
        super().__init__()
        self.graph = graph
        self.reads = tuple(reads)

    def forward(self, x: Tensor, held: Held = NOTHING_HELD) -> Any:
        missing = [name for name in self.reads if name not in held]
        if missing:
            raise CaptureError(
                f"This part reads {', '.join(missing)} beside the stream, which other parts of the network "
                "compute. Pass them as its second argument: `net.enter(inputs).held`."
            )
        return self.graph(x, *(held[name] for name in self.reads))


class Transition(GraphSegment):
    """A gap between two chains: the stream of the next chain, and what is held from here on."""

    def __init__(self, graph: fx.GraphModule, reads: Sequence[str], holds: Sequence[str]) -> None:
        super().__init__(graph, reads)
        self.holds = tuple(holds)

    def forward(self, x: Tensor, held: Held = NOTHING_HELD) -> tuple[Tensor, Held]:
        stream, *values = super().forward(x, held)
        return stream, dict(zip(self.holds, values, strict=True))


class Stem(Segment):
    """The first gap: from the inputs of the model to the first stream."""

    def __init__(self, graph: fx.GraphModule, call: Call, holds: Sequence[str]) -> None:
        super().__init__()
        self.graph = graph
        self.call = call
        self.holds = tuple(holds)

    def forward(self, inputs: Inputs) -> tuple[Tensor, Held]:
        stream, *values = self.graph(*self.call.leaves(inputs))
        return stream, dict(zip(self.holds, values, strict=True))


class Tap(GraphSegment):
    """What the outputs of a model tell of the inside of a module, computed from the module's input."""

    def __init__(self, graph: fx.GraphModule, reads: Sequence[str], names: Sequence[str]) -> None:
        super().__init__(graph, reads)
        self.names = tuple(names)

    def forward(self, x: Tensor, held: Held = NOTHING_HELD) -> Held:
        return dict(zip(self.names, super().forward(x, held), strict=True))


class Head(GraphSegment):
    """The last gap: from the last stream to the outputs in the model's own form.

    `beside`: by their places, the outputs that tell of the inside of modules. Each is None on a route that leaves out
    a module that it tells of.
    """

    def __init__(
        self, graph: fx.GraphModule, reads: Sequence[str], call: Call, beside: Mapping[int, GraphSegment]
    ) -> None:
        super().__init__(graph, reads)
        self.call = call
        self.places = tuple(beside)
        self.beside = nn.ModuleList(beside.values())

    def forward(self, x: Tensor, held: Held = NOTHING_HELD) -> Any:
        leaves = list(super().forward(x, held))
        for place, segment in zip(self.places, cast(Iterable[GraphSegment], self.beside), strict=True):
            if held.keys() >= set(segment.reads):
                (leaves[place],) = segment(x, held)
        return self.call.output(leaves)
