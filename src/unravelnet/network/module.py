"""One residual module: what it computes in each mode, and the state that passes from part to part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from torch import Tensor, nn

from unravelnet.errors import ModelError
from unravelnet.network.inputs import Shape, shape_text
from unravelnet.network.junction import AbstractJunction, Add
from unravelnet.routes.route import Mode

Kind = Literal["identity", "projection", "plain"]
Held = Mapping[str, Tensor]

NOTHING_HELD: Held = {}
ADD = Add()


class Segment(nn.Module):
    """A stretch of computation that may read more than the stream.

    Parts of a captured network are segments; parts of a zoo network are ordinary modules, which read the
    stream only. `reads` names the held values (attention masks, rotary positions, parallel streams) that
    `forward(x, held)` needs beside the stream x.
    """

    reads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """Where a route stands: the stream `x`, the chain it is in, and the other live values by name.

    `held` are what later parts need; `tapped` what visited modules have told of their inside, for outputs beside
    the logits.
    """

    x: Any
    chain: int = 0
    held: Held = field(default_factory=dict)
    tapped: Held = field(default_factory=dict)


class ResidualModule(nn.Module):
    """One residual module: `after(junction(skip(x), branch(x)))`.

    >>> from torch import nn
    >>> module = ResidualModule(nn.Linear(2, 2), nn.Identity(), name="first")
    >>> module.kind
    'identity'

    `branch`, `skip` and `after` are callables on the stream; `skip` is None for a plain layer, whose deletion
    is the identity. `junction` says how skip and branch are joined. `branch_scale` multiplies the branch in
    evaluation mode only: what is trained with branches present at random scales each by its survival probability at
    test time (stochastic depth, Huang et al. 2016). `chain` counts the chains of the network; `inner` are the
    residual modules inside the branch. `tap` computes, from the module's input and in every mode, what outputs beside
    the logits need of its inside (attention maps, gates).
    `index`, the shapes, `n_parameters` and `macs` are filled in when the module becomes part of a network.
    """

    def __init__(
        self,
        branch: nn.Module,
        skip: nn.Module | None,
        after: nn.Module | None = None,
        *,
        junction: AbstractJunction = ADD,
        name: str = "",
        chain: int = 0,
        branch_scale: float = 1.0,
        inner: Sequence[ResidualModule] = (),
        tap: Segment | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(junction, AbstractJunction):
            raise ModelError(
                f"The junction {junction!r} is none of a residual module. Give one of unravelnet.network: Add(), "
                "Concatenate(n_skip, n_branch) or Gate()."
            )
        self.branch = branch
        self.tap = tap
        self.skip = skip
        self.junction = junction
        self.after = nn.Identity() if after is None else after
        self.name = name
        self.chain = chain
        self.branch_scale = branch_scale
        # A tuple is not registered: the parameters of inner modules are already those of the branch.
        self.inner = tuple(inner)
        self.index = -1
        self.input_shape: Shape = ()
        self.output_shape: Shape = ()
        self.macs = 0

    @property
    def kind(self) -> Kind:
        """ "identity", "projection" (the skip computes something) or "plain" (there is no skip)."""
        if self.skip is None:
            return "plain"
        return "identity" if isinstance(self.skip, nn.Identity) else "projection"

    @property
    def keeps_shape(self) -> bool:
        """Whether input and output have the same shape."""
        return self.input_shape == self.output_shape

    @property
    def is_deletable(self) -> bool:
        """Whether something takes its place when it is deleted: its skip, or nothing where shapes agree."""
        return self.skip is not None or self.keeps_shape

    @property
    def n_parameters(self) -> int:
        """The number of parameters of branch, skip and after."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, x: Tensor, mode: Mode = "both", held: Held = NOTHING_HELD) -> Tensor:
        """Run the module in one mode. A branch that the mode does not need is not computed."""
        skip = None if mode == "branch" else self.take_skip(x, held)
        branch = None if mode == "skip" else self.take_branch(x, held)
        return self.join(skip, branch, held)

    def take_skip(self, x: Tensor, held: Held = NOTHING_HELD) -> Tensor:
        """Compute what flows around the branch; for a plain layer the identity."""
        return x if self.skip is None else run_part(self.skip, x, held)

    def take_branch(self, x: Tensor, held: Held = NOTHING_HELD) -> Tensor:
        """Compute the branch, scaled as the junction receives it."""
        branch = run_part(self.branch, x, held)
        is_whole = self.training or self.branch_scale == 1.0
        return branch if is_whole else self.junction.scale(branch, self.branch_scale)

    def join(self, skip: Tensor | None, branch: Tensor | None, held: Held = NOTHING_HELD) -> Tensor:
        """Join what is given and run what comes after the junction.

        A plain layer has no junction: where both are given, the branch is the layer.
        """
        if self.skip is None and branch is not None:
            skip = None
        is_alone = skip is None or branch is None
        return self.pass_on(self.junction(skip, branch), held, is_shared=is_alone)

    def pass_on(self, joined: Tensor, held: Held = NOTHING_HELD, *, is_shared: bool = True) -> Tensor:
        """Run what comes after the junction. `is_shared`: whether others read the joined stream, too."""
        if is_shared and any(getattr(part, "inplace", False) for part in self.after.modules()):
            joined = joined.clone()
        return run_part(self.after, joined, held)

    def state_behind(self, state: State, x: Tensor) -> State:
        """Give the state behind the module: `x` is its output, `state` where the route stood before it."""
        tapped = {} if self.tap is None else self.tap(state.x, state.held)
        return replace(state, x=x, tapped={**state.tapped, **tapped})

    def __str__(self) -> str:
        shapes = f"{shape_text(self.input_shape)} → {shape_text(self.output_shape)}"
        return f"module {self.index} ({self.name}, {shapes})"


class ResidualModules(nn.ModuleList):
    """The residual modules of a network, in execution order."""

    def __iter__(self) -> Iterator[ResidualModule]:
        return cast("Iterator[ResidualModule]", super().__iter__())

    def __getitem__(self, index: int) -> ResidualModule:  # type: ignore[override]  # slices make no network
        return cast(ResidualModule, super().__getitem__(index))


def run_part(part: nn.Module, x: Tensor, held: Held) -> Any:
    """Run a part of a network on the stream, with the held values if it is one that reads them."""
    return part(x, held) if isinstance(part, Segment) else part(x)
