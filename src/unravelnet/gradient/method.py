"""How a gradient is split by path length: one value for the options of `path_gradients`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from unravelnet.costs import MOST_DRAWS, check_number
from unravelnet.errors import EvaluationError, unknown_name
from unravelnet.kinds import is_whole
from unravelnet.papers import veit

MethodName = Literal["exact", "rms", "sampled"]
At = Literal["stem", "input"]
Per = Literal["image", "batch"]
Normalisation = Literal["running", "batch"]

# The paper samples each length so often, in batches as in training.
_DRAWS: dict[str, int] = {"exact": 1, "rms": 8, "sampled": veit.DRAWS.count}


@dataclass(frozen=True, slots=True)
class Method:
    """How the gradient is split by path length; an option of `path_gradients`, which explains the methods.

    >>> Method("rms").n_draws, Method("sampled", draws=50).n_draws
    (8, 50)

    `draws`: of random paths or signs; None takes 1 for exact, 8 for rms and 1,000 for sampled. `at`: "stem", the
    gradient at the stem's output, or "input", at the main input of the network. `per`: "image", or "batch", which takes
    the gradient of the mean loss of a batch as one measurement; a last batch that is smaller is left out. `max_length`:
    leave longer paths out. `normalisation`: "running", or "batch", which takes the statistics of each batch, for
    per="batch" and sampled only. Raises UnknownNameError for an unknown name, and EvaluationError for options that do
    not go together.
    """

    method: MethodName = "exact"
    draws: int | None = None
    at: At = "stem"
    per: Per = "image"
    max_length: int | None = None
    normalisation: Normalisation = "running"

    def __post_init__(self) -> None:
        for kind, name, known in (
            ("method", self.method, tuple(_DRAWS)),
            ("place for a gradient", self.at, ("stem", "input")),
            ("kind of measurement", self.per, ("image", "batch")),
            ("normalisation", self.normalisation, ("running", "batch")),
        ):
            if name not in known:
                raise unknown_name(kind, name, known)
        check_number(self.n_draws, MOST_DRAWS, "draws")
        if self.n_draws < (0 if self.method == "exact" else 1):
            raise EvaluationError(f"{self.n_draws} draws cannot be made; give draws=1 or more.")
        if self.max_length is not None and not (is_whole(self.max_length) and self.max_length >= 0):
            raise EvaluationError(f"max_length is {self.max_length}; give max_length=0 or more.")
        if self.normalisation == "batch" and (self.method, self.per) != ("sampled", "batch"):
            raise EvaluationError(
                "With the statistics of the batch images change each other's gradients, so that no image has paths "
                'of its own. Give method="sampled" and per="batch" with normalisation="batch".'
            )

    @property
    def n_draws(self) -> int:
        """How many draws are made."""
        return _DRAWS[self.method] if self.draws is None else self.draws

    def settings(self) -> dict[str, Any]:
        """Give all of it as JSON values, by which a results store tells measurements apart."""
        return {**asdict(self), "draws": self.n_draws}
