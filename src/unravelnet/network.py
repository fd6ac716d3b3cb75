"""The network as stem, residual modules and head; runs one route.

`UnraveledNetwork` is the one type that everything else works on. The zoo builds it directly, `capture`
makes it from anybody's model. Running many routes at once is done in `evaluate`.

A network is a row of *chains*: residual modules in series with nothing between them but what belongs to
them. Between two chains stands a *transition* (a pooling, a patch merging, a convolution without skip) that
every route passes exactly once, as it passes the stem and the head. A route may therefore reorder modules
within a chain, and leaves a chain once.

Shapes in this file are those of one image or one sequence: without the first, the batch dimension.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from unravelnet.errors import CheckpointError, DataError, RouteError, TrainingError
from unravelnet.escaping import for_terminal
from unravelnet.kinds import is_whole
from unravelnet.output import tensors_of
from unravelnet.route import Mode, Route, Step, as_route

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["identity", "projection", "plain"]
Shape = tuple[int, ...]
Inputs = Tensor | tuple[Any, ...] | list[Any] | Mapping[str, Any]
Held = Mapping[str, Tensor]

NOTHING_HELD: Held = {}
# Attributes that say something of a network and change nothing of what it computes.
_WORDS = {"name", "training", "training_obstacle", "unexplained", "input_origin"}


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
    """One residual module: `after(skip(x) + branch(x))`.

    >>> from torch import nn
    >>> module = ResidualModule(nn.Linear(2, 2), nn.Identity(), name="first")
    >>> module.kind
    'identity'

    `branch`, `skip` and `after` are callables on the stream; `skip` is None for a plain layer, whose deletion
    is the identity. `branch_scale` multiplies the branch in evaluation mode only: what is trained with branches
    present at random scales each by its survival probability at test time (stochastic depth, Huang et al. 2016).
    `chain` counts the chains of the network; `inner` are the residual modules inside the branch. `tap` computes, from
    the module's input and in every mode, what outputs beside the logits need of its inside (attention maps, gates).
    `index`, the shapes, `n_parameters` and `macs` are filled in when the module becomes part of a network.
    """

    def __init__(
        self,
        branch: nn.Module,
        skip: nn.Module | None,
        after: nn.Module | None = None,
        *,
        name: str = "",
        chain: int = 0,
        branch_scale: float = 1.0,
        inner: Sequence[ResidualModule] = (),
        tap: Segment | None = None,
    ) -> None:
        super().__init__()
        self.branch = branch
        self.tap = tap
        self.skip = skip
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
        return branch if self.training or self.branch_scale == 1.0 else branch * self.branch_scale

    def join(self, skip: Tensor | None, branch: Tensor | None, held: Held = NOTHING_HELD) -> Tensor:
        """Add what is given at the junction and run what comes after it.

        A plain layer has no junction: where both are given, the branch is the layer.
        """
        if branch is None:
            joined = skip
        elif skip is None or self.skip is None:
            joined = branch
        else:
            joined = skip + branch
        assert joined is not None, "a module needs its skip or its branch"
        is_shared = branch is None or skip is None
        if is_shared and any(getattr(part, "inplace", False) for part in self.after.modules()):
            # What comes alone is a value that other routes read, too.
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


class UnraveledNetwork(nn.Module):
    """A network as stem, residual modules (in chains, with transitions between) and head.

    >>> from torch import nn
    >>> module = ResidualModule(nn.Linear(2, 2), nn.Identity())
    >>> net = UnraveledNetwork(nn.Identity(), [module], nn.Identity(), example=torch.zeros(1, 2))
    >>> tuple(net(torch.ones(3, 2), Route.full(1).delete(0))[0].tolist())
    (1.0, 1.0)

    `transitions[c]` leads from chain c to chain c + 1. `example`: one batch of inputs, to measure shapes and
    multiply-accumulate operations with. `unexplained` lists what looks like a skip and was not understood,
    and what a row of plain layers leaves out. `name` says what the network is, for tables and reports.
    `inputs` and `outputs` are the tensors that the network takes and returns, by name: their shapes on the example
    and types, without values. `input_origin` says where the shape of its input was taken from. `training_obstacle`
    says why a captured network cannot be put into training mode, where it cannot.
    """

    def __init__(
        self,
        stem: nn.Module,
        residual_modules: Iterable[ResidualModule],
        head: nn.Module,
        *,
        example: Inputs,
        transitions: Iterable[nn.Module] = (),
        name: str = "",
        unexplained: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.stem = stem
        self.residual_modules = ResidualModules(residual_modules)
        self.transitions = nn.ModuleList(transitions)
        self.head = head
        self.name = name
        self.unexplained = tuple(unexplained)
        self._input_shape: Shape = tuple(first_tensor(example).shape[1:])
        self.input_origin = ""
        self.training_obstacle = ""
        self.total_macs = 0
        self.inputs: Mapping[str, Tensor] = _forms(example)
        self.outputs: Mapping[str, Tensor] = {}
        for index, module in enumerate(self.residual_modules):
            module.index = index
            module.name = module.name or f"residual_modules.{index}"
        self._measure(example)

    def forward(self, x: Inputs, route: Route | None = None) -> Any:
        """Run one route; the full one if none is given.

        `x`: the inputs in the form of the model: a tensor, a tuple of positional or a dict of keyword inputs.
        Raises RouteError where the route does not fit this network.
        """
        steps = self.full_route.steps if route is None else self.check(route).steps
        state = self.enter(x)
        for step in steps:
            state = self.advance(state, step)
        return self.leave(state)

    def train(self, mode: bool = True) -> Self:
        """Put the network into training mode, or out of it.

        Raises TrainingError where the network was captured and does in training mode what its graph does not show.
        """
        if mode and self.training_obstacle:
            raise TrainingError(self.training_obstacle)
        return super().train(mode)

    @property
    def input_shape(self) -> Shape:
        """The shape of one input, for which shapes and operations are stated."""
        return self._input_shape

    @property
    def full_route(self) -> Route:
        """The route of the intact network."""
        return Route.full(len(self.residual_modules))

    @property
    def downsampling(self) -> list[int]:
        """The indices of the modules whose output has another shape than their input."""
        return [module.index for module in self.residual_modules if not module.keeps_shape]

    # -- running a route piece by piece, as the engine does --

    def enter(self, inputs: Inputs) -> State:
        """Run the stem: the state from which every route starts."""
        entered = self.stem(inputs)
        if isinstance(self.stem, Segment):
            x, held = entered
            return State(x, 0, held)
        return State(entered)

    def advance(self, state: State, step: Step) -> State:
        """Take one step of a route, with the transitions that lead to its module."""
        module = self.residual_modules[step.module]
        state = self.move_to_chain(state, module.chain)
        return module.state_behind(state, module(state.x, step.mode, state.held))

    def move_to_chain(self, state: State, chain: int) -> State:
        """Run the transitions between the chain that the state is in and a later one."""
        for number in range(state.chain, chain):
            transition = self.transitions[number]
            if isinstance(transition, Segment):
                x, held = transition(state.x, state.held)
                state = replace(state, x=x, chain=number + 1, held=held)
            else:
                state = replace(state, x=transition(state.x), chain=number + 1)
        return state

    def leave(self, state: State) -> Any:
        """Run the transitions that are left and the head: the output of the network."""
        state = self.move_to_chain(state, len(self.transitions))
        return run_part(self.head, state.x, {**state.held, **state.tapped})

    # -- what fits where --

    def check(self, route: Route) -> Route:
        """Return the route if it fits this network.

        Raises RouteError with the modules that stand in the way and those that would fit.
        """
        position = _Position(self)
        for step in as_route(route).steps:
            position.visit(step)
        position.finish()
        return route

    def compatible_with(self, index: int) -> list[int]:
        """List the other modules that may stand in the place of this one: same chain, same shapes."""
        module = self._module(index)
        return [
            other.index
            for other in self.residual_modules
            if other.index != index
            and (other.chain, other.input_shape, other.output_shape)
            == (module.chain, module.input_shape, module.output_shape)
        ]

    def _module(self, index: int) -> ResidualModule:
        if not 0 <= index < len(self.residual_modules):
            raise RouteError(
                f"There is no module {index}: {self.name or 'the network'} has {len(self.residual_modules)} "
                f"residual modules, numbered 0 to {len(self.residual_modules) - 1}."
            )
        return self.residual_modules[index]

    # -- what it is --

    def module_table(self) -> pd.DataFrame:
        """Describe the residual modules: one row each, with parameters, MACs an image and their shares."""
        import pandas as pd

        n_parameters = max(1, sum(parameter.numel() for parameter in self.parameters()))
        rows = [
            {
                "index": module.index,
                "name": module.name,
                "kind": module.kind,
                "input_shape": shape_text(module.input_shape),
                "output_shape": shape_text(module.output_shape),
                "parameters": module.n_parameters,
                "macs": module.macs,
                "parameters_share": module.n_parameters / n_parameters,
                "macs_share": module.macs / max(1, self.total_macs),
                "inner": len(module.inner),
            }
            for module in self.residual_modules
        ]
        return pd.DataFrame(rows)

    def fingerprint(self) -> str:
        """Hash what is computed, parameters and buffers: the identity of the network in the results store.

        Of a module of the user's own, its class and its plain attributes are all that can be seen.
        """
        digest = hashlib.sha256()
        for name, part in self.named_modules():
            digest.update(f"{name} {_computation_of(part)}\n".encode())
        for name, tensor in self.state_dict().items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().contiguous().cpu().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()[:16]

    def load_weights(self, weights: Mapping[str, Tensor], source: str = "the given weights") -> None:
        """Load parameters and buffers by name.

        Raises CheckpointError where names or shapes are not those of this network.
        """
        try:
            self.load_state_dict(dict(weights))
        except RuntimeError as error:
            detail = " ".join(str(error).split("\n\t")[1:])[:300]
            raise CheckpointError(
                f"{source} does not hold the weights of {self.name or 'this network'}: {detail} "
                "Load it into the network that it was saved from."
            ) from error

    def __repr__(self) -> str:
        if not len(self.residual_modules):
            return f"{self.name or 'network'}: no residual modules"
        table = self.module_table()
        for column in ("parameters_share", "macs_share"):
            table[column] = [f"{share:.1%}" for share in table[column]]
        if not table["inner"].any():
            table = table.drop(columns="inner")
        modules, chains = (
            _counted(len(table), "residual module"),
            _counted(len(self.transitions) + 1, "chain"),
        )
        title = f"{self.name or 'network'}: {modules} in {chains}"
        lines = [title, table.to_string(index=False)]
        if self.unexplained:
            lines += ["not understood, or left out:", *(f"  {line}" for line in self.unexplained)]
        # Names are the model's, and a terminal shows them.
        return "\n".join(map(for_terminal, "\n".join(lines).split("\n")))

    @torch.no_grad()
    def _measure(self, example: Inputs) -> None:
        """Run the full route once to fill in shapes and MACs."""
        with in_evaluation_mode(self):
            self._run_measured(example)

    def _run_measured(self, example: Inputs) -> None:
        with _Macs() as stem_macs:
            state = self.enter(example)
        n_examples = max(1, first_tensor(example).shape[0])
        total = stem_macs.count
        for module in self.residual_modules:
            with _Macs() as transition_macs:
                state = self.move_to_chain(state, module.chain)
            module.input_shape = tuple(state.x.shape[1:])
            with _Macs() as module_macs:
                x = module(state.x, "both", state.held)
            state = module.state_behind(state, x)
            module.output_shape = tuple(state.x.shape[1:])
            module.macs = module_macs.count // n_examples
            total += transition_macs.count + module_macs.count
        with _Macs() as head_macs:
            returned = self.leave(state)
        self.outputs = _forms(returned)
        self.total_macs = (total + head_macs.count) // n_examples


class _Position:
    """Follows a route through chains and shapes, without computing anything."""

    def __init__(self, net: UnraveledNetwork) -> None:
        self.net = net
        self.chain = 0
        self.shape: Shape | None = None
        self.last: ResidualModule | None = None

    def visit(self, step: Step) -> None:
        module = self.net._module(step.module)
        if module.chain < self.chain:
            raise self._misfit(module, "its chain has been left, and a transition is passed only once")
        while self.chain < module.chain:
            self._leave_chain(module)
        expected = self._chain_entry(module.chain) if self.shape is None else self.shape
        if module.input_shape != expected:
            raise self._misfit(module, f"its input would have the shape {shape_text(expected)}")
        if step.mode == "skip" and not module.is_deletable:
            raise RouteError(
                f"Cannot delete {module}: a plain layer has no skip to take, and its input and output shapes "
                f"differ. Plain layers that can be deleted: {self._removable()}."
            )
        self.shape, self.last = module.output_shape, module

    def finish(self) -> None:
        while self.chain < len(self.net.transitions):
            self._leave_chain(None)
        self._leave_chain(None)

    def _leave_chain(self, towards: ResidualModule | None) -> None:
        modules = [m for m in self.net.residual_modules if m.chain == self.chain]
        if modules:
            arrived = self._chain_entry(self.chain) if self.shape is None else self.shape
            if arrived != modules[-1].output_shape:
                raise self._misfit(
                    towards,
                    f"what follows {modules[-1]} expects {shape_text(modules[-1].output_shape)}, "
                    f"and {shape_text(arrived)} arrives",
                )
        self.chain, self.shape = self.chain + 1, None

    def _chain_entry(self, chain: int) -> Shape:
        return next(m.input_shape for m in self.net.residual_modules if m.chain == chain)

    def _misfit(self, module: ResidualModule | None, reason: str) -> RouteError:
        place = "at the start" if self.last is None else f"after {self.last}"
        subject = "Cannot leave the last modules" if module is None else f"Cannot visit {module}"
        hint = ""
        if self.last is not None:
            index = self.last.index
            fitting = self.net.compatible_with(index)
            hint = f" `net.compatible_with({index})` lists what may stand in for module {index}: " + (
                ", ".join(map(str, fitting)) + "." if fitting else "none."
            )
        return RouteError(f"{subject} {place}: {reason}.{hint}")

    def _removable(self) -> str:
        plain = [m.index for m in self.net.residual_modules if m.is_deletable]
        return ", ".join(map(str, plain)) or "none"


class _Macs(TorchDispatchMode):
    """Counts the multiply-accumulate operations of what runs inside (convolutions and matrix products)."""

    # What control flow such as torch.cond runs is counted as it runs.
    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if getattr(func, "_overloadpacket", None) in flop_registry:
            # A multiplication and an addition are two operations there and one MAC here.
            self.count += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=out) // 2
        return out


@contextlib.contextmanager
def in_evaluation_mode(net: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and each of its modules back into its own afterwards."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _forms(values: Any) -> dict[str, Tensor]:
    """List tensors by name, with shape and type and without values."""
    return {name: tensor.to("meta") for name, tensor in tensors_of(values).items()}


def _computation_of(part: nn.Module) -> str:
    """Describe what a module computes by itself, apart from its tensors and its children."""
    if isinstance(part, fx.GraphModule):
        return part.code
    settings = {
        name: getattr(value, "__qualname__", None) or repr(value)
        for name, value in sorted(vars(part).items())
        if not name.startswith("_") and name not in _WORDS and (_is_plain(value) or callable(value))
    }
    return f"{type(part).__module__}.{type(part).__qualname__} {part.extra_repr()} {settings}"


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def run_part(part: nn.Module, x: Tensor, held: Held) -> Any:
    """Run a part of a network on the stream, with the held values if it is one that reads them."""
    return part(x, held) if isinstance(part, Segment) else part(x)


def first_tensor(inputs: Inputs) -> Tensor:
    """Find the first tensor in inputs of any form; its first dimension is the batch.

    Raises DataError where there is none.
    """
    leaves = pytree.tree_leaves(dict(inputs) if isinstance(inputs, Mapping) else inputs)
    found = next((leaf for leaf in leaves if isinstance(leaf, Tensor)), None)
    if found is None:
        if leaves and all(map(is_whole, leaves)):
            raise DataError(
                f"The inputs {inputs!r} are numbers, as of a shape. Give a tensor that has this shape behind its "
                "batch dimension, such as torch.randn(2, 3, 32, 32)."
            )
        raise DataError(
            f"The inputs, a {type(inputs).__name__}, hold no tensor. Give a tensor, a tuple of positional or a dict "
            "of keyword inputs; numpy arrays become tensors by torch.as_tensor."
        )
    return found


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def shape_text(shape: Shape) -> str:
    """Write a shape as in papers.

    >>> shape_text((16, 32, 32))
    '16×32×32'
    """
    return "×".join(map(str, shape)) or "scalar"
