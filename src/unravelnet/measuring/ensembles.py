"""Networks as ensembles: the averaged predictions of many routes, or of many networks.

Veit et al. (2016) say that residual networks behave like ensembles of paths. An ensemble is known by three signs:
its error falls with the number of its members, they disagree, and their errors are different ones. All three are
measured here, for random routes through one network and, beside them, for networks trained independently.

Shapes: E members, N predictions, C classes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from unravelnet.costs import MOST_DRAWS, MOST_ROUTES, at_most, check_number, check_routes, check_seed
from unravelnet.data import Batches, as_batches, load
from unravelnet.data.batches import StreamedBatches
from unravelnet.data.source import Batch
from unravelnet.errors import DataError, EvaluationError
from unravelnet.kinds import is_whole
from unravelnet.mathematics.intervals import rate_interval
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.metrics import as_outputs, check_outputs, find_metrics
from unravelnet.measuring.misfit import are_finite, taking
from unravelnet.measuring.walk import walk
from unravelnet.network import Inputs, UnraveledNetwork, first_tensor
from unravelnet.network.output import Output, OutputName
from unravelnet.precision import Precision, PrecisionChoice, check_precision
from unravelnet.records.record import Row, Table
from unravelnet.routes.route import Route, as_routes
from unravelnet.routes.sampler import Exactly, RouteSampler, parse_route_sampler
from unravelnet.wording import counted

Members = Literal["routes", "networks"]

_BATCH_SIZE = {"cpu": 128, "cuda": 1024}
# What the probabilities of all members may need for one batch; they are held twice for a moment.
_MAX_BYTES = 4 * 2**30
# After so many draws for each route that is wanted there are no more to be found.
_DRAWS_PER_ROUTE = 50


def ensemble_of_routes(
    net: UnraveledNetwork,
    data: Any,
    *,
    routes: str | Iterable[Route] | None = None,
    n_routes: int = 64,
    keep: float = 0.8,
    sizes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
    repeats: int = 100,
    others: Iterable[UnraveledNetwork] = (),
    output: OutputName = None,
    precision: PrecisionChoice = "float32",
    limit: int | None = None,
    batch_size: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
) -> Table:
    """Average the predictions of random routes and measure the error against their number: one row a size.

    >>> from unravelnet import zoo
    >>> net = zoo.preact_resnet(depth=14, input_shape=(1, 8, 8), seed=0)
    >>> table = ensemble_of_routes(net, "digits", n_routes=8, keep=0.5, limit=50)
    >>> [(row["members"], row["n_members"], row["n_draws"]) for row in table]
    [('routes', 1, 8), ('routes', 2, 28), ('routes', 4, 70), ('routes', 8, 1)]

    Members are `n_routes` different routes. By default each keeps the share `keep` of the modules that can be
    deleted and lacks the others, one at least, drawn at random: 11 of 54, near the 10 of which the paper speaks.
    `routes`: what to draw from instead, such as "exactly:23", "stochastic-depth:0.5" or "uniform"; or the routes
    themselves, equal ones counting as several members. Where there are fewer different routes than are asked for,
    those are the members. An ensemble averages the softmax probabilities of its members. `error_rate` is the mean
    over all subsets of a size, or over `repeats` random ones where there are more (`n_draws`); its interval is
    Wilson's for one network on as many predictions, a little too wide for a mean of several. Sizes above the
    number of members have no row.

    Over all members and pairs of them, the same in every row: `member_error_rate`, `disagreement`, the share of
    predictions on which two members differ, and `error_correlation`, the phi coefficient of the errors of two
    members (pairs of which one is always right or always wrong have none). `others`: networks for the same classes,
    trained independently; with `net` they are measured in the same way, in rows for every number of them.
    `output`: which tensor of what each network returns holds the logits, as for `evaluate`. `limit`: only so many
    images, drawn by `seed`. Raises EvaluationError where data has no targets, networks differ in their classes or no
    ensemble can be made; DataError where targets are no classes; RouteError and TrainingError where routes do not fit.
    """
    check_routes(n_routes)
    check_number(repeats, MOST_DRAWS, "draws of members")
    check_seed(seed)
    check_precision(precision)
    kind, members = _members(net, routes, n_routes, keep, seed)
    networks = (net, *others)
    measured = [_logits_of(network, output) for network in networks]
    benches = [Bench(network, device=device) for network in networks]
    ensembles: dict[Members, _Ensembles] = {"routes": _Ensembles(len(members), sizes, repeats, seed)}
    if len(benches) > 1:
        ensembles["networks"] = _Ensembles(len(benches), range(1, len(benches) + 1), repeats, seed)
    intact = _Ensembles(1, [1], 1, seed)
    batches = _open(data, batch_size, limit, seed, benches[0].device)
    used = _choose_precision(precision, benches, batches)
    n_images = 0
    for batch in progress(batches) if progress else batches:
        of_routes, targets_N = _probabilities(
            benches[0], measured[0], [net.full_route, *members], batch, batches.name
        )
        _check_finite(of_routes[0], batch[0], batches.name)
        intact.add(of_routes[:1], targets_N)
        ensembles["routes"].add(of_routes[1:], targets_N)
        if len(benches) > 1:
            of_others = (
                _probabilities(bench, logits, [bench.net.full_route], batch, batches.name)[0]
                for bench, logits in zip(benches[1:], measured[1:], strict=True)
            )
            ensembles["networks"].add(_joined([of_routes[:1], *of_others], benches), targets_N)
        n_images += len(first_tensor(batch[0]))
    facts: Row = {
        "output": str(measured[0]),
        "intact_error_rate": intact.member_error_rate,
        "n_predictions": intact.n,
        "n_images": n_images,
        "precision": used,
        "seed": seed,
        "confidence": confidence,
        "network": net.fingerprint(),
        "network_name": net.name,
        # A stream would have to be read twice, once to name it.
        "data": "" if isinstance(batches, StreamedBatches) else batches.fingerprint(),
        "data_name": batches.name,
    }
    drawn_from: dict[Members, str | None] = {"routes": kind, "networks": None}
    rows = [
        {"members": name, "routes": drawn_from[name], **row}
        for name, own in ensembles.items()
        for row in own.rows(confidence)
    ]
    return Table([{**row, **facts} for row in rows])


def _check_finite(intact: Tensor, inputs: Inputs, name: str) -> None:
    """Raise DataError where the intact network has no probabilities because its inputs are no numbers."""
    if intact.isnan().any() and not are_finite(inputs):
        raise DataError(
            f"Inputs of {name} are not finite (NaN or infinite). Mend the data, or leave them out."
        )


def _choose_precision(asked: PrecisionChoice, benches: Sequence[Bench], batches: Batches) -> Precision:
    """Choose one precision for all networks: float32 unless every one of them takes bfloat16."""
    chosen = [bench.choose_precision(asked, batches) for bench in benches]
    used: Precision = "float32" if "float32" in chosen else "bfloat16"
    for bench in benches:
        bench.precision = used
    return used


def _open(data: Any, batch_size: int | None, limit: int | None, seed: int, device: torch.device) -> Batches:
    if isinstance(data, str):
        data = load(data)
    size = _BATCH_SIZE.get(device.type, 256) if batch_size is None else batch_size
    return as_batches(data, batch_size=size, limit=limit, shuffle_seed=None if limit is None else seed)


def _logits_of(net: UnraveledNetwork, output: OutputName) -> Output:
    """Choose the output whose softmax is averaged."""
    chosen = Output.of(output).chosen_from(net.outputs, net.name)
    check_outputs(find_metrics(["error_rate"]), chosen.n_classes(net.outputs), chosen)
    return chosen


# -- members --


def _members(
    net: UnraveledNetwork, routes: str | Iterable[Route] | None, n_routes: int, keep: float, seed: int
) -> tuple[str, list[Route]]:
    """Say what the routes are, and give them."""
    if routes is not None and not isinstance(routes, str):
        return "given", [net.check(route) for route in as_routes(routes)]
    always = [m.index for m in net.residual_modules if not m.is_deletable]
    if routes is None:
        sampler: RouteSampler = Exactly(_n_kept(len(net.residual_modules), len(always), keep))
    else:
        sampler = parse_route_sampler(routes)
    sampler.check(len(net.residual_modules), always=always)
    generator = np.random.default_rng(seed)
    drawn: dict[Route, None] = {}
    for _ in range(_DRAWS_PER_ROUTE * n_routes):
        drawn[sampler.sample(len(net.residual_modules), generator, always=always)] = None
        if len(drawn) == n_routes:
            break
    return str(sampler), list(drawn)


def _n_kept(n_modules: int, n_always: int, keep: float) -> int:
    n_free = n_modules - n_always
    if not 0 <= keep < 1 or not n_free:
        raise EvaluationError(
            f"Routes that keep the share {keep} of {counted(n_free, 'module')} that can be deleted "
            "are no ensemble. Give a "
            "network with such modules, and a share of at least 0 and below 1."
        )
    return n_always + min(round(keep * n_free), n_free - 1)


def _probabilities(
    bench: Bench, logits: Output, routes: Sequence[Route], batch: Batch, name: str
) -> tuple[Tensor, Tensor]:
    """Give the probabilities of the routes in their order, shape (E, N, C), and the targets.

    A prediction with a logit that is not finite has no probabilities: they are NaN.
    """
    inputs, targets = batch
    if targets is None:
        raise EvaluationError(
            "The error of an ensemble needs targets, and the data has none: give (inputs, targets)."
        )
    places: dict[Route, list[int]] = {}
    for place, route in enumerate(routes):
        places.setdefault(route, []).append(place)
    found: list[Tensor] = [torch.empty(0)] * len(routes)
    targets_N = torch.empty(0)
    with bench.running(), taking(bench.net, inputs, name):
        for route, returned in walk(bench.net, places, bench.place(inputs)):
            outputs = as_outputs(returned, targets.to(bench.device), output=logits, name=name)
            assert outputs.targets_N is not None, "targets were given"
            targets_N = outputs.targets_N
            _check_memory(len(routes), outputs.logits_NC)
            is_finite = outputs.logits_NC.isfinite().all(dim=1, keepdim=True)
            for place in places[route]:
                found[place] = outputs.logits_NC.softmax(dim=1).where(is_finite, math.nan)
    return torch.stack(found), targets_N


def _check_memory(n_members: int, values_NC: Tensor) -> None:
    n_bytes = n_members * values_NC.numel() * values_NC.element_size()
    if n_bytes > _MAX_BYTES:
        n, n_classes = values_NC.shape
        raise EvaluationError(
            f"The probabilities of {counted(n_members, 'route')} for {counted(n, 'prediction')} of a "
            f"batch and {counted(n_classes, 'class')} need "
            f"{n_bytes / 2**30:.1f} GiB, more than the {_MAX_BYTES / 2**30:.0f} that they may. Give a smaller "
            "batch_size, fewer routes or shorter sequences."
        )


def _joined(probabilities: Sequence[Tensor], benches: Sequence[Bench]) -> Tensor:
    """Put the members of several networks together."""
    for bench, values_ENC in zip(benches, probabilities, strict=True):
        if values_ENC.shape != probabilities[0].shape:
            raise EvaluationError(
                f"{bench.net.name or 'one network'} tells {counted(values_ENC.shape[2], 'class')} apart and "
                f"{benches[0].net.name or 'the first'} {probabilities[0].shape[2]}: their predictions cannot be "
                "averaged. Give networks for the same classes."
            )
    return torch.cat([values_ENC.to(probabilities[0].device) for values_ENC in probabilities])


# -- sums --


class _Ensembles:
    """Subsets of some members, and what they get wrong together and each by itself, summed over predictions."""

    def __init__(self, n_members: int, sizes: Iterable[int], repeats: int, seed: int) -> None:
        sizes = at_most(sizes, MOST_ROUTES, "sizes") if isinstance(sizes, Iterable) else [sizes]
        fitting = [size for size in sizes if is_whole(size) and 1 <= size <= n_members]
        if not fitting or repeats < 1:
            given = ", ".join(map(str, sizes[:8])) or "not given"
            raise EvaluationError(
                f"Ensembles cannot be made of {counted(n_members, 'member')} in sizes {given} with "
                f"{counted(repeats, 'repeat')}. Give "
                "sizes from 1 to the number of members, and repeats=1 or more."
            )
        self.n_members = n_members
        self.subsets = {size: _subsets(n_members, size, repeats, seed) for size in fitting}
        self.n_wrong = dict.fromkeys(fitting, 0)
        self.both_wrong_EE = torch.zeros(n_members, n_members, dtype=torch.float64)
        self.n_agreeing = 0
        self.n = 0

    def add(self, probabilities_ENC: Tensor, targets_N: Tensor) -> None:
        """Count what is wrong in a batch."""
        targets_N = targets_N.to(probabilities_ENC.device)
        predicted_EN = _predicted(probabilities_ENC)
        wrong_EN = (predicted_EN != targets_N).double()
        self.both_wrong_EE += (wrong_EN @ wrong_EN.T).cpu()
        # One member at a time: all pairs at once would need the square of the memory.
        self.n_agreeing += sum(int((predicted_EN == predicted_N).sum()) for predicted_N in predicted_EN)
        for size, subsets in self.subsets.items():
            for subset in subsets:
                mean_NC = probabilities_ENC[subset].mean(dim=0)
                self.n_wrong[size] += int((_predicted(mean_NC) != targets_N).sum())
        self.n += len(targets_N)

    @property
    def member_error_rate(self) -> float:
        """The mean error of single members."""
        return float(self.both_wrong_EE.trace()) / (self.n_members * self.n)

    @property
    def disagreement(self) -> float | None:
        """The share of predictions on which two members differ, the mean over all pairs; None without any."""
        n_ordered_pairs = self.n_members * (self.n_members - 1)
        if not n_ordered_pairs:
            return None
        return 1 - (self.n_agreeing - self.n_members * self.n) / (n_ordered_pairs * self.n)

    @property
    def error_correlation(self) -> float | None:
        """The phi coefficient of the errors of two members, the mean over the pairs that have one."""
        wrong_E = self.both_wrong_EE.diagonal()
        spread_E = (wrong_E * (self.n - wrong_E)).sqrt()
        covariance_EE = self.n * self.both_wrong_EE - wrong_E[:, None] * wrong_E
        phi_EE = covariance_EE / (spread_E[:, None] * spread_E)
        above = torch.triu_indices(self.n_members, self.n_members, offset=1)
        phi = phi_EE[above[0], above[1]]
        defined = phi[phi.isfinite()]
        return float(defined.mean()) if len(defined) else None

    def rows(self, confidence: float) -> Iterator[Row]:
        """Make one row a size."""
        if not self.n:
            raise EvaluationError("The data holds no predictions. Give data with at least one batch.")
        for size, subsets in self.subsets.items():
            mean_wrong = self.n_wrong[size] / len(subsets)
            low, high = rate_interval(mean_wrong, self.n, confidence)
            yield {
                "n_members": size,
                "n_draws": len(subsets),
                "error_rate": mean_wrong / self.n,
                "error_rate_low": low,
                "error_rate_high": high,
                "member_error_rate": self.member_error_rate,
                "disagreement": self.disagreement,
                "error_correlation": self.error_correlation,
            }


def _predicted(probabilities: Tensor) -> Tensor:
    """Give the most probable class of each prediction; -1 where a member has no probabilities."""
    return probabilities.argmax(dim=-1).where(~probabilities[..., 0].isnan(), -1)


def _subsets(n_members: int, size: int, repeats: int, seed: int) -> list[list[int]]:
    """Give all subsets of a size, or random ones where there are more than `repeats`."""
    if math.comb(n_members, size) <= repeats:
        return [list(subset) for subset in itertools.combinations(range(n_members), size)]
    generator = np.random.default_rng((seed, size))
    return [generator.choice(n_members, size, replace=False).tolist() for _ in range(repeats)]
