"""One residual module: what it computes in each mode, and the state that passes from part to part."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from torch import Tensor, nn

from unravelnet.errors import ModelError, RouteError
from unravelnet.network.inputs import Shape, shape_text
from unravelnet.network.junction import AbstractJunction, Add
from unravelnet.routes.move import Move
from unravelnet.routes.step import Mode

if TYPE_CHECKING:
    from unravelnet.routes.route import Route

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
    the logits. In a parallel span x is what all its modules read, and `joined` the sum of it and what they have
    changed so far. Inside of a module `outside` says which one it is, and where the route stood in front of it.
    """

    x: Any
    chain: int = 0
    held: Held = field(default_factory=dict)
    tapped: Held = field(default_factory=dict)
    joined: Tensor | None = None
    outside: Outside | None = None


@dataclass(frozen=True, slots=True)
class Outside:
    """What a route comes back to when it leaves the inside of a module."""

    module: ResidualModule
    state: State


class Inside(nn.Module):
    """A branch that routes can enter: residual modules with what is before, between and behind them, as `Row` is."""

    @property
    @abstractmethod
    def inner(self) -> tuple[ResidualModule, ...]:
        """The residual modules in it."""

    @abstractmethod
    def enter(self, x: Any, held: Held = NOTHING_HELD) -> State:
        """Run what is before them."""

    @abstractmethod
    def check(self, route: Route) -> Route:
        """Return the route if it fits. Raises RouteError."""


