"""The claim that an error grows with a damage and nowhere collapses: of deletions, and of disorder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from unravelnet.readers.rows import Measured, chance_error, n_images_text
from unravelnet.reporting.words.claim import Claim
from unravelnet.reporting.words.sentences import points
from unravelnet.reporting.words.verdict import (
    COLLAPSE,
    median_with_interval,
    of_steps,
    rank_correlation,
    too_little,
)
from unravelnet.wording import counted, percent

ON_STEPS = "(In kind: surely grows, likely without a collapse. That the growth is smooth is not judged.)"


def graded(
    text: str,
    paper: str,
    study: Measured,
    damage: pd.Series,
    groups: Sequence[np.ndarray],
    n_classes: int | None,
    *,
    chapter: str,
    of: str,
) -> Claim:
    """Judge that an error grows with a damage, and that no step between neighbouring groups is a collapse."""
    rho, low, high = rank_correlation(damage.to_numpy(), study.lesions["value"].to_numpy())
    medians = pd.DataFrame([median_with_interval(group) for group in groups])
    ends = medians["value"].iloc[[0, -1]].tolist()
    found = (
        f"Medians from {percent(ends[0])} to {percent(ends[1])}{_on_falls(medians['value'])}; rank correlation with "
        f"the {of} {rho:.2f} ({low:.2f} to {high:.2f}); {counted(len(damage), 'draw')}, {n_images_text(study.lesions)}."
    ).replace("-", "\u2212")
    chance = chance_error(n_classes)
    if chance is None or study.intact is None:
        return Claim(text, paper, found, "not decided", "The level of chance is not known.", chapter)
    little = too_little(study.intact, chance)
    if little:
        return Claim(text, paper, found, "not decided", little, chapter)
    levels = pd.concat([study.intact[["value", "low", "high"]].astype(float).to_frame().T, medians])
    verdict, why = of_steps(
        levels, most=COLLAPSE * (chance - study.intact["value"]), grows=low > 0, falls=high < 0
    )
    return Claim(text, paper, found, verdict, why, chapter)


def _on_falls(medians: pd.Series) -> str:
    """Say how often a median lies below the one before, and by how much at most."""
    steps = medians.diff().dropna()
    falls = steps[steps < 0]
    if falls.empty:
        return ""
    largest = points(-falls.min(), signed=False)
    return f", with {counted(len(falls), 'fall')} on the way, the largest by {largest} points"
