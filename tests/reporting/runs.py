"""Directories as `unravelnet reproduce` leaves them, made by hand."""

import json

from tests.figures import tables
from unravelnet.records.record import Table

PROVENANCE = {
    "command": ["unravelnet", "reproduce", "--out", "a run"],
    "time_utc": "2026-01-02T03:04:05+00:00",
    "packages": {"torch": "2.13.0"},
    "has_uncommitted_changes": False,
    "commit": None,
    "networks": [{"name": "resnet"}],
    "seed": 7,
}
RESNET = {
    "name": "resnet",
    "title": "ResNet-110",
    "role": "resnet",
    "n_modules": 54,
    "n_parameters": 1730522,
    "downsampling": [18, 36],
    "n_classes": 10,
    "epochs": 164,
}
STOCHASTIC = {
    **RESNET,
    "name": "stochastic",
    "title": "ResNet-110, stochastic depth",
    "role": "stochastic-depth",
}
EFFECTIVE = {**RESNET, "name": "effective", "title": "ResNet-110, exactly 23", "role": "effective-paths"}
VGG = {**RESNET, "name": "vgg", "title": "VGG-15", "role": "vgg", "n_modules": 15, "downsampling": []}
HISTORY = Table(
    [
        {
            "epoch": epoch,
            "train_loss": 2 / epoch,
            "train_error_rate": 0.8 / epoch,
            "test_error_rate": 0.9 / epoch,
        }
        for epoch in range(1, 5)
    ]
)


def resnet_tables(peak=0.112):
    return {
        "delete_each": tables.each(tables.resnet_like(peak=peak)),
        "delete_many": tables.many(
            {count: [0.06 + 0.02 * count + 0.002 * i for i in range(11)] for count in (1, 10, 20)}
        ),
        "reorder": tables.orders([(1 - 0.001 * i, 0.06 + 0.003 * i) for i in range(1, 61)]),
        "remove_skip_each": tables.each([0.7] * 54, study="remove_skip_each"),
        "history": HISTORY,
    }


def whole_run():
    """Networks with all their tables."""
    return [
        (RESNET, resnet_tables()),
        (STOCHASTIC, {**resnet_tables(peak=0.02), "history": HISTORY}),
        (VGG, {"delete_each": tables.each([0.9] * 14, intact=0.08), "history": HISTORY}),
    ]


def compared(name, title, *, responses):
    """A network of He et al., with the tables that one has."""
    entry = {"name": name, "title": title, "role": "compared", "n_modules": 9, "n_classes": 10}
    return entry, {"history": HISTORY, "layer_responses": responses}


def write(directory, networks, provenance=PROVENANCE, trained_networks=None, whole_trainings=None):
    """Write a run and return its directory."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "run.json").write_text(json.dumps(provenance))
    (directory / "networks.json").write_text(json.dumps([network for network, _ in networks]))
    for network, studies in networks:
        for study, table in studies.items():
            table.save(directory / "tables" / network["name"] / f"{study}.csv")
    if trained_networks is not None:
        trained_networks.save(directory / "tables" / "trained_networks.csv")
    if whole_trainings is not None:
        whole_trainings.save(directory / "tables" / "whole_trainings.csv")
    return directory
