"""Columns of what is measured by gradients: path lengths, modules, layers, checkpoints of a training."""

from __future__ import annotations

from unravelnet.columns.column import Column
from unravelnet.papers import littwin, veit

GRADIENTS = (
    Column(
        "length_gradient_norm", "Norm of the exact sum", "number",
        "Norm of the vector sum of the gradient along all paths of length k.", unit="loss per unit", has_interval=True,
    ),
    Column(
        "length_share", "Share by the exact sums", "number",
        "`length_gradient_norm` divided by its sum over lengths.", unit="share",
    ),
    Column(
        "path_gradient_norm", "Gradient norm on a path", "number",
        "Mean norm of the gradient along single paths of length k, drawn uniformly.",
        unit="loss per unit", has_interval=True,
    ),
    *(
        Column(
            f"path_gradient_norm_q{percent:02d}", f"Gradient norm on a path, {words}", "number",
            f"Quantile {percent / 100:g} of the norms over the paths drawn.", unit="loss per unit",
        )
        for percent, words in (
            (5, "5 % quantile"), (25, "25 % quantile"), (50, "median"), (75, "75 % quantile"), (95, "95 % quantile"),
        )
    ),
    Column(
        "path_gradient_rms", "Root mean square gradient norm on a path", "number",
        "Root mean square of the norms over all paths of length k.", unit="loss per unit", has_interval=True,
    ),
    Column(
        "path_gradient_rms_se", "Standard error of the root mean square", "number",
        "Standard error of `path_gradient_rms` over draws of signs.", unit="loss per unit",
    ),
    Column(
        "length_contribution", "Paths × mean norm", "number",
        f"`path_count` · `path_gradient_norm`: {veit.GRADIENT_IS_SHORT.source.place} of the paper.",
        unit="loss per unit",
    ),
    Column(
        "share", "Share of the gradient", "number", "`length_contribution` divided by its sum over lengths.",
        unit="share",
    ),
    Column(
        "cumulative_share", "Share of the gradient up to this length", "number",
        "Sum of `length_contribution` over all lengths up to this one, divided by that over all lengths. The interval "
        "is that of images drawn again (bootstrap, 1,000 times).", unit="share", has_interval=True,
    ),
    Column(
        "cumulative_length_share", "Share by the exact sums up to this length", "number",
        "Sum of `length_gradient_norm` over all lengths up to this one, divided by that over all lengths. The interval "
        "is that of images drawn again (bootstrap, 1,000 times).", unit="share", has_interval=True,
    ),
    Column(
        "local_decay", "Decay near this length", "number",
        "Factor by which `path_gradient_norm` changes with each module near this length: from a least-squares line of "
        "its logarithm over the lengths at most 4 away. The interval is that of images drawn again (bootstrap, 1,000 "
        "times).", has_interval=True,
    ),
    Column(
        "curvature", "Curvature of the decay", "number",
        "Coefficient of the squared length in a least-squares parabola of the logarithm of `path_gradient_norm` over "
        "the length: 0 where the decay is exponential. The same in all rows. The interval is that of images drawn "
        "again (bootstrap, 1,000 times).", has_interval=True,
    ),
    Column(
        "coherence", "Coherence", "number",
        "`length_gradient_norm` / `length_contribution`: 1 if all paths of a length point the same way, "
        "1/√`path_count` if directions are independent.",
    ),
    Column(
        "gradient_norm", "Norm of the gradient", "number", "Norm of the gradient by autograd.", unit="loss per unit"
    ),
    Column(
        "gradient_error", "Error of the sum over lengths", "number",
        "Distance between the gradient by autograd and the sum over lengths, divided by the norm of the gradient.",
    ),
    Column(
        "n_draws", "Draws", "whole number", "Number of random paths, or draws of signs, for each length.", unit="draws"
    ),
    Column("method", "Method", "text", 'How the gradient was split: "exact", "rms" or "sampled".'),
    Column("at", "Gradient at", "text", 'Where the gradient arrives: "stem" for the stem\'s output, or "input".'),
    Column("per", "One measurement", "text", 'What one measurement is of: an "image" or a "batch".'),
    Column(
        "loss_name", "Loss", "text", 'Name of the loss whose gradient was taken, such as "cross_entropy".',
    ),
)  # fmt: skip

