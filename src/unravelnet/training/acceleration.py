"""What makes a training faster on its device: whether it is done, and whether it can be."""

from __future__ import annotations

import torch

from unravelnet.errors import TrainingError
from unravelnet.machine import in_precision
from unravelnet.network import Inputs, UnraveledNetwork
from unravelnet.training.fused_normalisation import load_operator
from unravelnet.training.replay import Replay, can_be_replayed, record_graph
from unravelnet.training_plan import TrainingPlan
from unravelnet.zoo.recipe import recipe_or_none

# Forwards; some minutes on two cores, against which compiling, once a machine, is short.
_MACS_WORTH_COMPILING_FOR = 1e13


def decide_on_fusing(
    net: UnraveledNetwork, plan: TrainingPlan, device: torch.device, *, n_images: int
) -> bool:
    """Say whether normalisation and ReLU will be one operation.

    Raises TrainingError where that was asked for and cannot be.
    """
    pays = device.type == "cpu" and plan.epochs * n_images * net.total_macs > _MACS_WORTH_COMPILING_FOR
    # Only of zoo networks is it known that nothing but the next layer reads what a normalisation gives.
    if not plan.fused and not (plan.fused is None and pays and recipe_or_none(net)):
        return False
    if device.type == "cuda":
        return True  # compiled with the pieces that are replayed
    can_be = load_operator()
    if plan.fused and not can_be:
        raise TrainingError(
            "The training setting fused is True, and the operation could not be compiled or loaded (see the "
            "warning above). Mend the compiler, or leave the setting out to train with the plain layers."
        )
    return can_be


def prepare_replay(
    net: UnraveledNetwork,
    optimiser: torch.optim.Optimizer,
    plan: TrainingPlan,
    device: torch.device,
    inputs: Inputs,
    *,
    compiled: bool,
) -> Replay | None:
    """Prepare to replay full batches, where the device and the network allow it.

    `inputs`: a few, for their form. Raises TrainingError where replaying was asked for and cannot be.
    """
    tested = plan.sampler.tested
    is_simple = tested is None or all(move.kind == "visit" for move in tested.moves)
    fits = device.type == "cuda" and plan.optimiser == "sgd" and is_simple and can_be_replayed(net, inputs)
    if plan.replayed and not fits:
        raise TrainingError(
            f"The training setting replayed is True, and {net.name or 'the network'} on {device} cannot be replayed: "
            "that needs a CUDA device, the optimiser sgd, routes of single visits, and a network that reads one tensor "
            "and hands nothing past its modules. Leave the setting out."
        )
    # Of captured networks it is not known whether they look at values while they run, which no graph can.
    if not fits or plan.replayed is False or not (plan.replayed or recipe_or_none(net)):
        if plan.fused and device.type == "cuda":
            raise TrainingError(
                "The training setting fused is True, and on CUDA only modules that are replayed are compiled. "
                "Set replayed to True too, or leave fused out."
            )
        return None
    return Replay(
        net,
        optimiser,
        record_graph,
        autocast=lambda: in_precision(device, plan.precision),
        batch_size=plan.batch_size,
        every=net.full_route if plan.routes == "all" else None,
        label_smoothing=plan.label_smoothing,
        compiled=compiled,
    )
