"""The kinds of junction that are looked for in a graph, a file each.

A kind says of one node whether it joins a skip with a branch, and what stands on either side. A new kind is a file
here, a line below, and a class in `network/junction.py`.
"""

from __future__ import annotations

from unravelnet.capture.kinds.concatenations import Concatenations
from unravelnet.capture.kinds.gates import Gates
from unravelnet.capture.kinds.kind import AbstractKind
from unravelnet.capture.kinds.partials import Partials
from unravelnet.capture.kinds.sums import Sums

KINDS: tuple[AbstractKind, ...] = (Gates(), Partials(), Sums(), Concatenations())
"""In the order in which they are tried. What an earlier kind has found counts for later ones."""
