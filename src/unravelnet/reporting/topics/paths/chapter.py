"""The chapters about paths: the unraveled view, path lengths, path survival. Their numbers are exact."""

from __future__ import annotations

import pandas as pd

from unravelnet import figures
from unravelnet.papers import veit
from unravelnet.paths import effective_lengths, path_counts, share_within, surviving_share
from unravelnet.reporting.contents import Run
from unravelnet.reporting.topics.chapter import Chapter
from unravelnet.reporting.words.sentences import percent
from unravelnet.routes.route import Route
from unravelnet.wording import counted

_DRAWN_MODULES = 3


def unraveled(run: Run, n_modules: int) -> Chapter:
    """Write the chapter about the view itself."""
    chapter = Chapter(
        "unraveled",
        "The unraveled view",
        "A residual module adds its branch to what it is given. What does a row of them compute, written "
        "out?",
        found="Computed here",
        paper=veit.UNRAVELED.said,
    )
    codes = [f"{code:0{_DRAWN_MODULES}b}"[::-1] for code in range(2**_DRAWN_MODULES)]
    paths = pd.DataFrame({"path": codes, "length": [code.count("1") for code in codes]})
    deleted = Route.full(_DRAWN_MODULES).delete(1)
    chapter.show(
        "unraveled",
        lambda: figures.figure_unraveled(_DRAWN_MODULES),
        paths,
        caption="Three residual modules as a chain, and the eight paths they are "
        f"({veit.UNRAVELED.source.place} of the paper).",
        alt="Left, a chain of three branches with skips; right, the same as a tree with eight paths.",
    )
    chapter.show(
        "unraveled_deleted",
        lambda: figures.figure_unraveled(
            _DRAWN_MODULES, route=deleted, title="With the second module deleted half of the paths are left"
        ),
        paths.assign(is_left=[code[1] == "0" for code in codes]),
        caption="The same with the second module deleted: four of eight paths are left.",
        alt="As before; the second branch and the four paths through it are grey.",
    )
    chapter.findings += [
        f"{network.title}: {counted(network.n_modules, 'module')}, so {2**network.n_modules:,} paths; deleting one "
        f"leaves {2 ** (network.n_modules - 1):,}."
        if network.n_modules <= 64
        else f"{network.title}: {counted(network.n_modules, 'module')}, so 2^{network.n_modules} paths."
        for network in run.of_role("resnet", "stochastic-depth", "effective-paths")
    ]
    plain = [
        f"{network.title}: {counted(network.n_modules, 'module')} without skips, one path."
        for network in run.of_role("vgg")
    ]
    chapter.findings += plain
    chapter.how.append(f"Drawn for {_DRAWN_MODULES} modules; counts are exact. Paths are counted in modules.")
    return chapter


def path_lengths(n_modules: int) -> Chapter:
    """Write the chapter about how long paths are."""
    counts = path_counts(n_modules)
    low, high = effective_lengths(counts)
    chapter = Chapter(
        "path-lengths",
        "Path lengths",
        "How many modules does a path enter?",
        found="Computed here",
        paper=f"{veit.PATH_LENGTHS.said} {veit.GRADIENT_IS_SHORT.said} {veit.EFFECTIVE_PATHS.said}",
    )
    chapter.show(
        "path_lengths",
        lambda: figures.figure_path_lengths(n_modules),
        figures.path_length_rows(n_modules),
        caption=f"The distribution of path lengths for {counted(n_modules, 'module')} "
        f"({veit.PATH_LENGTHS.source.place} of the paper).",
        alt=f"Bars in the shape of a bell around {n_modules / 2:g} modules.",
    )
    chapter.findings.append(
        f"Of the paths of {counted(n_modules, 'module')}, {percent(share_within(n_modules, low, high))} "
        f"enter {low} to {high} of them; the mean is {n_modules / 2:g}."
    )
    if n_modules == veit.N_MODULES.count:
        held = [
            f"{low} to {high} hold {percent(share_within(n_modules, low, high))}"
            for low, high in (veit.USUAL_LENGTHS, veit.EFFECTIVE_LENGTHS)
        ]
        chapter.findings.append(f"{held[0]} of the paths, {held[1]}.")
    chapter.how.append("Exact counts of the binomial distribution; nothing is measured here.")
    return chapter


def path_survival(n_modules: int) -> Chapter:
    """Write the chapter about which paths survive deletion."""
    chapter = Chapter(
        "path-survival",
        "Path survival",
        "Which paths are left when modules are deleted?",
        found="Computed here",
        paper=f"{veit.LONG_PATHS_GO.said} {veit.SURVIVAL.said}",
    )
    rows = figures.path_survival_rows(n_modules)
    chapter.show(
        "path_survival",
        lambda: figures.figure_path_survival(n_modules),
        rows,
        caption="Share of the paths of each length that is left after deletions "
        f"({veit.SURVIVAL.source.place} of the paper).",
        alt="Falling curves on a logarithmic scale: the longer the path and the more deleted, the fewer "
        "left.",
    )
    for n_deleted in rows["n_deleted"].unique():
        lengths = shown_lengths(n_modules)
        parts = [f"{percent(surviving_share(n_modules, int(n_deleted), x))} of length {x}" for x in lengths]
        chapter.findings.append(f"After deleting {n_deleted} of {n_modules}: {', '.join(parts)} are left.")
    chapter.how.append("Exact: C(n − d, x) / C(n, x); nothing is measured here.")
    return chapter


def shown_lengths(n_modules: int) -> list[int]:
    """Choose the path lengths whose survival is told in numbers."""
    if n_modules == veit.N_MODULES.count:
        return [5, 11, 17, 27]
    return sorted({max(1, round(n_modules * part)) for part in (0.1, 0.25, 0.5)})
