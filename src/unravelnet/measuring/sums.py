"""Sums: what is kept of a part of a sample, so that parts can be measured apart and put together in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# How the names of a record tell its kinds apart: "wrong" adds, "norms[]" appends, "loss=" is the same everywhere.
_APPENDS, _IS_SAME = "[]", "="


@dataclass(frozen=True, eq=False)
class Sums:
    """Numbers by name, of one part of a sample; the sums of two parts make those of both.

    >>> first = Sums({"n_wrong": 3}, {"norms": [0.5, 0.25]}, {"loss": "cross_entropy"})
    >>> both = first + Sums({"n_wrong": 1}, {"norms": [0.125]}, {"loss": "cross_entropy"})
    >>> both.as_record()
    {'n_wrong': 4, 'norms[]': [0.5, 0.25, 0.125], 'loss=': 'cross_entropy'}

    `added`: numbers and arrays that add up, kept as int64 or float64. `appended`: arrays that are put one after the
    other along their last dimension, where quantiles need every value. `facts`: plain values that all parts share. A
    name that one of two lacks is taken from the other. So `Sums()` changes nothing, and how parts are grouped changes
    nothing either, but for the rounding of float64: the runner adds shards from the first to the last, always.
    """

    added: Mapping[str, Any] = field(default_factory=dict)
    appended: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("added", "appended"):
            object.__setattr__(self, name, {key: _exact(value) for key, value in getattr(self, name).items()})

    def __add__(self, other: Sums) -> Sums:
        added, appended = dict(self.added), dict(self.appended)
        for name, value in other.added.items():
            added[name] = added[name] + value if name in added else value
        for name, value in other.appended.items():
            appended[name] = np.concatenate([appended[name], value], axis=-1) if name in appended else value
        return _sums_of_exact(added, appended, {**self.facts, **other.facts})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sums):
            return NotImplemented
        return self.as_record() == other.as_record()

    __hash__ = None  # type: ignore[assignment]  # arrays can be written into

    def as_record(self) -> dict[str, Any]:
        """Give plain values, for a results store or another process."""
        return {
            **{name: value.tolist() for name, value in self.added.items()},
            **{f"{name}{_APPENDS}": value.tolist() for name, value in self.appended.items()},
            **{f"{name}{_IS_SAME}": value for name, value in self.facts.items()},
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Sums:
        """Make sums of what `as_record` gave.

        >>> Sums.of_record({"n_wrong": 4, "norms[]": [0.5]}).appended["norms"]
        array([0.5])
        """
        added, appended, facts = {}, {}, {}
        for name, value in record.items():
            if name.endswith(_APPENDS):
                appended[name.removesuffix(_APPENDS)] = value
            elif name.endswith(_IS_SAME):
                facts[name.removesuffix(_IS_SAME)] = value
            else:
                added[name] = value
        return cls(added, appended, facts)


def _sums_of_exact(added: dict[str, Any], appended: dict[str, Any], facts: dict[str, Any]) -> Sums:
    """Make sums of what is exact already: adding is done for every trial and shard."""
    sums = object.__new__(Sums)
    for name, values in (("added", added), ("appended", appended), ("facts", facts)):
        object.__setattr__(sums, name, values)
    return sums


def _exact(value: Any) -> np.ndarray[Any, Any]:
    """Keep a number or an array in a type that adds many of them well."""
    array = np.asarray(value)
    return array.astype(np.int64 if array.dtype.kind in "bui" else np.float64, copy=False)
