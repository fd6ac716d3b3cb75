"""The claim about effective depth, of Wu, Shen and van den Hengel (2016)."""

from __future__ import annotations

from unravelnet.errors import EvaluationError
from unravelnet.papers import wu
from unravelnet.readers.rows import n_images_text, ordered
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run
from unravelnet.reporting.words.claim import OWN, Claim, not_measured, with_rows
from unravelnet.reporting.words.verdict import Verdict
from unravelnet.wording import counted


def claim_over_deepened(table: Table | None, *, network: str = "the residual network") -> Claim:
    """Judge: the network is deeper than its effective depth (Wu, Shen and van den Hengel)."""
    text = (
        f"{_upper(network)} is deeper than its effective depth: paths through less than half of the modules behind "
        "its first module carry 95 % of that module's gradient, by the norms of the exact sums. (In kind: through less "
        "than all of them.)"
    )
    paper = f"{wu.OVER_DEEPENED.said_by} Measure and threshold are ours."
    try:
        rows = None
        if table is not None:
            rows = ordered(
                table, by="module", needs=["n_after", "effective_depth", "depth_share", "is_deeper"]
            )
    except EvaluationError:
        rows = None
    if rows is None:
        return not_measured(text, paper, "effective_depths", "effective-depth")
    first = rows.loc[rows["n_after"].idxmax()]
    depth, behind = int(first["effective_depth"]), int(first["n_after"])
    found = (
        f"Paths through at most {depth} of the {counted(behind, 'module')} behind module {int(first['module'])} carry "
        f"{100 * first['depth_share']:g} % of its gradient; "
        f"{int(rows['is_deeper'].sum())} of {counted(len(rows), 'module')} have more behind them than their effective "
        f"depth; {n_images_text(rows)}."
    )
    verdict, why = _of_depth(depth, behind)
    return Claim(text, paper, found, verdict, why, "effective-depth")


def _of_depth(depth: int, behind: int) -> tuple[Verdict, str]:
    if behind == 0:
        return "not decided", "There is no module behind another."
    if depth < behind / 2:
        return "agrees", f"{depth} is less than half of {behind}. (Whole numbers; there is no interval.)"
    if depth < behind:
        why = f"{depth} is less than {behind}, which hardly any network misses, but not less than half of it."
        return "agrees in kind", why
    return "does not agree", f"All {counted(behind, 'module')} behind are needed."


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def judge(run: Run) -> list[Claim]:
    """Judge the effective depths of each ordinary residual network, if any network of the run has them."""
    study = "effective_depths"
    return [
        with_rows(
            claim_over_deepened(network.tables.get(study), network=network.title),
            (network, study),
            short="Deeper than its effective depth",
            source=OWN,
        )
        for network in (run.of_role("resnet") if run.with_table(study) else [])
    ]
