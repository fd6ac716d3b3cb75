"""The gradient split by path length, and what the modules of a network do to it.

`linearised` keeps a batch so that gradients can be carried back piece by piece, `lengths` carries them by path
length. `spectrum` measures what each length carries, `depth` what reaches each module, `logits` splits the
output instead.
"""

from unravelnet.gradient.depth import effective_depths
from unravelnet.gradient.logits import path_logits
from unravelnet.gradient.method import Method
from unravelnet.gradient.modules import module_measures
from unravelnet.gradient.responses import layer_responses
from unravelnet.gradient.spectrum import path_gradients

__all__ = [
    "Method",
    "effective_depths",
    "layer_responses",
    "module_measures",
    "path_gradients",
    "path_logits",
]
