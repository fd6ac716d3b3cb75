"""Networks as ensembles: the averaged predictions of many routes, or of many networks.

Veit et al. (2016) say that residual networks behave like ensembles of paths. An ensemble is known by three signs:
its error falls with the number of its members, they disagree, and their errors are different ones. All three are
measured here, for random routes through one network and, beside them, for networks trained independently.

Shapes: E members, N predictions, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unravelnet.costs import MOST_DRAWS, check_number, check_routes
from unravelnet.data import Batches
from unravelnet.data.source import Batch
from unravelnet.errors import DataError, EvaluationError
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.ledger import open_ledger, precision_begun
from unravelnet.measuring.measurement import Measurement
from unravelnet.measuring.metrics import as_outputs, check_outputs, find_metrics
from unravelnet.measuring.misfit import are_finite, taking
from unravelnet.measuring.runner import Progress, identity_of, run
from unravelnet.measuring.sample import Sample, Shard, forward_batch_size
from unravelnet.measuring.sums import Sums
from unravelnet.measuring.tally import Tally
from unravelnet.measuring.votes import Subsets, Votes
from unravelnet.measuring.walk import walk
from unravelnet.network import Inputs, UnraveledNetwork
from unravelnet.network.output import Output, OutputName
from unravelnet.options import also_by_name
from unravelnet.precision import Precision, PrecisionChoice
from unravelnet.records.record import Row, Table
from unravelnet.records.store import ResultsStore
from unravelnet.routes.route import Route, as_routes
from unravelnet.routes.sampler import Exactly, RouteSampler, parse_route_sampler
from unravelnet.wording import counted

# What the probabilities of all members may need for one batch; they are held twice for a moment.
_MAX_BYTES = 4 * 2**30
# After so many draws for each route that is wanted there are no more to be found.
_DRAWS_PER_ROUTE = 50


@dataclass(frozen=True, slots=True)
class Members:
    """What ensembles are made of; an option of `ensemble_of_routes`.

    `n_routes`: how many different routes are drawn, and `keep`: the share of the modules that each of them keeps.
    `sizes`: of the ensembles. `repeats`: how many sets of members of a size are measured. Raises CostError for numbers
    out of range.
    """

    n_routes: int = 64
    keep: float = 0.8
    sizes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64)
    repeats: int = 100

    def __post_init__(self) -> None:
        check_routes(self.n_routes)
        check_number(self.repeats, MOST_DRAWS, "draws of members")


@also_by_name("members", Members)
def ensemble_of_routes(
    net: UnraveledNetwork,
    data: Any,
    *,
    routes: str | Iterable[Route] | None = None,
    others: Iterable[UnraveledNetwork] = (),
    output: OutputName = None,
    precision: PrecisionChoice = "float32",
    limit: int | None = None,
    batch_size: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    device: torch.device | str | None = None,
    members: Members | None = None,
    store: ResultsStore | None = None,
    progress: Progress | None = None,
) -> Table:
    """Average the predictions of random routes and measure the error against their number: one row a size.

    >>> from unravelnet import zoo
    >>> net = zoo.preact_resnet(depth=14, input_shape=(1, 8, 8), seed=0)
    >>> table = ensemble_of_routes(net, "digits", n_routes=8, keep=0.5, limit=50)
    >>> [(row["members"], row["n_members"], row["n_sets"]) for row in table]
    [('routes', 1, 8), ('routes', 2, 28), ('routes', 4, 70), ('routes', 8, 1)]

    Members are `n_routes` (64) different routes. By default each keeps the share `keep` (0.8) of the modules that can
    be deleted and lacks the others, one at least, drawn at random: 11 of 54, near the 10 of which the paper speaks.
    `routes`: what to draw from instead, such as "exactly:23", "stochastic-depth:0.5" or "uniform"; or the routes
    themselves, equal ones counting as several members. Where there are fewer different routes than are asked for,
    those are the members. An ensemble averages the softmax probabilities of its members. `error_rate` is the mean
    over all subsets of a size, or over `repeats` (100) random ones where there are more (`n_sets`); its interval is
    Wilson's for one network on as many predictions, a little too wide for a mean of several. `sizes`: 1, 2, 4 and so on
    to 64; those above the number of members have no row.

    Over all members and pairs of them, the same in every row: `member_error_rate`, `disagreement`, the share of
    predictions on which two members differ, and `error_correlation`, the phi coefficient of the errors of two
    members (pairs of which one is always right or always wrong have none). `others`: networks for the same classes,
    trained independently; with `net` they are measured in the same way, in rows for every number of them.
    `members`: a `Members` in the place of `n_routes`, `keep`, `sizes` and `repeats`. `store`: as for `evaluate`.
    `output`: which tensor of what each network returns holds the logits, as for `evaluate`. `limit`: only so many
    images, drawn by `seed`. Raises EvaluationError where data has no targets, networks differ in their classes or no
    ensemble can be made; DataError where targets are no classes; RouteError and TrainingError where routes do not fit.
    """
    chosen = Members() if members is None else members
    sample = Sample.of(
        data, limit=limit, seed=seed, batch_size=batch_size, device=device, precision=precision
    )
    kind, drawn = members_of(net, routes, n_routes=chosen.n_routes, keep=chosen.keep, seed=sample.seed)
    networks = (net, *others)
    ensembles = {
        "intact": Subsets(1, [1], 1, sample.seed),
        "routes": Subsets(len(drawn), chosen.sizes, chosen.repeats, sample.seed),
    }
    if len(networks) > 1:
        ensembles["networks"] = Subsets(
            len(networks), range(1, len(networks) + 1), chosen.repeats, sample.seed
        )
    logits = [_logits_of(network, output) for network in networks]
    benches = [Bench(network, device=sample.device, compile=sample.compile) for network in networks]
    size = forward_batch_size(benches[0].device) if sample.batch_size is None else int(sample.batch_size)
    batches = sample.batches(size)
    identity = identity_of(net, batches, is_kept=store is not None)
    begun = None if store is None else precision_begun(store, str(identity["network"]))
    used = _choose_precision(sample.precision, benches, batches, begun)
    about = {"precision": used, "seed": sample.seed, "confidence": confidence}
    measurement = _EnsembleErrors(
        (net.full_route, *drawn),
        kind,
        ensembles,
        tuple(zip(benches, logits, strict=True)),
        batches.name,
        about,
    )
    settings = measurement.settings(sample, size)
    ledger = open_ledger(store, net, identity, measurement.trials, settings)
    return run(measurement, benches[0], batches, identity, ledger=ledger, progress=progress)


@dataclass(frozen=True)
class _EnsembleErrors(Measurement):
    """What ensembles get wrong, summed over predictions: `routes` of the first network, the intact one first."""

    routes: tuple[Route, ...]
    kind: str
    ensembles: Mapping[str, Subsets]
    networks: tuple[tuple[Bench, Output], ...]
    data_name: str
    about: Row

    @property
    def trials(self) -> list[Route]:  # type: ignore[override]  # computed from a field
        return [self.routes[0]]

    def settings(self, sample: Sample, size: int) -> Row:
        """Say what the sums depend on, as JSON values."""
        return {
            "measurement": "EnsembleErrors",
            "members": [str(route) for route in self.routes[1:]],
            "others": [bench.net.fingerprint() for bench, _ in self.networks[1:]],
            "sets": {name: subsets.by_size for name, subsets in self.ensembles.items()},
            "output": [str(logits) for _, logits in self.networks],
            "precision": self.about["precision"],
            "device": self.networks[0][0].device.type,
            "compile": sample.compile,
            "batch_size": size,
            "limit": None if sample.limit is None else int(sample.limit),
            "seed": int(sample.seed),
        }

    def of_shard(self, net: UnraveledNetwork, shard: Shard, trials: Sequence[Route]) -> dict[Route, Sums]:
        (bench, logits), *others = self.networks
        of_routes, targets_N = self._probabilities(bench, logits, self.routes, shard)
        _check_finite(of_routes[0], shard.inputs, self.data_name)
        members = {"intact": of_routes[:1], "routes": of_routes[1:]}
        if others:
            of_others = (
                self._probabilities(bench, logits, [bench.net.full_route], shard)[0]
                for bench, logits in others
            )
            members["networks"] = _joined([of_routes[:1], *of_others], [bench for bench, _ in self.networks])
        sums = {
            f"{name} {part}": value
            for name, probabilities_ENC in members.items()
            for part, value in self.ensembles[name].count(probabilities_ENC, targets_N).items()
        }
        return {self.routes[0]: Sums(sums)}

    def rows(self, tallies: Mapping[Route, Tally]) -> list[Row]:
        tally = tallies[self.routes[0]]
        votes = {name: self._votes(name, tally.sums) for name in self.ensembles}
        about = {
            "output": str(self.networks[0][1]),
            "intact_error_rate": votes["intact"].member_error_rate,
            "n_predictions": votes["intact"].n,
            "n_images": tally.n_images,
            **self.about,
        }
        drawn_from = {"routes": self.kind, "networks": None}
        return [
            {"members": name, "routes": drawn_from[name], **row, **about}
            for name, own in votes.items()
            if name in drawn_from
            for row in own.rows(self.about["confidence"])
        ]

    def _votes(self, name: str, sums: Sums) -> Votes:
        own = {part.removeprefix(f"{name} "): value for part, value in sums.added.items()}
        return Votes.of(self.ensembles[name], own)

    def _probabilities(
        self, bench: Bench, logits: Output, routes: Sequence[Route], shard: Shard
    ) -> tuple[Tensor, Tensor]:
        with bench.running(), taking(bench.net, shard.inputs, self.data_name):
            return _probabilities(bench, logits, routes, (shard.inputs, shard.targets), self.data_name)


def _check_finite(intact: Tensor, inputs: Inputs, name: str) -> None:
    """Raise DataError where the intact network has no probabilities because its inputs are no numbers."""
    if intact.isnan().any() and not are_finite(inputs):
        raise DataError(
            f"Inputs of {name} are not finite (NaN or infinite). Mend the data, or leave them out."
        )


def _choose_precision(
    asked: PrecisionChoice, benches: Sequence[Bench], batches: Batches, begun: Precision | None
) -> Precision:
    """Choose one precision for all networks: float32 unless every one of them takes bfloat16."""
    chosen = [bench.choose_precision(asked, batches, begun=begun) for bench in benches]
    used: Precision = "float32" if "float32" in chosen else "bfloat16"
    for bench in benches:
        bench.precision = used
    return used


def _logits_of(net: UnraveledNetwork, output: OutputName) -> Output:
    """Choose the output whose softmax is averaged."""
    chosen = Output.of(output).chosen_from(net.outputs, net.name)
    check_outputs(find_metrics(["error_rate"]), chosen.n_classes(net.outputs), chosen)
    return chosen


# -- members --


def members_of(
    net: UnraveledNetwork, routes: str | Iterable[Route] | None, *, n_routes: int, keep: float, seed: int
) -> tuple[str, list[Route]]:
    """Say what the members are drawn from, and give them.

    >>> from unravelnet import zoo
    >>> kind, members = members_of(zoo.preact_resnet(depth=8), None, n_routes=10, keep=0.6, seed=0)
    >>> kind, len(members)
    ('exactly:2', 3)
    """
    if routes is not None and not isinstance(routes, str):
        return "given", [net.check(route) for route in as_routes(routes)]
    if routes is None:
        n_always = sum(not module.is_deletable for module in net.residual_modules)
        sampler: RouteSampler = Exactly(_n_kept(len(net.residual_modules), n_always, keep))
    else:
        sampler = parse_route_sampler(routes)
    always = sampler.always_kept(net.residual_modules)
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
    """Give the probabilities of the routes in their order, shape (E, N, C), and the targets; inside `running`.

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