MODULES = (
    Column("n_after", "Later modules", "whole number", "Number of later modules on the route.", unit="modules"),
    Column(
        "effective_depth", "Effective depth", "whole number",
        "The smallest length such that paths of at most this length through the later modules carry `depth_share` of "
        "the sum of the module's `length_gradient_norm`.", unit="modules",
    ),
    Column(
        "depth_share", "Share that is asked for", "number",
        "The share of the gradient that the effective depth is defined by.", unit="share",
    ),
    Column("is_deeper", "Deeper than effective", "truth value", "Whether `n_after` is larger than `effective_depth`."),
    Column(
        "branch_to_stream", "‖branch‖ / ‖stream‖", "number",
        "‖b‖ / ‖s‖ at the junction: s is the stream that the skip alone gives, b what the branch changes of it. Where "
        "they are added, b is the branch.", has_interval=True,
    ),
    Column(
        "branch_stream_cosine", "cos(branch, stream)", "number", "Cosine of b and s of `branch_to_stream`.",
        has_interval=True,
    ),
    Column(
        "branch_gradient_cosine", "cos(branch, loss gradient)", "number",
        "Cosine of b of `branch_to_stream` and the gradient g of the loss at the junction; where it is negative, the "
        "branch goes downhill.", has_interval=True,
    ),
    Column(
        "gradient_gain", "‖Jᵀg‖ / ‖g‖ of the branch", "number", "‖Jᵀg‖ / ‖g‖ with the branch's Jacobian J.",
        has_interval=True,
    ),
    Column("position", "Layer", "whole number", "Number of the layer in the order of execution, from 0.", unit="index"),
    Column("layer", "Name of the layer", "text", "Name of the layer in the captured network."),
    Column(
        "layer_kind", "Kind of layer", "text", '"convolution" or "linear".',
    ),
    Column(
        "measured_after", "Measured after", "text",
        '"normalisation" if a normalisation directly follows the layer, else "layer".',
    ),
    Column(
        "response_std", "Standard deviation of the responses", "number",
        "Standard deviation of the output of a weight layer and the normalisation that follows it, before "
        "non-linearity or addition.",
    ),
    Column(
        "n_values", "Values", "whole number", "Number of values behind `response_std`: images × channels × places.",
        unit="values",
    ),
)  # fmt: skip

OVER_TRAINING = (
    Column(
        "decay", "Decay", "number",
        "Factor r by which the norm changes with each module on the path, from a least-squares line of the logarithm "
        "of `path_gradient_norm` over the length.", has_interval=True,
    ),
    Column("r_squared", "R² of the decay", "number", "Share of the variance of the logarithms that the line explains."),
    Column(
        "mean_length", "Mean path length", "number", "Mean length, weighted by `length_gradient_norm`.", unit="modules"
    ),
    Column(
        "decay_change", "Change of the decay", "number",
        "`decay` less that of the first checkpoint with a decay; interval over groups of the images.",
        has_interval=True,
    ),
    Column(
        "length_change", "Change of the mean path length", "number",
        "`mean_length` less that of the first checkpoint with a decay; interval over groups of the images.",
        has_interval=True, unit="modules",
    ),
    Column(
        "length_low", "Shortest length of 90 %", "whole number",
        "Lower end of the shortest interval of lengths with 90 % of the sum of `length_gradient_norm`.",
        unit="modules",
    ),
    Column(
        "length_high", "Longest length of 90 %", "whole number", "Upper end of that interval.", unit="modules"
    ),
    Column(
        "dominating_length", "Dominating length", "whole number", "The length with the largest `length_gradient_norm`.",
        unit="modules",
    ),
    Column("predicted_length", "Predicted length", "number", "n r / (1 + r) with `decay` as r.", unit="modules"),
    Column(
        "theory_weight", "Share by theory", "number", f"ε² of {littwin.PAPER.authors} with `decay` as β.", unit="share"
    ),
    Column("scale", "Mean |γ|", "number", "Mean |γ| of a normalisation layer."),
    Column(
        "scaled_norm", "Mean |γ| × norm of the next convolution", "number",
        "`scale` times the norm of the next convolution, if this convolution ends the branch.",
    ),
    Column(
        "statistics", "Statistics from", "text",
        'What the normalisation statistics were collected on: "training", or "images" of the measurement where the '
        "training had collected none yet, or had smaller images.",
    ),
)  # fmt: skip
