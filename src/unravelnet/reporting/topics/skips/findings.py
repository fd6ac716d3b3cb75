"""What removing skips does, in sentences computed from the tables."""

from __future__ import annotations

from unravelnet.readers.rows import measured
from unravelnet.records.record import Table
from unravelnet.reporting.contents import StudiedNetwork
from unravelnet.reporting.words.sentences import points
from unravelnet.wording import counted

_DIFFERENCE = "error_rate_difference"


def on_removed_skips(network: StudiedNetwork, skips: Table, branches: Table) -> list[str]:
    """Compare removing each skip with deleting each branch of the same modules."""
    changes = [measured(part, metric=_DIFFERENCE, needs=["module"]).lesions for part in (skips, branches)]
    pairs = changes[0].merge(changes[1], on="module", suffixes=("_skip", "_branch"))
    if pairs.empty:
        return []
    more, less = pairs["low_skip"] > pairs["high_branch"], pairs["high_skip"] < pairs["low_branch"]
    worst = pairs.loc[pairs["value_skip"].idxmax()]
    return [
        f"{network.title}: removing the skip of a module changes the error by "
        f"{points(pairs['value_skip'].median())} points in the median of {counted(len(pairs), 'module')} and "
        f"by at most {points(worst['value_skip'])} (module {int(worst['module'])}); deleting its branch by "
        f"{points(pairs['value_branch'].median())} in the median and at most "
        f"{points(pairs['value_branch'].max())}.",
        f"At {more.sum()} of {counted(len(pairs), 'module')} the skip surely costs more than the branch, at "
        f"{less.sum()} surely less; either leaves half of the paths.",
    ]
