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
    mean_with_interval,
    median_with_interval,
    of_steps,
    rank_correlation,
    too_little,
    weaker,
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
    means = pd.DataFrame([mean_with_interval(group) for group in groups])
    found = (
        f"Medians {_on_ends(medians['value'])}; means {_on_ends(means['value'])}; rank correlation with the {of} "
        f"{rho:.2f} ({low:.2f} to {high:.2f}); {counted(len(damage), 'draw')}, {n_images_text(study.lesions)}."
    ).replace("-", "\u2212")
    chance = chance_error(n_classes)
    if chance is None or study.intact is None:
        return Claim(text, paper, found, "not decided", "The level of chance is not known.", chapter)
    little = too_little(study.intact, chance)
    if little:
        return Claim(text, paper, found, "not decided", little, chapter)
    most = COLLAPSE * (chance - study.intact["value"])
    intact = study.intact[["value", "low", "high"]].astype(float).to_frame().T
    (verdict, of_medians), (of_mean, of_means) = (
        of_steps(pd.concat([intact, levels]), most=most, grows=low > 0, falls=high < 0)
        for levels in (medians, means)
    )
    both = f"By the medians: {of_medians} By the means: {of_means}"
    why = of_medians if of_medians == of_means else both
    return Claim(text, paper, found, weaker(verdict, of_mean), why, chapter)


def _on_ends(levels: pd.Series) -> str:
    return f"from {percent(levels.iloc[0])} to {percent(levels.iloc[-1])}{_on_falls(levels)}"


def _on_falls(levels: pd.Series) -> str:
    """Say how often a level lies below the one before, and by how much at most."""
    steps = levels.diff().dropna()
    falls = steps[steps < 0]
    if falls.empty:
        return ""
    largest = points(-falls.min(), signed=False)
    return f", with {counted(len(falls), 'fall')} on the way, the largest by {largest} points"
