"""Why a run on small images does not repeat the paper's numbers: one paragraph, computed from the run's own rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from unravelnet.errors import EvaluationError
from unravelnet.papers import he
from unravelnet.readers.rows import measured, ordered
from unravelnet.reporting.topics.lesions.rows import rises_of
from unravelnet.reporting.words.sentences import listed, number, percent, points
from unravelnet.wording import counted

if TYPE_CHECKING:
    from unravelnet.reporting.contents import Run, StudiedNetwork


def on_small_images(run: Run) -> str:
    """Say what differs from the paper and what came of it; empty where the images are as large as the paper's."""
    small = [
        network
        for network in run.of_role("resnet")
        if 0 < max(network.input_shape[1:], default=0) < he.IMAGE_SIDE.count
    ]
    return " ".join(
        sentence for network in small for write in _PARTS for sentence in _written(write, network)
    )


def _written(write: Callable[[StudiedNetwork], list[str]], network: StudiedNetwork) -> list[str]:
    try:
        return write(network)
    except EvaluationError:  # the chapter of that study says what its table lacks
        return []


def _on_protocol(network: StudiedNetwork) -> list[str]:
    _, height, width = network.input_shape
    seen = "" if network.n_train_images is None else f" on {counted(network.n_train_images, 'image')}"
    sentences = [
        "These are not the paper's numbers, because the images are smaller and the training is shorter. The paper's "
        f"images have {he.IMAGE_SIDE.count}×{he.IMAGE_SIDE.count} pixels; these have {height}×{width}."
    ]
    if network.epochs is not None:
        sentences.append(
            f"{network.title} is trained{seen} for {counted(network.epochs, 'epoch')}, the paper's network on "
            f"{he.N_TRAIN_IMAGES.text} for {he.EPOCHS.text}."
        )
    if network.zero_init_residual:
        sentences.append(
            "Here its branches start at zero and its learning rate is low. With the usual start, so short a training "
            "leaves most of the work to the first modules."
        )
    return sentences


def _on_single_modules(network: StudiedNetwork) -> list[str]:
    rises = rises_of(network.tables.get("delete_each"))
    if rises is None:
        return []
    worst = rises.loc[rises["value"].idxmax()]
    unclear = ((rises["low"] <= 0) & (rises["high"] >= 0)).sum()
    sentences = [
        f"Deleting one module changes the error by {points(rises['value'].median())} points in the median and by "
        f"{points(worst['value'])} at most, at module {int(worst['module'])}. For {unclear} of "
        f"{counted(len(rises), 'module')} the interval of the change includes 0."
    ]
    peaks = rises[rises["module"].isin(network.downsampling)]
    if not peaks.empty:
        changes = [f"{points(row['value'])} at module {int(row['module'])}" for _, row in peaks.iterrows()]
        sentences.append(
            f"The paper found its peaks at the down-sampling modules; here these change it by {listed(changes)}."
        )
    return sentences


def _on_many_modules(network: StudiedNetwork) -> list[str]:
    if (table := network.tables.get("delete_many")) is None:
        return []
    lesions = measured(table, needs=["n_deleted"]).lesions
    ten = lesions[lesions["n_deleted"] == 10]["value"]
    if ten.empty:
        return []
    return [
        f"Ten random deletions leave an error of {percent(ten.median())} in the median of {counted(len(ten), 'draw')}."
    ]


def _on_averaging(network: StudiedNetwork) -> list[str]:
    if (table := network.tables.get("ensemble")) is None:
        return []
    wants = ["member_error_rate", "error_correlation", "intact_error_rate"]
    rows = ordered(table, by="n_members", needs=["error_rate"], wants=wants, keeps=["members"])
    last = rows[rows["members"] == "routes"].iloc[-1]
    one, all_of_them = float(last["member_error_rate"]), float(last["error_rate"])
    helps = "helps" if all_of_them < one else "does not help"
    return [
        f"Averaging {int(last['n_members'])} random routes {helps}: they err in {percent(all_of_them)} together, "
        f"one of them in {percent(one)}, and the intact network in {percent(last['intact_error_rate'])}. The errors of "
        f"two routes have a correlation of {number(last['error_correlation'])}."
    ]


_PARTS = (_on_protocol, _on_single_modules, _on_many_modules, _on_averaging)
