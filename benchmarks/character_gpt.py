"""A small GPT trained on the characters of Shakespeare by our trainer, then each of its modules deleted.

python -m benchmarks.character_gpt --text ../shared/data/tinyshakespeare/input.txt

Six blocks of width 128 read the text byte by byte, 64 at a time, in one pass over the first nine tenths of the text.
The last tenth is the test. Sizes and settings were fixed before any number was seen.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

import unravelnet as un
from unravelnet import studies
from unravelnet._extras import require
from unravelnet.data import load_text
from unravelnet.records import provenance

LENGTH = 64
SETTINGS: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 16,
    "optimiser": "adamw",
    "learning_rate": 2e-3,
    "schedule": "one-cycle",
    "precision": "float32",
    "seed": 0,
}
LIMIT = 256


def make() -> torch.nn.Module:
    """Make the GPT, with weights that are drawn from one seed."""
    transformers = require("transformers", "This benchmark")
    torch.manual_seed(0)
    sizes = {"vocab_size": 256, "n_positions": LENGTH, "n_embd": 128, "n_layer": 6, "n_head": 4}
    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(**sizes, **dropout, bos_token_id=None, eos_token_id=None)
    )


def main() -> None:
    """Train, delete, and write the tables with where they were measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.character_gpt", description=__doc__)
    parser.add_argument("--text", type=Path, default=Path("../shared/data/tinyshakespeare/input.txt"))
    parser.add_argument("--out", type=Path, default=Path("results/character_gpt"))
    parser.add_argument("--work", type=Path, default=Path("runs/character_gpt"), help="for the weights")
    options = parser.parse_args()
    train, test = (load_text(options.text, split=split, length=LENGTH) for split in ("train", "test"))
    net = un.unravel(make(), torch.zeros(2, LENGTH, dtype=torch.int64), name="character GPT")
    before = un.evaluate(net, [net.full_route], test, metrics=["nll"], limit=LIMIT, batch_size=32)
    began = time.process_time()
    history = un.train(net, train, validation=test, out=options.work, **SETTINGS)
    spent = time.process_time() - began
    metrics = ["nll", "perplexity", "accuracy"]
    table = un.evaluate(net, studies.delete_each(net), test, metrics=metrics, limit=LIMIT, batch_size=32)
    options.out.mkdir(parents=True, exist_ok=True)
    history.save(options.out / "history.csv")
    table.save(options.out / "delete_each.csv")
    facts = provenance.collect(
        ["python", "-m", "benchmarks.character_gpt", *sys.argv[1:]],
        settings=SETTINGS,
        n_parameters=sum(parameter.numel() for parameter in net.parameters()),
        nll_before_training=before[0]["nll"],
        cpu_seconds_of_training=round(spent),
        threads=torch.get_num_threads(),
    )
    (options.out / "run.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(f"{spent:.0f} s of processor time; {table[0]['nll']:.3f} nats a character", flush=True)


if __name__ == "__main__":
    main()
