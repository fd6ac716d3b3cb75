"""The shipped ResNet-110 made smaller: chosen, compared, exported, timed, healed. What is finished is kept.

python -m benchmarks.pruned_resnet search export heal latency --data ../shared/data/cifar10

Fixed beforehand: modules are chosen by the loss on 1,000 test images, as many as cost at most one percentage point of
error there, and judged on 4,000 others. One random order of deletion is one draw, and there are five. Healing is five
epochs of all training images, without and with distillation from the intact network. The parts after the search are
refused where the package has other weights by now than those that were searched.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import unravelnet as un
from unravelnet._extras import require
from unravelnet.data.source import PartSource
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.sample import Sample
from unravelnet.precision import PRECISIONS
from unravelnet.pruning.healing import heal
from unravelnet.pruning.parts import Parts, divide
from unravelnet.pruning.sizes import latency_shares
from unravelnet.records import provenance
from unravelnet.records.record import Table, load_table
from unravelnet.zoo.store import WEIGHTS_FILE

NETWORK = "preact-resnet110-cifar10"
N_IMAGES, REPORT_SHARE, SEED, N_DRAWS, EPOCHS = 5000, 0.8, 0, 5, 5
COMPARED = ("one_shot:first_order", "one_shot:block_influence", "one_shot:relative_magnitude")


def main() -> None:
    """Run the parts that are named, in this order."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pruned_resnet", description=__doc__)
    parser.add_argument("parts", nargs="+", choices=tuple(_PARTS))
    parser.add_argument("--data", required=True, help="CIFAR-10, as for the command line")
    parser.add_argument("--out", type=Path, default=Path("results/pruned_resnet"), help="where the rows go")
    parser.add_argument("--work", type=Path, default=Path("runs/pruned_resnet"), help="where weights go")
    parser.add_argument("--healed-by", default="labels,distillation")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of the healing")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for folder in (options.out, options.work):
        folder.mkdir(parents=True, exist_ok=True)
    for name in options.parts:
        _PARTS[name](options)
        command = ["python", "-m", "benchmarks.pruned_resnet", name, "--data", Path(options.data).name]
        facts = provenance.collect(seed=SEED, n_images=N_IMAGES, command=command, weights_sha256=_digest())
        (options.out / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n")


def search(options: argparse.Namespace) -> None:
    """Choose modules, and draw the curve beside random orders and cheap scores."""
    net = un.zoo.pretrained(NETWORK)
    found = un.prune(
        net,
        options.data,
        error_increase=1.0,
        limit=N_IMAGES,
        report_share=REPORT_SHARE,
        n_draws=N_DRAWS,
        compare=COMPARED,
        seed=SEED,
        progress=_told,
    )
    print(found)
    found.steps.save(options.out / "steps.csv")
    found.curve.save(options.out / "curve.csv")
    spent = {"route": str(found.route), "n_evaluations": found.spent.n_evaluations}
    Table([{**spent, "n_passes": found.spent.n_passes}]).save(options.out / "found.csv")


def export(options: argparse.Namespace) -> None:
    """Write the smaller network as ONNX, and compare its predictions on 1,000 images of the report."""
    net, route = un.zoo.pretrained(NETWORK), _route(options)
    path = un.export(net, route, options.work / "pruned.onnx")
    session = require("onnxruntime", "This benchmark").InferenceSession(str(path))
    [name] = [one.name for one in session.get_inputs()]
    rows = []
    for inputs, _ in _batches(options.data, 1000, 100):
        with torch.no_grad():
            ours = net(inputs, route).numpy()
        [theirs] = session.run(None, {name: inputs.numpy()})
        rows.append((len(ours), (ours.argmax(1) == theirs.argmax(1)).sum(), np.abs(ours - theirs).max()))
    agreeing, n_images = sum(int(row[1]) for row in rows), sum(row[0] for row in rows)
    difference = float(max(row[2] for row in rows))
    kept = {"route": str(route), "n_images": n_images, "agreement": agreeing / n_images}
    Table([{**kept, "largest_difference": difference, "file_bytes": path.stat().st_size}]).save(
        options.out / "onnx.csv"
    )
    print(f"{agreeing} of {n_images} predictions agree; outputs differ by at most {difference:.2e}.")


def healing(options: argparse.Namespace) -> None:
    """Train the smaller network for five epochs, and test it before and after on the images of the report."""
    route, rows = _route(options), []
    for way in options.healed_by.split(","):
        net = un.zoo.pretrained(NETWORK)
        before = _tested(net, route, options.data)
        # A healing that was begun goes on; one of other weights is another one.
        folder = options.work / f"healed-{way}-{_digest()[:8]}"
        healed = heal(
            net,
            route,
            options.data,
            epochs=EPOCHS,
            distil=way == "distillation",
            seed=SEED,
            out=folder,
            precision=options.precision,
        )
        healed.history.save(options.out / f"healing_{way}.csv")
        after = _tested(healed.net, route, options.data)
        trained = {"healed_by": way, "epochs": EPOCHS, "precision": options.precision}
        for when, row in (("before", before), ("after", after)):
            rows.append({**trained, "when": when, **row})
        Table(rows).save(options.out / "healed.csv")
        print(f"{way}: {before['error_rate']:.2%} before, {after['error_rate']:.2%} after {EPOCHS} epochs")


def latency(options: argparse.Namespace) -> None:
    """Time the intact and the smaller network in turns, for one image and for 64, as torch and as ONNX run them."""
    net, route = un.zoo.pretrained(NETWORK), _route(options)
    inputs, _ = next(iter(_batches(options.data, 64, 64)))
    bench, rows = Bench(net, precision="float32"), []
    for size in (1, 64):
        batch = bench.place(inputs[:size])
        shares = latency_shares(bench, [net.full_route, route], batch, repeats=25)
        rows.append({"runtime": "torch", "batch_size": size, "latency_left": shares[1]})
    intact = un.export(net, net.full_route, options.work / "intact.onnx")
    pruned = un.export(net, route, options.work / "pruned.onnx")
    for size in (1, 64):
        share = _share_of_time([_runner(path, inputs[:size]) for path in (intact, pruned)])
        rows.append({"runtime": "onnxruntime", "batch_size": size, "latency_left": share})
    for row in rows:
        row |= {"route": str(route), "n_repeats": 25, "threads": torch.get_num_threads()}
        print(row)
    Table(rows).save(options.out / "latency.csv")


def _runner(path: Path, inputs: torch.Tensor) -> Callable[[], Any]:
    session = require("onnxruntime", "This benchmark").InferenceSession(str(path))
    fed = {session.get_inputs()[0].name: inputs.numpy()}
    return lambda: session.run(None, fed)


def _share_of_time(runners: list[Callable[[], Any]]) -> float:
    """Time two runners in turns, and give the ratio of their median times."""
    times: list[list[float]] = [[], []]
    for turn in range(-2, 25):
        for runner, own in zip(runners, times, strict=True):
            start = time.perf_counter()
            runner()
            if turn >= 0:
                own.append(time.perf_counter() - start)
    return median(times[1]) / median(times[0])


def _tested(net: un.UnraveledNetwork, route: un.Route, data: str) -> dict[str, Any]:
    [row] = un.evaluate(net, [route], _parts(data).report, metrics=("error_rate", "loss"))
    # The difference is to all modules of the same network, which mean nothing once it was trained without some.
    kept = (name for name in row if name.startswith(("error_rate", "loss", "n_images")))
    return {name: row[name] for name in kept if "_difference" not in name}


def _batches(data: str, n_images: int, batch_size: int) -> Any:
    report: PartSource = _parts(data).report
    for positions in torch.arange(n_images).split(batch_size):
        yield report.gather(positions)


def _parts(data: str) -> Parts:
    return divide(Sample(data=data, limit=N_IMAGES, seed=SEED), report_share=REPORT_SHARE)


def _route(options: argparse.Namespace) -> un.Route:
    """Read the route that the search has found, in the weights of now."""
    searched = json.loads((options.out / "search.json").read_text())
    if searched.get("weights_sha256") != _digest():
        raise SystemExit(
            f"The modules in {options.out} were chosen in other weights of {NETWORK} than the package has. Run the "
            "part search again, or give another directory with --out."
        )
    return un.Route.parse(str(load_table(options.out / "found.csv")["route"][0]))


def _digest() -> str:
    weights = un.zoo.pretrained_directory(NETWORK) / WEIGHTS_FILE
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def _told(cuts: Any) -> Any:
    for cut in cuts:
        print(f"{time.strftime('%H:%M:%S')} {cut.route}", file=sys.stderr, flush=True)
        yield cut


_PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "search": search,
    "export": export,
    "heal": healing,
    "latency": latency,
}


if __name__ == "__main__":
    main()
