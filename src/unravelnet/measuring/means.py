"""The mean of each branch over a sample, which a route may put in the place of the branch."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from unravelnet.data.batches import StreamedBatches
from unravelnet.errors import RouteError
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.measurement import Measurement
from unravelnet.measuring.runner import Progress, identity_of, run
from unravelnet.measuring.sample import Sample, Shard, forward_batch_size, network_for
from unravelnet.measuring.sums import Sums
from unravelnet.measuring.tally import Tally
from unravelnet.network import Shape, UnraveledNetwork
from unravelnet.records.record import Row, Table
from unravelnet.routes.move import Move
from unravelnet.routes.route import Route
from unravelnet.wording import counted

# More examples hardly move a mean over all their positions.
_MEANS_OF = 256
_log = logging.getLogger(__name__)


def measure_means(
    net: UnraveledNetwork,
    data: Any,
    *,
    limit: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Table:
    """Compute the mean of each branch over a sample, and let the network hold them for routes that ask for means.

    >>> from unravelnet import zoo
    >>> net = zoo.preact_resnet(depth=8, input_shape=(1, 8, 8), seed=0)
    >>> table = measure_means(net, "digits", limit=50)
    >>> [round(float(share), 2) < 1 for share in table["mean_share"]]
    [True, True, True]
    >>> net(torch.zeros(1, 1, 8, 8), net.full_route.mean_ablate(1)).shape
    torch.Size([1, 10])

    The mean is of each channel, over examples and positions, of what the junction receives from the branch: in the
    intact network, in float32. Modules inside others have none. Results stores tell routes with means of different
    samples apart. The keywords are those of a `Sample`. Gives one row a module: how much of the branch its mean is
    (`mean_share`). Plain layers have no skip that could stay, and are left out. Raises as `evaluate`.
    """
    sample = Sample.of(data, limit=limit, seed=seed, batch_size=batch_size, device=device)
    measured = network_for(net, sample.data)
    bench = Bench(measured, device=sample.device)
    batches = sample.batches(forward_batch_size(bench.device))
    about = {"seed": sample.seed, **identity_of(measured, batches)}
    return run(_Means(net), bench, batches, about, progress=progress)


def hold_means_for(net: UnraveledNetwork, routes: Iterable[Route], sample: Sample) -> None:
    """Compute the means that routes ask for, over a part of a sample, where the network does not hold them all.

    Raises RouteError where the data can be read only once.
    """
    asked = {index for route in routes for index in route.at_their_mean}
    if all(net.residual_modules[index].branch_mean is not None for index in asked):
        return
    batches = sample.batches(1)
    if batches.n_images is None or (isinstance(batches, StreamedBatches) and batches.is_consumed):
        raise RouteError(
            f"{batches.name} is a stream, and the means of branches are measured before anything else. Compute them on "
            "data that can be read twice: un.measure_means(net, data)."
        )
    limit = min(_MEANS_OF, batches.n_images)
    _log.info(f"The means of branches are those over {counted(limit, 'example')} of {batches.name}.")
    measure_means(
        net, sample.data, limit=limit, seed=sample.seed, batch_size=sample.batch_size, device=sample.device
    )


class _Means(Measurement):
    """Sums of all branches; at the end the network holds their means."""

    def __init__(self, net: UnraveledNetwork) -> None:
        self.net = net
        self.trials = [net.full_route]
        self.modules = [module for module in net.residual_modules if module.kind != "plain"]

    def of_shard(self, net: UnraveledNetwork, shard: Shard, trials: Sequence[Route]) -> Mapping[Route, Sums]:
        added: dict[str, Any] = {}
        state = net.enter(shard.inputs)
        for module in net.residual_modules:
            state = net.move_to_chain(state, module.chain)
            branch = module.take_branch(state.x, state.held)
            wide = branch.double()
            added[f"total_{module.index}"] = wide.sum(_positions(branch), keepdim=True)[0].cpu().numpy()
            added[f"squares_{module.index}"] = float(wide.square().sum())
            added[f"n_{module.index}"] = branch.numel()
            (state,) = module.arrive_each(state, [Move(module.index)], branch)
        return {trials[0]: Sums(added)}

    def rows(self, tallies: Mapping[Route, Tally]) -> list[Row]:
        tally = tallies[self.trials[0]]
        added, rows = tally.sums.added, []
        for module in self.modules:
            total = torch.as_tensor(added[f"total_{module.index}"])
            n = int(added[f"n_{module.index}"])
            mean = total * (total.numel() / n)
            module.hold_mean(mean.float().to(next(module.parameters(), mean).device))
            squares = float(added[f"squares_{module.index}"]) / n
            rows.append(
                {
                    "module": module.index,
                    "name": module.name,
                    "mean_share": float(mean.square().mean()) / squares if squares else 1.0,
                    "n_images": tally.n_images,
                }
            )
        return rows


def _positions(branch: Tensor) -> list[int]:
    """List all dimensions but that of the channels: examples, and positions."""
    return [dim for dim in range(branch.dim()) if dim != channel_dim(tuple(branch.shape[1:])) + 1]


def channel_dim(shape: Shape) -> int:
    """Say which dimension counts channels, from 0, in the shape of one example.

    >>> channel_dim((64, 8, 8)), channel_dim((56, 56, 96)), channel_dim((16, 576)), channel_dim((10,))
    (0, 2, 1, 0)

    The last one of vectors and of tokens. Of maps, the first one, unless the first two are the sides of a square and
    the last is not.
    """
    if len(shape) < 3:
        return len(shape) - 1
    return len(shape) - 1 if shape[0] == shape[1] != shape[-1] else 0
