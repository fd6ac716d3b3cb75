"""Tables of the gradient by path length, made by hand from closed forms.

The norm on every path of length k is SCALE · decay^k. So count × mean norm is Binomial(n, decay / (1 + decay)),
and if the directions are independent the norm of the sum over a length is √count times the norm on a path.
"""

from math import comb, sqrt

from scipy.stats import binom

from unravelnet.mathematics.decay import predicted_length, theory_weights
from unravelnet.records.record import Table

SCALE = 0.01
FACTS = {
    "network": "f00d",
    "network_name": "net",
    "data": "beef",
    "data_name": "cifar10/test",
    "n_images": 128,
    "seed": 0,
    "confidence": 0.95,
}
EPOCHS = (0, 1, 2, 5, 10, 20, 50, 100, 164)
DECAYS = [0.1, 0.12, 0.15, 0.18, 0.2, 0.22, 0.24, 0.25, 0.26]
QUANTILES = {"q05": 0.3, "q25": 0.7, "q50": 0.9, "q75": 1.2, "q95": 2.5}


def around(column, value, half=0.05):
    """A value with an interval of so many parts of it to either side."""
    return {column: value, f"{column}_low": value * (1 - half), f"{column}_high": value * (1 + half)}


def lengths(n_modules, method, **columns):
    """What all rows of a table by path length have: the facts, and the number of paths of each length."""
    return [
        {
            **FACTS,
            "length": length,
            "path_count": comb(n_modules, length),
            "method": method,
            "n_draws": 1000,
            "at": "stem",
            "per": "image",
            "loss_name": "cross_entropy",
            "route": f"0-{n_modules - 1}" if n_modules > 1 else "0",
            "n_modules": n_modules,
            **columns,
        }
        for length in range(n_modules + 1)
    ]


def shares(values):
    return [value / sum(values) for value in values]


def sampled(n_modules=54, decay=0.25, *, half=0.05, **columns):
    norms = [SCALE * decay**length for length in range(n_modules + 1)]
    contributions = [comb(n_modules, length) * norm for length, norm in enumerate(norms)]
    return Table(
        {
            **row,
            **around("path_gradient_norm", norm, half),
            **{f"path_gradient_norm_{name}": factor * norm for name, factor in QUANTILES.items()},
            "length_contribution": contribution,
            "share": share,
        }
        for row, norm, contribution, share in zip(
            lengths(n_modules, "sampled", **columns), norms, contributions, shares(contributions), strict=True
        )
    )


def rms(n_modules=54, decay=0.25, *, factor=1.5):
    return Table(
        {**row, **around("path_gradient_rms", factor * SCALE * decay ** row["length"])}
        for row in lengths(n_modules, "rms")
    )


def exact(n_modules=54, decay=0.25, *, half=0.05, coherent=False, with_paths=True):
    """Vector sums of independent directions, or of paths that all point the same way."""
    rows = []
    for row in lengths(n_modules, "exact"):
        count, norm = row["path_count"], SCALE * decay ** row["length"]
        total = (count if coherent else sqrt(count)) * norm
        paths = {**around("path_gradient_norm", norm, half), "length_contribution": count * norm}
        nothing = dict.fromkeys(paths)
        rows.append(
            {
                **row,
                **around("length_gradient_norm", total, half),
                **(paths if with_paths else nothing),
                "coherence": total / (count * norm) if with_paths else None,
                "gradient_norm": 0.02,
                "gradient_error": 3e-7,
            }
        )
    for row, share in zip(rows, shares([row["length_gradient_norm"] for row in rows]), strict=True):
        row["length_share"] = share
    if with_paths:
        for row, share in zip(rows, shares([row["length_contribution"] for row in rows]), strict=True):
            row["share"] = share
    return Table(rows)


def effective_depths(n_modules=54, decay=0.25):
    """The gradient of a module with m behind it has paths like Binomial(m, decay / (1 + decay))."""
    rows = []
    for module in range(n_modules):
        behind = n_modules - 1 - module
        depth = int(binom.ppf(0.95, behind, decay / (1 + decay)))
        row = {"module": module, "name": f"stage.{module}", "n_after": behind, "effective_depth": depth}
        mean = predicted_length(behind, decay)
        rows.append({**FACTS, **row, "mean_length": mean, "depth_share": 0.95, "is_deeper": behind > depth})
    return Table(rows)


