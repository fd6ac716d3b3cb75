"""Runs that lesion several trainings of several networks, made by hand."""

import numpy as np
from scipy import stats

from tests.figures import tables
from tests.reporting import runs
from unravelnet.reporting.contents import read_run_directory
from unravelnet.reporting.topics.across.claims import judge

DOWN = {9: (3, 6), 27: (9, 18), 54: (18, 36)}
RISES = {"resnet20": (0.06, 0.07, 0.065), "preact-resnet56": (0.024, 0.026, 0.028)}


def errors(n_modules, usual, *, peak=0.3, first=None, intact=0.06):
    """Errors of single deletions; half of the usual modules lie a little above the median, half below."""
    found = [intact + usual + 0.0002 * (module - n_modules // 2) for module in range(n_modules)]
    for module in DOWN[n_modules]:
        found[module] = intact + peak
    return found if first is None else [intact + first, *found[1:]]


def network(
    name, n_modules, usual, *, group="", title="", routes="all", zoo_name="", role="compared", **lesion
):
    entry = {
        "name": name,
        "title": title or name,
        "role": role,
        "n_modules": n_modules,
        "n_classes": 10,
        "downsampling": list(DOWN[n_modules]),
        "group": group,
        "routes": routes,
        "zoo_name": zoo_name,
        "epochs": 20,
    }
    return entry, {"delete_each": tables.each(errors(n_modules, usual, **lesion))}


def trainings(name, n_modules, rises, *, routes="all", suffix="", **lesion):
    return [
        network(
            f"{name}{suffix}-seed{seed}",
            n_modules,
            rise,
            group=f"{name}{suffix}",
            title=f"{name}{suffix}" + (f", seed {seed}" if seed else ""),
            routes=routes,
            zoo_name=name,
            **lesion,
        )
        for seed, rise in enumerate(rises)
    ]


def several(**lesion):
    return [
        network("resnet", 54, 0.003, group="preact-resnet110", role="resnet", zoo_name="preact-resnet110"),
        *trainings("preact-resnet56", 27, RISES["preact-resnet56"], **lesion),
        *trainings("preact-resnet56", 27, (0.004, 0.005, 0.003), routes="exactly:11", suffix="-exactly11"),
        *trainings("resnet20", 9, RISES["resnet20"]),
    ]


def run_of(directory, networks):
    return read_run_directory(runs.write(directory / "run", networks))


def claims_of(run):
    return {claim.short: claim for claim in judge(run)}


def student(values):
    return stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
