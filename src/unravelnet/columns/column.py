"""What a column of a table is: its name, title, unit, type and meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

Type = Literal["text", "whole number", "number", "truth value"]
Unit = Literal[
    "",
    "share",
    "percentage points",
    "nats",
    "loss per unit",
    "index",
    "modules",
    "modules entered",
    "paths",
    "images",
    "predictions",
    "routes",
    "members",
    "draws",
    "values",
    "parameters",
    "MACs",
    "epochs",
    "seconds",
    "images per second",
    "MiB",
]


@dataclass(frozen=True, slots=True)
class Column:
    """One column, as a value.

    `title`: what people read above its cells or beside an axis. `meaning`: its line of the glossary. `unit`: of its
    values; empty where they have none. `has_interval`: columns with `_low` and `_high` behind the name hold the
    ends of an interval. `has_difference`: those with `_difference` compare a route with the intact network.
    """

    name: str
    title: str
    type: Type
    meaning: str
    unit: Unit = ""
    has_interval: bool = False
    has_difference: bool = False

    @property
    def is_share(self) -> bool:
        """Whether values are shares, or differences of shares, which people read in percent."""
        return self.unit in ("share", "percentage points")

    @property
    def label(self) -> str:
        """The title with the unit in which people read the values, as on an axis: shares in percent.

        >>> Column("loss", "Loss", "number", "Mean of the losses.", unit="nats").label
        'Loss (nats)'
        >>> Column("n_draws", "Draws", "whole number", "Number of draws.", unit="draws").label
        'Draws'
        """
        return self._titled("%" if self.unit == "share" else self.unit)

    @property
    def raw_label(self) -> str:
        """The title with the unit of the values as they are.

        >>> Column("error_rate", "Error", "number", "Share of errors.", unit="share").raw_label
        'Error (share)'
        """
        return self._titled(self.unit)

    def family(self) -> Iterator[Column]:
        """Give the column and those that stand behind it: ends of its interval, difference to the intact network.

        >>> column = Column("loss", "Loss", "number", "Mean of the losses.", has_interval=True)
        >>> [(member.name, member.title) for member in column.family()]
        [('loss', 'Loss'), ('loss_low', 'Loss, from'), ('loss_high', 'Loss, to')]
        """
        yield from self._with_interval()
        if self.has_difference:
            unit: Unit = "percentage points" if self.unit == "share" else self.unit
            change = replace(
                self,
                name=f"{self.name}_difference",
                title=f"{self.title}, change",
                meaning=f"`{self.name}` of the route minus `{self.name}` of the intact network, on the same "
                "predictions.",
                unit=unit,
                has_difference=False,
            )
            yield from change._with_interval()

    def _titled(self, unit: str) -> str:
        return f"{self.title} ({unit})" if unit and unit.lower() not in self.title.lower() else self.title

    def _with_interval(self) -> Iterator[Column]:
        yield self
        if self.has_interval:
            for end, word, which in (("low", "from", "Lower"), ("high", "to", "Upper")):
                yield replace(
                    self,
                    name=f"{self.name}_{end}",
                    title=f"{self.title}, {word}",
                    meaning=f"{which} end of the interval of `{self.name}`.",
                    type="number",
                    has_interval=False,
                    has_difference=False,
                )
