"""Whether networks were trained as long as those of a paper, so that its claims can be tested on them.

How long is known to matter for the error at the end of a training: the rates of the papers fall late, deep networks
and those that train on a part of their modules learn more slowly, and all of them are compared when they have done.
The rule looks at epochs alone and never at the outcome, so that it takes away agreement as well as disagreement.
"""

from __future__ import annotations

from collections.abc import Iterable

from unravelnet.papers import Number
from unravelnet.reporting.words.sentences import listed
from unravelnet.reporting.words.verdict import Verdict

LEAST_SHARE = 1 / 2
"""A training of less than this share of the paper's epochs does not test what the paper says of its error."""

RULE = (
    "A claim about networks at the end of their training is not comparable where one of them had less than half of "
    "the epochs of the paper's, whether it would agree or not."
)


def is_shorter(epochs: Iterable[float | None], paper: Number) -> bool:
    """Tell whether one of several trainings is known to be less than half as long as the paper's.

    >>> from unravelnet.papers import he
    >>> is_shorter([24], he.EPOCHS), is_shorter([82, 164], he.EPOCHS), is_shorter([None], he.EPOCHS)
    (True, False, False)
    """
    return any(0 < number < LEAST_SHARE * paper.value for number in epochs if number)


def is_as_long(epochs: Iterable[float | None], paper: Number) -> bool:
    """Tell whether all of several trainings are known to be at least half as long as the paper's."""
    known = list(epochs)
    return all(known) and not is_shorter(known, paper)


def lengths_text(epochs: Iterable[float | None], paper: Number) -> str:
    """Say how long was trained, and how long those of the paper were; empty where it is not known.

    >>> from unravelnet.papers import he
    >>> lengths_text([35, 24], he.EPOCHS)
    "Trained for 24 and 35 epochs, the paper's for 164."
    """
    ours = sorted({int(number) for number in epochs if number and number > 0})
    return f"Trained for {listed(ours)} epochs, the paper's for {paper.count}." if ours else ""


def compared(
    verdict: Verdict, why: str, epochs: Iterable[float | None], paper: Number
) -> tuple[Verdict, str]:
    """Keep a verdict where the trainings are as long as the paper's, else say that they are not comparable.

    `why`: how the verdict follows, which is told in either case.
    """
    ours = list(epochs)
    lengths = lengths_text(ours, paper)
    if not is_shorter(ours, paper):
        return verdict, f"{why} {lengths}".strip()
    return "not comparable", f"{lengths} So short a training does not test the claim. As it stands: {why}"
