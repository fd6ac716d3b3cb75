"""Numbers: each option and argument that takes one is given numbers that nobody means, and numbers at its edges."""

from __future__ import annotations

import math

import numpy as np
import torch

import unravelnet as un
from tests.hard_input.runner import Call, Command, table
from unravelnet.errors import (
    CostError,
    DataError,
    ModelError,
    RouteError,
    TrainingError,
    UnravelError,
)

NO_NUMBERS = ("", " ", "ten", "1,5", "1e", "0x10", "--1", "½", "1 0", "∞", "None", "1/2", "\x00")
COUNTS = (*NO_NUMBERS, "1.5", "1e3", "nan", "inf")

LESION = "lesion {net} --data digits"
PATHS = "paths {net} --data digits"
TRAIN = "train resnet8 --data digits --out x"

# Every option that takes a number: the command, the option, and numbers that are out of its range.
OPTIONS: dict[tuple[str, str], tuple[str, ...]] = {
    (LESION, "--limit"): ("0", "-1", "451", "1000000000", "9" * 30),
    (LESION, "--batch-size"): ("0", "-1", "1000000000", "9" * 30),
    (LESION, "--seed"): ("-1", "9223372036854775808", "9" * 30),
    (LESION, "--repeats"): ("0", "-1"),
    (LESION, "--until-ci"): ("0", "-0.1", "1e-300", "nan", "inf", "-inf", "0,1"),
    (LESION + " --study reorder", "--counts"): ("-1", "1000000000", "", ",", "1,", "1,,2", "a", "1.5", "9" * 30),
    (LESION + " --study delete-many", "--counts"): ("-1", "4", "1000000000", "1e300"),
    (LESION + " --study delete-many", "--repeats"): ("1000000000", "9" * 30),
    (PATHS, "--limit"): ("0", "-1", "451", "1000000000"),
    (PATHS, "--batch-size"): ("0", "1000000000"),
    (PATHS, "--seed"): ("-1", "9223372036854775808"),
    (PATHS, "--max-length"): ("-1", "-1000000000", "1.5"),
    (PATHS + " --method sampled", "--draws"): ("-1", "0", "1000000000", "9" * 30),
    (PATHS + " --method rms", "--draws"): ("-1", "1000000000"),
    (TRAIN, "--epochs"): ("0", "-1", "1000000000", "9" * 30),
    (TRAIN, "--learning-rate"): ("0", "-1", "nan", "inf", "-inf", "1e300", "1e309"),
    (TRAIN, "--momentum"): ("-0.1", "1", "nan", "inf"),
    (TRAIN, "--weight-decay"): ("-1", "nan", "inf", "1e300"),
    (TRAIN, "--label-smoothing"): ("-0.1", "1", "nan", "inf"),
    (TRAIN, "--batch-size"): ("0", "-1", "1000000000", "9" * 30),
    (TRAIN, "--test-every"): ("0", "-1"),
    (TRAIN, "--seed"): ("-1", "9" * 30),
    (TRAIN, "--image-sizes"): ("0", "-1", "8,0", "1000000000", "nan"),
    (TRAIN, "--keep-epochs"): ("-1", "1000000000", "1,x"),
    ("reproduce --out x", "--epochs"): ("0", "-1", "1000000000"),
    ("reproduce --out x", "--images"): ("0", "-1", "1000000000"),
    ("reproduce --out x", "--repeats"): ("0", "-1", "1000000000"),
    ("reproduce --out x", "--until-ci"): ("0", "-1", "nan", "inf"),
    ("reproduce --out x", "--seed"): ("-1", "9" * 30),
    ("inspect zoo:resnet8", "--input-shape"): ("3,32,-32", "3,32,0", "3,100000,100000", "9" * 30, "3;32;32", "3x32x32"),
}  # fmt: skip

test_numbers_out_of_range = table(
    *(
        Command(f"{words} {option} {number[:20]}", [*words.split(), f"{option}={number}"], 2, "")
        for (words, option), numbers in OPTIONS.items()
        for number in numbers
    )
)

