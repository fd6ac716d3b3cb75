"""Columns of what says how much a module matters."""

from __future__ import annotations

from unravelnet.columns.column import Column

SCORES = (
    Column(
        "deletion", "Deletion effect", "number",
        "Mean loss of the images without the module minus that of the intact network.", unit="nats",
        has_interval=True,
    ),
    Column(
        "deletion_error_rate", "Deletion effect on the error", "number",
        "`error_rate` without the module minus that of the intact network.", unit="percentage points",
        has_interval=True,
    ),
    Column(
        "first_order", "First-order estimate", "number",
        "−g · b: the gradient of the loss at the junction times what the branch changes there; `deletion` to first "
        "order.", unit="nats", has_interval=True,
    ),
    Column(
        "first_order_odds", "First-order estimate by log odds", "number",
        "`first_order` of each image turned into a change of its log odds, and this into a rise of its loss; equal to "
        "`first_order` where the loss is not the cross entropy of one prediction.", unit="nats", has_interval=True,
    ),
    Column(
        "block_influence", "Block Influence", "number",
        "1 − cos of the stream before and behind the module, at each position, the mean over positions.",
        has_interval=True,
    ),
    Column(
        "angular_distance", "Angular distance", "number",
        "arccos / π of the cosine of the stream before and behind the module, or the span of modules: at the last "
        "token of a text, else the mean over positions.", has_interval=True,
    ),
    Column(
        "relative_magnitude", "Relative magnitude", "number",
        "‖b‖ / ‖s‖ at the junction: s is the stream that a deletion leaves, b what the branch changes of it.",
        has_interval=True,
    ),
    Column(
        "gradient_cosine", "Cosine with the gradient", "number",
        "Cosine of b and the gradient of the loss at the junction.", has_interval=True,
    ),
    Column(
        "path_gradient_share", "Share of the path gradient", "number",
        "‖Jᵀg‖ / (‖Sᵀg‖ + ‖Jᵀg‖) with the Jacobians J of the branch and S of the skip, and the gradient g at the "
        "junction.", unit="share", has_interval=True,
    ),
)  # fmt: skip

ESTIMATES = (
    Column(
        "n_exact", "Images without the module", "whole number",
        "Number of images that were run without the module; the effect on all others was foreseen to first order.",
        unit="images",
    ),
    Column(
        "prediction_weight", "Weight of the predictions", "number",
        "λ of prediction-powered inference: how much of what the first-order estimate says is believed. It is 0 where "
        "it says nothing.",
    ),
    Column(
        "threshold", "Threshold", "number", "The effect that was to be decided about, in the unit of the effect."
    ),
    Column(
        "decision", "Decision", "text",
        'Whether the effect surely lies "above" or "below" `threshold`, or the images leave it "open".',
    ),
)  # fmt: skip

CORRELATIONS = (
    Column("score", "Score", "text", "The score by which modules are ordered; a column of the table of importance."),
    Column("truth", "Compared with", "text", "The effect of a deletion that the order is compared with."),
    Column(
        "spearman", "Spearman's ρ", "number",
        "Rank correlation of `score` and `truth` over modules. The interval is of a bootstrap over images.",
        has_interval=True,
    ),
    Column(
        "kendall", "Kendall's τ", "number",
        "τ-b of `score` and `truth` over modules: pairs in the same order minus pairs in the other, as a share. The "
        "interval is of a bootstrap over images.", has_interval=True,
    ),
    Column(
        "passes", "Cost of the score", "number",
        "MACs of the score for one image, measured alone, divided by those of one forward pass.",
    ),
    Column("truth_passes", "Cost of the deletions", "number", "The same of the deletions, with all that they share."),
)  # fmt: skip
