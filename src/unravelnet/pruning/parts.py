"""Two parts of the data: modules are chosen on one, and what they cost is reported on the other."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unravelnet.data import ChoiceData, load
from unravelnet.data.source import Loaded, PartSource, Source, open_source
from unravelnet.errors import ArgumentError, DataError
from unravelnet.kinds import is_whole
from unravelnet.measuring.sample import Sample
from unravelnet.network.output import tensors_of
from unravelnet.wording import counted

_log = logging.getLogger(__name__)

_AT_ONCE = 1024
# Some data sets hold the same image twice; more than so many shares of it are one set given under two names.
_MOST_SHARED = 0.01


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportPlan:
    """What a pruning is reported on, and beside what; an option of `prune`, which explains each.

    Raises ArgumentError for a number of draws that is none.
    """

    report_data: Any = None
    report_share: float = 0.5
    n_draws: int = 10
    compare: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not (is_whole(self.n_draws) and self.n_draws >= 0):
            raise ArgumentError(
                f"n_draws is {self.n_draws!r}; give the number of random orders to compare with, 0 or more."
            )


@dataclass(frozen=True, eq=False)
class Parts:
    """The part to choose on, and the part to report on; they have no example in common."""

    selection: PartSource
    report: PartSource


def divide(sample: Sample, *, report_data: Any = None, report_share: float = 0.5) -> Parts:
    """Divide a sample at random, by its seed, or take the part to report on from other data.

    >>> parts = divide(Sample(data=(torch.zeros(10, 1), torch.arange(10))), report_share=0.3)
    >>> len(parts.selection), len(parts.report)
    (7, 3)

    Raises DataError for a stream of batches, for a share that leaves one part empty, and where other data holds
    examples of the sample.
    """
    chosen = drawn(sample)
    source, order = chosen.source, chosen.order
    if report_data is not None:
        reported = drawn(Sample.of(report_data), "report_data")
        check_alike(source, reported, "report_data")
        check_apart(
            chosen,
            reported,
            "of report_data",
            "those that modules are chosen on. What a choice costs shows on others only: give other report_data, or "
            "leave it out, and the data is divided",
        )
        return Parts(chosen, reported)
    if not 0 < report_share < 1:
        raise DataError(
            f"The report_share is {report_share}; give a share between 0 and 1 of the data to report on."
        )
    n_selected = len(order) - round(len(order) * report_share)
    if n_selected in (0, len(order)):
        raise DataError(
            f"{source.name} has {counted(len(order), source.unit.removesuffix('s'))}, too few to choose on some and to "
            f"report on others with report_share={report_share}. Give more, or report_data=..."
        )
    return Parts(PartSource(source, order[:n_selected]), PartSource(source, order[n_selected:]))


def drawn(sample: Sample, argument: str = "data") -> PartSource:
    """Open a sample, in the order of its seed. Raises DataError for a stream of batches.

    >>> len(drawn(Sample(data=(torch.zeros(10, 1), torch.arange(10)), limit=4)))
    4
    """
    source = _opened(sample.data, argument, sample.limit, sample.seed)
    return PartSource(source, _order(len(source), sample.limit, sample.seed, source))


def check_alike(first: Source | Loaded, other: Source | Loaded, argument: str) -> None:
    """Raise DataError where one of two has questions with options, and the other has not."""
    if (ChoiceData.unit == first.unit) != (ChoiceData.unit == other.unit):
        raise DataError(
            f"{first.name} has {first.unit}, and {other.name}, the {argument}, has {other.unit}. Both are measured "
            "alike: give both of one kind."
        )


def _opened(data: Any, argument: str, limit: int | None, seed: int) -> Source:
    source = open_source(load(data, "test", limit=limit, seed=seed) if isinstance(data, str) else data)
    if source is None:
        raise DataError(
            f"{argument} is a {type(data).__name__}, a stream of batches, of which no part can be drawn. Give a pair "
            "of tensors, a torch Dataset with a length, or the name of a data set."
        )
    return source


def _order(n: int, limit: int | None, seed: int, source: Source) -> Tensor:
    if limit is not None and not 1 <= limit <= n:
        raise DataError(f"{limit} {source.unit} of {source.name} were asked for, and it has {n}.")
    return torch.randperm(n, generator=torch.Generator().manual_seed(int(seed)))[:limit]


def check_apart(used: Source, reported: Source, which: str, of: str) -> None:
    """Raise DataError where two sources hold the same examples; a few may stand in a data set twice.

    `which`: says in the message which examples of `reported` are meant, and `of` which ones of `used`.
    """
    seen, found = set(_digests(used)), _digests(reported)
    shared = sum(digest in seen for digest in found)
    if shared > _MOST_SHARED * len(found):
        raise DataError(f"{shared:,} of the {len(found):,} {reported.unit} {which} are among {of}.")
    if shared:
        _log.warning(
            "%s of %s stand in %s, too.",
            counted(shared, reported.unit.removesuffix("s")),
            reported.name,
            used.name,
        )


def _digests(part: Source) -> list[bytes]:
    """Hash the inputs of each example."""
    found = []
    for positions in torch.arange(len(part)).split(_AT_ONCE):
        inputs, _ = part.gather(positions)
        tensors = list(tensors_of(inputs).values())
        for number in range(len(positions)):
            digest = hashlib.blake2b(digest_size=16)
            for tensor in tensors:
                digest.update(
                    tensor[number].detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data
                )
            found.append(digest.digest())
    return found