def module_measures(n_modules=54, down=(18, 36), *, scale=1.0):
    rows = []
    for module in range(n_modules):
        keeps = module not in down
        stage_start = 1 if keeps else 6
        row = {"module": module, "name": f"stage.{module}", "kind": "identity" if keeps else "projection"}
        rows.append(
            {
                **FACTS,
                **row,
                "keeps_shape": keeps,
                **around("branch_to_stream", scale * 0.2 * stage_start / (1 + module % 18) ** 0.5),
                **around("branch_stream_cosine", 0.2 - 0.01 * (module % 18)),
                **around("branch_gradient_cosine", -0.02 - 0.001 * module),
                **around("gradient_gain", scale * 0.25 * (1.5 if not keeps else 1)),
            }
        )
    return Table(rows)


def layer_responses(n_layers=109, *, scale=1.0):
    return Table(
        {
            **FACTS,
            "position": position,
            "layer": f"layer.{position}",
            "module": (position - 1) // 2 if 0 < position < n_layers - 1 else None,
            "layer_kind": "convolution" if position < n_layers - 1 else "linear",
            "measured_after": "normalisation" if position % 2 else "layer",
            "response_std": scale * (1.0 if position % 2 else 0.3 + 2 / (1 + position)),
            "n_values": 128_000,
        }
        for position in range(n_layers)
    )


def over_training(decays, *, n_modules=54, mean_lengths=None, half=0.05):
    """Checkpoints at epochs 0, 1, 2, 5 … with these decays; path lengths are those of coherent paths."""
    rows = []
    means = mean_lengths or [predicted_length(n_modules, decay) for decay in decays]
    for place, (epoch, decay) in enumerate(zip(EPOCHS, decays, strict=False)):
        mean = predicted_length(n_modules, decay)
        low, high = binom.interval(0.9, n_modules, decay / (1 + decay))
        rows.append(
            {
                **FACTS,
                "epoch": epoch,
                **around("decay", decay, half),
                # As far apart as intervals of both around their values.
                **_change("decay_change", decay - decays[0], half * (decay + decays[0])),
                **_change("length_change", means[place] - means[0], 0.5),
                "r_squared": 0.99,
                "mean_length": means[place],
                "length_low": int(low),
                "length_high": int(high),
                "dominating_length": round(mean) + 1,
                "predicted_length": mean,
                "branch_to_stream": 0.8 * decay,
                "gradient_gain": 1.1 * decay,
                "error_rate": 0.9 / (1 + epoch),
                "n_modules": n_modules,
            }
        )
    return Table(rows)


def _change(name, value, half):
    return {name: value, f"{name}_low": value - half, f"{name}_high": value + half}


def spectra_over_training(decays, *, n_modules=54):
    rows = []
    for epoch, decay in zip(EPOCHS, decays, strict=False):
        spectrum = binom.pmf(range(n_modules + 1), n_modules, decay / (1 + decay))
        theory = theory_weights(n_modules + 1, decay) ** 2
        rows += [
            {**FACTS, "epoch": epoch, "length": length, "length_share": share, "theory_weight": weight}
            for length, (share, weight) in enumerate(zip(spectrum.tolist(), theory.tolist(), strict=True))
        ]
    return Table(rows)


def normalisation_scales(n_layers=109):
    return Table(
        {
            **FACTS,
            "epoch": epoch,
            "position": position,
            "layer": f"norm.{position}",
            "module": position // 2,
            "scale": 1 - 0.005 * epoch**0.5 * position**0.5,
            "scaled_norm": 4 + 0.01 * position * epoch**0.5 if position % 2 else None,
        }
        for epoch in EPOCHS
        for position in range(n_layers)
    )


def ensemble(errors, *, members="routes", half=0.005, intact=0.06, **columns):
    """Errors by number of members: 1, 2, 4 …"""
    return Table(
        {
            **FACTS,
            "n_images": 10_000,
            "n_members": 2**place,
            "members": members,
            "n_sets": 20,
            "error_rate": error,
            "error_rate_low": error - half,
            "error_rate_high": error + half,
            "member_error_rate": errors[0],
            "disagreement": 0.2 if members == "routes" else 0.08,
            "error_correlation": 0.45 if members == "routes" else 0.3,
            "intact_error_rate": intact,
            **columns,
        }
        for place, error in enumerate(errors)
    )