class ResidualModule(nn.Module):
    """One residual module: `after(junction(skip(x), branch(x)))`.

    >>> from torch import nn
    >>> module = ResidualModule(nn.Linear(2, 2), nn.Identity(), name="first")
    >>> module.kind
    'identity'

    `branch`, `skip` and `after` are callables on the stream; `skip` is None for a plain layer, whose deletion
    is the identity. `junction` says how skip and branch are joined. `branch_scale` multiplies the branch in
    evaluation mode only: what is trained with branches present at random scales each by its survival probability at
    test time (stochastic depth, Huang et al. 2016). `chain` counts the chains of the network. The attribute `inner`
    lists the residual modules inside: those that routes enter in the branch, then the given ones, which none can enter.
    `tap` computes, from the module's input and in every mode, what outputs beside the logits need of its inside
    (attention maps, gates).
    `branch_mean`: the mean of the branch over a sample, where it is known (`hold_mean`).
    `index`, the shapes, `n_parameters` and `macs` are filled in when the module becomes part of a network.
    """

    branch_mean: Tensor | None

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
                "Concatenate(n_skip, n_branch), Partial(runs) or Gate()."
            )
        self.branch = branch
        self.tap = tap
        self.skip = skip
        self.junction = junction
        # It belongs to a sample of data and not to the network: it is in no state_dict and in no fingerprint.
        self.register_buffer("branch_mean", None, persistent=False)
        self.after = nn.Identity() if after is None else after
        self.name = name
        self.chain = chain
        self.branch_scale = branch_scale
        # A tuple is not registered: the parameters of inner modules are already those of branch and skip.
        entered = branch.inner if isinstance(branch, Inside) else ()
        self.inner = (*entered, *inner)
        self.index = -1
        self.input_shape: Shape = ()
        self.output_shape: Shape = ()
        self.macs = 0

    @property
    def inside(self) -> Inside:
        """The branch, as what routes enter. Raises RouteError where there is nothing to visit."""
        if isinstance(self.branch, Inside):
            return self.branch
        if not self.inner:
            raise RouteError(f"No route leads into {self}: it has no residual modules inside.")
        raise RouteError(
            f"No route leads into {self}: the residual modules inside it ({', '.join(m.name for m in self.inner)}) are "
            "needed by its skip or by other parts of its branch, so none of them can be visited by itself."
        )

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

    def forward(
        self, x: Tensor, mode: Mode = "both", held: Held = NOTHING_HELD, scale: float = 1.0
    ) -> Tensor:
        """Run the module in one mode. A branch that the mode does not need is not computed; `scale` multiplies it."""
        skip = None if mode == "branch" else self.take_skip(x, held)
        if mode == "mean":
            return self.join(skip, self.take_mean(x if skip is None else skip), held)
        branch = None if mode == "skip" else self.scaled(self.take_branch(x, held), scale)
        return self.join(skip, branch, held)

    def hold_mean(self, mean: Tensor | None) -> None:
        """Keep what stands in the place of the branch where a route asks for its mean; None forgets it.

        `mean`: of the shape of one output of the branch, or with 1 in the place of positions, as (channels, 1, 1).
        Raises ModelError for another shape.
        """
        n_dims = len(self.output_shape)
        if mean is not None and (mean.dim() != n_dims or not mean.is_floating_point()):
            raise ModelError(
                f"The mean of the branch of {self} has the shape {tuple(mean.shape)} and is {mean.dtype}. Give real "
                f"numbers in {n_dims} dimensions, with 1 in the place of positions."
            )
        self.branch_mean = None if mean is None else mean.detach().clone()

    def take_mean(self, like: Tensor) -> Tensor:
        """Give the mean of the branch for each example; `like`: what it is joined with.

        Raises RouteError where it is not known.
        """
        mean = self.known_mean()
        sizes = [own if own != 1 else size for own, size in zip(mean.shape, like.shape[1:], strict=True)]
        return mean.to(like.dtype).expand(like.shape[0], *sizes)

    def known_mean(self) -> Tensor:
        """Return the mean of the branch over a sample. Raises RouteError where it is not known."""
        if self.branch_mean is None:
            raise RouteError(
                f"The mean of the branch of {self} is not known. Compute the means over a sample: "
                "un.measure_means(net, data)."
            )
        return self.branch_mean

    def take_skip(self, x: Tensor, held: Held = NOTHING_HELD) -> Tensor:
        """Compute what flows around the branch; for a plain layer the identity."""
        return x if self.skip is None else run_part(self.skip, x, held)

    def take_branch(self, x: Tensor, held: Held = NOTHING_HELD) -> Tensor:
        """Compute the branch, scaled as the junction receives it."""
        return self.as_received(run_part(self.branch, x, held))

    def as_received(self, branch: Tensor) -> Tensor:
        """Scale what the branch has computed as the junction receives it."""
        return self.scaled(branch, 1.0 if self.training else self.branch_scale)

    def scaled(self, branch: Tensor, factor: float) -> Tensor:
        """Take a fraction of the branch, or a multiple."""
        return branch if factor == 1.0 else self.junction.scale(branch, factor)

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

    def arrive_each(self, state: State, moves: Sequence[Move], branch: Tensor | None) -> list[State]:
        """Give the states behind this module for visits of different modes and scales, which have the branch in common.

        `state`: where they stand before the module. `branch`: None where none of them takes it.
        """
        is_alone = state.joined is None
        needs_skip = is_alone and any(move.mode != "branch" for move in moves)
        skip = self.take_skip(state.x, state.held) if needs_skip else None
        behind = self.state_behind(state, state.x)
        arrived = []
        for move in moves:
            if move.mode == "mean":
                part: Tensor | None = self.take_mean(state.x if skip is None else skip)
            else:
                part = None if branch is None or move.mode == "skip" else self.scaled(branch, move.scale)
            if is_alone:
                taken = None if move.mode == "branch" else skip
                arrived.append(replace(behind, x=self.join(taken, part, state.held)))
            else:
                arrived.append(replace(behind, joined=self.gather(state, part)))
        return arrived

    def gather(self, state: State, branch: Tensor | None) -> Tensor:
        """Add to what is joined in a parallel span what the branch changes of its input."""
        assert state.joined is not None
        return state.joined if branch is None else state.joined + self.junction.change(state.x, branch)

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
    return part(x, held) if isinstance(part, Segment | Inside) else part(x)
