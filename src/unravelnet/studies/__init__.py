"""Experiments as lists of labelled routes.

A study describes what to measure and computes nothing: print it, count it, shorten it, then hand it to
`evaluate`. Each begins with the intact network, so that its rows can be compared with it. Random studies are
determined by their seed.

    >>> from unravelnet import registry
    >>> registry.STUDIES.names()[:2]
    ['delete_each', 'delete_many']

Each study is a function here, and a `Study` in `registry.STUDIES`, where the command line, `reproduce` and the report
find it. docs/extending.md shows how to add one.
"""

from unravelnet.studies.blocks import Blocks, Unit, blocks_of, in_units
from unravelnet.studies.cuts import delete_first, delete_last, shuffle_middle
from unravelnet.studies.doses import scale_each
from unravelnet.studies.drawn import Eligible, delete_many, n_eligible, reorder
from unravelnet.studies.means import mean_ablate_each
from unravelnet.studies.pairs import delete_pairs
from unravelnet.studies.single import delete_each, remove_skip_each
from unravelnet.studies.spans import parallel_spans, repeat_spans, reverse_spans
from unravelnet.studies.study import Draws, Study, n_passes
from unravelnet.studies.subject import Network
from unravelnet.studies.trial import Trial

__all__ = [
    "Blocks",
    "Draws",
    "Eligible",
    "Network",
    "Study",
    "Trial",
    "Unit",
    "blocks_of",
    "delete_each",
    "delete_first",
    "delete_last",
    "delete_many",
    "delete_pairs",
    "in_units",
    "mean_ablate_each",
    "n_eligible",
    "n_passes",
    "parallel_spans",
    "remove_skip_each",
    "reorder",
    "repeat_spans",
    "reverse_spans",
    "scale_each",
    "shuffle_middle",
]
