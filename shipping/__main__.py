"""Puts trained networks into the package, and writes the table of those that are there.

python -m shipping add runs/resnet20-cifar10 resnet20-cifar10 --data ../shared/data/cifar10
python -m shipping checkpoints runs/resnet20-cifar10 resnet20-cifar10 --data ../shared/data/cifar10
python -m shipping table
nice -n 19 python -m shipping long runs/long --data ../shared/data/cifar10
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from shipping.add import add
from shipping.checkpoints import record_checkpoints
from shipping.long_trainings import PAPER_RECIPE, PROCESSOR_RECIPE, long_trainings, train_long
from shipping.other_trainings import OTHERS_FILE
from shipping.table import write_table
from unravelnet.data import load
from unravelnet.errors import UnravelError

_ROOT = Path(__file__).parents[1]
_MISUSE = 2


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "add":
            others = _ROOT / "results" / OTHERS_FILE
            print(add(options.run, options.name, options.data, precision=options.precision, others=others))
        elif options.command == "checkpoints":
            print(record_checkpoints(options.run, options.name, options.data))
        elif options.command == "table":
            print(write_table(_ROOT))
        else:
            recipe = PAPER_RECIPE if options.recipe == "paper" else PROCESSOR_RECIPE
            splits = load(options.data, "train"), load(options.data, "test")
            train_long(long_trainings(recipe, options.seeds), *splits, options.out, at_once=options.at_once)
    except UnravelError as error:
        print(f"shipping: {error}", file=sys.stderr)
        return _MISUSE
    return 0


def _parser() -> argparse.ArgumentParser:
    program = argparse.ArgumentParser(
        prog="python -m shipping", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = program.add_subparsers(dest="command", required=True)
    adding = commands.add_parser("add", help="measure a trained network, store it compactly, write its card")
    measuring = commands.add_parser(
        "checkpoints",
        help="measure the weights that a repeated training kept, beside a network that is there",
    )
    for parser in (adding, measuring):
        parser.add_argument(
            "run", metavar="RUN_DIR", type=Path, help="a finished directory of `unravelnet train`"
        )
        parser.add_argument(
            "name", metavar="NAME", help="its name in the package, such as resnet20-cifar10-seed1"
        )
        parser.add_argument(
            "--data", required=True, help="the data it was trained on; its test split is measured"
        )
    adding.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    commands.add_parser("table", help="write results/networks.csv and docs/networks.md")
    training = commands.add_parser(
        "long", help="train ResNet-110 for many epochs and in variants, or go on with it"
    )
    training.add_argument("out", metavar="DIR", type=Path, help="one directory a network, and the log")
    training.add_argument("--data", required=True, help="CIFAR-10")
    training.add_argument(
        "--recipe",
        choices=("processor", "paper"),
        default="processor",
        help="one cycle of the rate over 100 epochs of growing images, or the 164 epochs of the paper",
    )
    training.add_argument("--seeds", type=int, default=1, help="seeds of the networks that are compared")
    training.add_argument("--at-once", type=int, default=1, help="networks trained side by side, on a GPU")
    return program


if __name__ == "__main__":
    sys.exit(main())
