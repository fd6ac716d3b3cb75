"""How well each score foresees what a deletion costs: rank correlations over modules, and the price of the score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from unravelnet.mathematics.ranks import kendall, means_of_draws, quantile_interval, spearman
from unravelnet.measuring.sums import Sums
from unravelnet.readers.importance import EFFECTS
from unravelnet.records.record import Row

_DRAWS = 500
_MEASURES = {"spearman": spearman, "kendall": kendall}
# With fewer modules no order says anything.
_FEWEST_MODULES = 3


def correlate(
    rows: Sequence[Row], sums: Sums, names: Sequence[str], *, seed: int, confidence: float
) -> list[Row]:
    """Compare the order of modules by each score with that by each effect of a deletion: a row for each pair.

    `rows`: of the modules. `sums`: what is known of every image. Modules that lack one of the two are left out.
    Intervals need every effect on every image; where it was estimated they are None.
    """
    return [
        {
            "score": score,
            "truth": truth,
            **_compared(rows, sums, score, truth, seed=seed, confidence=confidence),
            "passes": sums.facts["passes"].get(score),
            "truth_passes": sums.facts["passes"].get(truth),
            "n_images": int(sums.added["n_images"]),
            "seed": seed,
            "confidence": confidence,
        }
        for score, truth in _pairs(names)
    ]


def _pairs(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for truth in (name for name in names if name in EFFECTS):
        yield from ((name, truth) for name in names if name not in EFFECTS)


def _compared(
    rows: Sequence[Row], sums: Sums, score: str, truth: str, *, seed: int, confidence: float
) -> Row:
    kept = [place for place, row in enumerate(rows) if row[score] is not None and row[truth] is not None]
    both = [np.array([rows[place][name] for place in kept], dtype=np.float64) for name in (score, truth)]
    drawn = _drawn(sums, score, truth, kept, seed)
    compared: Row = {}
    for name, measure in _MEASURES.items():
        value = measure(*both) if len(kept) >= _FEWEST_MODULES else np.nan
        compared[name] = None if np.isnan(value) else value
        interval = None
        if drawn is not None and compared[name] is not None:
            interval = quantile_interval([measure(*means) for means in zip(*drawn, strict=True)], confidence)
        compared[f"{name}_low"], compared[f"{name}_high"] = interval or (None, None)
    return {**compared, "n_modules": len(kept)}


def _drawn(
    sums: Sums, score: str, truth: str, kept: Sequence[int], seed: int
) -> list[np.ndarray[Any, Any]] | None:
    """Draw images anew, the same ones for score and truth; None where the truth is not known of each."""
    if truth not in sums.appended or len(kept) < _FEWEST_MODULES:
        return None
    return [means_of_draws(sums.appended[name][kept], _DRAWS, seed) for name in (score, truth)]