test_words_for_numbers = table(
    *(
        Command(
            f"lesion {option} {word!r}",
            ["lesion", "{net}", "--data", "digits", f"{option}={word}"],
            2,
            option,
        )
        for option in ("--limit", "--seed")
        for word in COUNTS
    ),
    *(
        Command(f"train {option} {word!r}", [*TRAIN.split(), f"{option}={word}"], 2, option)
        for option in ("--learning-rate",)
        for word in NO_NUMBERS
    ),
)

test_networks_of_odd_sizes = table(
    *(
        Command(f"zoo:{name[:30]}", f"inspect zoo:{name}", 2, "")
        for name in (
            "resnet0", "resnet1", "resnet7", "resnet-8", "resnet8.5", "resnet1e3", "resnet999999998", "resnet٨",
            "resnet" + "9" * 400, "vgg0", "vgg999", "wide-resnet16-0", "wide-resnet16-999999999", "preact-resnet",
        )
    ),
)  # fmt: skip

test_numbers_at_the_edge = table(
    Command("the smallest limit", f"{LESION} --limit 1 --json", 0, "", lambda v: _images(v) == {1}),
    Command("all images", f"{LESION} --limit 450 --json", 0, "", lambda v: _images(v) == {450}),
    Command("the largest seed", f"{LESION} --limit 2 --seed {2**63 - 1} --json", 0, "", lambda v: _images(v) == {2}),
    Command("digits of another script", [*LESION.split(), "--limit=٣"], 2, "--limit"),
    Command(
        "no modules deleted", f"{LESION} --study delete-many --counts 0 --repeats 2 --json", 0, "",
        lambda v: [row["route"] for row in v["studies"]["delete_many"]] == ["0-2"] * 3,
    ),
    Command("spaces around a number", [*LESION.split(), "--limit= 3 ", "--json"], 0, "", lambda v: _images(v) == {3}),
    Command("a batch larger than the data", f"{LESION} --batch-size 9999 --json", 0, "", lambda v: _images(v) == {450}),
    Command("images one by one", f"{LESION} --limit 3 --batch-size 1 --json", 0, "", lambda v: _images(v) == {3}),
    Command(
        "paths of no module", f"{PATHS} --limit 2 --max-length 0 --json", 0, "",
        lambda v: [row["length"] for row in v["studies"]["path_gradients_exact"]] == [0],
    ),
    Command(
        "paths longer than the network", f"{PATHS} --limit 2 --max-length 999999999 --json", 0, "",
        lambda v: [row["length"] for row in v["studies"]["path_gradients_exact"]] == [0, 1, 2, 3],
    ),
)  # fmt: skip


def _images(value):
    return {row["n_images"] for row in value["studies"]["delete_each"]}


X = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(6)


def _evaluate(**options):
    return lambda world: un.evaluate(world.net, [world.net.full_route], (X, Y), **options)


def _ensemble(**options):
    return lambda world: un.ensemble_of_routes(world.net, (X, Y), **options)


def _paths(**options):
    return lambda world: un.path_gradients(world.net, (X, Y), **options)


def _deletions(counts, repeats=1, seed=0):
    return lambda world: un.studies.delete_many(world.net, counts, repeats=repeats, seed=seed)


def _train(**options):
    return lambda world: un.train(un.zoo.resnet(8, input_shape=(1, 8, 8)), (X, Y), **options)


def _load(**options):
    return lambda world: un.load("zoo:resnet8", **options)


def _zoo(name, *args, **options):
    return lambda world: getattr(un.zoo, name)(*args, **options)


