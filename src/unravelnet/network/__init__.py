"""The network as stem, residual modules and head; runs one route.

`UnraveledNetwork` is the one type that everything else works on. The zoo builds it directly, `capture`
makes it from anybody's model. Running many routes at once is done in `evaluate`.

A network is a row of *chains*: residual modules in series with nothing between them but what belongs to
them. Between two chains stands a *transition* (a pooling, a patch merging, a convolution without skip) that
every route passes exactly once, as it passes the stem and the head. A route may therefore reorder modules
within a chain, and leaves a chain once.

Shapes in this room are those of one image or one sequence: without the first, the batch dimension.
"""

from unravelnet.network.inputs import Inputs, Shape, first_tensor, shape_text
from unravelnet.network.junction import AbstractJunction, Add, Concatenate, Gate, Partial
from unravelnet.network.module import (
    NOTHING_HELD,
    Held,
    Kind,
    ResidualModule,
    ResidualModules,
    Segment,
    State,
)
from unravelnet.network.network import UnraveledNetwork, in_evaluation_mode
from unravelnet.network.origin import Origin
from unravelnet.network.row import Row

__all__ = [
    "NOTHING_HELD",
    "AbstractJunction",
    "Add",
    "Concatenate",
    "Gate",
    "Held",
    "Inputs",
    "Kind",
    "Origin",
    "Partial",
    "ResidualModule",
    "ResidualModules",
    "Row",
    "Segment",
    "Shape",
    "State",
    "UnraveledNetwork",
    "first_tensor",
    "in_evaluation_mode",
    "shape_text",
]
