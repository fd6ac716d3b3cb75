"""The network: runs one route, checks what fits, and says what it is."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from unravelnet.errors import CheckpointError, TrainingError
from unravelnet.escaping import for_terminal
from unravelnet.network.identity import computation_of
from unravelnet.network.inputs import Inputs, Shape, first_tensor, shape_text
from unravelnet.network.macs import Macs
from unravelnet.network.misfit import MISFITS, misfit
from unravelnet.network.module import NOTHING_HELD, Held, Inside, ResidualModule, Segment, State
from unravelnet.network.origin import Origin
from unravelnet.network.output import tensors_of
from unravelnet.network.row import Row, Run, run_whole
from unravelnet.network.transform import Transform
from unravelnet.routes.route import Route
from unravelnet.wording import counted

if TYPE_CHECKING:
    import pandas as pd


class UnraveledNetwork(Row):
    """A network as stem, residual modules (in chains, with transitions between) and head.

    >>> from torch import nn
    >>> module = ResidualModule(nn.Linear(2, 2), nn.Identity())
    >>> net = UnraveledNetwork(nn.Identity(), [module], nn.Identity(), example=torch.zeros(1, 2))
    >>> tuple(net(torch.ones(3, 2), Route.full(1).delete(0))[0].tolist())
    (1.0, 1.0)

    `transitions[c]` leads from chain c to chain c + 1. `example`: one batch of inputs, to measure shapes and
    multiply-accumulate operations with; where they are not `measured` now, `measure_on` does so later. `unexplained`
    lists what looks like a skip and was not understood, and what a row of plain layers leaves out. `name` says what
    the network is, for tables and reports. `inputs` and `outputs` are the tensors that the network takes and returns,
    by name: their shapes on the example and types, without values. `input_origin` says where the shape of its input
    was taken from. `training_obstacle` says why a captured network cannot be put into training mode, where it cannot.
    `origin` is the model that it was captured from; None where it was built from its parts. `image_transform` says how
    images are prepared for it, where that is known.
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
        measured: bool = True,
    ) -> None:
        super().__init__(stem, residual_modules, head, transitions=transitions)
        self.name = name
        self.unexplained = tuple(unexplained)
        self._input_shape: Shape = tuple(first_tensor(example).shape[1:])
        self.input_origin = ""
        self.training_obstacle = ""
        self.origin: Origin | None = None
        self.image_transform: Transform | None = None
        self.total_macs = 0
        self.inputs: Mapping[str, Tensor] = _forms(example)
        self.outputs: Mapping[str, Tensor] = {}
        if measured:
            self.measure_on(example)

    def forward(self, x: Inputs, route: Route | None = None) -> Any:  # type: ignore[override]  # a row takes what is held
        """Run one route; the full one if none is given.

        `x`: the inputs in the form of the model: a tensor, a tuple of positional or a dict of keyword inputs.
        Raises RouteError where the route does not fit this network, and DataError where it does not take the inputs.
        """
        moves = (self.full_route if route is None else self.check(route)).moves
        try:
            state = self.enter(x)
            for move in moves:
                state = self.advance(state, move)
            return self.leave(state)
        except MISFITS as error:
            explained = misfit(self.name, self.inputs, x, error, "The call")
            if explained is None:
                raise
            raise explained from error

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
    def n_output_values(self) -> int:
        """How many numbers the outputs of one example are, the largest output counted."""
        return max(
            (form.numel() // max(1, form.shape[0]) for form in self.outputs.values() if form.dim()), default=1
        )

    @property
    def downsampling(self) -> list[int]:
        """The indices of the modules whose output has another shape than their input."""
        return [module.index for module in self.residual_modules if not module.keeps_shape]

    @property
    def stages(self) -> list[int]:
        """The indices of the modules that begin a stage: from the first on, wherever the stream gets another shape.

        It may do so in the module or on the way to it. A concatenation adds channels in every module and begins none.
        """
        starts = []
        shape: Shape | None = None
        for module in self.residual_modules:
            changes = not module.keeps_shape and module.junction.kind != "concatenate"
            if changes or module.input_shape != shape:
                starts.append(module.index)
            shape = module.output_shape
        return starts

    @property
    def title(self) -> str:
        """What it is called in sentences."""
        return self.name or "the network"

    def enter(self, inputs: Inputs, held: Held = NOTHING_HELD) -> State:
        """Run the stem: the state from which every route starts."""
        if isinstance(self.stem, Segment):
            x, held = self.stem(inputs)
            return State(x, 0, held)
        return super().enter(inputs)

    # -- what it is --

    @property
    def concentration(self) -> str:
        """Say which module with others inside holds most of the learned layers; empty where none does.

        Routes that pass such a module as a whole say little of the network.
        """
        layers = _learned_layers(self)
        for module in self.residual_modules:
            inside = _learned_layers(module.branch) & layers
            if isinstance(module.branch, Inside) and 2 * len(inside) > len(layers):
                return (
                    f"{len(inside)} of {len(layers)} learned layers are inside module {module.index}; enter it with "
                    f"{module.index}[...], a route through the modules there."
                )
        return ""

    def module_table(self) -> pd.DataFrame:
        """Describe the residual modules: one row each, with parameters, MACs an image and their shares."""
        import pandas as pd

        n_parameters = max(1, sum(parameter.numel() for parameter in self.parameters()))
        rows = [
            {
                "index": module.index,
                "name": module.name,
                "kind": module.kind,
                "junction": module.junction.kind,
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
            digest.update(f"{name} {computation_of(part)}\n".encode())
        for name, tensor in self.state_dict().items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().contiguous().cpu().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()[:16]

    def means_fingerprint(self, route: Route) -> str:
        """Hash the means that a route puts in the place of branches, on which its results depend; empty without any.

        Raises RouteError where one is not known.
        """
        digest = hashlib.sha256()
        for index in sorted(route.at_their_mean):
            mean = self.residual_modules[index].known_mean()
            digest.update(f"{index} {tuple(mean.shape)}\n".encode())
            digest.update(mean.float().cpu().contiguous().numpy().data)
        return digest.hexdigest()[:16] if route.at_their_mean else ""

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
        is_usual = {"inner": not table["inner"].any(), "junction": (table["junction"] == "add").all()}
        table = table.drop(columns=[column for column, usual in is_usual.items() if usual])
        modules, chains = (
            counted(len(table), "residual module"),
            counted(len(self.transitions) + 1, "chain"),
        )
        title = f"{self.name or 'network'}: {modules} in {chains}"
        lines = [title, table.to_string(index=False), *filter(None, [self.concentration])]
        if self.unexplained:
            lines += ["not understood, or left out:", *(f"  {line}" for line in self.unexplained)]
        # Names are the model's, and a terminal shows them.
        return "\n".join(map(for_terminal, "\n".join(lines).split("\n")))

    @torch.no_grad()
    def measure_on(self, example: Inputs, run: Run = run_whole) -> Any:
        """Run the full route once to fill in shapes and MACs; return the output. `run` computes one module."""
        with in_evaluation_mode(self):
            return self._run_measured(example, run)

    def _run_measured(self, example: Inputs, run: Run) -> Any:
        with Macs() as stem_macs:
            state = self.enter(example)
        n_examples = max(1, first_tensor(example).shape[0])
        state, macs = self.measure(state, n_examples, run)
        with Macs() as head_macs:
            returned = self.leave(state)
        self.outputs = _forms(returned)
        self.total_macs = (stem_macs.count + macs + head_macs.count) // n_examples
        return returned


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


def _learned_layers(part: nn.Module) -> set[Tensor]:
    """List the weights that multiply: vectors are biases, or belong to a normalisation."""
    return {parameter for parameter in part.parameters() if parameter.dim() > 1}


def _forms(values: Any) -> dict[str, Tensor]:
    """List tensors by name, with shape and type and without values."""
    return {name: tensor.to("meta") for name, tensor in tensors_of(values).items()}