NAN, INF = math.nan, math.inf
test_numbers_in_python = table(
    *(Call(f"confidence {v}", _evaluate(confidence=v), UnravelError, "confidence") for v in (0, 1, -1, NAN, INF, "x")),
    *(Call(f"until_ci {v}", _evaluate(until_ci=v), UnravelError, "") for v in (0, -1, NAN, INF, "x")),
    *(Call(f"limit {v}", _evaluate(limit=v), DataError, "") for v in (-1, NAN, 1e300, "3", [3], True)),
    *(Call(f"batch_size {v}", _evaluate(batch_size=v), DataError, "batch_size") for v in (NAN, [3], 1 + 0j)),
    *(Call(f"seed {v}", _evaluate(seed=v, limit=2), CostError, "seed") for v in (NAN, None, "1", -(2**70))),
    *(Call(f"n_routes {v}", _ensemble(n_routes=v), UnravelError, "") for v in (0, -1, 10**9, 2.5, NAN, "x", None)),
    *(Call(f"keep {v}", _ensemble(n_routes=2, keep=v), UnravelError, "") for v in (-1, 2, NAN, "x")),
    *(Call(f"sizes {v}", _ensemble(n_routes=2, sizes=v), UnravelError, "") for v in ([0], [-1], [2.5], ["x"], 3)),
    *(Call(f"repeats {v}", _ensemble(n_routes=2, repeats=v), UnravelError, "") for v in (0, -1, 10**9, 2.5)),
    *(Call(f"max_length {v}", _paths(max_length=v), UnravelError, "") for v in (-1, 2.5, "x")),
    *(Call(f"draws {v}", _paths(method="rms", draws=v), UnravelError, "") for v in (0, -1, 2.5, 10**9, "x")),
    *(Call(f"counts {v}", _deletions(v), UnravelError, "") for v in ([-1], [4], [2.5], ["x"], 3, None)),
    *(Call(f"repeats of a study {v}", _deletions([1], repeats=v), UnravelError, "") for v in (0, -1, 2.5, "x")),
    *(Call(f"seed of a study {v}", _deletions([1], seed=v), RouteError, "seed=") for v in (-1, 2.5, "x", None)),
    *(Call(f"epochs {v}", _train(epochs=v), TrainingError, "epochs") for v in (0, -1, 2.5, NAN, "x", None, True)),
    *(Call(f"learning_rate {v}", _train(learning_rate=v), TrainingError, "learning_rate") for v in (0, NAN, "x", 1j)),
    *(Call(f"momentum {v}", _train(momentum=v), TrainingError, "momentum") for v in (1.0, -1, NAN, "x", None)),
    *(Call(f"depth {v}", _zoo("resnet", v), ModelError, "") for v in (0, -8, 9)),
    *(Call(f"depth {v}", _zoo("resnet", v), CostError, "layers") for v in (2.5, NAN, "8", None, 10**9)),
    *(Call(f"classes {v}", _zoo("resnet", 8, n_classes=v), UnravelError, "") for v in (0, -1, 2.5, "x", 10**12)),
    *(
        Call(f"shape {v}", _zoo("resnet", 8, input_shape=v), UnravelError, "")
        for v in ((), (3,), (3, 8), (3, 8, -8), (3, 8, 2.5), (3, "8", 8), "3,8,8", 3, None, (10**12, 8, 8))
    ),
    *(
        Call(f"shape to load {v}", _load(input_shape=v), UnravelError, "")
        for v in ((), (0, 8, 8), (-3, 8, 8), (3, 8, 2.5), "3,8,8", 3, ("a",), (10**20, 1, 1), (NAN, 8, 8))
    ),
    *(
        Call(f"seed to load {v}", _load(seed=v), CostError, "seed")
        for v in (-1, 2.5, "x", None, 2**64)
    ),
    Call("numbers of numpy", _evaluate(limit=np.int64(3), seed=np.int8(1)), value=lambda t: t["n_images"] == [3]),
    Call("path counts of -1 modules", lambda w: un.paths.path_counts(-1), UnravelError, "-1"),
    Call("path counts of 10^9 modules", lambda w: un.paths.path_counts(10**9), UnravelError, ""),
    Call("path counts of a word", lambda w: un.paths.path_counts("x"), UnravelError, "x"),
    Call("path counts of no module", lambda w: list(un.paths.path_counts(0)), value=lambda v: v == [1]),
)  # fmt: skip
