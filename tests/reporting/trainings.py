"""Tables of trained networks and of layer responses, made by hand: the truth is known because it was put in."""

from unravelnet.mathematics.intervals import rate_interval
from unravelnet.records.record import Table

N_IMAGES = 10_000


def trained(
    zoo_name, errors, *, routes="all", scaled=None, others=None, train_errors=None, n=N_IMAGES, **facts
):
    """Rows of the trainings of one network: one a seed, with its errors tested otherwise if there are any.

    `errors`: with all modules as they are; on other routes than "all" with scaled branches, which are the method's own,
    unless `scaled` gives those beside them. `others`: errors tested in other ways, by their names.
    """
    kind = "" if routes == "all" else f"-{routes.replace(':', '')}"
    group = f"{zoo_name}{kind}-cifar10"
    rows = []
    for seed, error in enumerate(errors):
        common = {
            "group": group,
            "network_name": group if seed == 0 else f"{group}-seed{seed}",
            "zoo_name": zoo_name,
            "routes": routes,
            "training_seed": seed,
            "n_modules": 27,
            "n_parameters": 855_770,
            "train_error_rate": (train_errors or errors)[seed],
            "train_loss": 0.1,
            "epochs": 500,
            "training_macs": 1e15 if routes == "all" else 4.4e14,
            "training_seconds": 3000.0 if routes == "all" else 1200.0,
            "training_hardware": "one processor",
            "fit_error_rate": 0.5 * error,
            "n_fit_images": 5000,
            "data_name": "cifar10/test",
            "precision": "float32",
            **facts,
        }
        way = "unscaled" if routes == "all" or scaled is not None else "scaled"
        rows.append({**common, **tested(way, error, n), "is_as_trained": scaled is None})
        if scaled is not None:
            rows.append({**common, **tested("scaled", scaled[seed], n), "is_as_trained": True})
        for way, other in (others or {}).items():
            rows.append({**common, **tested(way, other, n), "is_as_trained": False})
    return rows


def tested(test_time, error, n):
    low, high = rate_interval(round(error * n), n)
    return {
        "test_time": test_time,
        "error_rate": error,
        "error_rate_low": low,
        "error_rate_high": high,
        "wrong": round(error * n),
        "n_images": n,
        "loss": 0.3,
    }


def whole_table():
    """All networks of the contract; every claim about them was put in to agree, with seeds or without."""
    return Table(
        [
            *trained("preact-resnet110", [0.075], n_modules=54),
            *trained("preact-resnet110", [0.11], routes="exactly:23", scaled=[0.075], n_modules=54),
            *trained("preact-resnet110", [0.09], routes="stochastic-depth:0.5", scaled=[0.06], n_modules=54),
            *trained("vgg15", [0.085], n_modules=13),
            *trained("plain20", [0.09, 0.091, 0.092], n_modules=18),
            *trained("plain56", [0.13], n_modules=54),
            *trained("resnet20", [0.084, 0.085, 0.086], n_modules=9),
            *trained("resnet56", [0.07]),
            *trained("preact-resnet56", [0.08, 0.081, 0.082]),
            *trained(
                "preact-resnet56", [0.12, 0.13, 0.14], routes="exactly:11", scaled=[0.0805, 0.081, 0.0815]
            ),
        ]
    )


def whole_trainings():
    """Errors of whole trainings: 5 % plus 2 over the epochs on all modules, and two lengths of exactly 23."""
    pairs = [("all", epochs, 0.05 + 2 / epochs) for epochs in (10, 20, 40, 80, 160)]
    pairs += [("exactly:23", epochs, 0.08 + 2 / epochs) for epochs in (40, 80)]
    return Table(
        {
            "group": f"preact-resnet110-{routes}",
            "zoo_name": "preact-resnet110",
            "routes": routes,
            "start": "",
            "training_seed": 0,
            "epochs": epochs,
            "image_sizes": "as they are",
            "error_rate": error,
            "n_images": N_IMAGES,
            "training_macs": 1e9 * epochs * (1.0 if routes == "all" else 0.43),
            "training_seconds": 60.0 * epochs,
            "is_shipped": epochs == 80,
        }
        for routes, epochs, error in pairs
    )


def responses(deviations, **columns):
    """A table of layer responses: a stem and branches with these deviations, and a linear head."""
    rows = [
        {
            "position": position,
            "layer": f"layer.{position}",
            "module": None,
            "layer_kind": "convolution",
            "measured_after": "normalisation",
            "response_std": deviation,
            "n_images": 1000,
            **columns,
        }
        for position, deviation in enumerate(deviations)
    ]
    head = {
        **rows[0],
        "position": len(rows),
        "layer_kind": "linear",
        "measured_after": "layer",
        "response_std": 99.0,
    }
    return Table([*rows, head])
